"""What values show in a notebook: HTML made of facts, and a look that changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from py_esp_ota import Device, Firmware, Flash, Lab, Partition, PartitionTable, Sdkconfig, inspect_image
from py_esp_ota import html as shown
from py_esp_ota._core import NvsPartition, OtaSelectEntry
from py_esp_ota.idf.rollback import OtaImgState, state_name
from py_esp_ota.sweep import STORIES, Scene, sweep
from py_esp_ota.sweep.result import SweepReport

OLD, NEW = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))
_VOID = {"rect", "path", "br"}


class _Cells(HTMLParser):
    """The texts of all cells, captions and heads; every tag that is opened must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, _attrs: object) -> None:
        assert tag in _VOID

    def handle_endtag(self, tag: str) -> None:
        assert tag == self._open.pop()

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def _texts(value: object) -> list[str]:
    return _Cells(value._repr_html_()).texts  # type: ignore[attr-defined]  # the protocol of notebooks


def test_a_partition_table_shows_its_csv() -> None:
    table = PartitionTable.builtin("two_ota")
    texts = _texts(table)
    for line in table.to_csv().splitlines()[2:]:
        assert all(cell in texts for cell in line.split(",") if cell)


def test_a_flash_shows_what_is_written() -> None:
    flash = Flash(1 << 20)
    assert "0 of 256 sectors are written" in "".join(_texts(flash))
    flash.program(0x1000, b"\0")
    flash.program(0x40000, b"\0")
    assert "2 of 256 sectors are written" in "".join(_texts(flash))
    assert flash._repr_html_().count("M") == 2
    assert flash.operations == 2  # looking is no operation


def test_an_image_shows_what_is_wrong_with_it() -> None:
    assert "Faults" not in _texts(inspect_image(OLD))
    broken = bytearray(OLD)
    broken[0x200] ^= 1
    texts = _texts(inspect_image(broken))
    assert {"lamp", "1.0.0", "Faults", "checksum", "hash", "ESP_ERR_IMAGE_INVALID"} <= set(texts)


def test_a_device_shows_its_otadata_and_a_look_changes_nothing() -> None:
    lamp = Device("two_ota_large", firmware=OLD)
    lamp.power_on()
    before = lamp.flash.operations, lamp.flash.to_bytes()
    texts = _texts(lamp)
    assert {"lamp 1.0.0", "ota_0", "blank", "fits", "VALID"} & set(texts) >= {"lamp 1.0.0", "ota_0", "fits"}
    assert (lamp.flash.operations, lamp.flash.to_bytes()) == before


def test_a_device_without_a_table_shows_what_there_is() -> None:
    lamp = Device("two_ota_large", firmware=OLD)
    lamp.flash.erase(0x8000, 0x1000)
    assert "otadata" not in _texts(lamp)


def test_a_boot_shows_why() -> None:
    lamp = Device("two_ota_large", firmware=OLD)
    report = lamp.power_on()
    assert set(report.why) <= set(_texts(report))
    assert "Boot: ota_0 runs" in _texts(report)


def test_nvs_shows_its_entries() -> None:
    nvs = NvsPartition(Flash(1 << 20), Partition("nvs", type=1, subtype=2, offset=0, size=0x6000))
    nvs.open("lamp", "readwrite").set("power", "u8", 1)
    assert {"lamp", "power", "u8"} <= set(_texts(nvs))


@pytest.mark.parametrize("state", [*OtaImgState, 0x77])
def test_an_entry_of_otadata_names_its_state(state: int) -> None:
    assert state_name(state) in _texts(OtaSelectEntry(2, state))


def test_an_entry_of_otadata_says_whether_it_counts() -> None:
    assert _texts(OtaSelectEntry(2, OtaImgState.VALID))[-1] == "yes"
    assert _texts(OtaSelectEntry(2, OtaImgState.ABORTED))[-1] == "no"
    assert {"blank", "does not fit"} <= {
        text.rpartition(", ")[2] for text in _texts(OtaSelectEntry(0xFFFFFFFF, 0, crc=1))
    }


def test_a_job_shows_where_its_nodes_stand() -> None:
    with Lab() as lab:
        lab.device("two_ota", firmware=OLD, node_id="lamp1").power_on()
        lab.run(lab.update(NEW, name="lamp-1.1.0"))
        job = lab.service.jobs.find().items[0]
        assert repr(lab.service) == "<CloudService, hears its nodes>"
    assert repr(job) == "<JobView 'lamp-1.1.0', completed, 1 nodes>"
    assert {"lamp-1.1.0", "completed", "success", "1"} <= {text.removeprefix("OTA job ") for text in _texts(job)}


@pytest.fixture(scope="module")
def report() -> SweepReport:
    return sweep(STORIES["second-ota"], Scene(OLD, NEW))


def test_a_sweep_shows_its_outcomes(report: SweepReport) -> None:
    texts = _texts(report)
    for outcome, count in report.outcomes.items():
        assert (outcome in texts) == bool(count)


def test_a_value_says_in_a_line_what_it_is(report: SweepReport) -> None:
    scene, life = Scene(OLD, NEW), Scene(OLD, NEW).life()
    assert repr(life) == "<Life of esp32c3: 0 boots, never switched on>"
    life.power_on()
    blank = "- -" if not report.endings[0].otadata else " ".join(report.endings[0].otadata)
    said = {
        repr(Firmware("lamp", "1.0.0")): "Firmware(project_name='lamp', version='1.0.0')",
        repr(Firmware("lamp", "1", chip="esp32")): "Firmware(project_name='lamp', version='1', chip='esp32')",
        repr(Sdkconfig()): "Sdkconfig()",
        repr(Sdkconfig(bootloader_app_test=True)): "Sdkconfig(bootloader_app_test=True)",
        repr(scene): "<Scene lamp 1.0.0 -> lamp 1.1.0, 'two_ota'>",
        repr(Scene(b"", NEW)): "<Scene ? -> lamp 1.1.0, 'two_ota'>",
        repr(STORIES["confirm"]): "<Story confirm: the first boot of a new image, which confirms itself>",
        repr(report.endings[0]): f"<Ending old: 1.0.0 runs from ota_0, VALID, {blank}>",
        repr(life): "<Life of esp32c3: 1 boots, <BootReport factory runs>>",
        repr(life.nvs): "<FlashNvs 'nvs' of Chip('esp32c3', flash_size=0x400000)>",
    }
    assert list(said) == list(said.values())
    for short in ("Firmware('lamp', '2', chip='esp32s3', spi_flash_mode=2)", "Sdkconfig(nvs_encryption=True)"):
        value = eval(short, {"Firmware": Firmware, "Sdkconfig": Sdkconfig})
        assert eval(repr(value), {"Firmware": Firmware, "Sdkconfig": Sdkconfig}) == value


@pytest.mark.parametrize("make", [shown.table, lambda c, h, r: shown.facts(c, r)], ids=["table", "facts"])
def test_texts_of_firmware_are_no_markup(make: Callable[..., str]) -> None:
    evil = "<script>alert(1)</script>&\"'"
    text = make(evil, (evil, evil), [(evil, evil)])
    assert "<script" not in text
    assert _Cells(text).texts.count(evil) >= 3


def test_an_empty_fact_is_left_out() -> None:
    assert _Cells(shown.facts("a", [("b", ""), ("c", "d")])).texts == ["a", "c", "d"]
