"""The marker every_power_cut: count, cut everywhere, start again; a test that is not safe fails with its plan."""

from __future__ import annotations

import re
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest

import _py_esp_ota_pytest
import py_esp_ota.cloud.api
import py_esp_ota.dut
import py_esp_ota.view.flash_map
import py_esp_ota.view.sweep_words  # noqa: F401 - before pytester looks, for it forgets what an inner run imports
from py_esp_ota import Flash
from py_esp_ota.power_cuts import MODELS, Bench, every_power_cut, plans

pytest_plugins = "pytester"

#: A log of one value in two sectors: safe. The next value goes to the sector that is not in use, its mark comes last.
SAFE = """
    import pytest

    @pytest.mark.every_power_cut
    def test_safe(esp_flash):
        marked = [page for page in (0x0000, 0x1000) if esp_flash.read(page, 1) == b"m"]
        if marked == [0x0000]:
            return
        esp_flash.erase(0x0000, 0x1000)
        esp_flash.program(0x0100, b"value")
        esp_flash.program(0x0000, b"m")
        assert esp_flash.read(0x0100, 5) == b"value"
"""

#: Marks first, writes then: whoever sees the mark trusts a value that may not be there.
HASTY = """
    from py_esp_ota import every_power_cut

    @every_power_cut
    def test_hasty(esp_flash):
        if esp_flash.read(0x0000, 1) != b"m":
            esp_flash.erase(0x0000, 0x1000)
            esp_flash.program(0x0000, b"m")
            esp_flash.program(0x0100, b"value")
        assert esp_flash.read(0x0100, 5) == b"value"
"""

UPDATE = """
    import pytest
    from py_esp_ota.firmware import Firmware
    from py_esp_ota.idf.log import Log
    from py_esp_ota.idf.app_update.ota_ops import OtaOps

    OLD, NEW = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))

    @pytest.fixture
    def lamp(esp_device):
        return esp_device("two_ota", firmware=OLD, node_id="lamp1")

    @pytest.mark.every_power_cut
    def test_update(lamp):
        report = lamp.power_on()
        assert report.ok
        if report.app_desc.version == "1.0.0":
            ops = OtaOps(lamp.chip, report.partition, lamp.config, Log(lambda: 0))
            slot = ops.get_next_update_partition()
            handle = ops.begin(slot, len(NEW))
            ops.write(handle, NEW)
            ops.end(handle)
            ops.set_boot_partition(slot)
            report = lamp.power_on()
        assert report.app_desc.version == "1.1.0"
"""


def counts(result):
    """operations and cuts of each test, from the summary."""
    found = re.findall(r"::(\w+): ([\d,]+) operations, ([\d,]+) cuts?$", result.stdout.str(), re.MULTILINE)
    return {name: (int(operations.replace(",", "")), int(cuts.replace(",", ""))) for name, operations, cuts in found}


@pytest.fixture
def run(pytester):
    """Run a test file in a fresh folder."""

    def run(source, *options):
        pytester.makepyfile(source)
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)

    return run


# ------------------------------------------------------------------------------------------------------------- verdicts


def test_a_safe_test_passes_under_every_cut(run):
    result = run(SAFE)
    result.assert_outcomes(passed=1)
    assert counts(result) == {"test_safe": (3, 9)}


def test_an_unsafe_test_fails_with_its_plan_and_the_line_that_replays_it(run):
    result = run(HASTY)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*assert *",
            "*- power cut -*",
            "cut@1:after: power goes at operation 1 of 3, program 0x000000..0x000000",
            "replay: pytest 'test_*.py::test_hasty' --esp-ota-replay 'cut@1:after'",
            "*::test_hasty: 3 operations, cut@1:after is cut 6 of 9",
        ]
    )


def test_the_replay_line_runs_that_cut_only(run):
    failed = run(HASTY, "--esp-ota-replay", "cut@2")
    failed.assert_outcomes(failed=1)
    failed.stdout.fnmatch_lines(["cut@2: power goes at operation 2 of 3, program 0x000100..0x000104"])
    passed = run(HASTY, "--esp-ota-replay", "cut@0:torn")
    passed.assert_outcomes(passed=1)
    assert counts(passed) == {"test_hasty": (3, 1)}


