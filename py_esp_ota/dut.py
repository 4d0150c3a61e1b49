"""A device under test, after pytest-embedded's ``Dut``: the same verbs, on a simulated device and under virtual time.

::

    dut = Dut(lab, "two_ota", firmware=old)
    dut.expect("Loaded app from partition at offset 0x10000")
    dut.push(new)
    dut.expect(r"boot: Loaded app from partition at offset (0x[0-9a-f]+)", timeout=60)

What it hears is the console of bootloader and agent, byte for byte as a serial line carries it. Time stands still
except in ``expect``; a time-out is in seconds of that time and costs none of ours.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NoReturn, TypeAlias

from py_esp_ota._core import Flash, Partition, PartitionTable
from py_esp_ota.lab import Lab

Pattern: TypeAlias = "str | bytes | re.Pattern[bytes] | re.Pattern[str]"
Patterns: TypeAlias = "Pattern | type | Sequence[Pattern | type]"

_BOOT_SECONDS = 30.0  # pytest-embedded's own default
_SHOWN_LINES = 40


class DutTimeoutError(TimeoutError):
    """Nothing on the console matched in time; the message shows the console.

    Where pexpect is loaded it is a ``pexpect.TIMEOUT`` as well, so that a suite that expects one finds it.
    """


class DutUnexpectedError(AssertionError, ValueError):
    """Something on the console matched what must not appear; a ``ValueError`` as well, which pytest-embedded raises."""


class Dut:
    """One device in a lab and its console.

    Args:
        lab: the lab, entered with ``with``.
        partitions: a table, or the name of a built-in one.
        options: as for ``Lab.device``; ``firmware`` is needed.

    The device has power at once. ``device`` and ``lab`` are there for what the console does not say.
    """

    def __init__(self, lab: Lab, partitions: PartitionTable | str = "two_ota_large", **options: Any) -> None:
        self.lab = lab
        self._read = b""
        self._unread = b""
        self._new = asyncio.Event()
        self._pushed = 0
        self._tell = options.pop("console", None)
        self.device = lab.device(partitions, console=self._hear, **options)
        self.serial = DutSerial(self)
        self.device.power_on()

    @property
    def target(self) -> str:
        """The chip: ``esp32c3``."""
        return self.device.chip.target.name

    # --------------------------------------------------------------------------------------------------------- expect

    def expect(
        self,
        pattern: Patterns,
        *,
        timeout: float = _BOOT_SECONDS,
        expect_all: bool = False,
        not_matching: Patterns = (),
        return_what_before_match: bool = False,
    ) -> Any:
        """``Dut.expect`` of pytest-embedded: wait until the console shows ``pattern``, and read on behind it.

        Args:
            pattern: a regular expression as str, bytes or compiled; or several. ``pexpect.TIMEOUT`` among them stands
                for the end of the time-out.
            timeout: seconds of virtual time.
            expect_all: wait for each of the patterns, in whatever order.
            not_matching: what must not appear before; it ends the wait at once.
            return_what_before_match: return the bytes before the match instead of the match.

        Returns:
            The ``re.Match`` over bytes; a list of them with ``expect_all``, unless it is one; when
            ``pexpect.TIMEOUT`` matched, the bytes that wait to be read, and they stay.

        Raises:
            DutTimeoutError: not in time.
            DutUnexpectedError: ``not_matching`` came first.
            ValueError: ``expect_all`` and ``return_what_before_match`` at once.
        """
        wanted = [_regex(one) for one in _listed(pattern)]
        unwanted = [_regex(one) for one in _listed(not_matching)]
        if not expect_all:
            return self._one(wanted, unwanted, timeout, before=return_what_before_match)
        if return_what_before_match:
            raise ValueError("return_what_before_match and expect_all exclude each other")
        matches = []
        while wanted:
            match = self._one(wanted, unwanted, timeout)
            matches.append(match)
            wanted.remove(next(one for one in wanted if one is not None and one == match.re))
        return matches[0] if len(matches) == 1 else matches

    def expect_exact(self, pattern: Patterns, **options: Any) -> Any:
        """``Dut.expect_exact`` of pytest-embedded: as ``expect``, but ``pattern`` is text; returns the bytes found.

        ``not_matching`` stays a regular expression.
        """
        exact = [one if isinstance(one, type) else re.escape(_bytes(one)) for one in _listed(pattern)]
        found = self.expect(exact, **options)
        if isinstance(found, list):
            return [match.group() for match in found]
        return found.group() if isinstance(found, re.Match) else found

    def expect_unity_test_output(self, *_words: Any, **_options: Any) -> NoReturn:
        """Refused: the app on a simulated device is the RainMaker agent, which runs no Unity tests."""
        raise NotImplementedError("expect_unity_test_output: the app on a simulated device runs no Unity tests")

    def _one(
        self,
        wanted: Sequence[re.Pattern[bytes] | None],
        unwanted: Sequence[re.Pattern[bytes] | None],
        timeout: float,
        *,
        before: bool = False,
    ) -> Any:
        """The first match of any pattern; ``None`` among them is silence."""
        deadline = self._now() + timeout
        while True:
            found = self._earliest(wanted)
            bad = self._earliest(unwanted)
            if bad and (found is None or bad.start() <= found.start()):
                raise DutUnexpectedError(f"{bad.group()!r} appeared on the console\n{self._shown()}")
            if found:
                skipped = self._unread[: found.start()]
                self._read += self._unread[: found.end()]
                self._unread = self._unread[found.end() :]
                return skipped if before else found
            if not self._wait(deadline - self._now()):
                break
        if None in wanted:
            return self._unread.rstrip()
        self._surface()
        shown = " or ".join(repr(one.pattern) for one in wanted if one is not None)
        raise _timeout_error(f"not found within {timeout:g} s: {shown}\n{self._shown()}")

    def _earliest(self, patterns: Iterable[re.Pattern[bytes] | None]) -> re.Match[bytes] | None:
        found = (pattern.search(self._unread) for pattern in patterns if pattern is not None)
        return min((match for match in found if match), key=lambda match: match.start(), default=None)

    def _wait(self, seconds: float) -> bool:
        """Let time go on until the console says something more; whether it did."""

        async def heard() -> bool:
            self._new.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._new.wait()
            return self._new.is_set()

        return seconds > 0 and self.lab.run(heard())

    def _now(self) -> float:
        async def now() -> float:
            return asyncio.get_running_loop().time()

        return self.lab.run(now())

    def _surface(self) -> None:
        """Raise what killed the device or the cloud, if anything did."""
        with suppress(TimeoutError):
            self.lab.run(self.lab.until(lambda: False, seconds=0))

    def _hear(self, line: str) -> None:
        self._unread += line.encode() + b"\r\n"
        self._new.set()
        if self._tell:
            self._tell(line)

    def _shown(self) -> str:
        """The console so far, with a mark where reading stands."""
        read, unread = (part.decode(errors="replace").splitlines() for part in (self._read, self._unread))
        return "\n".join([*read[-_SHOWN_LINES:], "--- read up to here ---", *unread[-_SHOWN_LINES:]])

    # --------------------------------------------------------------------------------------------------------- acting

    def write(self, data: str | bytes) -> NoReturn:
        """Refused: the agent reads nothing from its console."""
        raise NotImplementedError(
            f"write({data!r}): the app on a simulated device is the RainMaker agent, which reads nothing from its "
            "console; bring it firmware with push(), reset it with hard_reset()"
        )

    def hard_reset(self) -> None:
        """Pull EN: everything in RAM is gone, the bootloader starts. Also gives power to a device that lost it.

        Raises ``PowerLoss`` when a fault falls into the boot.
        """
        self.device.power_off()
        self.device.power_on()

    def push(self, firmware: bytes, *, name: str | None = None, seconds: float = 600.0) -> str:
        """Upload an image and push it to this device, as an operator at the cloud does; its ``ota_job_id``.

        It waits until the device is online and goes no further: follow the update with ``expect``. Raises
        ``TimeoutError`` when it is not online within ``seconds``, and ``LabError`` when the cloud refuses the image.
        """
        self._pushed += 1
        name = name or f"{self.device.node_id} push {self._pushed}"

        async def pushed() -> str:
            await self.lab.settled(self.device.node_id, seconds=seconds)
            image_id = await self.lab.upload(firmware, name=name)
            return await self.lab.start_job(name, image_id, nodes=[self.device.node_id])

        return self.lab.run(pushed())


class DutSerial:
    """What pytest-embedded's ``dut.serial`` does over esptool: the chip is stopped, served, and reset."""

    def __init__(self, dut: Dut) -> None:
        self._dut = dut

    def hard_reset(self) -> None:
        """As ``Dut.hard_reset``."""
        self._dut.hard_reset()

    def erase_flash(self) -> None:
        """Erase the whole chip."""
        flash = self._stopped()
        flash.erase(0, flash.size)
        self._dut.hard_reset()

    def erase_partition(self, partition_name: str) -> None:
        """Erase a partition by its label. Raises ``ValueError`` for a label that is not in the table."""
        row = self._partition(partition_name)
        self._stopped().erase(row.offset, row.size)
        self._dut.hard_reset()

    def write_flash(self, address: int, data: bytes) -> None:
        """Erase the sectors that ``data`` touches and write it, raw. Raises ``FlashError`` outside the chip."""
        flash = self._stopped()
        start, end = address & ~0xFFF, (address + len(data) + 0xFFF) & ~0xFFF
        flash.erase(start, end - start)
        flash.program(address, data)
        self._dut.hard_reset()

    def dump_flash(self, partition: str | None = None, address: int | None = None, size: int | None = None) -> bytes:
        """Bytes of a partition, or from ``address`` on. Raises ``ValueError`` when neither is named."""
        if partition is not None:
            row = self._partition(partition)
            address, size = row.offset, row.size
        if address is None or size is None:
            raise ValueError('dump_flash needs "partition", or "address" and "size"')
        data = self._stopped().read(address, size)
        self._dut.hard_reset()
        return data

    def _stopped(self) -> Flash:
        """The flash, under power, with no app running."""
        device = self._dut.device
        device.power_off()
        device.flash.power_on()
        return device.flash

    def _partition(self, label: str) -> Partition:
        device = self._dut.device
        seen = device.flash.fork()
        seen.power_on()
        table = PartitionTable.load(seen, device.config.partition_table_offset)
        row = table.find(label=label)
        if row is None:
            raise ValueError(f"no partition is called {label!r}: there are {', '.join(one.label for one in table)}")
        return row


