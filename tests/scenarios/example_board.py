"""A board on which the OTA examples of ESP-IDF run: power, console, buttons, a network with one file server.

It has what upstream's test files use of their board: ``expect`` a text on the console, ``write`` a line to it, reset.
Time is virtual.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from file_server import FileServer

from py_esp_ota._core import EFuse, Flash, PartitionTable
from py_esp_ota.adapters.memory import run_virtual
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.device import Device
from py_esp_ota.errors import PowerLoss, Restart
from py_esp_ota.idf import startup
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.idf.log import Log
from py_esp_ota.idf.nvs import FlashNvs, nvs_flash_erase
from py_esp_ota.sdkconfig import Sdkconfig

HOST = "https://192.168.4.1:8001"
ADDRESS = "IPv4 address: 192.168.4.2,"
SECONDS_OF_A_REBOOT = 0.5


@dataclass
class Run:
    """One run of an app: what ``app_main`` finds."""

    board: Board
    ops: OtaOps
    nvs: FlashNvs
    log: Log

    async def stdin(self) -> str:
        """``fgets``."""
        return await self.board.lines.get()

    async def connect(self) -> None:
        """``example_connect``."""
        await asyncio.sleep(0.2)
        self.log.info("example_common", f"Connected to example_netif_eth, {ADDRESS}")


App = Callable[[Run], Awaitable[None]]


class Board:
    """One board; ``play`` runs a story beside its life.

    Args:
        app: what runs in every app partition.
        firmware: what is flashed, into factory or else ota_0.
        bootloader: the bootloader image to flash, when one is looked at.
        table: the partition table or the name of a built-in one.
        config: the options of bootloader and app.
        debug: whether ``ESP_LOGD`` is printed.
        chip: the chip's name.
        efuse: its eFuses.
    """

    def __init__(
        self,
        app: App,
        firmware: bytes,
        *,
        bootloader: bytes | None = None,
        table: PartitionTable | str = "two_ota_large",
        config: Sdkconfig | None = None,
        debug: bool = False,
        chip: str = "esp32",
        efuse: EFuse | None = None,
    ) -> None:
        self.app = app
        self.config = config or Sdkconfig(bootloader_app_rollback_enable=False)
        options = {"target": chip, "efuse": efuse, "config": self.config, "flash_size": 0x400000}
        self.chip: Chip = Device(table, firmware=firmware, bootloader=bootloader, **options).chip
        self.nvs = FlashNvs(self.chip, self.config)
        self.server = FileServer()
        self.debug = debug
        self.console: list[str] = []
        self.lines: asyncio.Queue[str] = asyncio.Queue()
        self.boots = 0
        self.running = ""
        self._seen = 0
        self._printed = asyncio.Event()
        self._life: asyncio.Task[None] | None = None

    @property
    def flash(self) -> Flash:
        return self.chip.flash

    # ------------------------------------------------------------------------------------------------------ its life

    def play(self, story: Callable[[Board], Coroutine[Any, Any, None]]) -> Board:
        """Power on, and play ``story`` from the outside."""

        async def main() -> None:
            self._life = asyncio.create_task(self._live(ResetReason.POWERON))
            try:
                await story(self)
            finally:
                await self._stop()

        run_virtual(main())
        return self

    async def _live(self, reason: ResetReason) -> None:
        while True:
            self.chip.reset_reason = reason
            try:
                await self._run()
            except PowerLoss:
                return
            except Restart:
                reason = ResetReason.SW
            await asyncio.sleep(SECONDS_OF_A_REBOOT)

    async def _run(self) -> None:
        self.lines = asyncio.Queue()  # the other side sees the reset, and starts over
        self.nvs.reset()
        report = boot(self.chip, self.config)
        self.boots += 1
        for line in report.log:
            self._print(line)
        if report.partition is None:
            await asyncio.Event().wait()
        assert report.partition
        self.running = report.partition.label
        loop = asyncio.get_running_loop()
        started = loop.time()
        log = Log(lambda: round((loop.time() - started) * 1000), self._print, debug=self.debug)
        startup.flash_encryption_init_checks(self.chip, self.config, log)
        await self.app(Run(self, OtaOps(self.chip, report.partition, self.config, log), self.nvs, log))
        await asyncio.Event().wait()  # the task has ended, the system idles

    async def _stop(self) -> None:
        assert self._life
        self._life.cancel()
        await asyncio.wait([self._life])
        if not self._life.cancelled() and (error := self._life.exception()):
            raise error

    async def hard_reset(self) -> None:
        """The EN button."""
        await self._stop()
        self.flash.power_off()
        self.flash.power_on()
        self._life = asyncio.create_task(self._live(ResetReason.POWERON))

    async def restart_with_random_delay(self, seed: int, low: float = 5, high: float = 15) -> None:
        """Press it at some moment: the same one for the same seed."""
        await asyncio.sleep(random.Random(seed).uniform(low, high))
        await self.hard_reset()

    async def cut_power(self, operation: int, *, torn: bool = False) -> None:
        """The power goes in so many flash operations; wait for it, and bring it back."""
        assert self._life
        self.flash.fault = f"cut@{operation}{':torn' if torn else ''}"
        async with asyncio.timeout(3600):
            await asyncio.wait([self._life])
        self.flash.power_on()
        self.flash.fault = ""
        self._life = asyncio.create_task(self._live(ResetReason.POWERON))

    def erase_nvs(self) -> None:
        """``dut.serial.erase_partition("nvs")``."""
        nvs_flash_erase(self.chip, self.config)

    # --------------------------------------------------------------------------------------------------- its console

    def _print(self, line: str) -> None:
        self.console.append(line)
        self._printed.set()

    async def expect(self, pattern: str, timeout: float = 180) -> re.Match[str]:  # noqa: ASYNC109 (pytest-embedded has it)
        """``dut.expect``: the next line, from the last found one on, in which ``pattern`` is found."""
        async with asyncio.timeout(timeout):
            while True:
                while self._seen < len(self.console):
                    self._seen += 1
                    if found := re.search(pattern, self.console[self._seen - 1]):
                        return found
                self._printed.clear()
                await self._printed.wait()

    def write(self, line: str) -> None:
        """``dut.write``."""
        self.lines.put_nowait(line)

    async def boot_and_connect(self, starting: str) -> None:
        """What every test of these examples waits for first."""
        await self.expect("Loaded app from partition at offset", timeout=30)
        await self.expect(r"IPv4 address: (\d+\.\d+\.\d+\.\d+)[^\d]", timeout=60)
        await self.expect(starting, timeout=30)

    def logged(self, text: str) -> bool:
        return any(text in line for line in self.console)
