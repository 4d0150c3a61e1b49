"""One image in words. Imports nothing but the types: this is on the shortest way through ``esp-ota``."""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own costs as much as judging ten images
if TYPE_CHECKING:
    from py_esp_ota._core import ImageInfo

#: Fill up to a sector, and a signature sector: what may stand behind an image without making it a flash.
_ROOM_FOR_SIGNATURE = 0x2000


def holds_one_image(info: ImageInfo, size: int) -> bool:
    """Whether a file of ``size`` bytes is this app alone; a merged flash image begins like a bootloader."""
    return info.kind == "app" and size <= info.length + _ROOM_FOR_SIGNATURE


def report(file: str, info: ImageInfo) -> list[str]:
    """What ``image-info`` says about one image, line by line, with esptool's words for the sums."""
    lines = [f"{file}: {_what(info)}"]
    if info.kind == "unknown":  # what the other bytes would mean is noise; --json has it all the same
        return [*lines, *(f"  {fault.err.name}: {fault}" for fault in info.faults[:1])]
    if info.header:
        lines += [f"Entry point: 0x{info.header.entry_addr:08x}", f"Segments: {info.header.segment_count}"]
    if info.segments:
        lines.append("  Segment   Length     Load addr   File offset  Kind")
        lines += [
            f"  {s.index:7}   0x{s.length:06x}   0x{s.load_addr:08x}  0x{s.offset:08x}   {s.kind}"
            for s in info.segments
        ]
    lines += _sums(info)
    if info.app_desc:
        desc = info.app_desc
        lines += [
            f"Project name: {desc.project_name}",
            f"App version: {desc.version}",
            f"Compile time: {desc.date} {desc.time}".rstrip(),
            f"ELF file SHA256: {desc.app_elf_sha256.hex()}",
            f"ESP-IDF: {desc.idf_ver}",
            f"Secure version: {desc.secure_version}",
        ]
    if info.bootloader_desc:
        lines += [
            f"Bootloader version: {info.bootloader_desc.version}",
            f"ESP-IDF: {info.bootloader_desc.idf_ver}",
            f"Compile time: {info.bootloader_desc.date_time}",
        ]
    if info.faults:
        lines += ["", f"{len(info.faults)} fault{'s' * (len(info.faults) > 1)}, the first is the chip's verdict:"]
        lines += [f"  {fault.err.name}: {fault}" for fault in info.faults]
    if info.findings:
        lines += ["", *info.findings]
    return lines


def _what(info: ImageInfo) -> str:
    if info.kind == "unknown":
        return "no ESP32-family image"
    kind = {"app": "app image", "bootloader": "bootloader image"}[info.kind]
    chip = f" for {info.chip}" if info.chip else ""
    return f"{kind}{chip}, {info.length} bytes, {'valid' if info.valid else 'INVALID'}"


def _sums(info: ImageInfo) -> list[str]:
    lines = []
    if info.checksum_stored is not None:
        good = info.checksum_stored == info.checksum_calculated
        verdict = "valid" if good else f"invalid - calculated 0x{info.checksum_calculated or 0:02x}"
        lines.append(f"Checksum: 0x{info.checksum_stored:02x} ({verdict})")
    if info.hash_stored is not None:
        good = info.hash_stored == info.hash_calculated
        verdict = "valid" if good else f"invalid - calculated {(info.hash_calculated or b'').hex()}"
        lines.append(f"Validation hash: {info.hash_stored.hex()} ({verdict})")
    return lines
