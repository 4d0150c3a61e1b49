"""The flash map and the job monitor: what they say must be what is there."""

from __future__ import annotations

from io import StringIO

import pytest
from board import Board, entry
from rich.console import Console

from py_esp_ota import Device
from py_esp_ota.firmware import Firmware
from py_esp_ota.view.flash_map import flash_map, flash_rows, otadata_note
from py_esp_ota.view.monitor import job_monitor


def printed(picture):
    console = Console(width=120, file=StringIO())
    console.print(picture)
    return console.file.getvalue()


def test_a_cell_is_the_share_of_sectors_that_are_written():
    board = Board("two_ota", without=("factory", "ota_0", "ota_1"))
    slot = board["ota_0"]  # 1 MiB in 32 cells: 8 sectors each
    board.chip.flash.program(slot.offset, b"\x00")
    board.chip.flash.program(slot.offset + 2 * 0x8000, bytes(4 * 0x1000))
    row = next(row for row in flash_rows(board.chip.flash, board.table) if row.partition.label == "ota_0")
    assert row.fill == (1 / 8, 0.0, 4 / 8, *[0.0] * 29)


def test_a_small_partition_has_a_cell_for_each_sector():
    board = Board("two_ota")
    nvs = flash_rows(board.chip.flash, board.table)[0]
    assert nvs.fill == (0.0,) * 4


def test_apps_are_named_and_the_running_one_has_the_arrow():
    lamp = Device("two_ota", firmware=Firmware("lamp", "1.0.0").to_bytes())
    report = lamp.power_on()
    table = Board("two_ota").table
    lines = printed(flash_map(lamp.flash, table, running=report.partition, title="Flash")).splitlines()
    arrows = [line for line in lines if "▶" in line]
    assert len(arrows) == 1
    assert "factory" in arrows[0]
    assert "lamp 1.0.0" in arrows[0]
    assert "0x010000" in arrows[0]
    assert "1.00 MiB" in arrows[0]


@pytest.mark.parametrize(
    ("entries", "note"),
    [
        (("-", "-"), "[0] blank  [1] blank"),
        (("1/VALID", "-"), "[0]* seq 1 VALID  [1] blank"),
        (("1/VALID", "2/PENDING_VERIFY"), "[0] seq 1 VALID  [1]* seq 2 PENDING_VERIFY"),
        (("3/VALID!", "2/0x77"), "[0] seq 3 VALID bad CRC  [1]* seq 2 0x77"),
    ],
)
def test_otadata_in_short(entries, note):
    board = Board("two_ota")
    for index, text in enumerate(entries):
        if text != "-":
            board.put(index, entry(text))
    assert otadata_note(board.chip.flash, board["otadata"]) == note


def test_the_monitor_has_a_row_for_each_report_in_order():
    said = [("started", "OTA URL Sent to Node"), ("failed", "[bold]not markup[/bold]")]
    reports = [{"status": status, "additional_info": info} for status, info in said]
    text = printed(job_monitor("[i]evening[/i]", "in_progress", reports, node_id="lamp1"))
    assert "OTA job [i]evening[/i]: in_progress" in text
    assert text.index("OTA URL Sent to Node") < text.index("[bold]not markup[/bold]")
    assert text.count("lamp1") == 2
