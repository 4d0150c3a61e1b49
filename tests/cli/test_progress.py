"""The bar of a download: on a terminal, below what is printed, and gone at the end."""

from __future__ import annotations

import pytest

from py_esp_ota.cli.progress import Bar, bar


@pytest.mark.parametrize(
    ("done", "total", "shown"),
    [
        (0, 0x40000, "[                              ]   0%  0 of 256 KiB"),
        (0x20000, 0x40000, "[###############               ]  50%  128 of 256 KiB"),
        (0x40000, 0x40000, "[##############################] 100%  256 of 256 KiB"),
        (0x50000, 0x40000, "[##############################] 100%  320 of 256 KiB"),
        (0, 0, "[##############################] 100%  0 of 0 KiB"),
    ],
)
def test_how_it_looks(done, total, shown):
    assert bar(done, total) == shown


def test_it_stays_below_the_console_and_goes_when_all_has_come(capsys):
    line = Bar(shown=True)
    line.hide()
    line.tell(0x20000, 0x40000)
    line.tell(0x20000, 0x40000)  # nothing new
    line.hide()
    line.back()
    line.tell(0x40000, 0x40000)
    line.back()
    half, erase = bar(0x20000, 0x40000), "\r\x1b[K"
    assert capsys.readouterr() == ("", f"{erase}{half}{erase}{erase}{half}{erase}")


def test_nobody_sees_it_where_there_is_no_terminal(capsys):
    line = Bar(shown=False)
    line.tell(1, 2)
    line.hide()
    line.back()
    assert capsys.readouterr() == ("", "")
