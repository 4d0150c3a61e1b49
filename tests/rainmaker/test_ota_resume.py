"""A node that goes on with a download: what it keeps in NVS, when it asks for the rest, and what misleads it."""

from __future__ import annotations

from hashlib import md5

import pytest
from file_server import FileServer
from node_bench import NEW, Bench

from py_esp_ota._core import Flash
from py_esp_ota.errors import EspErr, NvsError, PowerLoss
from py_esp_ota.firmware import Firmware
from py_esp_ota.idf.nvs import nvs_flash_init
from py_esp_ota.rainmaker.ota_resume import offset_to_resume
from py_esp_ota.sdkconfig import Sdkconfig

MD5 = md5(NEW, usedforsecurity=False).hexdigest()
OTHER = Firmware("lamp", "1.2").to_bytes()
OTHER_MD5 = md5(OTHER, usedforsecurity=False).hexdigest()


class Node(Bench):
    """A node beside a server that knows ranges and loses the line as it is told."""

    def __init__(self, *breaks: int | None, image: bytes = NEW, **options: object) -> None:
        super().__init__(config=Sdkconfig(**options))
        self.fetch = FileServer({"/lamp.bin": image}, breaks=list(breaks))

    def stored(self) -> dict[str, tuple[str, object]]:
        """What NVS keeps of a download: type and value."""
        partition = nvs_flash_init(self.chip, self.config)
        keys = ("ota_written", "ota_file_md5")
        handle = partition.open("rmaker_ota")
        return {e.key: (e.type, handle.get(e.key, e.type)) for e in partition.entries("rmaker_ota") if e.key in keys}


@pytest.mark.parametrize(
    ("stored", "kib", "received", "offset"),
    [
        ("abc", 5, "abc", 5120),
        ("abc", 0, "abc", 0),
        ("abd", 5, "abc", None),
        ("ab", 5, "abc", None),
        ("abcd", 5, "abc", 5120),  # as far as the received one goes
        ("abc", 5, "", 5120),  # nothing differs from nothing
        ("", 5, "", 5120),
        ("", 5, "abc", None),
        (None, 5, "abc", None),
        ("abc", None, "abc", None),
        (b"abc", 5, "abc", None),
    ],
)
def test_when_the_rest_is_asked_for(stored, kib, received, offset):
    assert offset_to_resume(stored, kib, received) == offset


def test_the_second_attempt_goes_on_where_the_first_was_lost():
    node = Node(6000).update(file_md5=MD5)
    assert node.fetch.asked == ["GET", "GET bytes=5120-"]
    assert node.reports == [
        "in-progress: Starting OTA Upgrade (HTTPS attempt 1/3)",
        "in-progress: Downloading Firmware Image",
        "failed: OTA Attempt 1/3 failed: OTA failed: ESP_FAIL (errno=104: Connection reset by peer)",
        "in-progress: Starting OTA Upgrade (HTTPS attempt 2/3)",
        "in-progress: Downloading Firmware Image",
        "in-progress: Firmware Image download complete",
        "in-progress: Rebooting into new firmware (after 2 HTTPS attempts)",
        "success: OTA Upgrade finished and verified successfully",
    ]
    assert node.running == ("1.1", "VALID")
    assert node.stored() == {}


def test_what_nvs_keeps():
    node = Node(6000, 0, 0).update(seconds=20, file_md5=MD5)
    assert node.stored() == {"ota_written": ("u16", 5), "ota_file_md5": ("str", MD5)}


def test_a_new_download_keeps_its_md5_before_the_first_byte():
    node = Node(0, 0, 0).update(seconds=20, file_md5=MD5)
    assert node.stored() == {"ota_written": ("u16", 0), "ota_file_md5": ("str", MD5)}
    # The second attempt is resumable, at nothing: ranges are asked for to learn early that they work.
    assert node.fetch.asked == ["GET", "GET bytes=0-", "GET bytes=0-"]


