"""``esp-ota migrate``: orders, their sweeps, and the changes that cannot be made."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

from py_esp_ota._core import EFuse, Flash, FlashCrypt, Partition, PartitionTable, Target
from py_esp_ota.chip import Chip
from py_esp_ota.cli import main
from py_esp_ota.field.migrate.facts import Dump, facts_of
from py_esp_ota.field.migrate.orders import Change, orders
from py_esp_ota.field.migrate.plan import Plan, migrate
from py_esp_ota.field.migrate.verdict import twice, verdict
from py_esp_ota.firmware import Firmware, bootloader, image, layout_of, merge, ota_select_entry
from py_esp_ota.flash_timing import DEFAULT
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.idf.log import Log
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.sweep.life import Life
from py_esp_ota.sweep.record import record

VALID = 2
BRIDGE_TABLE = 0x3F0000
OLD = """\
nvs,      data, nvs,   0x9000,   0x4000
otadata,  data, ota,   0xd000,   0x2000
phy_init, data, phy,   0xf000,   0x1000
ota_0,    app,  ota_0, 0x10000,  0x100000
ota_1,    app,  ota_1, 0x110000, 0x100000
"""
GROW = OLD.replace("0x10000,  0x100000", "0x10000,  0x180000").replace("0x110000, 0x100000", "0x190000, 0x180000")
SLOT = OLD + "ota_2,    app,  ota_2, 0x210000, 0x100000\n"
ADD_NVS = OLD + "nvs2,     data, nvs,   0x310000, 0x10000\n"
MOVE_NVS = OLD.replace("nvs,      data, nvs,   0x9000,   0x4000\n", "") + "nvs, data, nvs, 0x310000, 0x6000\n"
GROW_NVS = """\
nvs,      data, nvs,   0x9000,   0x6000
phy_init, data, phy,   0xf000,   0x1000
ota_0,    app,  ota_0, 0x10000,  0x100000
ota_1,    app,  ota_1, 0x110000, 0x100000
otadata,  data, ota,   0x310000, 0x2000
"""
#: Over the second half of where it is, so that a copy has to wait elsewhere until the table has changed.
SHIFT_NVS = OLD.replace("0x9000,   0x4000", "0xa000,   0x3000")
NVS = (bytes(range(1, 251)) * 66)[:0x4000].ljust(0x4000, b"\x5a")
USUAL = {"grow": GROW, "slot": SLOT, "nvs": ADD_NVS}


@cache
def app(chip: str, size: int = 0x9C400) -> bytes:
    return Firmware("lamp", "1", chip=chip, size=size).to_bytes()


def dump(chip: str = "esp32c3", *, seq: int = 1, size: int = 0x9C400, table: str = OLD, md5: bool = True) -> Dump:
    """4 MiB of a device that was updated before: the same app in both slots, and something in NVS."""
    parts = {
        Target(chip).bootloader_offset: bootloader(chip=chip),
        0x8000: PartitionTable.from_csv(table).to_bytes(md5=md5),
        0x9000: NVS,
        0xD000 + 0x1000 * ((seq - 1) % 2): ota_select_entry(seq, VALID),
        0x10000: app(chip, size),
        0x110000: app(chip, size),
    }
    flash = Flash.from_bytes(merge(parts), size=0x400000, strict=False)
    return Dump(flash, Target(chip), EFuse(chip), Sdkconfig(partition_table_md5=md5))


def change(csv: str, loader: bytes = b"", at: int = 0x8000) -> Change:
    table = PartitionTable.from_csv(csv)
    return Change(tuple(table), table.to_bytes(), loader, at)


def bridged(chip: str, csv: str) -> Change:
    return change(csv, bootloader(chip=chip, idf_ver="v6.0"), BRIDGE_TABLE)


def planned(device: Dump, wanted: Change, only: str = "") -> Plan:
    return migrate(device, wanted, DEFAULT, only=only)


def boots(flash: Flash, chip: str, offset: int = 0x8000):
    fork = flash.fork()
    fork.power_off()
    fork.power_on()
    return boot(Chip(chip, flash=fork), Sdkconfig(partition_table_offset=offset))


# --------------------------------------------------------------------------------------------------------------- orders


@pytest.mark.parametrize("name", USUAL)
@pytest.mark.parametrize("chip", ["esp32c5", "esp32c61"])
def test_with_a_recovery_bootloader_the_usual_changes_have_no_window(chip, name):
    plan = planned(dump(chip), bridged(chip, USUAL[name]))
    found = {one.order.name: one for one in (plan.chosen, *plan.others)}
    for order in ("move", "there-and-back"):
        assert (found[order].bricks, found[order].stuck, found[order].windows) == (0, 0, ()), found[order].failure
        assert len(found[order].report.cases) > 200
        assert found[order].report.boots < 1000  # what a sweep costs; a real bootloader costs no more
    assert found["in-place"].bricks
    assert plan.chosen.order.name == "move"
    assert plan.because == ()


@pytest.mark.parametrize("seq", [1, 2])
@pytest.mark.parametrize("name", ["grow", "slot"])
def test_without_one_the_window_is_an_erase_and_a_program_and_the_plan_says_why(name, seq):
    plan = planned(dump(seq=seq), change(USUAL[name]))
    chosen = plan.chosen
    assert (chosen.order.name, chosen.stuck) == ("in-place", 0)
    (window,) = chosen.windows
    kinds = [chosen.report.operations[at].kind for at in range(window.first, window.last + 1)]
    assert kinds == ["erase", "program"]
    assert window.address == 0x8000
    assert 0.045 < window.typical < 0.05 < window.maximum
    bits, erased, alone, rom = plan.because
    assert "bits of the table's sector have to rise" in bits
    assert "partition 0 invalid magic number 0xffff" in erased
    assert "at 0x8000 alone" in alone
    assert "ROM of esp32c3" in rom


def test_the_window_is_where_the_boot_model_says_that_nothing_boots():
    device = dump()
    plan = planned(device, change(GROW))
    table = PartitionTable.from_csv(GROW).to_bytes()
    flash = device.flash.fork()
    assert boots(flash, "esp32c3").ok
    flash.erase(0x8000, 0x1000)
    assert not boots(flash, "esp32c3").ok
    flash.program(0x8000, table[:0x100])
    assert boots(flash, "esp32c3").ok
    assert boots(plan.chosen.result, "esp32c3").ok
    assert plan.chosen.result.read(0x8000, 0xC00) == table


def test_partitions_for_data_alone_need_no_new_table():
    plan = planned(dump(), change(ADD_NVS))
    assert plan.chosen.order.name == "register"
    assert plan.chosen.safe
    assert plan.chosen.result.read(0x8000, 0xC00) == PartitionTable.from_csv(OLD).to_bytes()
    device = dump()
    device.flash.program(0x310000, b"left over")
    erased = planned(device, change(ADD_NVS)).chosen
    assert (len(erased.report.operations), erased.bricks, erased.stuck) == (16, 0, 0)
    assert erased.result.is_erased(0x310000, 0x10000)


def test_a_table_without_md5_takes_rows_without_an_erase():
    chosen = planned(dump(md5=False), change(SLOT)).chosen
    assert [operation.kind for operation in chosen.report.operations] == ["program"]
    assert chosen.at_risk < 0.001
    assert chosen.stuck == 0
    assert {case.plan for case in chosen.report.cases if chosen.report.endings[case.ending].partition} >= {
        "cut@0",
        "cut@0:after",
    }


def test_an_app_in_the_way_goes_to_the_other_slot_first():
    device = dump(seq=2)
    device.flash.erase(0x10000, 0x100000)
    plan = planned(device, change(GROW))
    order = plan.chosen.order
    assert order.steps[0].kind == "copy"
    assert (order.steps[0].source, order.steps[0].at) == (0x110000, 0x10000)
    assert plan.chosen.stuck == 0
    assert len(plan.chosen.windows) == 1
    assert boots(plan.chosen.result, "esp32c3").partition.offset == 0x10000


def test_a_copy_is_not_taken_for_whole_while_it_is_not():
    device = dump(seq=2)
    device.flash.erase(0x10000, 0x100000)
    chosen = planned(device, change(GROW)).chosen
    programs = [(one.address, one.length) for one in chosen.report.operations if one.kind == "program"]
    written = [at for at, _ in programs if 0x10000 <= at < 0x110000]
    assert written[-1] == 0x10000
    assert programs[len(written) - 1] == (0x10000, 1)
    assert max(written) > 0xA0000


@pytest.mark.parametrize(("csv", "at"), [(MOVE_NVS, 0x310000), (GROW_NVS, 0x9000), (SHIFT_NVS, 0xA000)])
def test_nvs_is_where_the_new_table_has_it(csv, at):
    plan = planned(dump(), change(csv))
    row = next(row for row in PartitionTable.from_csv(csv) if row.label == "nvs")
    kept = min(row.size, 0x4000)
    assert plan.chosen.stuck == 0
    assert plan.chosen.result.read(at, kept) == NVS[:kept]
    assert plan.chosen.result.is_erased(at + kept, row.size - kept)


def test_what_is_lost_is_said():
    plan = planned(dump(), change(SHIFT_NVS))
    assert plan.chosen.order.lost[0] == (
        "nvs changes from 0x4000 to 0x3000 bytes: "
        "1 of its pages are written and lie behind the new end, the keys in them are lost"
    )
    grown = planned(dump(), change(GROW)).chosen.order.lost
    assert grown == ("the app in ota_1 (0x110000): no slot of the new table begins there",)


def test_otadata_that_moves_is_made_before_the_table():
    plan = planned(dump(seq=2), change(GROW_NVS))
    places = [step.at for step in plan.chosen.order.steps]
    assert places.index(0x310000) < places.index(0x8000) < places.index(0xD000)
    assert boots(plan.chosen.result, "esp32c3").partition.label == "ota_1"


SINGLE = "nvs,data,nvs,0x9000,0x6000\nphy_init,data,phy,0xf000,0x1000\nfactory,app,factory,0x10000,0x100000\n"
TWO_OTA = OLD.replace("ota_0,    app,  ota_0, 0x10000, ", "factory,  app,  factory, 0x10000,")


@pytest.mark.parametrize(
    "csv", [OLD, TWO_OTA.replace("ota_1,    app,  ota_1", "ota_0, app, ota_0")], ids=["slot", "factory"]
)
def test_a_table_with_one_app_gets_slots_where_nvs_makes_room_for_otadata(csv):
    """Pages of NVS are no otadata to anybody: then the bootloader starts the factory app, or slot 0."""
    device = dump(size=0x2000, table=SINGLE)
    device.flash.erase(0xD000, 0x2000)
    device.flash.program(0xD000, NVS[:0x2000])
    plan = planned(device, change(csv))
    assert (plan.chosen.order.name, plan.chosen.stuck) == ("in-place", 0)
    assert len(plan.chosen.windows) == 1
    assert any("lie behind the new end" in lost for lost in plan.chosen.order.lost)
    assert boots(plan.chosen.result, "esp32c3").partition.offset == 0x10000
    assert plan.chosen.result.read(0x9000, 0x4000) == NVS


def test_a_bootloader_is_safe_to_change_where_rom_knows_another():
    for chip, safe in (("esp32c3", False), ("esp32c5", True)):
        device = dump(chip)
        old = PartitionTable.from_csv(OLD)
        wanted = Change(tuple(old), old.to_bytes(), bootloader(chip=chip, idf_ver="v6.0"))
        chosen = planned(device, wanted).chosen
        assert chosen.safe == safe
        assert chosen.result.read(Target(chip).bootloader_offset, len(wanted.loader)) == wanted.loader
        assert (chosen.efuse.recovery_bootloader_address is not None) == safe


# --------------------------------------------------------------------------------------------------- the sweep can fail


def test_a_bad_order_is_found_out():
    """The bridging bootloader before the recovery one is burnt in; and the table before it is bridged."""
    device = dump("esp32c5")
    facts = facts_of(device)
    found, _ = orders(facts, bridged("esp32c5", GROW))
    order = next(order for order in found if order.name == "there-and-back")
    first = order.stages[0]
    steps = tuple(step for step in first.steps if step.kind != "burn")
    unburnt = replace(order, stages=(replace(first, steps=steps), *order.stages[1:]))
    assert verdict(facts, unburnt, DEFAULT).bricks > 50
    early = replace(order, stages=(order.stages[2], *order.stages))
    assert verdict(facts, early, DEFAULT).bricks > 5


def test_no_half_of_a_bootloader_is_taken_for_a_whole_one():
    """ROM's checksum has eight bits: of this one it would take the first 0x280 bytes, with nothing behind them."""
    chip, layout = "esp32c5", layout_of("esp32c5")

    def loader(name: bytes) -> bytes:
        code = [hashlib.shake_256(name + part).digest(size) for part, size in ((b"", 0x1800), (b"x", 0x4000))]
        return image([(layout.dram, code[0]), (layout.iram, code[1])], chip=chip, flash_size=0x400000)

    device = dump(chip)
    device.flash.erase(0x2000, 0x6000)
    device.flash.program(0x2000, loader(b"1"))
    plan = planned(device, change(GROW, loader(b"2"), BRIDGE_TABLE))
    for one in (plan.chosen, *plan.others):
        if one.order.name != "in-place":
            assert (one.bricks, one.stuck) == (0, 0)
            assert len(one.report.cases) > 1000
            assert one.report.boots < 1000


