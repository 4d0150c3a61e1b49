"""The cloud pushes an update whose self-test is machine code; the old version tells the cloud what became of it.

Needs ``py_esp_ota[silicon]`` and Debian's gcc-riscv64-unknown-elf, which compiles the apps in examples/firmware.
"""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from py_esp_ota import Lab
from py_esp_ota.apps import MachineCode
from py_esp_ota.elf import from_elf
from py_esp_ota.firmware import Firmware

OLD = Firmware("lamp", "1.0.0").to_bytes()


def compiled() -> dict[str, bytes]:
    """The programs of examples/firmware, by name."""
    with TemporaryDirectory() as folder:
        call = ["make", "-s", "-C", str(Path(__file__).parent / "firmware"), f"OUT={folder}"]
        subprocess.run(call, check=True)  # noqa: S603 (our own sources)
        return {path.stem: path.read_bytes() for path in Path(folder).glob("*.elf")}


def main() -> None:
    """Print, for four builds of 1.1.0, what runs in the end, why, and what the cloud heard last."""
    elfs = compiled()
    code = MachineCode(elfs.values())
    for name in ("selftest", "reject", "crash", "hang"):
        with Lab() as lab:
            lamp = lab.device(firmware=OLD, node_id="lamp", apps=lambda app: code if app.version == "1.1.0" else None)
            lamp.power_on()
            lab.run(lab.settled("lamp", seconds=60))
            image = lab.run(lab.upload(from_elf(elfs[name], project_name="lamp", version="1.1.0"), name="1.1.0"))
            job = lab.run(lab.start_job("update", image, nodes=["lamp"]))
            lab.run(asyncio.sleep(60))
            last = lab.reports(job, "lamp")[-1]
        version = lamp.running.version if lamp.running else "nothing"
        print(f"{name}: {version} runs, {lamp.state}; {lamp.runs[0].why}; {last['status']}: {last['additional_info']}")


if __name__ == "__main__":
    main()
