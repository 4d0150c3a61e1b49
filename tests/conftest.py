"""Settings every test shares."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# An ordinary run takes a sample, the same each time, so that a red build is about its change; `HYPOTHESIS_PROFILE=slow`
# searches longer, and elsewhere each time.
for _name, _examples in {"fast": 20, "slow": 2000}.items():
    settings.register_profile(
        _name,
        max_examples=_examples,
        derandomize=_name == "fast",
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


gc.disable()


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """One of several processes compiles a module and what it imports, the others find it compiled."""
    if os.name != "posix" or not isinstance(collector, pytest.Module):
        return (yield)
    import fcntl

    with Path(__file__).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        return (yield)


def pytest_collection_finish():
    """Thousands of tests, and what they import, stay to the end: the garbage collector need not look at them at all."""
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(autouse=True)
def _leaks_show_where_they_are_made(request):
    """A socket that a test forgot must fail that test, not whichever runs when the garbage is collected."""
    if not request.node.get_closest_marker("sockets"):
        yield
        return
    before = _promotions()
    yield
    # What this test made is young, unless the collector came by meanwhile; among the old lies what all tests have made.
    gc.collect(1 if _promotions() == before else 2)


def _promotions():
    """How often the collector has moved what it found alive to where it seldom looks."""
    return [generation["collections"] for generation in gc.get_stats()[1:]]


@pytest.fixture(scope="session")
def postgresql():
    """A server for all tests, and for none when nobody asks."""
    pytest.importorskip("psycopg")
    import postgresql_server

    if lacking := postgresql_server.missing():
        pytest.skip(lacking)
    server = postgresql_server.Server()
    yield server
    server.close()


@pytest.fixture(scope="session")
def esptool():
    """esptool in a process that stays: starting it takes most of a test."""
    yield from _staying("esptool", "esptool.main(words)")


@pytest.fixture(scope="session")
def nvs_generator():
    """ESP-IDF's generator of NVS partitions, likewise. It keeps nothing of a call."""
    module = "esp_idf_nvs_partition_gen.nvs_partition_gen"
    yield from _staying(module, f"sys.argv[1:] = words; {module}.main()")


def _staying(module, call):
    """A program whose ``call`` is made for the words of each line; what one can call."""
    code = (
        f"import os, sys, {module}\n"
        "for line in sys.stdin:\n"
        "    folder, *words = line.split()\n"
        "    os.chdir(folder)\n"
        f"    try: {call}; done = 0\n"
        "    except SystemExit as end: done = end.code or 0\n"
        "    except BaseException as error: done = repr(error)\n"
        "    print('DONE', done, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:

        def call(*words: str) -> None:
            process.stdin.write(" ".join([str(Path.cwd()), *words]) + "\n")
            process.stdin.flush()
            said = []
            for line in process.stdout:
                said.append(line)
                if line.startswith("DONE"):
                    break
            assert said[-1] == "DONE 0\n", said

        yield call
        process.stdin.close()


@pytest.fixture(scope="session")
def _chromium():
    """One Chromium for all tests, and the loop that Playwright has in this thread."""
    from browsers import CHROMIUM, QUIET
    from playwright.sync_api import expect, sync_playwright

    # A page that is busy is shown anew after ten times what that took: seconds, where the machine stood still once.
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=list(QUIET))
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        yield browser, loop
        asyncio._set_running_loop(loop)
        browser.close()


@pytest.fixture(scope="module")
def browser(_chromium):
    """The Chromium: each test has a context of its own.

    Playwright's loop counts as running between its calls, too, and beside it nobody else's can be run in this thread:
    so it counts for as long as there are tests of this file.
    """
    browser, loop = _chromium
    asyncio._set_running_loop(loop)
    yield browser
    asyncio._set_running_loop(None)
