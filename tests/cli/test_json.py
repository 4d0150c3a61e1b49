"""docs/reference/json.md describes what the verbs print: every key of theirs, and no other."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from own_firmware import program

from py_esp_ota import firmware, signing
from py_esp_ota._core import PartitionTable
from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.cli import _PLACES, _VERBS, main
from py_esp_ota.firmware import Firmware, bootloader, merge

PAGE = (Path(__file__).parents[2] / "docs/reference/json.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)$\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
APP = Firmware("lamp", "1.0.0").to_bytes()
CONSOLE = """[I][safe_mode:041]: Boot seems successful; resetting boot loop counter
rst:0x3 (RTC_SW_SYS_RST),boot:0x8 (SPI_FAST_FLASH_BOOT)
I (60) boot.esp32c3: SPI Flash Size : 4MB
I (70) boot:  0 factory          factory app      00 00 00010000 00100000
I (80) boot: Loaded app from partition at offset 0x10000
"""
#: Their keys are words of the field.
OPEN = {"namespaces", "values", "resets", "lands", "marks", "reached_by", "as_the_chip"}
#: Keys of rows that no call below has: a fault, a damaged value.
SELDOM = {
    "nvs": {"error"},
    "image-info": {"error", "message", "exit_code"},
    "boot": {"kind", "address", "length"},
    "run": {"reason", "number"},
}
CALLS = {
    "image-info": ["app", "flash", "loader", "broken", "bad", "app bad"],
    "partition-table": ["flash"],
    "boot": ["flash", "flash --times 2", "updated --config rollback", "flash --silicon --compare"],
    "preflight": ["flash next", "flash bad", "updated next --no-rollback", "flash next --profile arduino"],
    "migrate": ["flash --table grown", "flash --table added", "flash --table grown --bootloader other"],
    "run": ["flash --timeout 0.01"],
    "explain": ["console --reproduce"],
    "otadata": ["read flash", "switch flash --slot 1", "set flash --slot 1 --state new", "erase flash"],
    "elf2image": ["program -o out"],
    "fleet": ["fleet.toml"],
    "fuzz-corpus": ["corpus --count 3"],
    "hunt": ["--seeds 20 --mutant erases-the-wrong-slot"],
    "merge-bin": ["-o out 0x0 app"],
    "split": ["flash -o parts"],
    "read-flash": ["flash 0 16 out"],
    "write-flash": ["flash 0x9000 app"],
    "erase-region": ["flash 0x9000 4k"],
    "verify-flash": ["flash 0x10000 app"],
    "efuse": ["new fuses --chip esp32c3", "show fuses", "burn fuses --secure-version 1"],
    "sign": [
        "key --generate-key ecdsa256",
        "app --key key -o signed",
        "signed --verify",
        "bad --verify",
        "app --verify",
    ],
    "nvs": ["set flash ns key u8 5", "list flash", "get flash ns key", "stats flash", "erase flash ns"],
    "erase-flash": ["flash"],
    "evidence": ["verify pack"],
    "samples": ["."],
    "provision": ["n1 --mqtt-host cloud.lan -o fctry"],
    "cloud": ["node-cert n1"],
    "teach": ["app next -o page.html --story reject"],
    "sweep": [
        "app next",
        "app next --story same-slot --cut 1 --flash-timing W25Q32JV",
        "app next --replay cut@1",
        "app next --export cut@1 -o cut",
        "--profile wled",
    ],
    "profiles": ["", "wled"],
}

FLEET = """
devices = 2
job = { version = "2" }
[[kind]]
name = "lamp"
weather = { self_test_fails = 0.5 }
"""


def section(verb):
    return next(text for title, text in SECTIONS.items() if re.search(rf"esp-ota {verb}\b", title))


def keys_of(value):
    if isinstance(value, list):
        return set().union(*map(keys_of, value))
    if isinstance(value, dict):
        inner = {name: child for name, child in value.items() if name not in OPEN}
        return set(value).union(*map(keys_of, inner.values()))
    return set()


def _damaged(signed: bytes) -> bytes:
    data = bytearray(signed)
    data[-0x1000 + 100] ^= 1  # inside the first signature block
    return bytes(data)


@pytest.mark.parametrize("verb", CALLS)
def test_the_page_says_every_key_and_no_other(verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    otadata = firmware.ota_select_entry(1, 2).ljust(0x1000, b"\xff")
    table = PartitionTable.builtin("two_ota").to_bytes()
    LocalCa(Path(".esp-ota"))
    Path("app").write_bytes(APP)
    Path("next").write_bytes(Firmware("lamp", "1.1.0").to_bytes())
    Path("broken").write_bytes(APP[:-1] + b"\0")
    Path("loader").write_bytes(bootloader())
    Path("flash").write_bytes(merge({0: bootloader(), 0x8000: table, 0xD000: otadata, 0x10000: APP, 0x110000: APP}))
    updated = Path("flash").read_bytes().replace(otadata, firmware.ota_select_entry(1, 0).ljust(0x1000, b"\xff"))
    Path("updated").write_bytes(updated)
    Path("rollback").write_text("CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE=y\n")
    rows = PartitionTable.builtin("two_ota").to_csv()
    Path("grown").write_text(rows.replace("0x210000,1M", "0x210000,1984K"))
    Path("added").write_text(f"{rows}more,data,nvs,0x310000,64K\n")
    Path("other").write_bytes(bootloader(idf_ver="v6.0"))
    Path("program").write_bytes(program((0x40380000, bytes(8))))
    Path("bad").write_bytes(_damaged(signing.sign(APP, signing.generate_key("ecdsa256"))))
    Path("console").write_text(CONSOLE)
    Path("fleet.toml").write_text(FLEET)
    Path("pack").mkdir()
    Path("pack", "MANIFEST").write_text(f"{'0' * 64}  report.html\n")
    printed: set[str] = set()
    for words in CALLS[verb]:
        done = CliRunner().invoke(main, [verb, *words.split(), "--json"])
        assert done.exit_code in {0, 1}, done.output
        printed |= keys_of(json.loads(done.stdout))
    text = "".join(re.findall(r"```text\n(.*?)```", section(verb), re.DOTALL))
    quoted = set(re.findall(r'"(\w+)"', text))
    assert printed <= quoted
    assert set(re.findall(r'"(\w+)":', text)) - SELDOM.get(verb, set()) <= printed


def test_every_verb_that_prints_json_is_on_the_page():
    described = {word for title in SECTIONS for word in re.findall(r"esp-ota ([\w-]+)", title)}
    assert described == set(_VERBS) - {"serve"}
    assert set(CALLS) == described - {"demo", "node"}  # node prints lines: tests/cli/test_node_verb.py
    assert set(_PLACES) <= described | set(re.findall(r"`(?:esp-ota )?([\w-]+)[^`]*`", PAGE))