@pytest.mark.parametrize(
    ("options", "job"),
    [
        ({}, {}),
        ({"esp_rmaker_http_ota_resumption": False}, {"file_md5": MD5}),
        ({"idf_version": (5, 4, 2)}, {"file_md5": MD5}),
    ],
    ids=["no MD5", "option off", "an ESP-IDF that cannot"],
)
def test_without_it_every_attempt_starts_at_nothing(options, job):
    node = Node(6000, **options).update(**job)
    assert node.fetch.asked == ["GET", "GET"]
    assert node.running == ("1.1", "VALID")
    assert node.stored() == {}
    assert any("File MD5 not present, not resuming OTA" in line for line in node.console) is (not job)


def test_the_md5_is_a_name_and_nothing_is_computed():
    node = Node(6000).update(file_md5=OTHER_MD5)
    assert node.fetch.asked == ["GET", "GET bytes=5120-"]
    assert node.running == ("1.1", "VALID")


def test_an_empty_md5_goes_on_with_any_file():
    """It is a name like another one, is kept like one, and as far as it goes every stored name is equal to it."""
    node = Node(6000, 0, 0, 0, 0, 0)

    async def scenario(node: Node) -> None:
        await node.sleep(10)
        await node.push(file_md5=MD5)
        await node.sleep(20)
        await node.push(file_md5="")
        await node.sleep(20)
        assert node.stored() == {"ota_written": ("u16", 5), "ota_file_md5": ("str", MD5)}

    node.run(scenario)
    assert node.fetch.asked == ["GET", *["GET bytes=5120-"] * 5]
    node = Node(6000, 0, 0).update(seconds=20, file_md5="")
    assert node.stored() == {"ota_written": ("u16", 5), "ota_file_md5": ("str", "")}


def test_another_file_starts_at_nothing():
    node = Node(6000, 0, 0)

    async def scenario(node: Node) -> None:
        await node.sleep(10)
        await node.push(file_md5=MD5)
        await node.sleep(30)
        node.fetch.files["/lamp.bin"] = OTHER
        await node.push(file_md5=OTHER_MD5)
        await node.sleep(60)

    node.run(scenario)
    assert node.fetch.asked == ["GET", "GET bytes=5120-", "GET bytes=5120-", "GET"]
    assert any("File MD5 mismatch, seems a new firmware, not resuming OTA" in line for line in node.console)
    assert node.running == ("1.2", "VALID")


def test_a_complete_image_is_forgotten_before_it_is_judged():
    """A corrupt one is downloaded again from the start, not resumed at its end."""
    corrupt = NEW[:-1] + bytes([NEW[-1] ^ 1])
    node = Node(image=corrupt).update(seconds=20, file_md5=MD5)
    assert node.fetch.asked == ["GET"] * 3
    assert [report for report in node.reports if "failed" in report] == [
        f"failed: OTA Attempt {k}/3 failed: Image validation failed" for k in (1, 2, 3)
    ]
    assert node.stored() == {}


def test_a_server_without_ranges_costs_one_more_request():
    node = Node(6000)
    node.fetch.ranges = False
    node.update(file_md5=MD5)
    assert node.fetch.asked == ["GET", "GET bytes=5120-", "GET"]
    assert node.running == ("1.1", "VALID")


def test_an_old_esp_idf_appends_the_whole_file_and_starts_over_then():
    node = Node(5120, idf_version=(5, 5, 3))
    node.fetch.ranges = False
    node.update(file_md5=MD5)
    assert node.fetch.asked == ["GET", "GET bytes=5120-", "GET"]
    assert "failed: OTA Attempt 2/3 failed: Image validation failed" in node.reports
    assert node.running == ("1.1", "VALID")


@pytest.mark.parametrize(
    ("strict", "second"),
    [(True, "OTA failed: ESP_ERR_FLASH_OP_FAIL (errno=0: Invalid)"), (False, "Image validation failed")],
)
def test_other_bytes_where_something_is_written_already(strict, second):
    """On the chip bits that were 0 stay 0 and the verification finds out; a strict flash says so at once."""
    node = Node(6000, idf_version=(5, 5, 3))
    flash = node.chip.flash
    node.chip.flash = Flash.from_bytes(flash.read(0, flash.size), strict=strict)
    node.fetch.ranges = False
    node.update(file_md5=MD5)
    assert f"failed: OTA Attempt 2/3 failed: {second}" in node.reports
    assert node.running[0] == ("1.0" if strict else "1.1")


