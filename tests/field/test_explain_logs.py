"""Consoles as people paste them, written anew from upstream's format strings: the likeliest cause, chip and release."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from py_esp_ota.field.explain.chips import reset_cause
from py_esp_ota.field.explain.explain import explain
from py_esp_ota.field.explain.words import lines_of

LOGS = Path(__file__).parents[1] / "vectors/logs"
INDEX = json.loads((LOGS / "index.json").read_text())
_RELEASES = {tuple(log["idf"].lstrip("v").split(".")[:2]) for log in INDEX.values() if log["idf"]}


@pytest.mark.parametrize("name", INDEX)
def test_the_likeliest_cause(name):
    found = explain((LOGS / name).read_bytes())
    expected = INDEX[name]
    assert found.cause is not None
    assert found.cause.name == expected["cause"]
    assert found.story.chip == expected["chip"]
    if found.story.version is not None:
        assert found.story.version == expected["idf"]


def test_the_set_is_wide_enough():
    assert len(INDEX) >= 40
    assert len({log["chip"] for log in INDEX.values() if log["chip"]}) >= 8
    assert min(_RELEASES) == ("3", "3")
    assert max(_RELEASES) >= ("6", "0")
    assert {path.name for path in LOGS.glob("*.log")} == set(INDEX)


@pytest.mark.parametrize("name", INDEX)
def test_every_cause_shows_its_lines(name):
    """A line that is shown stands in the log under its number, but for what terminals have added."""
    data = (LOGS / name).read_bytes()
    text = data.decode("utf-16" if data[:2] == b"\xff\xfe" else "utf-8")
    lines = text.replace("\r\n", "\n").split("\n")
    for cause in explain(data).causes:
        assert cause.shown
        assert len({fact.line for fact in cause.shown}) == len(cause.shown)
        assert cause.by
        for fact in cause.shown:
            words = fact.text.partition(": ")[2] if fact.tag else fact.text
            assert words[:20] in lines[fact.line - 1], (cause.name, fact)


def _faults(data):
    return {cause.name for cause in explain(data).causes}


@pytest.mark.parametrize("name", INDEX)
def test_a_log_that_ends_anywhere_is_still_explained(name):
    data = (LOGS / name).read_bytes()
    lines = data.splitlines(keepends=True)
    step = 4 if settings.get_current_profile_name() == "fast" else 1
    for count in range(list(INDEX).index(name) % step, len(lines), step):
        found = explain(b"".join(lines[:count]))
        lines_of(name, found)
        found.to_dict()
        found = explain(b"".join(lines[count:]))
        lines_of(name, found)
        found.to_dict()


@pytest.mark.parametrize("ending", ["\r\n", "\r", "\r\r\n"])
def test_line_ends_do_not_matter(ending):
    for name in INDEX:
        data = (LOGS / name).read_bytes()
        if data[:2] == b"\xff\xfe":
            continue
        lines = data.decode().replace("\r\n", "\n").split("\n")
        assert _faults(ending.join(lines).encode()) == _faults(data), name


@pytest.mark.parametrize(
    "stamp",
    ["[10:11:12]", "10:11:12.345 -> ", "10:11:12.345 > ", "2025-03-04 10:11:12 ", "[2025-03-04 10:11:12.345] ", "> "],
)
def test_stamps_of_monitors_do_not_matter(stamp):
    data = (LOGS / "17-s2-table-written-over.log").read_bytes().decode()
    plain = [line.partition("] ")[2] for line in data.split("\n")]
    stamped = "\n".join(stamp + line for line in plain)
    assert _faults(stamped.encode()) == _faults(data.encode()) == {"table-garbage"}


def test_colours_whose_escapes_were_lost_do_not_matter():
    plain = (
        b"E (90) esp_image: Image hash failed - image is corrupt\nE (95) boot: OTA app partition slot 1 is not bootable"
    )
    coloured = b"\n".join(b"[0;31m" + line + b"[0m" for line in plain.split(b"\n"))
    assert _faults(coloured) == _faults(plain) == {"image-hash"}


@pytest.mark.parametrize(
    ("said", "reset", "turn"),
    [
        (b"", b"rst:0xc (SW_CPU_RESET)", "rolled-back"),
        (b"web server: new firmware\n", b"rst:0xc (SW_CPU_RESET)", "updated"),
        (b"web server: new firmware\n", b"rst:0x1 (POWERON_RESET)", "rolled-back"),
    ],
)
def test_another_slot_without_a_line_that_tells_why(said, reset, turn):
    log = b"I (1) boot: Loaded app from partition at offset 0x1f0000\n" + said + reset
    log += b"\nI (1) boot: Loaded app from partition at offset 0x20000\n"
    assert explain(log).steps[-1].turn == turn


@pytest.mark.parametrize(
    ("code", "name", "cause"),
    [
        (0xF, "", "brown-out"), (0xF, "RTCWDT_BROWN_OUT_RESET", "brown-out"), (0x10, "RTCWDT_RTC_RESET", "watchdog"),
        (0x17, "POWER_GLITCH_RESET", "glitch"), (0x17, "CHIP_USB_UART_RESET", "USB"),
        (0x15, "USB_UART_CHIP_RESET", "USB"),
        (0x1A, "CPU_LOCKUP_RESET", "lock-up"), (5, "DEEPSLEEP_RESET", "deep sleep"), (0x7F, "", ""),
    ],
)  # fmt: skip
def test_kinds_of_resets(code, name, cause):
    assert reset_cause(code, name) == cause


def test_an_image_of_which_nobody_is_seen_is_refused_by_nobody():
    found = explain(b"E (5102545) esp_image: invalid segment length 0xffffffff\n")
    assert found.cause.what.startswith("an image is refused: ")


def test_two_lines_in_one_are_two():
    glued = b"I (88) boot: End of partition tabE (90) esp_image: Image hash failed - image is corrupt"
    assert "image-hash" in _faults(glued)


NEVER = st.one_of(
    st.binary(max_size=400),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
)
HEADS = st.sampled_from([
    "rst:0x{} (", "I ({}) boot: ", "E (1) esp_image: Segment {}", "ESP-ROM:{}", "invalid header: 0x{}",
    "load:0x{},len:{}",
    "E (2) flash_parts: partition {} invalid magic number 0x", "I (3) boot: Loaded app from partition at offset 0x{}",
    "Guru Meditation Error: Core  {} panic'ed (", "[{}][W][safe_mode:053]: OTA rollback detected! Rolled back from",
    "\x1b[0;31m{}", "E (4) boot: OTA app partition slot {} is not bootable", "ESP_ERROR_CHECK failed: esp_err_t 0x{}",
])  # fmt: skip
LINES = st.builds(lambda head, word: head.replace("{}", word).encode("utf-8", "replace"), HEADS, st.text(max_size=20))


@given(st.lists(st.one_of(NEVER, LINES), max_size=30))
def test_any_bytes_are_taken(parts):
    found = explain(b"\n".join(parts))
    assert found.to_dict()["lines"] == found.story.lines
    assert lines_of("a log", found)


@given(st.data())
def test_a_damaged_log_is_taken(data):
    log = bytearray((LOGS / data.draw(st.sampled_from(sorted(INDEX)))).read_bytes())
    for _ in range(data.draw(st.integers(0, 20))):
        at = data.draw(st.integers(0, len(log) - 1))
        log[at] = data.draw(st.integers(0, 255))
    found = explain(bytes(log))
    json.dumps(found.to_dict())
    lines_of("a log", found)
