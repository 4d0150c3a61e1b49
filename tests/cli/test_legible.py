r"""What a file says is shown, and commands no terminal: hostile texts through every verb.

``\x1b[2J`` clears a screen, U+009B begins the same in one character, U+202E turns what follows around.
"""

from __future__ import annotations

import ast
import json
import os
import pty
import select
import struct
import subprocess
import sys
import unicodedata
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

import _py_esp_ota_pytest
import py_esp_ota
from py_esp_ota import firmware
from py_esp_ota._core import Flash, NvsPartition, Partition, PartitionTable
from py_esp_ota.cli import main
from py_esp_ota.cli.demo.show import Terminal as Audience
from py_esp_ota.cli.output import say
from py_esp_ota.cli.terminal import Terminal
from py_esp_ota.firmware import Firmware, app_desc, bootloader, image, layout_of, merge
from py_esp_ota.view.flash_map import flash_map
from py_esp_ota.view.monitor import job_monitor
from py_esp_ota.view.visible import uncoloured, visible

#: Each is harmful on a terminal, and all of them together fit a label's 16 bytes only in parts.
NASTY = (
    "\x1b[2J",
    "\x9b31m",
    "\u202egnp",
    "\x07",
    "\x7f",
    "\r",
    "\nFAKE",
    "\u2028",
    "\u2066x",
    "[red]x[/red]",
    "\x1b]0;t\x07",
)

THOROUGH = settings().max_examples > 100


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def legible(text: str) -> bool:
    return all(letter == "\n" or letter.isprintable() for letter in text)


def check(done, words):
    assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exception)
    assert done.exit_code in {0, 1, 2}, (words, done.output)
    for text in (done.stdout, done.stderr):
        assert "Traceback" not in text
        assert legible(text), (words, [letter for letter in text if not letter.isprintable() and letter != "\n"])


# ----------------------------------------------------------------------------------------------------- one function