def test_a_slot_that_lost_its_beginning_fails_until_another_file_comes():
    """The descriptor is read from flash: what NVS says and what is there do not match, and nothing clears it up."""
    node = Node(6000, 0, 0)

    async def scenario(node: Node) -> None:
        await node.sleep(10)
        await node.push(file_md5=MD5)
        await node.sleep(20)
        slot = node.ops.table.find(label="ota_1")
        node.ops.partitions.erase_range(slot, 0, slot.size)
        node.heard.clear()
        await node.push(file_md5=MD5)
        await node.sleep(20)
        assert [report for report in node.reports if "failed" in report] == [
            f"failed: OTA Attempt {k}/3 failed: Failed to read image description: ESP_FAIL (errno=0: Invalid)"
            for k in (1, 2, 3)
        ]
        node.fetch.files["/lamp.bin"] = OTHER
        await node.push(file_md5=OTHER_MD5)
        await node.sleep(60)

    node.run(scenario)
    assert node.running == ("1.2", "VALID")


def test_a_version_that_is_refused_is_refused_again_from_flash():
    same = Firmware("lamp", "1.0", size=0x8000).to_bytes()
    node = Node(6000, image=same, esp_rmaker_skip_version_check=True).update(seconds=5, file_md5=MD5)
    assert node.fetch.asked[1] == "GET bytes=5120-"


def test_an_nvs_that_refuses_costs_the_memory_not_the_update():
    node = Node(6000)
    real = node.nvs.set

    def refuse(namespace: str, key: str, value: object) -> None:
        if key in {"ota_written", "ota_file_md5"}:
            raise NvsError(EspErr.ESP_ERR_NVS_NOT_ENOUGH_SPACE, "full")
        real(namespace, key, value)

    node.nvs.set = refuse
    node.update(file_md5=MD5)
    assert node.fetch.asked == ["GET", "GET"]
    assert any("Failed to set written length 0 and file MD5 to NVS" in line for line in node.console)
    assert any("Failed to save OTA written length to NVS" in line for line in node.console)
    assert node.running == ("1.1", "VALID")


def test_a_page_that_says_sorry_before_v5_0_is_another_project():
    """Its first 289 bytes are taken for a descriptor whose magic word nobody looks at."""
    node = Node(image=b"<html>Sorry, this page has moved.</html>" * 50, idf_version=(4, 4, 8))
    node.update(file_md5=MD5)
    assert node.reports == [
        "in-progress: Starting OTA Upgrade (HTTPS attempt 1/3)",
        "rejected: Project Name mismatch",
    ]


# --------------------------------------------------------------------------------------------------------- power cuts


def cut_at(operation: int, *, torn: bool) -> Node:
    """A download that loses power once; the cloud offers the job again."""
    node = Node()

    async def scenario(node: Node) -> None:
        await node.sleep(10)
        node.chip.flash.fault = f"cut@{operation}{':torn' if torn else ''}"
        await node.push(file_md5=MD5)
        await node.sleep(5)
        node.chip.flash.fault = ""
        await node.power_cycle()
        await node.sleep(20)
        if node.running[0] == "1.0":
            await node.push(file_md5=MD5)
            await node.sleep(40)

    return node.run(scenario)


@pytest.mark.parametrize("torn", [False, True])
def test_wherever_the_power_goes_in_a_download_the_rest_is_enough(torn):
    seen = set()
    for operation in range(3, 110, 4):
        node = cut_at(operation, torn=torn)
        assert isinstance(node.ends[0], PowerLoss), operation
        assert node.running == ("1.1", "VALID"), operation
        slot = node.ops.table.find(label="ota_1")
        assert node.ops.partitions.read(slot, 0, len(NEW)) == NEW, operation
        assert node.stored() == {}, operation
        seen |= set(node.fetch.asked[1:])  # nothing to ask for when the image was chosen already
    assert len(seen) > 8  # many places to go on at
    assert all(asked == "GET" or asked.endswith("-") for asked in seen)
