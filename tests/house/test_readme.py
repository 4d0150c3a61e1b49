"""What the README shows is executed; what it names exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pages
import pytest

from py_esp_ota.cli import main
from py_esp_ota.cli.corpus import RELEASES, fetch
from py_esp_ota.cli.files import Unusable

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SERVE = "esp-ota serve"
SOURCES = [path for top in ("py_esp_ota", "rust", "tests", "tools", "examples") for path in (ROOT / top).rglob("*.*")]
SOURCES += ROOT.glob("*.py")
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def commands(text):
    return [each for block in pages.blocks(text) if block.language == "console" for each in block.commands()]


def fetched():
    try:
        for release in RELEASES:
            fetch(release)
    except Unusable as reason:
        pytest.skip(str(reason))


def test_each_piece_of_python_runs_alone(quick_reader):
    """As new Pythons, too, in ``test_wheel.py``."""
    shown = [block for block in pages.blocks(README) if block.language == "python"]
    assert len(shown) >= 3
    printed = "".join(pages.python(block, quick_reader) for block in shown)
    assert "boot: Loaded app from partition at offset 0x20000" in printed


def test_the_commands_run_as_printed(reader):
    pytest.importorskip("unicorn")
    fetched()
    for command, expected, _ in commands(README):
        if not command.startswith(SERVE):
            code, output = reader.run(command)
            assert code == expected, (command, output)


@pytest.mark.sockets
def test_serve_runs_as_printed_until_ctrl_c(reader):
    (command,) = {command for command, _, _ in commands(README) if command.startswith(SERVE)}
    pages.needs_ports("--port 8000 --https-port 8443 --mqtt-port 8883")  # the defaults
    code, output = reader.run(command, ctrl_c_at="Ctrl-C ends it.")
    assert code in {0, 130}, output
    assert "web page        http://127.0.0.1:8000" in output


#: But those that test_howto.py follows whole, with the files that they write on the way.
OTHERS = [
    page
    for page in PAGES
    if page.name != "README.md" and not {"howto", "tutorial", "lessons"} & {*page.parts} and commands(page.read_text())
]


@pytest.mark.parametrize("page", OTHERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_commands_of_other_pages_run_as_printed(page, quick_reader):
    for command, expected, _ in commands(page.read_text()):
        code, output = quick_reader.run(command)
        assert code == expected, (command, output)


def test_the_first_screen_proves_it_in_ten_lines():
    assert len([line for line in blocks("python")[0].splitlines() if line]) <= 10


def test_every_command_exists():
    targets = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    shown = re.findall(r"^\$ (\S+) (\S+)", "".join(blocks("console")), re.MULTILINE)
    assert {verb for program, verb in shown if program == "make"} <= set(targets)
    assert {verb for program, verb in shown if program == "esp-ota"} <= set(main.list_commands(None))
    assert ("make", "test") in shown
    assert ("make", "demo") in shown


def test_the_table_of_extras_is_that_of_the_package():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert re.findall(r"^\| `py_esp_ota\[(\w+)\]` \|", README, re.MULTILINE) == list(extras)
    assert re.search(r"^\| `py_esp_ota\[silicon\]` \|.*Unicorn.*GPL-2\.0", README, re.MULTILINE)
    assert {extra for names in re.findall(r"py_esp_ota\[([\w,]+)\]'", README) for extra in names.split(",")} <= set(
        extras
    )


def test_it_names_what_make_test_installs():
    makefile = (ROOT / "Makefile").read_text()
    packages = re.findall(r'missing="(?:\$\$missing )?([\w-]+)"', makefile)
    packages += re.findall(r"--no-install-recommends ([\w-]+);", makefile)
    assert len(packages) >= 3
    sentence = re.search(r"on Debian it installs the packages (.*?) first", README, re.DOTALL)
    assert set(re.findall(r"`([\w-]+)`", sentence[1])) == set(packages)


def test_every_figure_is_one_the_benchmarks_print():
    shown = re.findall(r"^\| ([^|]+) \| [\d.]+ (?:us|ms|s) \|", README, re.MULTILINE)
    source = "".join(file.read_text() for file in sorted((ROOT / "benchmarks").glob("*.py")))
    named = r'(?:return Figure\(|_boots\(|\bname(?:, \w+)? = )"([^"]+)"'
    assert sorted(shown) == sorted(set(re.findall(named, source)))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_link_is_broken(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name not in {"CHANGELOG.md", "fidelity.md"}],  # those name upstream's files, too
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_every_source_that_a_page_names_exists(page):
    for name in re.findall(r"`([\w./-]+\.(?:py|pyi|rs))`", page.read_text()):
        assert any(path.as_posix().endswith(f"/{name}") for path in SOURCES), name


@pytest.mark.parametrize(
    "name", re.findall(r"`((?:py_esp_ota|rust|tests|docs)/[\w./-]+\.\w+)`", (ROOT / "ARCHITECTURE.md").read_text())
)
def test_every_file_in_the_map_exists(name):
    assert (ROOT / name).exists()