def test_weak_cells_are_looked_at_more_than_once():
    """A table that reads well by chance is not believed: the case that a single look lost."""
    plan = planned(dump("esp32c5"), bridged("esp32c5", ADD_NVS), only="move")
    case = next(case for case in plan.chosen.report.cases if case.plan == "cut@0:weak-program")
    assert plan.chosen.report.endings[case.ending].outcome != "violation"


def test_a_second_cut_while_it_goes_on_does_no_harm_either():
    """A share of them: after every 13th operation is cut the rest of the story is cut again."""
    facts = facts_of(dump("esp32c5", seq=2))
    order = next(order for order in orders(facts, bridged("esp32c5", GROW))[0] if order.name == "there-and-back")
    found = twice(facts, order, share=13, offset=5)
    assert len(found.cases) > 300
    assert not [*found.findings("violation")]


def test_the_staging_partition_of_esp_ota_end_has_the_same_window():
    """``esp_ota_set_final_partition``: the copy to the final partition is the erase and the program, too."""
    rows = [Partition("table", 3, 0, 0x8000, 0x1000), *PartitionTable.from_csv(OLD)]
    device = dump()
    device.flash.erase(0x8000, 0x1000)
    device.flash.program(0x8000, PartitionTable(rows).to_bytes())
    new = PartitionTable([rows[0], *PartitionTable.from_csv(SLOT)]).to_bytes()
    device.flash.power_off()
    life = Life(Chip("esp32c3", flash=device.flash), device.config)
    life.power_on()
    bricks = []

    def update(life: Life) -> None:
        ops = OtaOps(life.chip, life.report.partition, life.config, Log(lambda: 0))
        slot = ops.get_next_update_partition()
        handle = ops.begin(slot, 0xC00)
        ops.set_final_partition(handle, ops.partitions.find_first(3, 0), finalize_with_copy=True)
        ops.write(handle, new)
        ops.end(handle)

    run = record(life, update)
    assert boots(life.flash, "esp32c3").ok
    for operation in run.operations:
        for tear in ("", ":after"):
            flash = run.recording.cut(f"cut@{operation.index}{tear}")
            if not boots(flash, "esp32c3").ok:
                bricks.append(operation)
    erase, program = bricks[0], bricks[-1]
    assert (erase.kind, erase.address) == ("erase", 0x8000)
    assert (program.kind, program.address) == ("program", 0x8000)


