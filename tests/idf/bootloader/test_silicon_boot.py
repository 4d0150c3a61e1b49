"""What machine code did, told as a boot report. The machine is a script here: each run is a function of the chip."""

from __future__ import annotations

import pytest
from board import PLAIN, ROLLBACK, Board, app, entry, slots

from py_esp_ota.chip import ResetReason
from py_esp_ota.errors import PowerLoss
from py_esp_ota.firmware import bootloader
from py_esp_ota.idf.bootloader.compare import compiled_options, difference
from py_esp_ota.idf.bootloader.machine_code import silicon_boot
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.silicon.build import compiled_build
from py_esp_ota.silicon.report import FlashWrite, SiliconReport, Trap

OTADATA, OTA_0, OTA_1 = 0xD000, 0x110000, 0x210000
SCRATCH = 0x9000


def report(outcome="APP", slot=OTA_0, *, log=(), writes=(), trap=None):
    slot = slot if outcome in {"APP", "BAD_ENTRY"} else None
    return SiliconReport(outcome, None if slot is None else 0x40380000, slot, tuple(log), tuple(writes), 7, trap)


class Script:
    """An oracle that plays these runs, the last one again and again. It knows with which reasons it was reset."""

    name = "script"
    chips = ("esp32c3",)

    def __init__(self, *runs):
        self.runs = list(runs)
        self.reasons = []

    def unavailable(self, chip):
        return None

    def boot(self, chip):
        self.reasons.append(chip.reset_reason)
        assert len(self.reasons) < 50, "it is asked for ever"
        run = self.runs[min(len(self.reasons), len(self.runs)) - 1]
        return run(chip) if callable(run) else run


def put(chip, address, data):
    """Erase the sector, write these bytes: what a bootloader does, as it is told."""
    chip.flash.erase(address, 0x1000)
    chip.flash.program(address, data)
    return [FlashWrite("erase", address, 0x1000), FlashWrite("program", address, len(data))]


def test_the_partition_the_state_and_the_app_are_read_off_the_flash():
    done = silicon_boot(Board("two_ota", "1/VALID", "2/NEW").chip, Script(report(slot=OTA_1)), PLAIN)
    assert done.report.ok
    assert (done.report.partition.label, done.report.state, done.report.app_desc.version) == ("ota_1", "NEW", "ota_1")
    assert done.report.why == ("machine code: jumps into ota_1 at 0x210000, entry 0x40380000",)


def test_an_entry_that_is_written_twice_is_told_twice():
    def run(chip):
        writes = put(chip, OTADATA, entry("1/ABORTED"))
        chip.flash.program(OTADATA + 32, b"no entry")
        return report("RESET", writes=[*writes, *put(chip, OTADATA, entry("1/VALID")), *put(chip, SCRATCH, b"x")])

    script = Script(run, report())
    done = silicon_boot(Board("two_ota", "1/NEW").chip, script, ROLLBACK)
    told = [(write.index, write.entry.ota_seq, int(write.entry.ota_state)) for write in done.report.otadata_writes]
    assert told == [(0, 1, 4), (0, 1, 2)]
    assert done.report.why[:3] == (
        "machine code: otadata[0] = seq 1, ABORTED",
        "machine code: otadata[0] = seq 1, VALID",
        "machine code: the chip resets; the flash has changed, so it tries again",
    )
    assert (done.report.resets, done.instructions) == (1, 14)
    assert script.reasons == [ResetReason.POWERON, ResetReason.SW]


def test_resets_are_followed_until_one_leaves_the_flash_as_an_earlier_one_did():
    texts = iter([b"a", b"b", b"a"])
    script = Script(lambda chip: report("RESET", writes=put(chip, SCRATCH, next(texts))))
    done = silicon_boot(Board().chip, script, PLAIN)
    assert (done.report.ok, done.report.resets) == (False, 2)
    assert done.report.why[-1] == "machine code: no app starts: the chip resets and finds the same again, for ever"


def test_an_abort_is_followed_as_the_watchdog_follows_it():
    """An update that stops the loader is taken back at the boot after."""
    script = Script(
        lambda chip: report("ABORT", log=["first"], writes=put(chip, OTADATA + 0x1000, entry("2/PENDING_VERIFY"))),
        lambda chip: report(log=["second"], writes=put(chip, OTADATA + 0x1000, entry("2/ABORTED"))),
    )
    done = silicon_boot(Board("two_ota", "1/VALID", "2/NEW").chip, script, ROLLBACK)
    assert (done.report.ok, done.report.partition.label, done.report.resets) == (True, "ota_0", 1)
    assert script.reasons == [ResetReason.POWERON, ResetReason.RTCWDT_RTC]
    assert done.report.log == ("first", "second")
    told = "machine code: it aborts, and the watchdog resets the chip; the flash has changed, so it tries again"
    assert told in done.report.why


