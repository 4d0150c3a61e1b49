"""The pytest plugin of py_esp_ota: fixtures, the marker ``every_power_cut``, and what a failure shows.

pytest loads it in every run of everybody who has the package installed. So it stands outside the package and imports it
only when a test asks for it.
"""

from __future__ import annotations

import argparse
import functools
import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.runner import runtestprotocol

if TYPE_CHECKING:
    from py_esp_ota import Device, Flash, Lab
    from py_esp_ota.dut import Dut
    from py_esp_ota.power_cuts import Bench

_MARKER = "every_power_cut"
_PROPERTY = "every_power_cut"
_BENCH = pytest.StashKey["Bench"]()
_SHARD = re.compile(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})", re.ASCII)
_CONSOLE_LINES = 60  # of each device, in a failure report
_NEWS_EVERY_S = 20.0  # between two lines about a long test, where no line can be written over


# -------------------------------------------------------------------------------------------------------------- options


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--esp-ota-...``."""
    group = parser.getgroup("esp-ota", "power cuts and simulated ESP32 devices")
    group.addoption(
        "--esp-ota-replay",
        metavar="PLAN",
        type=_plan,
        help="run tests marked every_power_cut with this one cut only, for example cut@37:torn",
    )
    group.addoption(
        "--esp-ota-limit", metavar="N", type=_limit, help="at most N cuts for each such test, spread evenly"
    )
    group.addoption("--esp-ota-shard", metavar="K/N", type=_shard, default=(1, 1), help="only part K of N of the cuts")
    group.addoption(
        "--esp-ota-app",
        metavar="FILE|BUILD_DIR",
        type=Path,
        help="what esp_dut runs: an app image, or a build directory",
    )
    group.addoption(
        "--esp-ota-save-failing",
        metavar="DIR",
        type=Path,
        help="write the images that a test of Hypothesis failed with into this folder, the smallest it found",
    )


def _plan(text: str) -> str:
    from py_esp_ota import Flash  # noqa: PLC0415 - only who replays pays for it

    if not text.startswith("cut@"):
        raise argparse.ArgumentTypeError(f"{text!r} is no power cut: expected cut@N, cut@N:torn or cut@N:after")
    try:
        Flash(0x100000).fault = text
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _limit(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,8}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of cuts")
    return int(text)


def _shard(text: str) -> tuple[int, int]:
    found = _SHARD.fullmatch(text)
    if not found or int(found[1]) > int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is no shard: expected K/N with K from 1 to N")
    return int(found[1]), int(found[2])


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker."""
    config.addinivalue_line(
        "markers",
        "every_power_cut(limit=None): run the test once, then cut the power at each of its flash operations "
        "(before, torn, after) and start it again: it must pass. limit: at most so many cuts",
    )


# ------------------------------------------------------------------------------------------------------------- fixtures


@pytest.fixture
def _esp_bench(request: pytest.FixtureRequest) -> Bench:
    """What survives when the power goes; see ``py_esp_ota.power_cuts``."""
    stash = request.node.stash
    if request.node.get_closest_marker(_MARKER) is None or _BENCH not in stash:
        from py_esp_ota.power_cuts import Bench  # noqa: PLC0415

        stash[_BENCH] = Bench()
    bench: Bench = stash[_BENCH]
    return bench


@pytest.fixture
def esp_flash(request: pytest.FixtureRequest, _esp_bench: Bench) -> Flash:
    """An erased NOR flash of 4 MiB. Parametrize it indirectly with another size, or with the bytes it holds."""
    from py_esp_ota import Flash  # noqa: PLC0415

    param = getattr(request, "param", 0x400000)
    flash = Flash.from_bytes(bytes(param)) if isinstance(param, bytes | bytearray) else Flash(param)
    return _esp_bench.flash(flash)


@pytest.fixture
def esp_device(_esp_bench: Bench) -> Callable[..., Device]:
    """Make devices: ``esp_device("two_ota", firmware=...)`` takes what ``py_esp_ota.Device`` takes."""
    from py_esp_ota import Device  # noqa: PLC0415

    def make(*args: Any, **options: Any) -> Device:
        return _esp_bench.device(Device(*args, **options))

    return make


@pytest.fixture
def ota_lab(_esp_bench: Bench) -> Iterator[Lab]:
    """A cloud and its devices under virtual time: ``ota_lab.device(...)``, ``ota_lab.run(...)``."""
    missing = None
    try:
        from py_esp_ota import Lab  # noqa: PLC0415
    except ModuleNotFoundError as error:
        missing = str(error)
    if missing is not None:
        pytest.fail(f"ota_lab: {missing}", pytrace=False)

    class BenchLab(Lab):
        def device(self, *args: Any, **options: Any) -> Device:
            return _esp_bench.device(super().device(*args, **options))

    with BenchLab() as lab:
        yield lab


