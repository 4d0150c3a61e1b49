"""``import py_esp_ota`` shows a short, sorted list, and costs nothing."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import py_esp_ota
from py_esp_ota.firmware import Firmware


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


def test_the_lab_comes_without_what_only_an_open_one_needs():
    program = "import sys; from py_esp_ota import Lab; print(*sys.modules)"
    found = set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )
    assert "py_esp_ota.lab" in found
    assert not found & {"httpx2", "fastapi", "pydantic", "sqlalchemy"}


def test_the_version_is_asked_of_the_installed_package():
    program = "import sys, py_esp_ota; print('importlib.metadata' in sys.modules, py_esp_ota.__version__)"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert output.split() == ["False", metadata.version("py_esp_ota")]


def imported_by(*words):
    """The modules that ``esp-ota`` imports for these words."""
    program = (
        "import sys; from py_esp_ota.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program, *map(str, words)], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_looking_at_an_image_imports_next_to_nothing(tmp_path):
    file = tmp_path / "app.bin"
    file.write_bytes(Firmware("lamp", "1.0.0").to_bytes())
    started = set(subprocess.check_output([sys.executable, "-c", "import sys; print(*sys.modules)"], text=True).split())
    ours = {name for name in imported_by("image-info", file) - started if name.startswith("py_esp_ota")}
    assert ours == {
        *("py_esp_ota", "py_esp_ota.__main__", "py_esp_ota._core"),
        *("py_esp_ota.cli", "py_esp_ota.cli.image_report", "py_esp_ota.cli.quick", "py_esp_ota.cli.quick_files"),
    }
    assert len(imported_by("image-info", file) - started - ours) <= 2
    assert "json.encoder" in imported_by("image-info", file, "--json")
    assert "click" not in imported_by("image-info", file, "--json")


def test_the_parser_imports_neither_the_cloud_nor_rich(tmp_path):
    file = tmp_path / "app.bin"
    file.write_bytes(Firmware("lamp", "1.0.0").to_bytes())
    found = imported_by("image-info", file, "--chip", "esp32c3")
    assert "click" in found
    assert not found & {"rich", "fastapi", "asyncio", "tempfile", "json", "dataclasses", "importlib.metadata"}


def test_the_garbage_collector_does_not_look_through_what_is_imported():
    program = (
        "import atexit, gc\n"
        "atexit.register(lambda: print(len(gc.get_objects()) < gc.get_freeze_count()))\n"
        "from py_esp_ota.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "True"