def test_an_abort_that_comes_again_is_the_end():
    script = Script(report("ABORT", log=["first"]))
    done = silicon_boot(Board("two_ota").chip, script, PLAIN)
    assert (done.report.ok, done.report.resets, done.last.outcome) == (False, 0, "ABORT")
    assert script.reasons == [ResetReason.POWERON, ResetReason.RTCWDT_RTC]


def test_a_bootloader_that_counts_its_resets_in_the_flash_is_not_followed_for_ever():
    script = Script(lambda chip: report("RESET", writes=put(chip, SCRATCH, bytes([len(script.reasons)]))))
    done = silicon_boot(Board().chip, script, PLAIN)
    assert (done.report.ok, done.report.resets) == (False, 32)
    assert (
        done.report.why[-1] == "machine code: no app starts: the chip has reset 32 times, which is followed no further"
    )


@pytest.mark.parametrize("reason", [ResetReason.POWERON, ResetReason.DEEPSLEEP])
def test_after_a_reset_that_changed_nothing_a_software_reset_is_tried(reason):
    board = Board()
    board.chip.reset_reason = reason
    script = Script(report("RESET", log=["first"]), report(log=["second"]))
    done = silicon_boot(board.chip, script, PLAIN)
    assert (done.report.ok, done.report.resets, done.report.log) == (True, 1, ("first", "second"))
    assert script.reasons == [reason, ResetReason.SW]
    same = Script(report("RESET", log=["first"]))
    board.chip.reset_reason = reason
    done = silicon_boot(board.chip, same, PLAIN)
    # As in the model, where a wake from deep sleep is always followed by the other kind of reset.
    again = reason == ResetReason.DEEPSLEEP
    assert (done.report.ok, done.report.resets, done.report.log) == (False, int(again), ("first",) * (1 + again))
    board.chip.reset_reason = ResetReason.SW
    once = Script(report("RESET"))
    silicon_boot(board.chip, once, PLAIN)
    assert once.reasons == [ResetReason.SW]


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (report("ABORT"), "machine code: stops at an abort, and the watchdog resets the chip, for ever"),
        (report("HANG"), "machine code: is still running when its time is over"),
        (report("APP", None), "machine code: an app starts, and the console does not tell which"),
        (
            report("APP", 0x20000),
            "machine code: jumps into what no app partition begins with at 0x20000, entry 0x40380000",
        ),
        (report("BAD_ENTRY"), "machine code: jumps into ota_0 at 0x110000, entry 0x40380000, where no code is"),
        (report("RESET", trap=Trap("no bootloader: x", 0, 0, ())), "machine code: no app starts: no bootloader: x"),
        (
            report("ABORT", trap=Trap("illegal instruction", 0x40380010, 0x403CC000, ("memcpy",))),
            "machine code: stops for good: illegal instruction at pc 0x40380010, ra 0x403cc000; last ROM calls: memcpy",
        ),
    ],
)
def test_endings(run, why):
    script = Script(run)
    done = silicon_boot(Board("two_ota").chip, script, PLAIN)
    assert done.report.why == (why,)
    assert done.report.ok is (run.outcome == "APP")
    assert len(script.reasons) == 1 + (run == report("ABORT"))


def test_power_lost_in_a_run_is_a_power_loss():
    def run(chip):
        put(chip, OTADATA, entry("1/VALID"))

    board = Board("two_ota", "1/NEW")
    board.chip.flash.fault = "cut@1"
    with pytest.raises(PowerLoss):
        silicon_boot(board.chip, Script(run), PLAIN)
    board.chip.flash.power_on()
    assert board.otadata == ("-", "-")
    assert board.chip.flash.journal() == []


def test_a_table_that_is_none_has_no_partitions():
    board = Board(slots(2))
    board.chip.flash.erase(0x8000, 0x1000)
    done = silicon_boot(board.chip, Script(report()), PLAIN)
    assert (done.report.ok, done.report.partition, done.report.state, done.report.app_desc) == (True, None, "", None)


# ----------------------------------------------------------------------------------------------------- beside the model


def compared(run, model_flash=None, log=()):
    board, ours = Board("two_ota", "1/VALID"), Board("two_ota", "1/VALID", config=PLAIN)
    done = silicon_boot(board.chip, Script(run), PLAIN)
    return difference(done, ours.boot(), (board.chip.flash, ours.chip.flash), "")


def test_what_counts_as_a_difference():
    assert compared(report(slot=OTA_0)) is None
    assert compared(report("BAD_ENTRY", OTA_0)) is None
    assert compared(report("APP", None)) is None
    told = "machine code jumps into ota_1 at 0x210000; the model jumps into ota_0 at 0x110000"
    assert compared(report(slot=OTA_1)) == told
    assert compared(report("RESET")) == "machine code starts no app; the model jumps into ota_0 at 0x110000"
    assert str(compared(report("HANG"))).startswith("machine code is still running")
    trapped = compared(report("ABORT", trap=Trap("x", 1, 2, ())))
    assert trapped == (
        "machine code stops for good (x at pc 0x00000001, ra 0x00000002); the model jumps into ota_0 at 0x110000"
    )
    assert compared(lambda chip: report(writes=put(chip, SCRATCH, b"x"))) == (
        f"flash at 0x9000: machine code left 78{' ff' * 15}, the model{' ff' * 16}"
    )