@pytest.fixture
def esp_app(pytestconfig: pytest.Config) -> Mapping[str, Any]:
    """What ``esp_dut`` runs, as arguments of ``Lab.device``; override it. By default what ``--esp-ota-app`` names."""
    path: Path | None = pytestconfig.getoption("--esp-ota-app")
    if path is None:
        pytest.fail(
            "esp_dut needs an app: give --esp-ota-app FILE, or override the fixture esp_app, for example "
            'return {"partitions": "two_ota", "firmware": Path("build/lamp.bin").read_bytes()}',
            pytrace=False,
        )
    try:
        return _from_build_directory(path) if path.is_dir() else {"firmware": path.read_bytes()}
    except OSError as error:
        pytest.fail(f"--esp-ota-app: {error}", pytrace=False)


def _from_build_directory(folder: Path) -> dict[str, Any]:
    """App, table, bootloader and options as ``idf.py build`` left them."""
    from py_esp_ota import PartitionTable, Sdkconfig  # noqa: PLC0415
    from py_esp_ota.cli.files import Unusable  # noqa: PLC0415
    from py_esp_ota.cli.inputs import build_config, build_parts  # noqa: PLC0415
    from py_esp_ota.errors import PartitionTableError  # noqa: PLC0415

    try:
        parts = {offset: file.read_bytes() for offset, file in build_parts(folder).items()}
        config = build_config(folder) or Sdkconfig()
        table = PartitionTable.from_bytes(parts.get(config.partition_table_offset, b""))
    except (Unusable, PartitionTableError) as error:
        pytest.fail(f"--esp-ota-app: {error}", pytrace=False)
    slot = table.find(type=0, subtype=0x00) or table.find(type=0, subtype=0x10)
    if slot is None or slot.offset not in parts:
        pytest.fail(f"--esp-ota-app: {folder} has no image for factory or ota_0", pytrace=False)
    before = [offset for offset in parts if offset < config.partition_table_offset]
    bootloader = parts[before[0]] if before else None
    return {"partitions": table, "firmware": parts[slot.offset], "bootloader": bootloader, "config": config}


@pytest.fixture
def esp_dut(ota_lab: Lab, esp_app: Mapping[str, Any]) -> Dut:
    """A device with its console, after pytest-embedded's ``dut``: ``esp_dut.expect("Loaded app from partition")``."""
    from py_esp_ota.dut import Dut  # noqa: PLC0415

    return Dut(ota_lab, **esp_app)


