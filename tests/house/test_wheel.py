"""What a user installs: the wheel and the sdist, built here, in a Python that has never heard of the repository."""

from __future__ import annotations

import os
import re
import shutil
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from venvs import BIN, ROOT, run

from py_esp_ota.cli import _VERBS
from py_esp_ota.firmware import Firmware

VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]

pytestmark = [
    pytest.mark.package,
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo is not installed"),
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="an sdist is made of what git tracks"),
]

# ------------------------------------------------------------------------------------------------------------- contents


def indexed(*options):
    """What git knows under the repository."""
    listed = run(["git", "ls-files", "-z", *options], cwd=ROOT).stdout
    return set(listed.split("\0")) - {""}


def tracked(*folders):
    """The files under git, and those that are new."""
    new = ("--others", "--exclude-standard")
    return {name for name in indexed("--cached", *new, *folders) if (ROOT / name).exists()}


def built():
    """The core as WebAssembly, where it could be built."""
    return {name for name in ("py_esp_ota/view/teach/core.wasm",) if (ROOT / name).exists()}


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    info = f"py_esp_ota-{VERSION}.dist-info"
    code = {name for name in names if not name.startswith(f"{info}/")}
    assert code == tracked("py_esp_ota", "_py_esp_ota_pytest.py") | {"py_esp_ota/_core.abi3.so"} | built()
    licences = {name.removeprefix(f"{info}/licenses/") for name in names if name.startswith(f"{info}/licenses/")}
    assert licences == {"LICENSE", "NOTICE", *tracked("licences"), *tracked("*/vendor/*.LICENSE")}
    assert {name for name in names if name.startswith(f"{info}/sboms/")} == {f"{info}/sboms/py-esp-ota.cyclonedx.json"}


def test_the_sdist_holds_all_that_is_tracked(sdist):
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    assert names == {name for name in indexed() if (ROOT / name).exists()} | {"PKG-INFO"} | built()
    assert {"tests/conftest.py", "docs/fidelity.md", "docs/sweep.png", "Cargo.lock", "NOTICE"} <= names


def test_a_registry_would_take_them(dist):
    assert "FAILED" not in run([BIN / "twine", "check", "--strict", *sorted(dist.iterdir())], cwd=dist).stdout


# --------------------------------------------------------------------------------------------------------- base install


def test_the_base_install_has_no_more_than_it_says(base):
    names = {line.partition("==")[0].lower() for line in base.pip("list", "--format", "freeze").splitlines()}
    assert names == {"click", "markdown-it-py", "mdurl", "py_esp_ota", "pygments", "rich", "tzdata"}


def test_the_base_install_works_alone(base):
    image = base.folder / "lamp.bin"
    image.write_bytes(Firmware("lamp", "1.0.0").to_bytes())
    assert base("esp-ota", "--version").stdout == f"esp-ota, version {VERSION}\n"
    assert "App version: 1.0.0" in base("esp-ota", "image-info", image).stdout
    place, version = base("python", "-c", "import py_esp_ota as p; print(p.__file__, p.__version__)").stdout.split()
    assert Path(place).is_relative_to(base.folder)
    assert version == VERSION


HELP = f"""
from click.testing import CliRunner
from py_esp_ota.cli import main
for verb in {list(_VERBS)!r}:
    done = CliRunner().invoke(main, [verb, "--help"])
    print(verb, done.exit_code, done.output.splitlines()[0])
"""


@pytest.mark.parametrize("install", ["base", "everything"])
def test_every_verb_shows_its_help(install, request):
    lines = request.getfixturevalue(install)("python", "-c", HELP).stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(_VERBS)
    for line in lines:
        _, code, first = line.split(maxsplit=2)
        assert (code, first.partition(" ")[0]) == ("0", "Usage:"), line


# ------------------------------------------------------------------------------------------------------ with the extras


BLOCKS = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)


def test_the_first_block_needs_only_what_the_readme_installs(everything):
    assert "$ pip install 'py_esp_ota[cloud]'" in (ROOT / "README.md").read_text()
    absent = dict.fromkeys(["_pytest", "elftools", "hypothesis", "pytest", "unicorn"])
    everything("python", "-c", f"import sys; sys.modules.update({absent!r})\n{BLOCKS[0]}")


def test_the_readme_runs_where_all_is_installed(everything):
    everything("python", "-c", "\n".join(BLOCKS))


def test_pytest_finds_the_plugin(everything):
    test = everything.folder / "test_lamp.py"
    test.write_text("def test_lamp(esp_device):\n    assert esp_device('two_ota', target='esp32c3')\n")
    assert "1 passed" in everything("python", "-m", "pytest", "-q", test).stdout


def test_the_repositorys_tests_pass_with_the_wheel(everything, tmp_path):
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__", "vectors"))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    few = [tmp_path / "tests" / name for name in ("core/test_otadata.py", "chip", "device/test_device.py")]
    done = everything("pytest", "-q", "-p", "no:cacheprovider", "-c", tmp_path / "pytest.ini", *few, check=False)
    assert done.returncode == 0, done.stdout


# ------------------------------------------------------------------------------------------------------------ the sdist


def test_a_wheel_comes_out_of_the_sdist(sdist, wheel, tmp_path):
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    for name in indexed("rust", "partitions", "*.lock"):
        assert (source / name).read_bytes() == (ROOT / name).read_bytes(), name
    # Cargo takes what it built of these files before: whether all of them are there is the question.
    build = [BIN / "maturin", "build", "--release", "--locked", "--offline", "--out", tmp_path / "dist"]
    run(build, cwd=source, env={**os.environ, "CARGO_TARGET_DIR": str(ROOT / "target")})
    (file,) = (tmp_path / "dist").glob("*.whl")
    assert file.name == wheel.name
    with zipfile.ZipFile(file) as made, zipfile.ZipFile(wheel) as known:
        assert set(made.namelist()) == set(known.namelist())