# ------------------------------------------------------------------------------------------------------------- refusals


def files(folder: Path, device: Dump | bytes, csv: str = GROW) -> list[str]:
    (folder / "flash.bin").write_bytes(device if isinstance(device, bytes) else device.flash.to_bytes())
    (folder / "new.csv").write_text(csv)
    return ["migrate", str(folder / "flash.bin"), "--table", str(folder / "new.csv")]


def run(folder: Path, device: Dump | bytes, csv: str = GROW, *words: str):
    return CliRunner().invoke(main, [*files(folder, device, csv), *words])


@pytest.mark.parametrize(
    ("csv", "size", "says"),
    [
        (OLD, 0x9C400, "the device has that table already"),
        (OLD.replace("0x110000, 0x100000", "0x110000, 0x800000"), 0x9C400, "does not fit this flash: row 4"),
        (OLD.replace("0x100000\n", "0x90000\n"), 0x9C400, "no slot of the new table takes the app that runs"),
        (
            "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\nota_0,app,ota_0,0x60000,0x100000\n",
            0xE0000,
            "overlaps each place that the new table has for it",
        ),
        (
            "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xe000,0x2000\nota_0,app,ota_0,0x10000,0x100000\n",
            0x9C400,
            "no otadata makes the old table and the new one both choose",
        ),
        ("nvs,data,nvs,0x9000,0x4000\n", 0x9C400, "no app partition: nothing could boot"),
    ],
    ids=["same", "flash", "small", "overlap", "otadata", "no-app"],
)
def test_what_cannot_work_is_refused_in_a_sentence(tmp_path, csv, size, says):
    device = dump(size=size)
    if "overlaps" in says:
        device.flash.erase(0x110000, 0x100000)
    result = run(tmp_path, device, csv, "-o", str(tmp_path / "out.bin"))
    assert (result.exit_code, result.output.count("\n")) == (1, 1), result.output
    assert says in result.output
    assert not (tmp_path / "out.bin").exists()