# ---------------------------------------------------------------------------------------------------- every power cut


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a marked test under every power cut, and report it once."""
    marker = item.get_closest_marker(_MARKER)
    if marker is None:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _EveryPowerCut(item, marker).reports(nextitem):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    del item.stash[_BENCH]  # the flashes of a whole session would be too much to keep
    return True


class _Sibling(pytest.Item):
    """The test that seems to follow between two runs, so that only what belongs to the test itself is torn down."""

    def runtest(self) -> None:
        """Never called."""


class _EveryPowerCut:
    """One marked test: counted, then cut."""

    def __init__(self, item: pytest.Item, marker: pytest.Mark) -> None:
        from py_esp_ota.power_cuts import Bench  # noqa: PLC0415

        self.item = item
        self.bench = item.stash[_BENCH] = Bench()
        self.marker = marker
        assert item.parent is not None  # noqa: S101 - only a session has none
        self.sibling = _Sibling.from_parent(item.parent, name=f"{item.name}, started again")
        self.duration = 0.0
        self.found: list[pytest.TestReport] = []

    def reports(self, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
        """The reports of the run that decides: the first that fails, else the last."""
        try:
            self._decide()
        except (
            ValueError,
            TypeError,
            pytest.fail.Exception,
        ) as error:  # a plan or mark that is none; time that ran out between two runs
            self._fail(str(error))
        last = pytest.CallInfo.from_call(
            lambda: self.item.session._setupstate.teardown_exact(nextitem),  # noqa: SLF001 - as pytest_runtest_teardown
            when="teardown",
        )
        if last.excinfo is not None:
            self.found.append(self.item.ihook.pytest_runtest_makereport(item=self.item, call=last))
        for report in self.found:
            if report.when == "call":
                report.duration = self.duration
        return self.found

    def _decide(self) -> None:
        from py_esp_ota.power_cuts import limit_of_mark, plans  # noqa: PLC0415

        config = self.item.config
        limits = (config.getoption("--esp-ota-limit"), limit_of_mark(self.marker.args, self.marker.kwargs))
        limit = min((limit for limit in limits if limit is not None), default=None)
        self.bench.begin(counting=True)
        if not self._passes():
            return
        self.bench.counted()
        total = sum(self.bench.counts)
        if config.getoption("setuponly", default=False):
            return
        if not total:
            self._fail("the test did no flash operation on esp_flash, esp_device or ota_lab: there is nothing to cut")
            return
        replay = config.getoption("--esp-ota-replay")
        tried = [replay] if replay else plans(total, limit=limit, shard=config.getoption("--esp-ota-shard"))
        progress = _Progress(config, self.item, len(tried))
        for number, plan in enumerate(tried):
            progress.show(number)
            if not self._survives(plan):
                self._describe(plan)
                self._count(f"{total:,} operations, {plan} is cut {number + 1:,} of {len(tried):,}")
                break
        else:
            self._count(f"{total:,} operations, {len(tried):,} cut{'s' if len(tried) != 1 else ''}")
        progress.end()

    def _survives(self, plan: str) -> bool:
        """One cut: start it again until a run comes to its end with power."""
        self.bench.arm(plan)
        passes = self._passes()
        if passes and not self.bench.cut:
            self._fail(f"{plan} was never reached: the test does not do the same each time it is started")
            return False
        while self.bench.interrupted or (passes and self.bench.dark):
            self.bench.restart()
            passes = self._passes()
        return passes

    def _passes(self) -> bool:
        self.found = runtestprotocol(self.item, log=False, nextitem=self.sibling)
        self.duration += sum(report.duration for report in self.found)
        return all(report.passed for report in self.found)

    def _fail(self, reason: str) -> None:
        """Fail the call of the last run, for a reason that is none of its own."""
        failed = pytest.TestReport(self.item.nodeid, self.item.location, {}, "failed", reason, "call")
        self.found = [*self.found[:1], failed, *self.found[-1:]]

    def _describe(self, plan: str) -> None:
        """Say in the failed report which cut it was, and how to see it again."""
        from py_esp_ota.view.sweep_words import operation_words  # noqa: PLC0415

        number = int(plan[4:].partition("+")[0].partition(":")[0])
        done = self.bench.operations
        where = operation_words(done[number]) if number < len(done) else "an operation"
        text = (
            f"{plan}: power goes at operation {number} of {sum(self.bench.counts)}, {where}\n"
            f"replay: pytest '{self.item.nodeid}' --esp-ota-replay '{plan}'"
        )
        for report in self.found:
            if report.failed:
                report.sections.insert(0, ("power cut", text))

    def _count(self, text: str) -> None:
        for report in self.found:
            report.user_properties.append((_PROPERTY, text))  # JUnit's writer asks the last one


class _Progress:
    """How far a test has come: written over on a terminal that can be, a line now and then elsewhere."""

    def __init__(self, config: pytest.Config, item: pytest.Item, total: int) -> None:
        silent = config.get_verbosity() < -1
        self.reporter = None if silent else config.pluginmanager.get_plugin("terminalreporter")
        self.over = self.reporter is not None and self.reporter.isatty()
        self.name, self.total = item.name, total
        self.step = max(1, total // 100)
        self.began = self.told = time.perf_counter()

    def show(self, done: int) -> None:
        if self.reporter is None or (self.over and done % self.step):
            return
        now = time.perf_counter()
        text = f"{self.name}: power cut {done:,} of {self.total:,}"
        if done:
            spent = now - self.began
            text += f", {spent:.0f} s, about {spent / done * (self.total - done):.0f} s left"
        if self.over:
            self.reporter.rewrite(text, erase=True)
        elif done and now - self.told >= _NEWS_EVERY_S:
            self.told = now
            self.reporter.write_line(text)

    def end(self) -> None:
        if self.reporter is not None and self.over:
            self.reporter.rewrite("", erase=True)
            self.reporter.currentfspath = None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each marked test: how many operations and cuts it had."""
    told = {
        report.nodeid: value
        for outcome in ("passed", "failed", "error")
        for report in terminalreporter.getreports(outcome)
        for name, value in getattr(report, "user_properties", ())  # that of a collection has none
        if name == _PROPERTY
    }
    if told:
        terminalreporter.section("every power cut")
        for nodeid, value in told.items():
            terminalreporter.line(f"{nodeid}: {value}")


# ----------------------------------------------------------------------------------------- a power cut is no Exception
#
# pytest finishes a fixture properly only when it raised an Exception, which PowerLoss is not. What it left behind would
# meet the next test.


