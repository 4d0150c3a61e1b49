"""How a drawn image is shown: in words, because eight thousand bytes help nobody, and packed, to have it again."""

from __future__ import annotations

from py_esp_ota._core import inspect_image
from py_esp_ota.packed import packed, unpacked


class Image(bytes):
    """The bytes of a file; they print as what they are, in an expression that rebuilds them."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"rebuilt({self.words()!r}, {packed(self)!r})"

    def words(self) -> str:
        """What it is, in a line."""
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
        return f"{info.chip or 'no'} image: {', '.join(words)}"


def rebuilt(words: str, text: str) -> Image:  # noqa: ARG001 (the words are for whoever reads)
    """The image that printed itself so. Raises ``ValueError`` for a text that no image printed."""
    return Image(unpacked(text))
