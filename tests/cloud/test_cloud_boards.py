"""What is noted of boards: by an admin from a flash, by what he knows of the fuses, and of virtual nodes."""

from __future__ import annotations

import pytest
from cloud_bench import Bench, expect, failure, refused, user_token
from few_virtual_nodes import FRESH, FewVirtualNodes
from sqlalchemy import select

from py_esp_ota._core import OtaSelectEntry, PartitionTable, write_otadata
from py_esp_ota.cloud.board_notes import facts_of
from py_esp_ota.cloud.boards import BoardFacts
from py_esp_ota.cloud.events import Kind
from py_esp_ota.cloud.models import BoardRow
from py_esp_ota.cloud.refusals import Refusal
from py_esp_ota.device import Device
from py_esp_ota.firmware import Firmware, bootloader
from py_esp_ota.idf.rollback import OtaImgState
from py_esp_ota.virtual_nodes.dump import look_at


class Reading(FewVirtualNodes):
    """No virtual nodes, and dumps that are really read."""

    def look_at(self, dump):
        return look_at(dump)


def dump_of(*, state: int | None = None) -> bytes:
    """The flash of a board with the usual table, as esptool reads it."""
    device = Device("two_ota_large", firmware=Firmware("lamp", "1.0.0").to_bytes(), flash_size=4 << 20)
    loader = bootloader(chip="esp32c3", idf_ver="v5.3.2", flash_size=4 << 20)
    if state is not None:
        (otadata,) = (row for row in PartitionTable.builtin("two_ota_large") if (row.type, row.subtype) == (1, 0))
        write_otadata(device.flash, otadata.offset, 0, OtaSelectEntry(1, state))
    content = bytearray(device.flash.to_bytes())
    content[: len(loader)] = loader
    return bytes(content)


def test_a_flash_tells_what_its_board_is():
    facts = facts_of(look_at(dump_of()))
    assert (facts.chip, facts.flash_size, facts.bootloader_idf, facts.runs) == ("esp32c3", 4 << 20, "v5.3.2", "ota_0")
    assert [row.label for row in facts.ota_slots] == ["ota_0", "ota_1"]
    assert facts.free_slot is not None
    assert facts.free_slot.label == "ota_1"
    assert (facts.rollback, facts.secure_version, facts.virtual) == (None, None, False)
    assert [(app.slot, app.project, app.version) for app in facts.apps] == [("ota_0", "lamp", "1.0.0")]
    assert BoardFacts.from_json(facts.to_json()) == facts


def test_a_state_that_only_rollback_writes_gives_it_away():
    assert facts_of(look_at(dump_of(state=OtaImgState.ABORTED))).rollback is True


def test_a_dump_that_tells_nothing_is_refused():
    with refused(Refusal.INVALID_REQUEST) as told:
        facts_of(look_at(b"\xff" * 4096))
    assert "erased" in str(told.value)


@pytest.mark.both_databases
def test_an_admin_notes_a_board_and_previews_go_by_it(make_bench):
    bench: Bench = make_bench(virtual_nodes=Reading())
    bench.join("a")
    image = bench.image()
    ask = lambda: bench.service.previews.preview("j", image.ota_image_id, nodes=["a"]).reasons  # noqa: E731
    assert ask() == []
    path = "/v1/local/nodes/board?node_id=a"
    assert bench.ok("GET", path)["noted_timestamp"] is None
    answer = bench.ok("POST", f"{path}&secure_version=3", content=dump_of())
    assert (answer["facts"]["chip"], answer["facts"]["secure_version"]) == ("esp32c3", 3)
    assert [each.obstacle.reason for each in ask()] == ["secure_version"]
    entries, _ = bench.service.log.newest(num_records=1)
    assert (entries[0].event.kind, entries[0].event.node_id) == (Kind.BOARD_NOTED, "a")
    more = bench.ok("POST", f"{path}&rollback=false")
    assert (more["facts"]["rollback"], more["facts"]["bootloader_idf"]) == (False, "v5.3.2")
    assert [each.obstacle.reason for each in ask()] == ["secure_version", "no_rollback"]
    bench.service.nodes.forget(["a"])
    with bench.store.begin() as tx:
        assert tx.scalars(select(BoardRow)).all() == []


def test_what_cannot_be_noted(make_bench):
    nodes = Reading()
    bench: Bench = make_bench(virtual_nodes=nodes)
    bench.join("a", "v")
    nodes.nodes["v"] = FRESH
    path = "/v1/local/nodes/board?node_id="
    assert failure(bench.call("POST", f"{path}a")) == expect(Refusal.INVALID_REQUEST)
    assert failure(bench.call("POST", f"{path}a", content=b"no flash")) == expect(Refusal.INVALID_REQUEST)
    assert failure(bench.call("POST", f"{path}nobody", content=dump_of())) == expect(Refusal.NODE_NOT_OF_USER)
    assert failure(bench.call("POST", f"{path}v&rollback=true")) == expect(Refusal.VIRTUAL_NODE_REFUSED)
    assert bench.call("POST", f"{path}a&rollback=true", token=user_token(bench)).status_code == 403
    assert bench.ok("GET", f"{path}v")["facts"]["virtual"] is True


def test_a_server_without_virtual_nodes_reads_no_dumps(bench):
    bench.join("a")
    answer = bench.call("POST", "/v1/local/nodes/board?node_id=a", content=dump_of())
    assert failure(answer) == expect(Refusal.NO_VIRTUAL_NODES)