def test_a_whole_update_of_a_device_survives_every_cut(run):
    result = run(UPDATE, "--esp-ota-limit", "60")
    result.assert_outcomes(passed=1)
    assert counts(result)["test_update"][1] == 60


def test_an_update_that_chooses_before_it_writes_shows_console_and_flash(run):
    hasty = UPDATE.replace("lamp.power_on()\n        assert report.ok\n", "lamp.power_on()\n").replace(
        """            handle = ops.begin(slot, len(NEW))
            ops.write(handle, NEW)
            ops.end(handle)
            ops.set_boot_partition(slot)
""",
        """            otadata = ops.table.find(label="otadata")
            otadata.write(lamp.flash, 0, ota_select_entry(1, 2))
            lamp.flash.program(slot.offset, NEW)
""",
    )
    assert hasty != UPDATE
    hasty = hasty.replace("import Firmware", "import Firmware, ota_select_entry").replace(
        '"1.0.0":', '"1.0.0" and blank(lamp):'
    )
    hasty += """
    def blank(lamp):
        return lamp.flash.is_erased(0xD000, 0x1000)
    """
    result = run(hasty)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*1.0.0*",
            "*- power cut -*",
            "cut@0:torn: power goes at operation 0 of *, program 0x00d000..0x00d01f",
            "*- lamp1: console until the cut -*",
            "*Loaded app from partition at offset 0x10000*",
            "*- lamp1: console -*",
            "*ota data partition invalid, falling back to factory",
            "*- lamp1: flash -*",
            "* operations",
            "*otadata * seq 1 UNDEFINED bad CRC*",
            "*factory *lamp 1.0.0*",
        ]
    )


def test_what_fails_without_a_cut_is_not_cut(run):
    result = run(SAFE.replace('b"value"\n', 'b"other"\n'))
    result.assert_outcomes(failed=1)
    assert "power cut" not in result.stdout.str().replace("every_power_cut", "")


def test_a_test_without_flash_operations_fails(run):
    result = run("""
        import pytest
        @pytest.mark.every_power_cut
        def test_idle(esp_flash):
            assert esp_flash.is_erased(0, 0x1000)
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*there is nothing to cut*"])


def test_a_file_that_cannot_be_collected_is_reported_as_ever(run):
    result = run("import nothing_of_this_name")
    result.assert_outcomes(errors=1)
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_a_test_that_does_something_else_each_time_is_found_out(run):
    result = run("""
        import pytest
        seen = []
        @pytest.mark.every_power_cut
        def test_moody(esp_flash):
            seen.append(1)
            if len(seen) == 1:
                esp_flash.program(0, b"x")
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["cut@0 was never reached: the test does not do the same each time it is started"])


def test_a_test_that_copes_by_itself_is_not_started_again(run):
    result = run("""
        import pytest
        from py_esp_ota import PowerLoss
        starts = []
        @pytest.mark.every_power_cut
        def test_copes(esp_flash):
            starts.append(1)
            for _ in range(2):
                try:
                    esp_flash.erase(0, 0x1000)
                    break
                except PowerLoss:
                    esp_flash.power_on()
            assert esp_flash.is_erased(0, 0x1000)
        def test_starts():
            assert len(starts) == 1 + 3
    """)
    result.assert_outcomes(passed=2)