def encrypted(_: Dump) -> bytes:
    engine = FlashCrypt("esp32c3", bytes(range(32)))
    data = dump().flash.to_bytes()
    return b"".join(engine.encrypt(at, data[at : at + 0x1000]) for at in range(0, len(data), 0x1000))


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda device: device.flash.to_bytes()[:0x8100], "before the partition table at 0x8000 does"),
        (lambda device: device.flash.to_bytes()[:0x50000], "inside ota_0, and the app in it is cut off"),
        (lambda _: dump(seq=2).flash.to_bytes()[:0xC0000], "before ota_1, which shall boot"),
        (encrypted, "looks as if it were encrypted, and --efuse gives no key for it"),
        (lambda _: app("esp32c3"), "is an app, not a flash"),
        (lambda _: bytes(0x400000), "is none: its first bytes are 00 00"),
    ],
    ids=["short", "half", "behind", "encrypted", "app", "zeros"],
)
def test_a_dump_that_is_none_is_exit_2(tmp_path, made, says):
    result = run(tmp_path, made(dump()))
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert says in result.output


def test_a_dump_that_starts_at_its_bootloader_is_understood(tmp_path):
    result = run(tmp_path, dump("esp32").flash.to_bytes()[0x1000:], GROW, "--json")
    assert json.loads(result.stdout)["chip"] == "esp32"


