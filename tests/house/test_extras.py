"""Every door says which extra it needs; what needs none works without any."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from py_esp_ota._core import PartitionTable
from py_esp_ota.chip import Chip
from py_esp_ota.cli import _VERBS, main
from py_esp_ota.cli.roms import rom_of
from py_esp_ota.firmware import bootloader, merge

EXTRAS = {
    "cloud": [
        "fastapi",
        "uvicorn",
        "httptools",
        "h11",
        "sqlalchemy",
        "alembic",
        "jinja2",
        "cryptography",
        "jwt",
        "httpx2",
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
        (
            "from py_esp_ota.silicon import Machine; Machine(engine='unicorn')",
            "the engine unicorn",
            "unicorn",
            "silicon",
        ),
        (
            "from py_esp_ota.apps import MachineCode; MachineCode(elfs=[b''])",
            "a linked program",
            "elftools",
            "silicon",
        ),
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


def test_the_base_install_runs_machine_code():
    program = """
from py_esp_ota.chip import Chip
from py_esp_ota.firmware import image
from py_esp_ota.silicon import Machine, Session
chip = Chip("esp32c3")
chip.flash.program(0, image([(0x403CC000, bytes.fromhex("730000006f000000"))], entry_addr=0x403CC000))
print(Machine("esp32c3").run(chip).trap)
"""
    done = base_install(program)
    assert done.stdout == "environment call at pc 0x403cc000, ra 0x00000000\n", done.stderr


def test_the_base_install_runs_on_a_real_rom():
    """An Xtensa chip has no other."""
    if rom_of("auto", Chip("esp32")) is None:
        pytest.skip("the ROM cannot be had here")
    program = """
from py_esp_ota.chip import Chip
from py_esp_ota.cli.roms import rom_of
from py_esp_ota.silicon import Machine
print(Machine("esp32", rom=rom_of("auto", Chip("esp32"))).run(Chip("esp32")).outcome)
"""
    done = base_install(program)
    assert (done.stdout, done.stderr) == ("RESET\n", "")


CALL = "import sys; sys.argv[0] = 'esp-ota'; from py_esp_ota.cli import main; main({!r})"


def leaves(command, words=()):
    """Every verb, with its sub-verbs."""
    yield words
    if isinstance(command, click.Group):
        for name in _VERBS if command is main else command.commands:
            yield from leaves(command.get_command(click.Context(command), name), (*words, name))


def test_every_verb_helps_in_a_base_install():
    """One process for all: what one verb imports must not be what another lacks, so none may import any extra."""
    calls = [[*words, "--help"] for words in leaves(main)]
    program = f"""
from py_esp_ota.cli import main
for words in {calls!r}:
    try:
        main(words)
    except SystemExit as ended:
        assert ended.code == 0, words
"""
    done = base_install(program)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("Usage: ") == len(calls)


@pytest.mark.parametrize(
    ("words", "what", "module", "extra"),
    [
        (["demo"], "demo", "httpx2", "cloud"),
        (["serve"], "serve", "sqlalchemy", "cloud"),
        (["cloud", "login", "--url", "https://x", "--user", "x"], "cloud", "httpx2", "cloud"),
        (["elf2image", "x", "-o", "y"], "elf2image", "elftools", "silicon"),
        (["run", "flash", "--rom", "none", "--engine", "unicorn"], "the engine unicorn", "unicorn", "silicon"),
        (["boot", "flash", "--silicon", "--engine", "unicorn"], "the engine unicorn", "unicorn", "silicon"),
        (["sign", "key", "--generate-key", "ecdsa256"], "sign", "cryptography", "sign"),
    ],
)
def test_a_verb_that_needs_an_extra_names_it(words, what, module, extra, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ESP_OTA_PASSWORD", "x")
    (tmp_path / "flash").write_bytes(merge({0: bootloader(), 0x8000: PartitionTable.builtin("two_ota").to_bytes()}))
    done = base_install(CALL.format(words))
    sentence = f"{what} needs {module}, which comes with an extra: pip install 'py_esp_ota[{extra}]'"
    assert (done.returncode, done.stderr) == (2, f"Error: {sentence}\n")
