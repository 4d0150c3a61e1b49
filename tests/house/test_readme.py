"""What the README shows is executed; what it names exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from py_esp_ota.cli import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_the_python_runs_as_printed(capsys):
    namespace: dict[str, object] = {}
    assert len(blocks("python")) >= 3
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), namespace)
    assert "boot: Loaded app from partition at offset 0x20000" in capsys.readouterr().out


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
    assert len(packages) >= 3
    sentence = re.search(r"on Debian it installs the packages (.*?) first", README, re.DOTALL)
    assert set(re.findall(r"`([\w-]+)`", sentence[1])) == set(packages)


def test_every_figure_is_one_the_benchmarks_print():
    shown = re.findall(r"^\| ([^|]+) \| [\d.]+ (?:us|ms|s) \|", README, re.MULTILINE)
    source = "".join(file.read_text() for file in sorted((ROOT / "benchmarks").glob("*.py")))
    assert len(shown) == source.count("return Figure(")
    assert all(f'"{name}"' in source for name in shown)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_link_is_broken(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize(
    "name", re.findall(r"`((?:py_esp_ota|rust|tests|docs)/[\w./-]+\.\w+)`", (ROOT / "ARCHITECTURE.md").read_text())
)
def test_every_file_in_the_map_exists(name):
    assert (ROOT / name).exists()