def test_a_bootloader_looks_where_it_was_built_to_look(tmp_path):
    """The one that is there cannot look elsewhere too."""
    (tmp_path / "same.bin").write_bytes(bootloader(chip="esp32c3"))
    words = ["--bootloader", str(tmp_path / "same.bin"), "--table-offset", "0x3f0000"]
    result = run(tmp_path, dump(), GROW, *words)
    assert result.exit_code == 1
    assert "the one that is there, which looks at 0x8000" in result.output


def test_an_image_has_to_fit_the_new_slots(tmp_path):
    (tmp_path / "next.bin").write_bytes(app("esp32c3", 0x180010))
    result = run(tmp_path, dump(), GROW, "--image", str(tmp_path / "next.bin"))
    assert result.exit_code == 1
    assert "next.bin has 0x180010 bytes, and ota_0 of the new table 0x180000" in result.output


def test_a_flash_that_is_encrypted_is_planned_with_its_key(tmp_path):
    fuses = EFuse("esp32c3", flash_encryption_key=bytes(range(32)), flash_crypt_cnt=1)
    (tmp_path / "fuses.json").write_text(fuses.to_json())
    result = run(tmp_path, encrypted(dump()), GROW, "--efuse", str(tmp_path / "fuses.json"), "--json")
    found = json.loads(result.stdout)
    assert found["facts"]["encrypted"]
    assert (found["chosen"]["stuck"], len(found["chosen"]["windows"])) == (0, 1)