def test_a_cut_that_nobody_noticed_still_starts_the_test_again(run):
    result = run("""
        import pytest
        from py_esp_ota import PowerLoss
        starts = []
        @pytest.mark.every_power_cut
        def test_careless(esp_flash):
            starts.append(1)
            try:
                if len(starts) != 3:
                    esp_flash.program(0, b"x")
            except PowerLoss:
                return
            assert esp_flash.read(0, 1) == b"x"
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["cut@0: power goes at operation 0 of 1, *"])


def test_no_flash_is_kept_longer_than_its_test(run, pytester):
    pytester.makeconftest("""
        import _py_esp_ota_pytest as plugin
        def pytest_sessionfinish(session):
            assert len(session.items) == 3
            assert not any(plugin._BENCH in item.stash for item in session.items)
    """)
    result = run(
        SAFE
        + """
    def test_plain(esp_flash): ...
    def test_failing(esp_flash): assert 0
    """
    )
    result.assert_outcomes(passed=2, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_fixtures_are_new_in_each_run_and_wider_ones_are_kept(run):
    result = run("""
        import pytest
        made = []
        @pytest.fixture(scope="module")
        def shelf():
            made.append("module")
            yield
            made.append("module ends")
        @pytest.fixture
        def fresh(shelf):
            made.append("test")
            yield []
            made.append("test ends")
        @pytest.mark.every_power_cut
        def test_one(esp_flash, fresh, tmp_path):
            assert fresh == []
            fresh.append(1)
            (tmp_path / "file").touch(exist_ok=False)
            esp_flash.program(0, b"x")
        def test_two():
            assert made == ["module", *["test", "test ends"] * 7]
    """)
    result.assert_outcomes(passed=2)


def test_the_last_test_of_a_module_tears_the_module_down_and_says_so_when_that_fails(run):
    result = run("""
        import pytest
        @pytest.fixture(scope="module")
        def shelf():
            yield
            raise OSError("shelf fell")
        @pytest.mark.every_power_cut
        def test_one(esp_flash, shelf):
            esp_flash.program(0, b"x")
    """)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["E*OSError: shelf fell"])


def test_power_may_go_while_fixtures_are_made_or_torn_down(run):
    result = run("""
        import pytest
        @pytest.fixture
        def prepared(esp_flash):
            esp_flash.erase(0, 0x1000)
            yield esp_flash
            esp_flash.program(0x10, b"end")
        @pytest.mark.every_power_cut
        def test_one(prepared):
            prepared.program(0, b"x")
            assert prepared.read(0, 1) == b"x"
    """)
    result.assert_outcomes(passed=1)
    assert counts(result) == {"test_one": (3, 9)}


def test_several_flashes_count_one_after_the_other(run):
    result = run("""
        import pytest
        @pytest.mark.every_power_cut
        def test_two_devices(esp_device):
            first, second = (esp_device("two_ota", target="esp32c3", node_id=name) for name in ("first", "second"))
            for device in (first, second):
                device.flash.power_on()
            first.flash.program(0x3F0000, b"a")
            second.flash.program(0x3F0000, b"b")
            second.flash.program(0x3F0010, b"c")
            assert second.flash.fault == "" or first.flash.read(0x3F0000, 1) == b"a"
            assert first.flash.powered
    """)
    result.assert_outcomes(passed=1)
    assert counts(result) == {"test_two_devices": (3, 9)}


def test_a_test_case_of_unittest_is_cut_too(run):
    source = """
        import unittest, pytest
        class TestSettings(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def give(self, esp_flash):
                self.flash = esp_flash
            @pytest.mark.every_power_cut
            def test_one(self):
                if self.flash.read(0, 1) != b"m":
                    self.flash.erase(0, 0x1000)
                    self.flash.program(0x100, b"v")
                    self.flash.program(0, b"m")
                self.assertEqual(self.flash.read(0x100, 1), b"v")
    """
    result = run(source)
    result.assert_outcomes(passed=1)
    assert counts(result) == {"test_one": (3, 9)}
    result = run(
        source.replace('program(0x100, b"v")', 'program(0, b"m")').replace(
            'program(0, b"m")\n                s', 'program(0x100, b"v")\n                s'
        )
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["cut@1:after: power goes at operation 1 of 3, *"])


def test_a_lab_is_cut_too(run):
    result = run("""
        import pytest
        from py_esp_ota.firmware import Firmware
        OLD, NEW = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))
        @pytest.mark.every_power_cut(limit=5)
        def test_job(ota_lab):
            lamp = ota_lab.device("two_ota", firmware=OLD, node_id="lamp1")
            if lamp.power_on().app_desc.version == "1.0.0":
                ota_lab.run(ota_lab.update(NEW, name="new"))
            assert lamp.running.version == "1.1.0"
    """)
    result.assert_outcomes(passed=1)
    assert counts(result)["test_job"][1] == 5


# -------------------------------------------------------------------------------------------------- options and company


def test_shards_share_the_cuts(run):
    shares = [counts(run(SAFE, "--esp-ota-shard", f"{part}/2"))["test_safe"][1] for part in (1, 2)]
    assert shares == [5, 4]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--esp-ota-replay", "drop@5"], "*'drop@5' is no power cut: expected cut@N, cut@N:torn or cut@N:after*"),
        (["--esp-ota-replay", "cut@1:softly"], "*cut@1:softly*"),
        (["--esp-ota-shard", "3/2"], "*'3/2' is no shard: expected K/N with K from 1 to N*"),
        (["--esp-ota-limit", "0"], "*'0' is no number of cuts*"),
    ],
)
def test_options_that_are_none(run, options, sentence):
    result = run(SAFE, *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([sentence])


def test_a_plan_behind_the_end(run):
    result = run(SAFE, "--esp-ota-replay", "cut@3")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["cut@3 is behind the last flash operation: the test does 3"])


def test_every_plan_of_the_flash_is_replayed_and_two_cuts_one_after_the_other(run):
    for plan in ("cut@1:bits-program", "cut@0:weak-erase", "cut@1+cut@0:torn", "cut@2:after+cut@5"):
        run(SAFE, "--esp-ota-replay", plan).assert_outcomes(passed=1)
    twice = (
        SAFE.replace("marked = [", "starts.append(1)\n        marked = [")
        + """
    starts = []
    def test_starts():
        assert len(starts) == 4  # counted, cut, cut once more, and at last to the end
    """
    )
    run(twice, "--esp-ota-replay", "cut@1+cut@0:torn").assert_outcomes(passed=2)


def test_progress_is_written_over_on_a_terminal_only(run, pytester):
    assert "power cut 0 of 9" not in run(SAFE).stdout.str()
    pytester.makeconftest("""
        def pytest_sessionstart(session):
            session.config.pluginmanager.get_plugin("terminalreporter").isatty = lambda: True
    """)
    result = run(SAFE)
    result.assert_outcomes(passed=1)
    text = result.stdout.str()
    assert [f"power cut {number} of 9" in text for number in (0, 8, 9)] == [True, True, False]


def news(run, pytester, *options):
    """What is said about a test's progress where nothing can be written over, when every run is news."""
    pytester.makeconftest("import _py_esp_ota_pytest; _py_esp_ota_pytest._NEWS_EVERY_S = 0")
    result = run(SAFE, *options)
    assert result.ret == 0
    return re.findall(
        r"^test_safe: power cut (\d) of 9, (\d+) s, about (\d+) s left$", result.stdout.str(), re.MULTILINE
    )


