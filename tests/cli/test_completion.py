"""Completion in a shell: verbs, options, and the values that a call means so far."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from py_esp_ota._core import PartitionTable, Target
from py_esp_ota.cli import _VERBS, main
from py_esp_ota.firmware import Firmware, bootloader, merge
from py_esp_ota.sweep import STORIES

PAGE = Path(__file__).parents[2] / "docs/reference/shell-completion.md"


@pytest.fixture(autouse=True)
def room(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app = Firmware("lamp", "1").to_bytes()
    table = PartitionTable.builtin("two_ota").to_bytes()
    Path("flash").write_bytes(merge({0: bootloader(), 0x8000: table, 0x10000: app}))
    Path("noise").write_bytes(bytes(range(256)))


def completed(*words: str) -> list[str]:
    *before, last = words
    found = BashComplete(main, {}, "esp-ota", "_ESP_OTA_COMPLETE").get_completions(before, last)
    return [f"<{item.type}>" if item.type != "plain" else item.value for item in found]


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (("",), list(_VERBS)),
        (("me",), ["merge-bin"]),
        (("--ch",), ["--chip"]),
        (("--chip", "esp32c"), [chip for chip in Target.names() if chip.startswith("esp32c")]),
        (("boot", "flash", "--chip", "ESP32S"), ["esp32s2", "esp32s3", "esp32s31"]),
        (("boot", "--chip", "a"), ["auto"]),
        (("efuse", "new", "f", "-c", "a"), []),
        (("efuse", ""), ["burn", "new", "show"]),
        (("boot", "fl"), ["<file>"]),
        (("merge-bin", "0x0", "fl"), ["<file>"]),
        (("image-info", "flash", "fl"), ["<file>"]),
        (("write-flash", "flash", "0x0", ""), ["<file>"]),
        (("merge-bin", "--format", ""), ["raw", "uf2", "hex"]),
        (("read-flash", "flash", "-n", ""), ["nvs", "otadata", "phy_init", "factory", "ota_0", "ota_1"]),
        (("read-flash", "flash", "-n", "ota"), ["otadata", "ota_0", "ota_1"]),
        (("erase-partition", "flash", "-n", "ph"), ["phy_init"]),
        (("nvs", "list", "flash", "--partition", ""), ["nvs"]),
        (("otadata", "switch", "flash", "--name", ""), ["factory", "ota_0", "ota_1"]),
        (("otadata", "set", "flash", "--name", "ota_1"), ["ota_1"]),
        (("read-flash", "-n", ""), []),
        (("read-flash", "noise", "-n", ""), []),
        (("read-flash", "gone", "-n", ""), []),
        (("sweep", "old", "new", "--story", "first"), [story for story in STORIES if story.startswith("first")]),
        (("sweep", "old", "new", "--partitions", "two_ota_l"), ["two_ota_large"]),
        (("sweep", "old", "new", "--on", ""), ["here", "ray"]),
        (("sweep", "old", "new", "--partitions", "./my"), ["<file>"]),
        (("node", "flash", "--until", ""), ["connected", "update", "idle"]),
        (("node", "new", "--partitions", "two_ota_l"), ["two_ota_large"]),
        (
            ("cloud", ""),
            [
                *["audit", "groups", "images", "jobs", "login", "logout", "node-cert", "nodes", "rehearse"],
                "webhooks",
            ],
        ),
        (
            ("cloud", "jobs", ""),
            [
                *["archive", "cancel", "delete", "export", "list", "pause", "preview", "resume", "retry", "start"],
                *["status", "unarchive"],
            ],
        ),
        (("cloud", "images", "a"), ["archive"]),
        (("cloud", "images", "upload", "fl"), ["<file>"]),
        (("cloud", "jobs", "status", "--w"), ["--watch", "--within"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_completed(words, values):
    found = completed(*words)
    assert sorted(found) == sorted(values)


def test_the_list_of_verbs_imports_none_of_them():
    code = (
        "import sys\n"
        "from click.shell_completion import BashComplete\n"
        "from py_esp_ota.cli import main\n"
        "assert BashComplete(main, {}, 'esp-ota', 'X').get_completions([], '')\n"
        "print([name for name in sys.modules if name in {'fastapi', 'unicorn', 'py_esp_ota.cli.boot'}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


LINES = dict(re.findall(r"^```(bash|zsh|fish)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE))
#: How to ask a shell what it would complete for ``esp-ota sw``.
ASK = {
    "bash": "COMP_WORDS=(esp-ota sw); COMP_CWORD=1; _esp_ota_completion esp-ota; echo ${COMPREPLY[@]}",
    "zsh": "typeset -f _esp_ota_completion >/dev/null && echo sweep",
    "fish": "complete -C 'esp-ota sw'",
}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_line_on_the_page_switches_it_on(shell):
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    if shutil.which(shell) is None:
        source = subprocess.run(
            ["esp-ota"], env={**env, "_ESP_OTA_COMPLETE": f"{shell}_source"}, capture_output=True, text=True, check=True
        )
        assert "_esp_ota_completion" in source.stdout
        assert f"_ESP_OTA_COMPLETE={shell}_source esp-ota" in LINES[shell]
        return
    prelude = "autoload -Uz compinit && compinit -D\n" if shell == "zsh" else ""
    script = f"{prelude}{LINES[shell]}\n{ASK[shell]}"
    done = subprocess.run([shell, "-c", script], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.split()[:1] == ["sweep"], done.stderr


@pytest.mark.parametrize(("shell", "said"), [("zsh", "plain\nsweep\n"), ("fish", "plain,sweep\t")])
def test_the_other_shells_get_verbs_with_what_they_do(shell, said):
    env = {**os.environ, "_ESP_OTA_COMPLETE": f"{shell}_complete", "COMP_WORDS": "esp-ota sw", "COMP_CWORD": "1"}
    if shell == "fish":
        env["COMP_CWORD"] = "sw"
    esp_ota = Path(sys.executable).parent / "esp-ota"
    done = subprocess.run([esp_ota], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(said)
    assert _VERBS["sweep"] in done.stdout
