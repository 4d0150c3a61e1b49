"""``esp-ota image-info FILE [--json]`` without the parser: half of that process was importing it.

It answers only what it is sure of: one plain file that holds one image. Everything else, and every refusal, is left to
the command in ``image_info.py``, so that each sentence and each rule stands once.
"""

from __future__ import annotations

import os
import stat
import sys

from py_esp_ota._core import ImageInfo, inspect_image
from py_esp_ota.cli.image_report import holds_one_image, report

_LARGEST = 128 << 20


def image_info(words: list[str]) -> int | None:
    """Judge the one image in the one file named, and print it. Returns the exit code, ``None`` for not answered."""
    files = [word for word in words if word != "--json"]
    if len(files) != 1 or len(words) > 2 or files[0].startswith("-"):
        return None
    data = plain_file(files[0])
    if data is None:
        return None
    info = inspect_image(data)
    if not holds_one_image(info, len(data)) and not _is_lone_bootloader(info, data):
        return None
    if len(words) == 2:
        import json

        text = json.dumps(info.to_dict(), indent=2)
    else:
        lines = report(files[0], info)
        if not all(map(str.isprintable, lines)):  # the way out in output.py is for these
            return None
        text = "\n".join(lines)
    return printed(text, 0 if info.valid else 1)


def _is_lone_bootloader(info: ImageInfo, data: bytes) -> bool:
    if info.kind != "bootloader":
        return False
    from py_esp_ota.idf.detect import detect_start

    return detect_start(data) is None and detect_start(data, 0x10000) is None


def plain_file(name: str) -> bytes | None:
    """The bytes of a regular file of a possible size; ``None`` for anything that needs a sentence."""
    try:
        found = os.stat(name)  # noqa: PTH116 (pathlib is one of the imports we save)
        if not stat.S_ISREG(found.st_mode) or not 0 < found.st_size <= _LARGEST:
            return None
        with open(name, "rb") as file:  # noqa: PTH123
            return file.read()
    except (OSError, ValueError):
        return None


def printed(text: str, code: int) -> int | None:
    """Print and give back ``code``, or that of a stdout that takes it not. What may not be encodable is not printed."""
    if sys.stdout is None or not text.isascii():
        return None
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except OSError as error:
        from py_esp_ota.cli.ending import lost

        return lost(error)
    return code
