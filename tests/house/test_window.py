"""``import py_esp_ota`` shows a short, sorted list, and costs nothing."""

from __future__ import annotations

import subprocess
import sys

import py_esp_ota


def test_the_window_is_short_and_sorted():
    assert py_esp_ota.__all__ == sorted(py_esp_ota.__all__)
    assert len(py_esp_ota.__all__) <= 25
    assert dir(py_esp_ota) == py_esp_ota.__all__


def test_every_name_in_the_window_exists():
    for name in py_esp_ota.__all__:
        assert getattr(py_esp_ota, name).__name__ == name


def test_the_import_is_lazy():
    program = "import sys, py_esp_ota; print(sorted(m for m in sys.modules if m.startswith('py_esp_ota')))"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "['py_esp_ota']"


def test_looking_at_an_image_imports_neither_the_cloud_nor_rich():
    program = (
        "import sys; from py_esp_ota.cli import image_info; "
        "print([m for m in sys.modules if m in {'rich', 'fastapi', 'asyncio'}])"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"
