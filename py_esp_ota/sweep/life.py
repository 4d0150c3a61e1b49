"""One device at the level of its flash: power, boots, and what its app does in between. No network, no time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from py_esp_ota._core import Flash, OtaSelectEntry, Partition, PartitionTable, read_otadata
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.errors import OtaError, PartitionTableError, Restart
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.bootloader.start import BootReport, boot, state_of
from py_esp_ota.idf.log import Log
from py_esp_ota.idf.nvs import FlashNvs
from py_esp_ota.idf.rollback import OtaImgState, state_name
from py_esp_ota.sdkconfig import Sdkconfig

_APP, _FACTORY, _DATA, _OTADATA, _NVS = 0, 0, 1, 0, 2
_BLANK = b"\xff" * 32
_BLANK_PAGE = b"\xff" * 0x1000


class Life:
    """A chip that boots and acts. Every method raises ``PowerLoss`` when a cut falls into it."""

    def __init__(self, chip: Chip, config: Sdkconfig, trial: bytes = b"") -> None:
        """A device; ``trial`` is the image whose confirmation is noted."""
        self.chip = chip
        self._trial = trial
        self.config = config
        self.boots: list[BootReport] = []
        self.nvs = FlashNvs(chip, config)
        #: After how many flash operations the image on trial began to confirm itself, each time.
        self.confirmed_at: list[int] = []
        #: What ended the app the last time that it did not end by itself: an assertion, say, or its own wish.
        self.last_restart = ""
        #: The statuses that the agent reported since the story was begun.
        self.heard: list[str] = []

    def __repr__(self) -> str:
        now = repr(self.boots[-1]) if self.boots else "never switched on"
        return f"<Life of {self.chip.target.name}: {len(self.boots)} boots, {now}>"

    @property
    def flash(self) -> Flash:
        """The chip's flash."""
        return self.chip.flash

    @property
    def report(self) -> BootReport:
        """The latest boot."""
        return self.boots[-1]

    def power_on(self) -> BootReport:
        """Power comes, the bootloader runs."""
        self.flash.power_on()
        return self._boot(ResetReason.POWERON)

    def restart(self) -> BootReport:
        """``esp_restart``, and the boot that follows."""
        return self._boot(ResetReason.SW)

    def _boot(self, reset: ResetReason) -> BootReport:
        self.chip.reset_reason = reset
        self.nvs.reset()
        self.boots.append(boot(self.chip, self.config))
        return self.report

    def log(self) -> Log:
        """The console of an app that starts."""
        return Log(lambda: 0)

    def app(self, act: Callable[[OtaOps], None]) -> None:
        """Something the running app does; when it ends in ``esp_restart()``, the device has booted again after it.

        Nothing runs, nothing acts.
        """
        if self.report.partition is None:
            return
        try:
            act(OtaOps(self.chip, self.report.partition, self.config, self.log()))
        except Restart as restart:
            self.last_restart = str(restart)
            self.restart()

    @property
    def state(self) -> str:
        """The otadata state of the running slot as it stands in flash now, ``""`` when it has none."""
        partition = self.report.partition
        return "" if partition is None else state_of(self.flash, partition, self.config)

    @property
    def slots(self) -> int:
        """How many OTA slots the table has."""
        return sum(row.ota_slot is not None for row in self._table())

    @property
    def has_factory(self) -> bool:
        """Whether the table has a factory app."""
        return self._table().find(type=_APP, subtype=_FACTORY) is not None

    def _table(self) -> PartitionTable:
        return PartitionTable.load(self.flash, self.config.partition_table_offset, md5=self.config.partition_table_md5)

    def confirm(self) -> None:
        """The first boot after an update: the self-test is content. Otherwise nothing."""
        if self.report.state == OtaImgState.PENDING_VERIFY.name:
            self.note_confirmation()
            with suppress(OtaError):  # said on the console, and life goes on
                self.app(OtaOps.mark_app_valid_cancel_rollback)

    def note_confirmation(self) -> None:
        """The app that runs is about to confirm itself."""
        if self._trial and self.runs(self._trial):
            self.confirmed_at.append(self.flash.operations)

    def reject(self) -> None:
        """The first boot after an update: the self-test is not content. Otherwise nothing."""
        if self.report.state == OtaImgState.PENDING_VERIFY.name:
            with suppress(OtaError):
                self.app(OtaOps.mark_app_invalid_rollback_and_reboot)

    def runs(self, image: bytes) -> bool:
        """Whether the running partition begins with just these bytes."""
        partition = self.report.partition
        if partition is None or partition.size < len(image):
            return False
        return self.flash.mmap(partition.offset, len(image)) == image


@dataclass(frozen=True, slots=True)
class Past:
    """What flash and eFuses do not tell of a device without power.

    ``confirmed``: the new image had begun to confirm itself. ``nvs_flaw``: what an earlier cut left in NVS unseen.
    """

    confirmed: bool = False
    nvs_flaw: str = ""


@dataclass(frozen=True, slots=True)
class Left:
    """What a power cut left, as a programmer would find it.

    ``otadata`` is both entries, none when the table names no otadata. ``nvs_flaw`` says what is wrong in NVS, or was,
    that its start does not see, ``""`` when nothing is. ``confirmed``: the new image had begun to confirm itself.
    """

    otadata: tuple[OtaSelectEntry, ...]
    nvs_flaw: str
    confirmed: bool


def left_on(flash: Flash, config: Sdkconfig, past: Past) -> Left:
    """Look at a flash without disturbing it."""
    look = flash.fork()
    look.power_on()
    try:
        table = PartitionTable.load(look, config.partition_table_offset, md5=config.partition_table_md5)
    except PartitionTableError:
        return Left((), past.nvs_flaw, past.confirmed)
    otadata, nvs = (table.find(type=_DATA, subtype=subtype) for subtype in (_OTADATA, _NVS))
    flaw = past.nvs_flaw or ("" if nvs is None else _flaw(look, nvs))
    look.power_off()
    look.power_on()  # weak cells settle
    return Left(() if otadata is None else read_otadata(look, otadata.offset), flaw, past.confirmed)


def _flaw(flash: Flash, nvs: Partition) -> str:
    """What ``nvs_flash_init`` cannot see."""
    pages, *again = (flash.read(nvs.offset, nvs.size) for _ in range(4))  # so many faces weak cells have
    if any(other != pages for other in again):
        return "Page::load believes what it reads, and some cells read otherwise the next time"
    written = (at for at in range(0, len(pages), len(_BLANK_PAGE)) if pages[at : at + len(_BLANK_PAGE)] != _BLANK_PAGE)
    entries = (pages[at : at + 32] for page in written for at in range(page, page + len(_BLANK_PAGE), 32))
    if any(entry[:4] == _BLANK[:4] and entry != _BLANK for entry in entries):
        return "Page::mLoadEntryTable takes an entry for blank whose first word is, and loses what is written there"
    return ""


def spell(entry: OtaSelectEntry) -> str:
    """One otadata entry in a word: ``2/VALID``, ``-`` when it is blank, ``!`` behind it when the CRC is wrong."""
    if entry.to_bytes() == _BLANK:
        return "-"
    return f"{entry.ota_seq}/{state_name(entry.ota_state)}{'' if entry.crc_ok else '!'}"
