"""Settings that must survive a power cut at any moment: `pytest examples/test_settings.py`.

Two sectors take turns. A record is its number, its length, its value, and last its mark; the newest with a mark counts.
"""

from __future__ import annotations

from py_esp_ota import Flash, every_power_cut

SECTORS = (0x9000, 0xA000)
MARK = b"\x01"


def load(flash: Flash) -> tuple[int, bytes]:
    """The newest record's number and value; 0 and nothing when there is none."""
    found = [(0, b"")]
    for sector in SECTORS:
        number, length = flash.read(sector + 1, 2)
        if flash.read(sector, 1) == MARK:
            found.append((number, flash.read(sector + 3, length)))
    return max(found)


def save(flash: Flash, value: bytes) -> None:
    """Write the next record into the sector that does not hold the newest one."""
    number = load(flash)[0] + 1
    sector = SECTORS[number % 2]
    flash.erase(sector, 0x1000)
    flash.program(sector + 1, bytes([number, len(value)]) + value)
    flash.program(sector, MARK)


@every_power_cut
def test_settings_are_old_or_new(esp_flash: Flash) -> None:
    """Started again after a cut, the test finds a value that was saved, never a part of one, and goes on from there."""
    values = [b"", b"red", b"green", b"a colour with a much longer name"]
    number, value = load(esp_flash)
    assert value == values[number]
    for new in values[number + 1 :]:
        save(esp_flash, new)
        assert load(esp_flash)[1] == new
