"""What a registry and its readers see of the package, and what holds a release back."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import pytest
import trove_classifiers

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]


@pytest.fixture
def checkout(tmp_path):
    """The files that the tools read, and nothing else, for a project that has an address."""
    for name in ("pyproject.toml", "Cargo.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "changes").mkdir()
    (tmp_path / "changes/README.md").write_text("What the names mean.\n")
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\nWords.\n\n## {VERSION} - 2026-01-02\n\nThe first.\n")
    text = (tmp_path / "pyproject.toml").read_text()
    (tmp_path / "pyproject.toml").write_text(text.replace("example.invalid", "git.lamps.dev/lamps"))
    return tmp_path


def tool(name, *words, folder):
    """Exit code and what a tool says."""
    done = subprocess.run(
        [sys.executable, ROOT / f"tools/{name}.py", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


# ------------------------------------------------------------------------------------------------------------ metadata


def test_classifiers_are_those_of_the_registry_and_say_what_is_true():
    classifiers = PROJECT["classifiers"]
    assert set(classifiers) <= trove_classifiers.classifiers
    assert sorted(classifiers) == classifiers
    pythons = [text.removeprefix("Programming Language :: Python :: ") for text in classifiers]
    assert [text for text in pythons if re.fullmatch(r"3\.\d+", text)] == ["3.11", "3.12", "3.13", "3.14"]
    assert PROJECT["requires-python"] == ">=3.11"
    assert {"Framework :: Hypothesis", "Framework :: Pytest", "Typing :: Typed"} <= set(classifiers)
    assert not [text for text in classifiers if text.startswith("License ::")], "a licence is an SPDX expression now"


def test_it_says_who_made_it_and_where_it_is():
    assert PROJECT["authors"]
    assert {"Homepage", "Documentation", "Source", "Issues", "Changelog"} == set(PROJECT["urls"])


# ------------------------------------------------------------------------------------------------------ may it be sent?


def test_a_placeholder_holds_a_release_back(checkout):
    assert tool("release_check", folder=checkout) == (0, "nothing is in the way\n")
    for host in ("example.invalid", "example.com", "localhost", ""):
        shutil.copy(ROOT / "pyproject.toml", checkout)
        text = (checkout / "pyproject.toml").read_text().replace("https://example.invalid", f"https://{host}")
        (checkout / "pyproject.toml").write_text(text)
        code, said = tool("release_check", folder=checkout)
        assert code == 1
        assert said.count("is a placeholder: https://") == len(PROJECT["urls"])


def test_a_release_has_its_tag_its_day_and_nothing_left_to_tell(checkout):
    assert tool("release_check", f"v{VERSION}", folder=checkout) == (0, "nothing is in the way\n")
    (checkout / "changes/nvs.fixed.md").write_text("Something.\n")
    (checkout / "CHANGELOG.md").write_text(f"# Changelog\n\n## {VERSION} - unreleased\n")
    code, said = tool("release_check", "v9.9.9", folder=checkout)
    assert code == 1
    assert said.splitlines() == [
        f"CHANGELOG.md: {VERSION} has no section with its day: make changelog VERSION={VERSION}",
        f"changes/: nvs.fixed.md is not folded yet, of 1: make changelog VERSION={VERSION}",
        f"the tag is v9.9.9, and Cargo.toml has version {VERSION}",
    ]


# ---------------------------------------------------------------------------------------------------- README, elsewhere


def test_a_registry_gets_a_readme_without_relative_links(checkout):
    assert tool("published_readme", folder=checkout) == (0, "")
    before, after = ((folder / "README.md").read_text() for folder in (ROOT, checkout))
    base = f"https://git.lamps.dev/lamps/py_esp_ota/blob/v{VERSION}"
    assert f"]({base}/docs/fidelity.md)" in after
    assert f"]({base.replace('blob', 'raw')}/docs/sweep.png)" in after
    assert not [link for link in re.findall(r"\]\(([^)]+)\)", after) if "://" not in link]
    assert (
        re.sub(rf"{re.escape(base[: -len(f'blob/v{VERSION}')])}(blob|raw)/v{re.escape(VERSION)}/", "", after) == before
    )


def test_nobody_gets_a_readme_with_the_placeholders_links(checkout):
    shutil.copy(ROOT / "pyproject.toml", checkout)
    code, said = tool("published_readme", folder=checkout)
    assert code == 1
    assert "placeholder" in said
    assert (checkout / "README.md").read_text() == (ROOT / "README.md").read_text()


# ----------------------------------------------------------------------------------------------------------- changelog


def today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"  # asked when it is wanted: a run of all tests may see midnight


def test_fragments_become_a_section_and_later_ones_join_it(checkout):
    (checkout / "changes/nvs.fixed.md").write_text("NVS is\nright.\n")
    (checkout / "changes/verbs.added.md").write_text("A verb.\n")
    assert tool("changelog", "9.0.0", folder=checkout)[0] == 0
    first = "# Changelog\n\nWords.\n\n## 9.0.0 - {}\n\n### Added\n\n- A verb.\n{}\n### Fixed\n\n- NVS is right.\n"
    old = f"\n## {VERSION} - 2026-01-02\n\nThe first.\n"
    assert (checkout / "CHANGELOG.md").read_text() == first.format(today(), "") + old
    assert [file.name for file in (checkout / "changes").iterdir()] == ["README.md"]
    (checkout / "changes/more.added.md").write_text("Another.\n")
    assert tool("changelog", "9.0.0", folder=checkout)[0] == 0
    assert (checkout / "CHANGELOG.md").read_text() == first.format(today(), "- Another.\n") + old


def test_a_section_that_was_edited_keeps_its_words(checkout):
    (checkout / "changes/verbs.added.md").write_text("A verb.\n")
    assert tool("changelog", VERSION, folder=checkout)[0] == 0
    text = f"# Changelog\n\nWords.\n\n## {VERSION} - {today()}\n\nThe first.\n\n### Added\n\n- A verb.\n"
    assert (checkout / "CHANGELOG.md").read_text() == text
    assert tool("changelog", VERSION, folder=checkout)[0] == 0
    assert (checkout / "CHANGELOG.md").read_text() == text


@pytest.mark.parametrize(
    ("name", "text", "version", "said"),
    [
        ("nvs.broken.md", "x", "9.0.0", "nvs.broken.md: expected <slug>.<added|changed|fixed|removed>.md"),
        ("nvs.fixed.md", " \n", "9.0.0", "nvs.fixed.md is empty"),
        ("nvs.fixed.md", "x", "nine", "'nine' is no version: expected X.Y.Z"),
        ("nvs.fixed.md", "x", "", "'' is no version: expected X.Y.Z"),
    ],
)
def test_what_cannot_be_folded_is_left_as_it_is(checkout, name, text, version, said):
    (checkout / "changes" / name).write_text(text)
    before = (checkout / "CHANGELOG.md").read_text()
    code, line = tool("changelog", version, folder=checkout)
    assert code == 2
    assert line.endswith(said + "\n")
    assert line.count("\n") == 1
    assert (checkout / "CHANGELOG.md").read_text() == before
    assert (checkout / "changes" / name).exists()


def test_every_fragment_has_a_name_that_can_be_folded():
    for file in (ROOT / "changes").glob("*"):
        assert file.name == "README.md" or re.fullmatch(r"[a-z0-9-]+\.(added|changed|fixed|removed)\.md", file.name)


# ------------------------------------------------------------------------------------------------------------- workflow

WORKFLOW = ROOT / ".github/workflows/wheels.yml"


def test_the_workflow_is_one():
    schema = [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*schema, WORKFLOW], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_workflow_gives_nobody_more_than_he_needs():
    audit = [Path(sys.executable).with_name("zizmor"), "--offline", "--no-progress", "--config", ".github/zizmor.yml"]
    done = subprocess.run([*audit, WORKFLOW], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_workflow_builds_for_every_platform_and_asks_before_it_publishes():
    text = WORKFLOW.read_text()
    targets = re.findall(r"target: ([\w-]+)(?:, manylinux: \"?(\w+)\"?)?", text)
    assert sorted(targets) == [
        ("aarch64", "2_28"),
        ("aarch64", "musllinux_1_2"),
        ("aarch64-apple-darwin", ""),
        ("x86_64", "2_28"),
        ("x86_64", "musllinux_1_2"),
        ("x86_64-apple-darwin", ""),
        ("x86_64-pc-windows-msvc", ""),
    ]
    commands = ["tools/release_check.py", "tools/published_readme.py", "check --strict dist/*"]
    actions = ["actions/attest@", "sbom-path: ", "gh-action-pypi-publish@"]
    assert all(word in text for word in commands + actions)


# ------------------------------------------------------------------------------------------------------------- licences


def test_the_notice_names_every_crate_whose_licence_must_go_along():
    tree = [
        "cargo",
        "tree",
        "--offline",
        "--locked",
        "-p",
        "py-esp-ota",
        "-e",
        "normal,no-proc-macro",
        "--target",
        "all",
    ]
    if shutil.which("cargo") is None:
        pytest.skip("cargo is not installed")
    form = ["--prefix", "none", "--no-dedupe", "-f", "{p}|{l}"]
    shown = subprocess.run([*tree, *form], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    crates = {line.split(" v")[0]: re.split(r"\s+OR\s+|/", line.split("|")[1]) for line in shown.splitlines()}
    assert len(crates) > 40
    bound = {name: licences for name, licences in crates.items() if "Apache-2.0" not in licences}
    noted = dict(
        re.findall(r"^([\w-]+): ([\w.-]+), licences/\1\.LICENSE$", (ROOT / "NOTICE").read_text(), re.MULTILINE)
    )
    assert {name: [licence] for name, licence in noted.items()} == bound
    assert {file.stem for file in (ROOT / "licences").iterdir()} == set(bound)


def test_every_package_that_is_not_permissive_is_noted():
    notice = (ROOT / "NOTICE").read_text()
    assert re.search(r"^\[silicon\] unicorn: .*GPL-2\.0", notice, re.MULTILINE)
    assert [extra for extra, needs in PROJECT["optional-dependencies"].items() if "unicorn" in " ".join(needs)] == [
        "silicon"
    ]
    for name in sorted(
        {re.split(r"[\[>]", need)[0] for needs in PROJECT["optional-dependencies"].values() for need in needs}
        - {"py_esp_ota"}
    ):
        licence = _licence(name)
        assert re.search(r"MIT|BSD|Apache|Public", licence) or f"] {name}: {licence}" in notice, (name, licence)


def _licence(name):
    about = metadata.metadata(name)
    classifiers = [text for text in about.get_all("Classifier", []) if text.startswith("License ::")]
    return str(about["License-Expression"] or about["License"] or classifiers)


def test_the_fuzz_targets_run_the_crates_that_are_released():
    released, fuzzed = (
        {(crate["name"], crate["version"]) for crate in tomllib.loads((folder / "Cargo.lock").read_text())["package"]}
        for folder in (ROOT, ROOT / "rust/fuzz")
    )
    names = {name for name, _ in released}
    assert {(name, version) for name, version in fuzzed if name in names} <= released
