"""Every door says which extra it needs; what needs none works without any."""

from __future__ import annotations

import subprocess
import sys

import pytest

EXTRAS = {
    "cloud": [
        "fastapi",
        "uvicorn",
        "sqlalchemy",
        "jinja2",
        "cryptography",
        "jwt",
        "httpx2",
        "aiomqtt",
        "paho",
        "amqtt",
    ],
    "sign": ["cryptography"],
    "silicon": ["unicorn", "elftools"],
    "test": ["hypothesis"],
}


def base_install(program):
    """What a new Python without any extra says to ``program``."""
    blocked = {name: None for names in EXTRAS.values() for name in names}
    text = f"import sys; sys.modules.update({blocked!r})\n{program}"
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("program", "what", "module", "extra"),
    [
        ("from py_esp_ota import Lab", "a lab", "httpx2", "cloud"),
        ("import py_esp_ota.lab", "a lab", "httpx2", "cloud"),
        ("import py_esp_ota.signing", "a signature", "cryptography", "sign"),
        ("import py_esp_ota.strategies", "py_esp_ota.strategies", "hypothesis", "test"),
        ("import py_esp_ota.elf", "a linked program", "elftools", "silicon"),
        ("from py_esp_ota.silicon import Machine", "machine code", "unicorn", "silicon"),
        ("from py_esp_ota.silicon import Session", "machine code", "unicorn", "silicon"),
        ("from py_esp_ota.apps import MachineCode; MachineCode()", "an app as machine code", "unicorn", "silicon"),
    ],
)
def test_who_needs_an_extra_names_it(program, what, module, extra):
    said = base_install(program).stderr.splitlines()
    sentence = f"{what} needs {module}, which comes with an extra: pip install 'py_esp_ota[{extra}]'"
    assert said[-1] == f"ModuleNotFoundError: {sentence}"
    assert "During handling" not in "\n".join(said)


def test_the_base_install_boots_updates_and_sweeps():
    program = """
from py_esp_ota import Device, Firmware, inspect_image
from py_esp_ota.sweep import STORIES, Scene, sweep
old, new = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))
lamp = Device("two_ota", firmware=old)
lamp.power_on()
print(inspect_image(new).app_desc.version, lamp, sweep(STORIES["first-ota"], Scene(old, new)).ok)
"""
    done = base_install(program)
    assert done.stdout == "1.1.0 <Device 'node': esp32c3, 4 MiB, runs lamp 1.0.0 from factory> True\n", done.stderr
