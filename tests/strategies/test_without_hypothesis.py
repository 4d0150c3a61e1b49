"""The strategies say which extra they need, and nothing else of the package needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

SENTENCE = "py_esp_ota.strategies needs hypothesis, which comes with an extra: pip install 'py_esp_ota[test]'"


def program(text):
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)


def test_without_hypothesis_a_sentence_names_the_extra():
    done = program("import sys; sys.modules['hypothesis'] = None; import py_esp_ota.strategies")
    assert done.stderr.splitlines()[-1] == f"ModuleNotFoundError: {SENTENCE}"


def test_signed_images_alone_need_cryptography():
    # A new Python, where `sys.modules` says that the package is not installed.
    done = program(
        "import sys; sys.modules['cryptography'] = None\n"
        "from hypothesis import find, settings\n"
        "from py_esp_ota.strategies import images\n"
        "print(len(find(images(signed=False), lambda _: True, settings=settings(database=None))))"
    )
    assert (done.stdout, done.stderr) == ("336\n", "")


@pytest.mark.parametrize("module", ["py_esp_ota", "py_esp_ota.device", "py_esp_ota.sweep", "py_esp_ota.cli"])
def test_nothing_else_imports_hypothesis(module):
    done = program(f"import sys, {module}; print('hypothesis' in sys.modules)")
    assert done.stdout == "False\n", done.stderr