def test_a_bootloader_that_aborts_starts_nothing_as_a_model_that_starts_nothing():
    board = Board("two_ota", without=("factory", "ota_0", "ota_1"), config=PLAIN)
    done = silicon_boot(board.chip, Script(report("ABORT")), PLAIN)
    assert difference(done, board.boot(), (board.chip.flash, board.chip.flash), "") is None
    left = report("ABORT", trap=Trap("x", 1, 2, ()))
    done = silicon_boot(board.chip, Script(left), PLAIN)
    assert difference(done, board.boot(), (board.chip.flash, board.chip.flash), "") is not None


def test_only_the_lines_that_a_build_can_print_are_compared():
    board = Board("two_ota", "1/VALID", without=("ota_0",), config=PLAIN)
    model = board.boot()
    errors = [line for line in model.log if line.startswith("E")]
    assert errors
    done = silicon_boot(
        board.chip, Script(report(slot=0x10000, log=[f"\x1b[0;31m{line}\x1b[0m" for line in errors])), PLAIN
    )
    flashes = (board.chip.flash, board.chip.flash)
    assert difference(done, model, flashes, "EW") is None
    assert difference(done, model, flashes, "EWI") == (
        f"console line 1: machine code prints {'E' + errors[0].partition(')')[2]!r}, "
        "the model 'I boot: chip revision: v0.4'"
    )


@pytest.mark.parametrize("rollback", [False, True])
@pytest.mark.parametrize("validates", [False, True, "but at power-on"])
@pytest.mark.parametrize("asserts", [False, True])
def test_options_are_seen_by_what_a_bootloader_does(rollback, validates, asserts):
    class Model(Script):
        def boot(self, chip):
            assert chip.efuse.chip_revision > 2
            assert chip.flash.read(0x10000, 1) == b"\xaa"
            config = PLAIN if not rollback else ROLLBACK
            config = replaced(
                config,
                partition_table_offset=0x10000,
                bootloader_skip_validate_always=not validates,
                bootloader_skip_validate_on_power_on=validates == "but at power-on",
                compiler_optimization_assertion_level=2 * asserts,
            )
            ours = boot(chip, config)
            if ours.partition is None:
                return report("ABORT")
            writes = [FlashWrite("program", 0, 0)] * len(ours.otadata_writes)
            return report("APP", ours.partition.offset, writes=writes)

    board = Board("two_ota", config=PLAIN)
    said = b"Assert failed in %s, %s:%d (%s)" if asserts else b""
    board.chip.flash.program(0, bootloader() + said)
    options = compiled_options(board.chip, Model(), replaced(PLAIN, partition_table_offset=0x10000))
    assert options == {
        "bootloader_app_rollback_enable": rollback,
        "bootloader_skip_validate_always": not validates,
        "bootloader_skip_validate_on_power_on": validates == "but at power-on",
        "compiler_optimization_assertion_level": 2 * asserts,
    }


def replaced(config, **changes):
    from dataclasses import replace

    return replace(config, **changes)


def test_of_a_bootloader_that_starts_nothing_no_option_is_known():
    board = Board("two_ota")
    assert compiled_options(board.chip, Script(report("RESET")), PLAIN) == {}
    assert compiled_build(b"").options == {}
    assert app("ota_0")


@pytest.mark.parametrize("page", [0x4000, 0x8000, 0x10000])
@pytest.mark.parametrize("chip", ["esp32c6", "esp32c2", "esp32c3"])
@pytest.mark.parametrize("release", [(5, 1, 0), (5, 5, 0)])
def test_the_page_of_a_build_without_a_word_is_seen_by_which_apps_it_takes(chip, page, release):
    class Silent(Script):
        def boot(self, chip):
            ours = boot(chip, replaced(PLAIN, mmu_page_size=page, idf_version=release))
            return report("ABORT") if ours.partition is None else report(slot=ours.partition.offset)

    options = compiled_options(Board("two_ota", chip=chip).chip, Silent(), PLAIN)
    assert options.get("mmu_page_size") == (None if chip == "esp32c3" else page)


def test_pages_of_8_kb_stop_the_loader_before_it_has_seen_anything():
    """Its own driver of the MMU does not know them: it shows no byte of the flash."""
    config = replaced(PLAIN, mmu_page_size=0x2000)
    done = Board("two_ota", "1/VALID", chip="esp32c6", config=config).boot()
    assert not done.ok
    told = "assertion: pages of 8 KB are none that the driver knows; abort, and the watchdog resets the chip"
    assert done.why[0] == f"bootloader_mmap: {told}"
    assert not any("Partition Table" in line for line in done.log)
    assert Board("two_ota", "1/VALID", chip="esp32c6", config=replaced(config, hal_default_assertion_level=0)).boot().ok