def test_progress_is_a_line_now_and_then_where_nothing_is_written_over(run, pytester, monkeypatch):
    monkeypatch.setattr("_py_esp_ota_pytest._NEWS_EVERY_S", _py_esp_ota_pytest._NEWS_EVERY_S)
    assert _py_esp_ota_pytest._NEWS_EVERY_S >= 10
    assert "power cut" not in run(SAFE).stdout.str().replace("every power cut", "")
    assert [int(done) for done, _, _ in news(run, pytester)] == list(range(1, 9))
    assert news(run, pytester, "-qq") == []


def test_a_limit_of_the_marker_that_is_none(run):
    result = run(SAFE.replace("every_power_cut", "every_power_cut(limit=0)"))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["limit 0 is none: at least one cut is tried"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("limits=3", "every_power_cut got limits=3; it takes limit=... and nothing else"),
        ("3, shard=2", "every_power_cut got 3, shard=2; it takes limit=... and nothing else"),
        ("limit='3'", "every_power_cut got limit='3', of type str; expected int or None"),
        ("limit=True", "every_power_cut got limit=True, of type bool; expected int or None"),
    ],
)
def test_an_argument_that_the_marker_does_not_know(run, arguments, says):
    result = run(SAFE.replace("every_power_cut", f"every_power_cut({arguments})"))
    result.assert_outcomes(failed=1)
    assert says in result.stdout.str()


@pytest.mark.parametrize(("arguments", "options"), [((3,), {}), ((), {"limit": "3"})])
def test_the_decorator_refuses_it_at_once(arguments, options):
    with pytest.raises(TypeError, match="every_power_cut got"):
        every_power_cut(*arguments, **options)


def test_with_xdist_the_plan_and_the_counts_arrive(pytester):
    pytester.makepyfile(test_a=SAFE, test_b=HASTY, test_c=SAFE)
    result = pytester.runpytest_subprocess("-n", "1", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["replay: pytest 'test_b.py::test_hasty' --esp-ota-replay 'cut@1:after'"])
    assert counts(result) == {"test_safe": (3, 9)}


