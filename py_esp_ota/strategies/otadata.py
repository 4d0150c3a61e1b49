"""otadata, as updates and power cuts leave it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from hypothesis import strategies as st

from py_esp_ota import firmware
from py_esp_ota._core import OtaSelectEntry
from py_esp_ota.idf.rollback import OtaImgState, state_name
from py_esp_ota.strategies.arguments import need

_SECTOR = 0x1000
_BLANK = b"\xff" * 32
_LARGE = (0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE)
_UNKNOWN_STATE = 0x77
#: The usual first: what a shrunk example has is what one meets.
_STATES = (
    OtaImgState.VALID,
    OtaImgState.NEW,
    OtaImgState.PENDING_VERIFY,
    OtaImgState.INVALID,
    OtaImgState.ABORTED,
    OtaImgState.UNDEFINED,
    _UNKNOWN_STATE,
)
_CONDITIONS = ("blank", "sound", "bad CRC", "torn")


@dataclass(frozen=True, slots=True)
class OtaData:
    """Both entries, 32 bytes each, as they stand at the beginning of their sectors."""

    first: bytes
    second: bytes

    def __repr__(self) -> str:
        return f"OtaData({_spelled(self.first)}, {_spelled(self.second)})"

    @property
    def entries(self) -> tuple[OtaSelectEntry, OtaSelectEntry]:
        """The entries as the bootloader reads them."""
        return OtaSelectEntry.from_bytes(self.first), OtaSelectEntry.from_bytes(self.second)

    def to_bytes(self) -> bytes:
        """The whole partition, two sectors."""
        return self.first.ljust(_SECTOR, b"\xff") + self.second.ljust(_SECTOR, b"\xff")


def _spelled(data: bytes) -> str:
    """``2/NEW``, with a ``!`` when the CRC is wrong; ``-`` for a blank entry."""
    if data == _BLANK:
        return "-"
    entry = OtaSelectEntry.from_bytes(data)
    return f"{entry.ota_seq}/{state_name(entry.ota_state)}{'' if entry.crc_ok else '!'}"


@st.composite
def otadata(draw: st.DrawFn, *, slots: int = 2, states: Collection[int] | None = None) -> OtaData:
    """Both entries in every condition: blank, sound, with a wrong CRC, torn by a power cut while it was programmed.

    Sequence numbers are mostly those of the first updates, and sometimes near the end of 32 bits. They shrink to two
    blank entries, then to ``1/VALID``.

    Args:
        slots: how many OTA slots the table has, 1 to 16; sequence numbers go round them twice and more.
        states: ``OtaImgState`` or any other word; every state and one that is none when not given.

    Raises ``InvalidArgument`` when drawn from anything else.
    """
    need(isinstance(slots, int) and 1 <= slots <= 16, f"slots is {slots!r}, expected 1 to 16")
    words = _STATES if states is None else tuple(states)
    need(len(words) > 0, "states is empty: there is nothing to draw from")
    need(
        all(isinstance(word, int) and 0 <= word <= 0xFFFFFFFF for word in words),
        f"states is {list(words)!r}, expected words of 32 bits",
    )
    return OtaData(_entry(draw, slots, words), _entry(draw, slots, words))


def _entry(draw: st.DrawFn, slots: int, words: tuple[int, ...]) -> bytes:
    condition = draw(st.sampled_from(_CONDITIONS))
    if condition == "blank":
        return _BLANK
    ota_seq = draw(st.integers(1, 2 * slots + 2) | st.sampled_from(_LARGE))
    entry = firmware.ota_select_entry(ota_seq, draw(st.sampled_from(words)))
    if condition == "bad CRC":
        return firmware.flipped(entry, 28 + draw(st.integers(0, 3)))
    if condition == "torn":
        return entry[: draw(st.integers(1, 31))].ljust(32, b"\xff")
    return entry
