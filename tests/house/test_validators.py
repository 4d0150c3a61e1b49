"""The validators of examples/validators: compiled, and held against a corpus, which finds what they forget."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from py_esp_ota.cli import main

FOLDER = Path(__file__).parents[2] / "examples/validators"
KNOWN = ("magic", "segment_count", "data_len", "truncated", "checksum")
FORGOTTEN = {"chip_id", "short_desc", "one_word", "app_desc", "congruence", "hash"}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """A folder with two: all faults, and those that the validators know."""
    folder = tmp_path_factory.mktemp("corpora")
    known = [word for kind in KNOWN for word in ("--fault", kind)]
    for name, options in (("all", []), ("known", known)):
        words = ["fuzz-corpus", str(folder / name), "--count", "200", *options]
        assert CliRunner().invoke(main, words).exit_code == 0
    return folder


def in_c(folder: Path):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    program = folder / "validate"
    flags = ["-O1", "-g", "-Wall", "-Wextra", "-Werror", "-std=c11", "-fsanitize=address,undefined"]
    call = [compiler, *flags, "-o", str(program), str(FOLDER / "c/validate.c")]
    if subprocess.run(call, capture_output=True, check=False).returncode:  # a compiler without sanitizers
        call.remove("-fsanitize=address,undefined")
        subprocess.run(call, check=True)
    fuzzed = [compiler, "-Wall", "-Wextra", "-Werror", "-DFUZZING", "-c", "-o", str(folder / "o"), call[-1]]
    subprocess.run(fuzzed, check=True)
    return lambda corpus: [program, *sorted(corpus.glob("valid/*")), *sorted(corpus.glob("corrupted/*"))]


def in_rust(folder: Path):
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("no cargo")
    crate = folder / "crate"
    shutil.copytree(FOLDER / "rust", crate)
    call = [cargo, "build", "--quiet", "--offline", "--locked"]
    env = {**os.environ, "CARGO_TARGET_DIR": str(folder / "target"), "RUSTFLAGS": "-Dwarnings"}
    subprocess.run(call, cwd=crate, env=env, check=True)
    return lambda corpus: [folder / "target/debug/validate", corpus]


@pytest.mark.parametrize("language", [in_c, in_rust])
def test_a_validator_is_held_against_a_corpus(language, corpora, tmp_path):
    call = language(tmp_path)
    done = subprocess.run(call(corpora / "known"), capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("400 of 400 files are judged as a chip would\n", "")
    assert done.returncode == 0
    done = subprocess.run(call(corpora / "all"), capture_output=True, text=True, check=False)
    *found, told = done.stdout.splitlines()
    kinds = [re.fullmatch(r"accepted .*corrupted/([a-z_]+)-.*\.bin", line)[1] for line in found]
    assert set(kinds) == FORGOTTEN
    assert told == f"{400 - len(found)} of 400 files are judged as a chip would"
    assert done.returncode == 1
