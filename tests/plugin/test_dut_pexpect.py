"""The device under test reads a console as pexpect does, which pytest-embedded stands on: the same calls to both."""

from __future__ import annotations

import re

import pexpect
from hypothesis import given
from hypothesis import strategies as st
from pexpect.spawnbase import SpawnBase

from py_esp_ota import Device
from py_esp_ota.dut import Dut
from py_esp_ota.firmware import Firmware


def console():
    lamp = Device("two_ota", firmware=Firmware("lamp", "1.0.0").to_bytes())
    lamp.power_on()
    return "".join(f"{line}\r\n" for line in lamp.console).encode()


TEXT = console()


class Silent(Dut):
    """A device that has said everything already."""

    def __init__(self):
        self._read, self._unread = b"", TEXT

    def _now(self):
        return 0.0

    def _wait(self, _seconds):
        return False

    def _surface(self):
        pass


class Fed(SpawnBase):
    """pexpect over the same bytes."""

    def __init__(self):
        super().__init__(timeout=1)
        self._left = TEXT

    def read_nonblocking(self, size=1, timeout=None):
        if not self._left:
            raise pexpect.TIMEOUT("silence")
        data, self._left = self._left[:size], self._left[size:]
        return data


def seen(call):
    """What a call comes to: the bytes matched and the groups, or that nothing did."""
    try:
        found = call()
    except pexpect.TIMEOUT:
        return "timeout"
    if isinstance(found, re.Match):
        return found.group(), found.groups(), found.span()[1] - found.span()[0]
    return found


def through_pexpect(spawn, name, patterns):
    def call():
        getattr(spawn, name)(list(patterns))
        return spawn.before.rstrip() if spawn.match is pexpect.TIMEOUT else spawn.match

    return call


TEXTS = st.sampled_from(
    [TEXT[start : start + length] for start in range(0, len(TEXT), 37) for length in (1, 3, 12, 40)]
)
REGEXES = st.sampled_from([
    rb"boot: (\w+)", rb"offset (0x[0-9a-f]+)", rb"I \((\d+)\)", rb"\r\n", rb"segment (\d).*?size", rb"(load|map)\r",
    rb"[A-Z]{3}", rb"never this", rb"End of.*table", rb"^I", rb"paddr=(\S+) vaddr=(\S+)",
])  # fmt: skip
SILENCE = st.just(pexpect.TIMEOUT)
CALLS = st.one_of(
    st.tuples(st.just("expect"), st.lists(st.one_of(REGEXES, REGEXES, SILENCE), min_size=1, max_size=3)),
    st.tuples(st.just("expect_exact"), st.lists(st.one_of(TEXTS, TEXTS, SILENCE), min_size=1, max_size=3)),
)


@given(st.lists(CALLS, min_size=1, max_size=6))
def test_both_read_the_same(calls):
    ours, theirs = Silent(), Fed()
    for name, patterns in calls:
        method = getattr(ours, name)
        expected = seen(through_pexpect(theirs, name, patterns))
        assert seen(lambda method=method, patterns=patterns: method(patterns)) == expected
