"""Valid images, as files."""

from __future__ import annotations

from collections.abc import Collection

from hypothesis import strategies as st

from py_esp_ota import firmware
from py_esp_ota.firmware import CHIPS
from py_esp_ota.strategies.apps import apps
from py_esp_ota.strategies.arguments import some_of
from py_esp_ota.strategies.shown import Image
from py_esp_ota.strategies.sizes import AppOptions


def images(
    *,
    chips: Collection[str] | None = None,
    signed: bool | None = None,
    hash_appended: bool | None = None,
    trailing: bool | None = None,
    min_segments: int = 2,
    max_segments: int = 4,
    min_size: int = 0,
    max_size: int | None = None,
) -> st.SearchStrategy[bytes]:
    """App images that a chip of today takes, as bytes of a file.

    Each passes ``inspect_image``, the app's verifier and the bootloader's loader for its own chip. They shrink to a
    descriptor and a segment of code that is empty, for the first of the chips, unsigned. RSA signatures carry a random
    salt, so that an image signed with RSA is another one, as valid, when an example is replayed.

    Args:
        chips: ESP-IDF's names; all of them when not given.
        signed: with a sector of Secure Boot V2 signatures behind it, made by one of the ``signing.example_key``.
        hash_appended: with a SHA-256 behind it.
        trailing: with bytes behind it that belong to nothing.
        min_segments: at least so many, 2 to 16.
        max_segments: at most so many.
        min_size: bytes of the file at least, whatever is behind the image included.
        max_size: bytes of the file at most; small images when not given. Both at once give images of one size.

    ``None`` for a flag is either. Raises ``InvalidArgument`` when drawn from arguments that no image meets.
    """
    options = AppOptions(
        chips=chips,
        signed=signed,
        hash_appended=hash_appended,
        trailing=trailing,
        min_segments=min_segments,
        max_segments=max_segments,
        min_size=min_size,
        max_size=max_size,
    )
    return _images(options)


@st.composite
def _images(draw: st.DrawFn, options: AppOptions) -> bytes:
    app = draw(apps(options))
    return Image(app.file(app.plain()))


_IDF_VERS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=31)
_FLASH_SIZES = (0x400000, 0x100000, 0x200000, 0x800000, 0x1000000, 0x2000000, 0x4000000, 0x8000000)


@st.composite
def bootloaders(draw: st.DrawFn, *, chips: Collection[str] | None = None) -> bytes:
    """Second-stage bootloader images that say they are built for flashes of 1 to 128 MiB.

    Each passes ``inspect_image`` and, at its chip's bootloader offset, the verifier. Raises ``InvalidArgument`` when
    drawn for a chip that there is not.
    """
    made = firmware.bootloader(
        chip=draw(st.sampled_from(some_of("chips", chips, CHIPS))),
        version=draw(st.integers(0, 0xFFFFFFFF)),
        idf_ver=draw(_IDF_VERS),
        secure_version=draw(st.integers(0, 16)),
        flash_size=draw(st.sampled_from(_FLASH_SIZES)),
    )
    return Image(made)
