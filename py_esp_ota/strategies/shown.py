"""How a drawn image is shown: a failing example with eight thousand bytes in it helps nobody."""

from __future__ import annotations

from py_esp_ota._core import inspect_image


class Image(bytes):
    """The bytes of a file, which show what they are; ``bytes(image)`` shows them all."""

    __slots__ = ()

    def __repr__(self) -> str:
        info = inspect_image(self)
        words = [f"{len(self)} bytes"]
        if info.header is not None:
            count = info.header.segment_count
            words.append(f"{count} segment{'' if count == 1 else 's'}")
        if info.app_desc is not None:
            words.append(f"project {info.app_desc.project_name!r}")
            words.append(f"version {info.app_desc.version!r}")
            words.append(f"secure version {info.app_desc.secure_version}")
        if info.signature:
            words.append("signed")
        words += [f"{fault.field} is {fault.found}" for fault in info.faults[:1]]
        return f"<{info.chip or 'no'} image: {', '.join(words)}>"