@pytest.mark.parametrize(
    "absent", ["terminal", "capture", "logging", "skipping", "junitxml", "timeout", "setuponly", "unittest"]
)
def test_other_plugins_may_be_absent(run, absent):
    assert run(SAFE, "-p", f"no:{absent}").ret == 0


def test_without_the_plugin_nothing_of_it_is_left(run):
    result = run("def test_one(esp_flash): pass", "-p", "no:py_esp_ota")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'esp_flash' not found*"])


def test_a_debugger_is_not_opened_for_the_cuts(run):
    run(SAFE, "--pdb").assert_outcomes(passed=1)


def test_junit_xml_has_the_test_once(run, pytester):
    run(SAFE + "\n" + HASTY, "--junitxml=report.xml")
    cases = ET.parse(pytester.path / "report.xml").findall(".//testcase")
    assert [(case.get("name"), case.find("failure") is not None) for case in cases] == [
        ("test_safe", False),
        ("test_hasty", True),
    ]
    assert cases[0].find("properties/property").get("value") == "3 operations, 9 cuts"


def test_setting_up_only_cuts_nothing(run):
    result = run(SAFE, "--setup-only")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*SETUP    F esp_flash*"])


def test_skips_and_expected_failures_stay_what_they_are(run):
    result = run("""
        import pytest
        @pytest.mark.skip
        @pytest.mark.every_power_cut
        def test_skipped(esp_flash): ...
        @pytest.mark.xfail
        @pytest.mark.every_power_cut
        def test_expected(esp_flash):
            esp_flash.program(0, b"x")
            assert 0
    """)
    result.assert_outcomes(skipped=1, xfailed=1)


@pytest.mark.parametrize("place", ["except PowerLoss", "finally"])
def test_a_timeout_ends_the_whole_test(run, place):
    """Also one that strikes while a test hangs without power."""
    result = run(f"""
        import time, pytest
        from py_esp_ota import PowerLoss
        @pytest.mark.timeout(0.4)
        @pytest.mark.every_power_cut
        def test_slow(esp_flash):
            try:
                for page in range(20):
                    esp_flash.program(page * 256, b"x")
            {place}:
                time.sleep(0.1 if {place!r} == "finally" else 2)
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Timeout*from pytest-timeout*"])


def test_the_package_is_imported_only_when_a_test_asks(pytester):
    pytester.makepyfile("""
        import sys
        def test_absent():
            assert "_py_esp_ota_pytest" in sys.modules
            assert [name for name in sys.modules if name.split(".")[0] == "py_esp_ota"] == []
    """)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=pytester.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


# ---------------------------------------------------------------------------------------------------------------- rules


def test_plans_are_every_cut_or_an_even_choice():
    assert plans(2) == ["cut@0", "cut@0:torn", "cut@0:after", "cut@1", "cut@1:torn", "cut@1:after"]
    assert plans(300, limit=3) == ["cut@0", "cut@100:torn", "cut@200:after"]
    assert plans(2, limit=5) == ["cut@0", "cut@0:torn", "cut@0:after", "cut@1", "cut@1:torn"]
    for limit in range(1, 31):
        chosen = plans(10, limit=limit)
        assert len(set(chosen)) == limit
        assert set(chosen) <= set(plans(10))


def test_shards_are_a_partition():
    parts = [plans(7, shard=(part, 4)) for part in range(1, 5)]
    assert sorted(plan for part in parts for plan in part) == sorted(plans(7))


@pytest.mark.parametrize("model", MODELS)
def test_the_bench_arms_the_flash_that_the_number_falls_on(model):
    bench = Bench()
    bench.begin(counting=True)
    for pages in (2, 3):
        bench.flash(Flash(0x100000)).program(0, bytes(256 * pages))
    bench.counted()
    assert bench.counts == [2, 3]
    bench.arm(f"cut@3{model}")
    assert [bench.flash(Flash(0x100000)).fault for _ in range(2)] == ["", f"cut@1{model}"]


def test_the_bench_finds_out_when_another_flash_is_taken_the_second_time():
    bench = Bench()
    bench.begin()
    bench.flash(Flash(0x100000))
    bench.restart()
    with pytest.raises(ValueError, match="takes another flash as its number 1 than before"):
        bench.flash(Flash(0x200000))