class PowerWentError(Exception):
    """The power went while a fixture was being torn down."""


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Let a fixture that is cut off be finished."""
    try:
        return (yield)
    except BaseException as error:
        if _is_power_loss(error) and fixturedef.cached_result is None:
            fixturedef.cached_result = (None, fixturedef.cache_key(request), (error, error.__traceback__))  # type: ignore[arg-type]
        raise
    finally:
        if _BENCH in request.node.stash:
            fixturedef._finalizers[:] = map(_guarded, fixturedef._finalizers)  # noqa: SLF001


def _guarded(finalizer: Callable[[], object]) -> Callable[[], object]:
    def finish() -> None:
        try:
            finalizer()
        except BaseException as error:
            if not _is_power_loss(error):
                raise
            raise PowerWentError(str(error)) from error

    return finish


def _is_power_loss(error: BaseException) -> bool:
    return type(error).__module__ == "py_esp_ota.errors" and not isinstance(error, Exception)


# ------------------------------------------------------------------------------------------------------- failing images


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Keep the images of the last example that failed: Hypothesis ends with the smallest one."""
    folder: Path | None = item.config.getoption("--esp-ota-save-failing")
    handle = getattr(getattr(item, "obj", None), "hypothesis", None)
    if folder is None or handle is None:
        return (yield)
    last: dict[str, bytes] = {}
    inner = handle.inner_test

    @functools.wraps(inner)
    def watched(*args: Any, **drawn: Any) -> Any:
        try:
            return inner(*args, **drawn)
        except BaseException:
            values = {name: getattr(value, "data", value) for name, value in drawn.items()}
            last.clear()
            last.update({name: value for name, value in values.items() if isinstance(value, bytes)})
            raise

    handle.inner_test = watched
    try:
        return (yield)
    except BaseException:
        for name, data in last.items():
            _save(item, folder, name, data)
        raise
    finally:
        handle.inner_test = inner


def _save(item: pytest.Item, folder: Path, name: str, data: bytes) -> None:
    file = folder / f"{re.sub('[^A-Za-z0-9_.-]+', '-', item.name)[:100]}-{name}.bin"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        text = f"{len(data)} bytes; look at them: esp-ota image-info {file}"
    except OSError as error:
        text = f"not saved: {error}"
    item.add_report_section("call", f"{name} of the smallest failing example", text)


# -------------------------------------------------------------------------------------------------------------- reports


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the devices of a failed test said last, and what is in their flash."""
    bench = item.stash.get(_BENCH, None)
    raised = [call.excinfo, *(getattr(item, "_excinfo", None) or [])]  # unittest.TestCase keeps its own list
    if bench is not None and bench.cut and any(raised) and not any(map(_timed_out, filter(None, raised))):
        # Whatever a test does without power says nothing about it: it will be started again.
        bench.interrupted = True
        call.excinfo = None
    report = yield
    if bench is not None and report.failed:
        if bench.interrupted:  # a unittest.TestCase keeps its exceptions to itself until now
            report.outcome, report.longrepr = "passed", None
        else:
            report.sections += _sections(bench)
    if bench is not None and call.when == "teardown" and item.get_closest_marker(_MARKER) is None:
        del item.stash[_BENCH]
    return report


def _timed_out(raised: pytest.ExceptionInfo[BaseException]) -> bool:
    return "from pytest-timeout" in str(raised.value)


def _sections(bench: Bench) -> list[tuple[str, str]]:
    sections = [(f"{device.node_id}: console until the cut", _console(device)) for device in bench.cut_devices]
    sections += [(f"{device.node_id}: console", _console(device)) for device in bench.devices]
    for flash in bench.flashes:
        owner = next((device for device in bench.devices if device.flash is flash), None)
        name = owner.node_id if owner else "esp_flash"
        sections.append((f"{name}: flash", _flash_map(flash, owner)))
    return sections


def _console(device: Device) -> str:
    from py_esp_ota.view.visible import visible  # noqa: PLC0415

    lines = [visible(line) for line in device.console[-_CONSOLE_LINES:]]
    left_out = len(device.console) - len(lines)
    return "\n".join([*([f"({left_out} lines before)"] if left_out else []), *lines]) or "(nothing was printed)"


def _flash_map(flash: Flash, device: Device | None) -> str:
    from rich.console import Console  # noqa: PLC0415

    from py_esp_ota import PartitionTable  # noqa: PLC0415
    from py_esp_ota.errors import PartitionTableError  # noqa: PLC0415
    from py_esp_ota.view.flash_map import flash_map  # noqa: PLC0415

    offset = device.config.partition_table_offset if device else 0x8000
    title = f"{flash.operations} operations" + ("" if flash.powered else ", without power")
    seen = flash.fork()
    seen.power_on()
    try:
        table = PartitionTable.load(seen, offset)
    except PartitionTableError:
        return f"{title}; no partition table at 0x{offset:x}"
    running = device.report.partition if device and device.report else None
    console = Console(width=110, color_system=None, highlight=False)
    with console.capture() as captured:
        console.print(flash_map(seen, table, running=running, title=title))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