# ------------------------------------------------------------------------------------------------------------- the verb


def test_a_plan_needs_a_folder_with_a_name(tmp_path):
    result = run(tmp_path, dump(size=0x2000), GROW, "--write-plan", "-")
    assert (result.exit_code, result.output) == (2, "Error: a folder has to have a name, and - is none\n")


def test_an_image_that_no_such_chip_runs_says_so(tmp_path):
    (tmp_path / "next.bin").write_bytes(app("esp32s3", 0x2000))
    result = run(tmp_path, dump(size=0x2000), GROW, "--image", str(tmp_path / "next.bin"))
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "next.bin is no app that this device runs: " in result.output


def test_a_plan_is_not_written_over_what_is_there(tmp_path):
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "notes.txt").write_text("mine")
    result = run(tmp_path, dump(), GROW, "--write-plan", str(tmp_path / "plan"))
    assert result.exit_code == 2
    assert "exists and is not empty" in result.output
    assert [path.name for path in (tmp_path / "plan").iterdir()] == ["notes.txt"]


def test_a_window_is_exit_1_only_where_it_must_not_be(tmp_path):
    assert run(tmp_path, dump()).exit_code == 0
    assert run(tmp_path, dump(), GROW, "--require-safe").exit_code == 1
    assert run(tmp_path, dump(), ADD_NVS, "--require-safe").exit_code == 0


def test_the_plan_as_code_does_what_the_plan_does(tmp_path, monkeypatch):
    (tmp_path / "bridge.bin").write_bytes(bootloader(chip="esp32c5", idf_ver="v6.0"))
    words = ["--bootloader", str(tmp_path / "bridge.bin"), "--table-offset", hex(BRIDGE_TABLE)]
    words += ["--order", "there-and-back", "-o", str(tmp_path / "end.bin"), "--write-plan", str(tmp_path / "plan")]
    assert run(tmp_path, dump("esp32c5", seq=2), GROW, *words).exit_code == 0
    folder = tmp_path / "plan"
    shutil.copy(tmp_path / "flash.bin", folder)
    monkeypatch.chdir(folder)
    subprocess.run([sys.executable, "migrate.py"], check=True)
    done, end = (folder / "changed.bin").read_bytes(), (tmp_path / "end.bin").read_bytes()
    assert done == end
    assert json.loads((folder / "plan.json").read_text())["chosen"]["bricks"] == 0


def test_json_has_the_proof(tmp_path):
    found = json.loads(run(tmp_path, dump(), GROW, "--json").stdout)
    assert found["verdict"] == "window"
    assert found["chosen"]["cases"] == found["chosen"]["operations"] * 6
    assert 0 < found["chosen"]["bricks"] < found["chosen"]["cases"]
    assert found["chosen"]["at_risk_ms"] == pytest.approx(sum(w["typical_ms"] for w in found["chosen"]["windows"]))
    assert {one["order"] for one in found["absent"]} == {"register", "move", "there-and-back"}