@given(st.text())
def test_nothing_visible_is_left_that_does_not_print(text):
    shown = visible(text)
    assert not any(unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for letter in shown)
    assert shown == text or not text.isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("lamp 1.0.0 é ▶ 日本", "lamp 1.0.0 é ▶ 日本"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\x9b\x85\x7f\0", r"\x9b\x85\x7f\x00"),
        ("a\r\n\tb", r"a\r\n\tb"),
        ("\u202e\u2066\u200f\u2028\ufeff", r"\u202e\u2066\u200f\u2028\ufeff"),
        ("\udcff", r"\udcff"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_is_shown(text, shown):
    assert visible(text) == shown


def test_only_colours_are_left_out():
    assert uncoloured("\x1b[0;32mI (1) boot: \x1b[2Jx\x1b[0m") == "I (1) boot: \x1b[2Jx"


def test_a_line_is_one_line(capsys):
    say("name: a\nb", "next", err=True)
    assert capsys.readouterr().err == "name: a\\nb\nnext\n"


# ------------------------------------------------------------------------------------------------------- every verb


def cut(text: str, size: int) -> str:
    return text.encode("utf-8", "ignore")[:size].decode("utf-8", "ignore").replace("\0", "")


def app(texts) -> bytes:
    """An app whose descriptor says these texts: project, version, date, time, ESP-IDF."""
    names = dict(zip(("project_name", "version", "date", "time", "idf_ver"), texts, strict=False))
    sizes = {"date": 15, "time": 15}
    desc = app_desc(**{name: cut(text, sizes.get(name, 31)) for name, text in names.items()})
    layout = layout_of("esp32c3")
    return image([(layout.drom + firmware.DESC_OFFSET, desc), (layout.iram, bytes(64))], chip="esp32c3")


def nvs(texts) -> bytes:
    flash = Flash(1 << 20)
    partition = NvsPartition(flash, Partition("nvs", 1, 2, 0, 0x4000))
    for text in texts:
        name = cut(text, 15) or "x"
        partition.open(name, "readwrite").set(name, "str", cut(text, 60))
        partition.open(name, "readwrite").set("blob", "blob", text.encode("utf-8", "ignore"))
    return flash.read(0, 0x4000)


def table(labels) -> bytes:
    def row(kind, subtype, offset, size, label):
        return b"\xaa\x50" + struct.pack("<BBII16sI", kind, subtype, offset, size, cut(label, 16).encode(), 0)

    label = [*labels, *"abcdef"]
    rows = row(1, 2, 0x9000, 0x4000, label[0]) + row(1, 0, 0xD000, 0x2000, label[1])
    rows += row(0, 0x10, 0x10000, 0x10000, label[2]) + row(0, 0x11, 0x20000, 0x10000, label[3])
    return rows + row(1, 0x40, 0x30000, 0x1000, label[4])


def flash_of(texts, labels) -> bytes:
    said = [text for text in texts if cut(text, 15)] or ["x"]
    otadata = firmware.ota_select_entry(1, 2).ljust(0x1000, b"\xff") + firmware.ota_select_entry(2, 4).ljust(
        0x1000, b"\xff"
    )
    loader = bootloader(idf_ver=cut(texts[0], 31), date_time=cut(texts[-1], 23))
    parts = {0: loader, 0x8000: table(labels), 0x9000: nvs(said[:6]), 0xD000: otadata, 0x10000: app(texts)}
    return merge({**parts, 0x20000: app(texts[::-1]), 0x30000: b"data"})


FILES = ("flash", "app", "text", "build", "out", "parts")
#: Calls on the files that ``furnished`` makes.
CALLS = [
    ["boot", "flash"],
    ["boot", "flash", "--chip", "esp32c3", "--config", "text"],
    ["boot", "flash", "--efuse", "text"],
    ["boot", "flash", "--silicon"],
    ["boot", "build"],
    ["efuse", "show", "text"],
    ["elf2image", "text", "-o", "out"],
    ["image-info", "flash"],
    ["image-info", "app"],
    ["image-info", "app", "--json"],
    ["image-info", "app", "flash", "NASTY"],
    ["get-partition-info", "flash", "-t", "data", "--part-list", "--info", "name"],
    ["get-partition-info", "flash", "-n", "NASTY"],
    ["--chip", "NASTY", "image-info", "app"],
    ["nvs", "set", "flash", "app", "key", "str", "NASTY"],
    ["merge-bin", "build", "-o", "out"],
    ["nvs", "list", "flash"],
    ["nvs", "list", "flash", "--json"],
    ["nvs", "stats", "flash"],
    ["nvs", "list", "flash", "--partition", "NASTY"],
    ["nvs", "get", "flash", "NASTY", "NASTY"],
    ["nvs", "generate", "text", "0x3000", "out"],
    ["otadata", "read", "flash"],
    ["otadata", "switch", "flash", "--name", "NASTY"],
    ["partition-table", "flash"],
    ["partition-table", "flash", "--json"],
    ["partition-table", "text"],
    ["read-flash", "flash", "-n", "NASTY", "-o", "out"],
    ["sign", "app", "--verify"],
    ["sign", "app", "--key", "text", "-o", "out"],
    ["split", "flash", "-o", "parts"],
    ["verify-flash", "flash", "0", "app"],
    ["write-flash", "flash", "-n", "NASTY", "app"],
    ["NASTY"],
    ["boot", "NASTY"],
    ["boot", "--NASTY"],
    ["boot", "flash", "--chip", "NASTY"],
    ["image-info", "NASTY"],
    ["nvs", "NASTY"],
    ["nvs", "set", "flash", "NASTY", "NASTY", "u8", "NASTY"],
    ["write-flash", "flash", "NASTY", "app"],
    ["otadata", "read", "flash", "--NASTY=1"],
    ["sweep", "app", "app", "--weather", "NASTY"],
    ["sweep", "app", "app"],
    ["fleet", "NASTY"],
]


def furnished(folder: Path, texts, labels, nasty: str, text: str) -> dict[str, str]:
    """The files by the words that stand for them in ``CALLS``."""
    flash = flash_of(texts, labels)
    (folder / "flash").write_bytes(flash)
    (folder / "app").write_bytes(app(texts))
    (folder / "text").write_text(text, errors="ignore")
    (folder / "build").mkdir(exist_ok=True)
    listed = json.dumps({"flash_files": {"0x0": nasty, text: text}})
    (folder / "build" / "flasher_args.json").write_text(listed)
    return {name: str(folder / name) for name in FILES}


def filled(words, files, nasty):
    return [files.get(word, word.replace("NASTY", nasty)) for word in words]


#: Each call with some of the texts, and each text with some of the calls; with all: ``HYPOTHESIS_PROFILE=slow``.
PAIRS = [
    pytest.param(words, nasty, id=f"{' '.join(words)}-{nasty!a}")
    for row, words in enumerate(CALLS)
    for column, nasty in enumerate(NASTY)
    if THOROUGH or (row + column) % 3 == 0
]


@pytest.mark.parametrize(("words", "nasty"), PAIRS)
def test_no_verb_lets_a_text_of_a_file_command_the_terminal(tmp_path, words, nasty):
    texts = [nasty, nasty * 2, nasty, nasty, nasty * 3]
    files = furnished(tmp_path, texts, texts, nasty, f"{nasty},data,nvs,0x9000,16K\nx,{nasty},{nasty}")
    called = filled(words, files, nasty)
    check(run(*called), called)


TEXTS = st.lists(st.sampled_from(NASTY) | st.text(max_size=40), min_size=5, max_size=8)


@given(
    TEXTS,
    TEXTS,
    st.sampled_from(NASTY) | st.text(max_size=20),
    st.text(max_size=200),
    st.randoms(use_true_random=False),
)
def test_random_files_end_in_no_traceback_and_no_raw_character(tmp_path_factory, texts, labels, nasty, text, random):
    folder = tmp_path_factory.mktemp("legible")
    files = furnished(folder, texts, labels, nasty, text)
    damaged = bytearray((folder / "flash").read_bytes())
    for _ in range(random.choice([0, 1, 30])):
        place = random.choice([0, 0x8000, 0x9000, 0x9020, 0x9040, 0xD000, 0xE000, 0x10000, 0x20000])
        damaged[place + random.randrange(0x100)] = random.randrange(256)
    (folder / "flash").write_bytes(damaged)
    for words in random.sample(CALLS, 6):
        called = filled(words, files, nasty)
        check(run(*called), called)


@given(st.binary(max_size=2000), st.sampled_from(CALLS))
def test_random_bytes_end_in_no_traceback_and_no_raw_character(tmp_path_factory, data, words):
    folder = tmp_path_factory.mktemp("noise")
    for name in ("flash", "app", "text"):
        (folder / name).write_bytes(data)
    (folder / "build").mkdir()
    (folder / "build" / "flasher_args.json").write_bytes(data)
    called = filled(
        words, {name: str(folder / name) for name in ("flash", "app", "text", "build", "out", "parts")}, "x"
    )
    check(run(*called), called)


@pytest.mark.parametrize("name", [b"\xff\x1b[2J.bin", "\x9b31m\n.bin".encode(), "\u202e.bin".encode()])
def test_a_file_with_a_nasty_name(tmp_path, keeper, name):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/" + name)
    Path(path).write_bytes(app(["lamp", "1.0.0", "d", "t", "v6"]))
    for words in (["image-info", path], ["boot", path], ["sign", path, "--verify"], ["nvs", "list", path]):
        done = keeper.run(words)
        assert done.returncode in {0, 1, 2}
        text = done.stdout + done.stderr
        assert "Traceback" not in text
        assert legible(text)
        shown = name.decode(errors="surrogateescape").encode("unicode_escape").decode()
        assert shown in text


ODD_STREAMS = [
    ["image-info", "plain"],
    ["image-info", "app"],
    ["image-info", "flash"],
    ["partition-table", "--no-verify", "flash"],
    ["partition-table", "--no-verify", "flash", "-"],
    ["boot", "flash"],
    ["nvs", "list", "flash", "--json"],
    ["boot", "gone"],
    ["sweep", "app", "newer", "--cut", "1"],
]


@pytest.mark.parametrize("words", ODD_STREAMS, ids=" ".join)
@pytest.mark.parametrize("how", ["latin-1", "closed"])
def test_a_stream_that_lacks_letters_or_is_closed(tmp_path, words, how):
    (tmp_path / "flash").write_bytes(flash_of(["é日"] * 5, ["é日"] * 5))
    (tmp_path / "app").write_bytes(Firmware("é日", "1").to_bytes())
    (tmp_path / "newer").write_bytes(Firmware("é日", "2").to_bytes())
    (tmp_path / "plain").write_bytes(Firmware("lamp", "1").to_bytes())
    closed = ">&- 2>err" if how == "closed" else "2>err"
    script = f'"$0" -m py_esp_ota "$@" {closed}; code=$?; cat err >&2; exit $code'
    done = subprocess.run(
        ["bash", "-c", script, sys.executable, *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "latin-1:strict"},
        capture_output=True,
        encoding="latin-1",
        check=False,
    )
    assert done.returncode in {0, 1, 2}
    assert "Traceback" not in done.stderr
    if how == "closed":
        assert done.stdout == ""
    elif words == ["image-info", "app"]:
        assert "Project name: \xe9\\u65e5\n" in done.stdout


def test_what_an_image_says_is_shown_as_an_escape(tmp_path):
    (tmp_path / "app").write_bytes(app(["\x1b[2Jlamp", "1\nApp version: 9", "d", "t", "v6"]))
    done = run("image-info", tmp_path / "app")
    assert "Project name: \\x1b[2Jlamp\n" in done.stdout
    assert "App version: 1\\nApp version: 9\n" in done.stdout
    assert json.loads(run("image-info", tmp_path / "app", "--json").stdout)["app_desc"]["project_name"] == "\x1b[2Jlamp"


def test_the_quick_way_leaves_such_an_image_to_the_long_one(tmp_path):
    (tmp_path / "app").write_bytes(app(["\x1b[2Jlamp", "\x7f", "d", "t", "v6"]))
    command = [sys.executable, "-m", "py_esp_ota", "image-info", str(tmp_path / "app")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Project name: \\x1b[2Jlamp\nApp version: \\x7f\n" in done.stdout


def test_a_text_of_nvs_keeps_its_lines_and_raw_gives_its_bytes(tmp_path):
    flash = Flash(1 << 20)
    text = "-----BEGIN\nabc\x1b[2J\n"
    NvsPartition(flash, Partition("nvs", 1, 2, 0, 0x4000)).open("app", "readwrite").set("cert", "str", text)
    (tmp_path / "nvs").write_bytes(flash.read(0, 0x4000))
    assert run("nvs", "get", tmp_path / "nvs", "app", "cert").stdout == "-----BEGIN\nabc\\x1b[2J\n\n"
    assert run("nvs", "get", tmp_path / "nvs", "app", "cert", "--raw").stdout_bytes == text.encode()
    assert json.loads(run("nvs", "get", tmp_path / "nvs", "app", "cert", "--json").stdout)["value"] == text


def test_a_table_is_exact_in_a_file_and_shown_on_a_terminal(tmp_path):
    (tmp_path / "flash").write_bytes(flash_of(["x"] * 5, ["\x1b[2J"] * 5))
    exact = PartitionTable.from_bytes(table(["\x1b[2J"] * 5) + b"\xff" * 32).to_csv()
    run("partition-table", "--no-verify", tmp_path / "flash", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == exact
    assert run("partition-table", "--no-verify", tmp_path / "flash", "-").stdout_bytes.decode() == exact
    assert run("partition-table", "--no-verify", "-q", tmp_path / "flash").stdout == exact.replace("\x1b", "\\x1b")


# --------------------------------------------------------------------------------------------------------- pictures


def printed(picture) -> str:
    console = Console(width=200, file=StringIO(), force_terminal=False)
    console.print(picture)
    return console.file.getvalue()


@pytest.mark.parametrize("nasty", NASTY, ids=ascii)
def test_pictures_of_a_flash_and_of_a_job(nasty):
    flash = Flash.from_bytes(flash_of([nasty] * 5, [nasty] * 5))
    rows = PartitionTable.from_bytes(flash.read(0x8000, 0xC00))
    text = printed(flash_map(flash, rows, running=None, title=nasty))
    text += printed(job_monitor(nasty, nasty, [{"status": nasty, "additional_info": nasty}], node_id=nasty))
    assert legible(text)
    assert visible(nasty) in text


def told(tmp_path, project, version):
    for name, said in (("old", "1.0"), ("new", version)):
        (tmp_path / name).write_bytes(Firmware(project, said, size=150_000).to_bytes())
    words = ["demo", tmp_path / "old", tmp_path / "new"]
    done = run(*words)
    check(done, words)
    return done


def test_the_demo_takes_no_markup_and_no_letters_for_bytes(tmp_path):
    done = told(tmp_path, "[red]x[/red]", "é" * 15)
    assert done.exit_code == 0, done.output
    assert "[red]x[/red]" in done.stdout


@pytest.mark.parametrize(
    ("project", "version", "what"), [("lamp", "2\x1b[2J", "fw_version"), ("\u202egnp", "2.0", "model")]
)
def test_the_demo_on_an_image_that_no_cloud_takes(tmp_path, project, version, what):
    done = told(tmp_path, project, version)
    assert (done.exit_code, done.stderr) == (2, f"Error: 400: {what} contains a control character\n")


def test_what_pytest_shows_of_a_device():
    device = SimpleNamespace(console=["\x1b[2J", "I (1) boot: a\nb"])
    assert _py_esp_ota_pytest._console(device) == "\\x1b[2J\nI (1) boot: a\\nb"


@pytest.mark.parametrize("nasty", NASTY, ids=ascii)
def test_what_the_audience_of_the_demo_sees(nasty):
    console = Console(width=200, file=StringIO())
    audience = Audience(console)
    audience.console(nasty)
    audience.note(nasty)
    assert legible(console.file.getvalue())
    assert console.file.getvalue().count(visible(nasty)) == 2


def test_a_sweep_of_a_file_whose_name_is_no_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [os.fsdecode(b"old\xff\x1b[2J"), os.fsdecode(b"new\xff\x1b[2J")]
    for name in names:
        Path(name).write_bytes(Firmware("lamp", name[:3]).to_bytes())
    words = ["sweep", *names, "--cut", "3", "--html", "html", "--sarif", "sarif", "--junit", "junit"]
    check(run(*words), words)
    check(run(*words, "--json"), words)
    assert "new%FF%1B%5B2J" in Path("sarif").read_text()


# ------------------------------------------------------------------------------------------------ the console of run


class Stdout(StringIO):
    def __init__(self, *, tty: bool) -> None:
        super().__init__()
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty


def shown(monkeypatch, texts, *, keys: bool, screen: bool) -> str:
    out = Stdout(tty=screen)
    monkeypatch.setattr(sys, "stdin", Stdout(tty=keys))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr("termios.tcgetattr", lambda _: [])
    monkeypatch.setattr("termios.tcsetattr", lambda *_: None)
    monkeypatch.setattr("tty.setraw", lambda _: None)
    with Terminal(typing=True) as terminal:
        for text in texts:
            terminal.show(text, echo=True)
    assert terminal.shown == [*texts]
    return out.getvalue()


def test_a_session_gets_what_the_chip_sends(monkeypatch):
    assert shown(monkeypatch, ["\x1b[0;32mI\x1b[2J\n"], keys=True, screen=True) == "\x1b[0;32mI\x1b[2J\r\n"


@pytest.mark.parametrize(("keys", "screen"), [(False, False), (False, True), (True, False)])
def test_elsewhere_the_console_is_text(monkeypatch, keys, screen):
    texts = ["\x1b[0;32mI (1) boot: x\x1b[", "0m\r\n\x1b", "[2J\tlamp\x9b31m\u202e", "\x1b"]
    assert shown(monkeypatch, texts, keys=keys, screen=screen) == "I (1) boot: x\n\\x1b[2J\tlamp\\x9b31m\\u202e\\x1b"


# ---------------------------------------------------------------------------------------------------------- by reading

#: Where something is printed by another way than ``say``, and why.
OTHERWISE = {
    "output.py": {"click.echo"},  # this is the way
    "files.py": {"click.echo", "sys.stdout.buffer.write"},  # JSON, which escapes; an output file that is stdout
    "terminal.py": {"click.echo"},  # the console of run, escaped there unless it is a session
    "nvs.py": {"click.echo"},  # --raw: bytes that were asked for
    "quick.py": {"sys.stdout.write"},  # only what prints
    "quick_files.py": {"sys.stdout.write"},
    "corpus.py": {"print"},  # names that stand in the module
    "hunt.py": {"Console"},  # a progress bar alone
    "sweep.py": {"Console", "Console(stderr=stdout_is_taken()).print"},  # pictures, made legible in view/
    "fleet_play.py": {"Console"},  # a bar, its words made legible
    "show.py": {"self._out.print"},
    "telling.py": {"Console"},
    "serving.py": {"click.echo"},
    "progress.py": {"click.echo"},  # numbers alone, in one line that is drawn anew
    "watch.py": {"click.echo"},  # a table drawn anew, of lines made legible
}


def test_nothing_is_printed_by_another_way():
    package = Path(py_esp_ota.__file__).parent / "cli"
    ways = {"click.echo", "click.secho", "print", "sys.stdout.write", "sys.stderr.write", "sys.stdout.buffer.write"}
    for source in package.rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Call)]
        used = {ast.unparse(node.func) for node in calls}
        used = {name for name in used if name in ways or name.endswith((".print", "Console"))}
        assert used <= OTHERWISE.get(source.name, set()), source.name


def test_rich_gets_no_markup_from_a_file():
    """A string given to rich is markup; whatever is no text of ours goes through ``Text``."""
    names = {"project": "[red]x[/red]"}
    table = job_monitor("[bold]j", "[x", [{"status": "[red]s", "additional_info": names["project"]}], node_id="[b]n")
    assert all(text in printed(table) for text in ("[bold]j", "[x", "[red]s", "[red]x[/red]", "[b]n"))


def test_on_a_real_terminal(tmp_path):
    """As a user has it: stdout is a terminal, and rich and click know it."""
    (tmp_path / "flash").write_bytes(flash_of([NASTY[0] * 2] * 5, [NASTY[0]] * 5))
    for words in (["boot"], ["image-info"], ["partition-table", "--no-verify"], ["nvs", "list"], ["otadata", "read"]):
        child, terminal = pty.fork()
        if child == 0:
            os.execv(sys.executable, [sys.executable, "-m", "py_esp_ota", *words, str(tmp_path / "flash")])
        seen = b""
        while select.select([terminal], [], [], 20)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:  # the child is gone
                break
        os.close(terminal)
        os.waitpid(child, 0)
        assert b"\x1b[2J" not in seen
        assert seen, words