def _listed(patterns: Patterns) -> list[Pattern | type]:
    if isinstance(patterns, str | bytes | re.Pattern | type):
        return [patterns]
    return list(patterns)


def _regex(pattern: Pattern | type) -> re.Pattern[bytes] | None:
    """Compiled as pexpect does it: over bytes, and a dot matches a line end. ``None`` for ``pexpect.TIMEOUT``."""
    if isinstance(pattern, type):
        if pattern.__name__ != "TIMEOUT":
            raise TypeError(f"{pattern.__name__} is no pattern: a simulated console has no end")
        return None
    if isinstance(pattern, re.Pattern):
        if isinstance(pattern.pattern, bytes):
            return pattern
        return re.compile(pattern.pattern.encode(), pattern.flags & ~re.UNICODE)
    return re.compile(_bytes(pattern), re.DOTALL)


def _bytes(text: Any) -> bytes:
    if isinstance(text, str):
        return text.encode()
    if isinstance(text, bytes):
        return text
    raise TypeError(f"{text!r} is no pattern: expected str or bytes")


def _timeout_error(message: str) -> DutTimeoutError:
    pexpect = sys.modules.get("pexpect")
    if pexpect is None:
        return DutTimeoutError(message)
    both: type[DutTimeoutError] = type("DutTimeoutError", (DutTimeoutError, pexpect.TIMEOUT), {})
    return both(message)
