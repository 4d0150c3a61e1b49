"""Run by itself: esptool's own reader over many images. Reads JSON lines ``{"chip", "image"}``, writes what it read."""

import json
import sys


def main() -> None:
    from esptool.bin_image import ESP32FirmwareImage, LoadFirmwareImage  # this program is a process of its own

    for line in sys.stdin:
        case = json.loads(line)
        data = bytes.fromhex(case["image"])
        try:
            read: ESP32FirmwareImage = LoadFirmwareImage(case["chip"], data)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is a refusal)
            told = {"refused": f"{type(error).__name__}: {error}"}
        else:
            told = {
                "entry_addr": read.entrypoint,
                "spi_mode": read.flash_mode,
                "speed_and_size": read.flash_size_freq,
                "wp_pin": read.wp_pin,
                "drives": [read.clk_drv, read.q_drv, read.d_drv, read.cs_drv, read.hd_drv, read.wp_drv],
                "chip_id": read.chip_id,
                "min_chip_rev": read.min_rev,
                "min_chip_rev_full": read.min_rev_full,
                "max_chip_rev_full": read.max_rev_full,
                "hash_appended": bool(read.append_digest),
                "segments": [[part.addr, len(part.data), part.file_offs + 8] for part in read.segments],
                "checksum_stored": read.checksum,
                "checksum_calculated": read.calculate_checksum(),
                "hash_stored": read.stored_digest.hex() if read.append_digest else None,
                "hash_calculated": read.calc_digest.hex() if read.append_digest else None,
            }
        sys.stdout.write(json.dumps(told) + "\n")


main()
