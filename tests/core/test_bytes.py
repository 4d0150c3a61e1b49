"""Where bytes are taken, whatever lends or reads bytes is taken; anything else is refused by its name."""

from __future__ import annotations

from array import array

import pytest

from py_esp_ota import Device, Flash, Lab, PartitionTable, inspect_image
from py_esp_ota._core import AppDesc, ImageHeader, whole
from py_esp_ota.firmware import Firmware

APP = Firmware("lamp", "1.0.0").to_bytes()
TABLE = PartitionTable.builtin("two_ota").to_bytes()


def file_of(data, folder):
    path = folder / "file.bin"
    path.write_bytes(data)
    return path


FORMS = {"bytes": bytes, "bytearray": bytearray, "memoryview": memoryview}


@pytest.fixture(params=[*FORMS, "path"])
def held(request, tmp_path):
    return FORMS[request.param] if request.param in FORMS else lambda data: file_of(data, tmp_path)


def test_one_image_in_every_form(held):
    assert whole(held(APP)) == APP
    assert inspect_image(held(APP)).app_desc.version == "1.0.0"
    assert ImageHeader.from_bytes(held(APP)) == ImageHeader.from_bytes(APP)
    assert AppDesc.from_bytes(held(APP[32:])).project_name == "lamp"
    assert Flash.from_bytes(held(APP)).read(0, len(APP)) == APP
    assert PartitionTable.from_bytes(held(TABLE)).to_bytes() == TABLE


def test_flash_programs_any_form(held):
    flash = Flash(0x100000)
    flash.program(0x1000, held(b"\x12\x34"))
    assert flash.read(0x1000, 2) == b"\x12\x34"


def test_a_device_and_a_lab_take_any_form(held):
    device = Device("two_ota", firmware=held(APP))
    device.power_on()
    assert device.running.version == "1.0.0"
    with Lab() as lab:
        lab.device("two_ota", firmware=held(APP), node_id="lamp1").power_on()
        reports = lab.run(lab.update(held(Firmware("lamp", "1.1.0").to_bytes()), name="new"))
    assert reports["lamp1"][-1]["status"] == "success"


def test_bytes_are_not_copied():
    assert whole(APP) is APP


def test_a_view_with_holes_is_what_it_shows():
    assert whole(memoryview(b"abcdef")[::2]) == b"ace"


@pytest.mark.parametrize("wrong", ["app.bin", 7, None, [1, 2], array("I", [1])])
def test_anything_else_is_refused_by_its_name(wrong):
    name = type(wrong).__name__
    with pytest.raises(TypeError, match=f"expected bytes, bytearray, memoryview or a Path, not {name}"):
        inspect_image(wrong)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        inspect_image(tmp_path / "nothing.bin")
