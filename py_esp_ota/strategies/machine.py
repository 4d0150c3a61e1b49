"""A device that is used at random: updates in pieces, power cuts, reboots, confirmations, rollbacks, in any order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from py_esp_ota import firmware
from py_esp_ota._core import AppDesc, Flash, Partition, PartitionTable, inspect_image, read_otadata
from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspErr, OtaError, PowerLoss, Restart
from py_esp_ota.firmware import Firmware
from py_esp_ota.idf.app_update.ota_ops import OTA_SIZE_UNKNOWN, OTA_WITH_SEQUENTIAL_WRITES, OtaOps
from py_esp_ota.idf.app_update.otadata import is_ota_slot
from py_esp_ota.idf.bootloader.start import BootReport, boot
from py_esp_ota.idf.log import Log
from py_esp_ota.idf.partition import TYPE_APP, TYPE_DATA
from py_esp_ota.idf.rollback import OtaImgState
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.strategies.arguments import need
from py_esp_ota.strategies.corrupted import CorruptedImage, corrupted_images
from py_esp_ota.strategies.images import images
from py_esp_ota.strategies.plans import CUT_MODELS, fault_plans

#: Faults that an app with ordinary options sees on an ordinary chip, before anything boots.
_SEEN_BY_APPS = (
    "magic",
    "checksum",
    "hash",
    "chip_id",
    "min_revision",
    "segment_count",
    "data_len",
    "short_desc",
    "congruence",
)
_MOST_OPERATIONS = 400
_FACTORY, _OTA = 0x00, 0x00
#: Of bits that read otherwise at each look no one could say what stands in a slot.
_STEADY = tuple(model for model in CUT_MODELS if not model.startswith(":weak"))

#: ``None`` is the image's own size.
_BEGIN_SIZES = st.sampled_from((None, OTA_SIZE_UNKNOWN, OTA_WITH_SEQUENTIAL_WRITES))


@cache
def _sound(chip: str) -> st.SearchStrategy[bytes]:
    return images(chips=[chip], signed=False)


@cache
def _damaged(chip: str, idf_version: tuple[int, int, int]) -> st.SearchStrategy[CorruptedImage]:
    # Before v6.2 the verifier took a first segment that has no room for the descriptor.
    seen = [fault for fault in _SEEN_BY_APPS if fault != "short_desc" or idf_version >= (6, 2, 0)]
    return corrupted_images(chips=[chip], faults=seen)


def _board(machine: object) -> DeviceMachine:
    assert isinstance(machine, DeviceMachine)
    return machine


_FOR_THE_CHIP = st.runner().flatmap(lambda machine: _sound(_board(machine).chip))
_DAMAGED = st.runner().flatmap(lambda machine: _damaged(_board(machine).chip, _board(machine).config.idf_version))


def _secure_version(image: bytes) -> int:
    return AppDesc.from_bytes(image[0x20:0x120]).secure_version


def _table(partitions: str | PartitionTable) -> PartitionTable:
    """The table of a machine. Raises ``InvalidArgument`` when nothing could be updated in it."""
    try:
        table = PartitionTable.builtin(partitions) if isinstance(partitions, str) else partitions
    except ValueError as error:
        raise InvalidArgument(f"partitions is {partitions!r}: {error}") from error
    slots = [row for row in table if is_ota_slot(row)]
    otadata = table.find(type=TYPE_DATA, subtype=_OTA)
    need(len(slots) >= 2, f"partitions has {len(slots)} OTA slots; an update needs one that does not run, so two")
    need(otadata is not None, "partitions has no otadata: nothing could choose between its slots")
    return table


@cache
def _as_flashed(chip: str, table: bytes, size: int) -> tuple[Flash, str, bytes]:
    """A flash as it leaves the factory, with one app; the label of its partition; the app."""
    rows = PartitionTable.from_bytes(table)
    factory = rows.find(type=TYPE_APP, subtype=_FACTORY)
    row = factory or rows.find(type=TYPE_APP, subtype=0x10)
    otadata = rows.find(type=TYPE_DATA, subtype=_OTA)
    if row is None or otadata is None:
        raise InvalidArgument("partitions has neither a factory app nor ota_0")
    image = Firmware("factory", "1", chip=chip, size=0x400).to_bytes()
    parts = {0x8000: table, row.offset: image}
    if factory is None:
        parts[otadata.offset] = firmware.ota_select_entry(1, OtaImgState.VALID)
    return Flash.from_bytes(firmware.merge(parts), size=size), row.label, image


@dataclass(slots=True)
class _Update:
    """One update under way: what is written, and how much of it was."""

    slot: Partition
    image: bytes
    sound: bool
    handle: int
    written: int = 0


class DeviceMachine(RuleBasedStateMachine):
    """Random lives of one device, on its flash: bootloader and ``esp_ota_ops``, without a network.

    ``TestDevice = DeviceMachine.TestCase`` is a test. Subclasses set the attributes below and may add rules: ``device``
    is the chip, ``ops`` the functions of the running app, ``running`` its partition; ``life()`` makes a rule of theirs
    survive the power cuts that are armed. A subclass replaces ``boot`` to try a bootloader of its own.

    What must hold in every life:

    * whatever happens, a whole image that was written to the end boots;
    * an update that was cut boots the old app or the new one, an app that did not confirm itself is left for another,
      one that did stays, and one that was rejected goes;
    * a damaged image is refused before it can be chosen;
    * states in otadata have names, and at most one app is on trial;
    * the eFuses never ask for more than the running app has.
    """

    #: ESP-IDF's name of the chip.
    chip: ClassVar[str] = "esp32c3"
    #: The name of a built-in table, or a table with otadata and OTA slots.
    partitions: ClassVar[str | PartitionTable] = "two_ota"
    #: How app and bootloader are built.
    config: ClassVar[Sdkconfig] = Sdkconfig()
    #: Bytes of flash.
    flash_size: ClassVar[int] = 0x400000

    def __init__(self) -> None:
        super().__init__()
        self.table = _table(self.partitions)
        flash, first, image = _as_flashed(self.chip, self.table.to_bytes(), self.flash_size)
        self.device = Chip(self.chip, flash=flash.fork())
        self.update: _Update | None = None
        #: The sound images that may stand in each app partition: the one that did, and what was meant for it since.
        self.written: dict[str, list[bytes]] = {first: [image]}
        # Who may boot next, of those that are whole: only these, or all without a wish, but never this one.
        self._only: set[str] | None = {first}
        self._never: str | None = None
        #: Whether the running app is to confirm itself before the next reset.
        self.on_trial = False
        self._start()

    # ------------------------------------------------------------------------------------------------- what is known

    def boot(self, chip: Chip, config: Sdkconfig) -> BootReport:
        """The bootloader under test. Raises ``PowerLoss``."""
        return boot(chip, config)

    def whole(self) -> set[str]:
        """The app partitions that hold, byte for byte, a whole image, and that the eFuses let boot."""
        return {label for label in self.written if self._recent(self.image_in(label))}

    def image_in(self, label: str) -> bytes | None:
        """The image that stands in a partition, byte for byte."""
        offset = self._row(label).offset
        standing = (image for image in self.written[label] if self.device.flash.mmap(offset, len(image)) == image)
        return next(standing, None)

    def _recent(self, image: bytes | None) -> bool:
        watched = self.config.bootloader_app_anti_rollback
        return image is not None and (not watched or _secure_version(image) >= self.device.efuse.secure_version)

    def _row(self, label: str) -> Partition:
        row = self.table.find(label=label)
        assert row is not None, label
        return row

    def _may_boot(self) -> set[str]:
        whole = self.whole()
        wanted = whole if self._only is None else whole & self._only
        return wanted - {self._never} or whole

    def _expect(self, *labels: str, never: str | None = None) -> None:
        """Who may boot next; nobody named is anybody.

        Before v6.0 choosing the running app wrote a second entry with the same number: who is left then is not told.
        """
        told = self.ops.features.reselects_in_place
        self._only, self._never = (set(labels) or None, never) if told else (None, None)

    # -------------------------------------------------------------------------------------------------------- lives

    def _start(self) -> None:
        """From reset until an app runs, through whatever cuts are still armed."""
        self.update = None
        while True:
            allowed = self._may_boot()
            try:
                report = self.boot(self.device, self.config)
                break
            except PowerLoss:
                self.device.flash.power_on()
                # It was giving somebody a trial boot, or taking one back: an entry may be gone.
                self._only, self._never = None, None
        assert report.ok, report.why
        assert report.partition is not None
        self.running = report.partition
        label = self.running.label
        assert label in allowed, f"{label} boots; expected one of {', '.join(sorted(allowed))}: {report.why}"
        self.ops = OtaOps(self.device, report.partition, self.config, Log(lambda: 0))
        self.on_trial = self.config.bootloader_app_rollback_enable and report.state == OtaImgState.PENDING_VERIFY.name
        if self.on_trial:
            # With no other app that otadata or a factory partition names, the same one is found again.
            self._expect(never=label if self.ops.check_rollback_is_possible() else None)
        else:
            chosen = self.ops.get_boot_partition()
            # An app that runs only because the chosen one does not may be followed by that one.
            self._expect(*([label] if chosen is not None and chosen.label == label else []))

    @contextmanager
    def life(self) -> Iterator[None]:
        """What an app does, until it ends or the power goes: then the device starts again."""
        try:
            yield
        except PowerLoss:
            self.device.flash.power_on()
            self._start()
        except Restart:
            self._start()

    # -------------------------------------------------------------------------------------------------------- updates

    @precondition(lambda self: self.update is None)
    @rule(image=_FOR_THE_CHIP, size=_BEGIN_SIZES)
    def push(self, image: bytes, size: int | None) -> None:
        """An update begins."""
        self._begin(image, sound=True, size=size)

    @precondition(lambda self: self.update is None)
    @rule(corrupted=_DAMAGED, size=_BEGIN_SIZES)
    def push_damaged(self, corrupted: CorruptedImage, size: int | None) -> None:
        """The same with an image that the chip must refuse."""
        self._begin(corrupted.data, sound=False, size=size)

    @precondition(lambda self: self.update is None)
    @rule(image=_FOR_THE_CHIP, size=_BEGIN_SIZES)
    def update_and_reboot(self, image: bytes, size: int | None) -> None:
        """A whole update, from the first byte to the restart into the new app."""
        self._begin(image, sound=True, size=size)
        self._whole_way()

    @precondition(lambda self: self.update is None)
    @rule(corrupted=_DAMAGED, size=_BEGIN_SIZES)
    def update_damaged(self, corrupted: CorruptedImage, size: int | None) -> None:
        """A whole update with an image that the chip must refuse, up to where it does."""
        self._begin(corrupted.data, sound=False, size=size)
        self._whole_way()

    @precondition(lambda self: self.update is None)
    @rule()
    def push_again(self) -> None:
        """The update that runs already, once more."""
        self._begin(self.image_in(self.running.label) or b"", sound=True, size=None)
        self._whole_way()

    def _whole_way(self) -> None:
        if self.update is None:
            return
        label = self.update.slot.label
        self._write_on(None)
        if self._end():
            self._choose(label)
            self.reboot()

    def _begin(self, image: bytes, *, sound: bool, size: int | None) -> None:
        slot = self.ops.get_next_update_partition()
        assert slot is not None
        with self.life():
            try:
                handle = self.ops.begin(slot, len(image) if size is None else size)
            except OtaError as error:
                if error.err == EspErr.ESP_ERR_OTA_PARTITION_CONFLICT:
                    assert slot.label == self.running.label, error
                    return
                assert error.err == EspErr.ESP_ERR_OTA_ROLLBACK_INVALID_STATE, error
                return
            self.update = _Update(slot, image, sound, handle)
            if sound:
                # It boots as soon as it stands there, ended or not, if its slot was chosen before.
                standing = self.image_in(slot.label) if slot.label in self.written else None
                meant = image[: inspect_image(image).length]
                self.written[slot.label] = [meant] if standing is None else [standing, meant]

    @precondition(lambda self: self.update is not None)
    @rule(count=st.none() | st.integers(1, 0x2000))
    def write(self, count: int | None) -> None:
        """The next piece is written; without a length, all that is left."""
        self._write_on(count)

    def _write_on(self, count: int | None) -> None:
        update = self.update
        if update is None:
            return
        end = len(update.image) if count is None else min(len(update.image), update.written + count)
        with self.life():
            try:
                self.ops.write(update.handle, update.image[update.written : end])
                update.written = end
            except OtaError as error:
                assert error.err == EspErr.ESP_ERR_OTA_VALIDATE_FAILED, error
                assert not update.sound, "the beginning of a sound image was refused"
                self.ops.abort(update.handle)
                self.update = None

    @precondition(lambda self: self.update is not None)
    @rule()
    def end(self) -> None:
        """The update ends, complete or not, and what was written is judged."""
        self._end()

    def _end(self) -> bool:
        """Whether the image was accepted."""
        update, self.update = self.update, None
        if update is None:
            return False
        with self.life():
            try:
                self.ops.end(update.handle)
            except OtaError as error:
                assert not (update.sound and update.written == len(update.image)), error
                return False
            assert update.sound or update.written < len(update.image), "a damaged image was accepted"
            assert self.image_in(update.slot.label) is not None, "half an image was accepted"
        return True

    @precondition(lambda self: self.update is not None)
    @rule()
    def abort(self) -> None:
        """The update is given up."""
        update, self.update = self.update, None
        assert update is not None
        with self.life():
            self.ops.abort(update.handle)

    # -------------------------------------------------------------------------------------------------- who boots next

    @rule(which=st.integers(0, 15))
    def choose(self, which: int) -> None:
        """``esp_ota_set_boot_partition``: one of the slots with a whole image, recent enough or not."""
        slots = sorted(label for label in self.written if is_ota_slot(self._row(label)) and self.image_in(label))
        if not slots:
            return
        self._choose(slots[which % len(slots)])

    def _choose(self, label: str) -> None:
        running, before, recent = self.running.label, (self._only, self._never), self._recent(self.image_in(label))
        if label != running and self._only == {running} and self._never is None:
            self._expect(running, label)  # the entry that names the running app is not touched
        else:
            self._expect()
        with self.life():
            try:
                self.ops.set_boot_partition(self._row(label))
            except OtaError as error:
                assert error.err == EspErr.ESP_ERR_OTA_SMALL_SEC_VER, error
                assert not recent, error
                self._only, self._never = before
                return
            self.on_trial = False
            self._expect(label)

    @precondition(lambda self: self.table.find(type=TYPE_APP, subtype=_FACTORY) is not None)
    @rule()
    def choose_factory(self) -> None:
        """``esp_ota_set_boot_partition`` of the factory app: otadata is erased."""
        factory = self.table.find(type=TYPE_APP, subtype=_FACTORY)
        assert factory is not None
        self._expect()
        with self.life():
            self.ops.set_boot_partition(factory)
            self.on_trial = False
            self._expect(factory.label)

    @rule()
    def confirm(self) -> None:
        """``esp_ota_mark_app_valid_cancel_rollback``.

        Builds with anti-rollback confirm only what runs: the call marks the app that was chosen last, and the next boot
        burns that one's secure version before it looks at the image, which may have been overwritten meanwhile.
        """
        chosen = self.ops.get_boot_partition()
        if self.config.bootloader_app_anti_rollback and (chosen is None or chosen.label != self.running.label):
            return
        only, never = self._only, self._never
        self._expect()
        with self.life():
            with suppress(OtaError):  # a factory app has nothing to confirm
                self.ops.mark_app_valid_cancel_rollback()
            if self.on_trial:
                self.on_trial = False
                self._expect(self.running.label)
            else:
                self._expect(*(only or ()), never=never)

    @rule()
    def reject(self) -> None:
        """``esp_ota_mark_app_invalid_rollback_and_reboot``."""
        only, never = self._only, self._never
        chosen = self.ops.get_boot_partition()
        self._expect()
        with self.life():
            try:
                self.ops.mark_app_invalid_rollback_and_reboot()
            except OtaError:
                self._expect(*(only or ()), never=never)
            except Restart:
                # Whoever rejects a chosen app that never ran, and is on trial itself, leaves none of both.
                goes = chosen is not None and chosen.label == self.running.label
                self._expect(never=self.running.label if goes else None)
                raise

    @precondition(lambda self: self.update is None)
    @rule()
    def erase_last(self) -> None:
        """``esp_ota_erase_last_boot_app_partition``.

        Not while an update is open: builds without rollback let it erase the very slot that is being written.
        """
        with self.life(), suppress(OtaError):
            if self.on_trial:
                self._expect()  # it is the app that would be rolled back to
            self.ops.erase_last_boot_app_partition()

    # ----------------------------------------------------------------------------------------------------- the outside

    @rule()
    def reboot(self) -> None:
        """The app restarts, whatever it was doing."""
        with self.life():
            raise Restart("reboot")

    @rule()
    def pull_the_plug(self) -> None:
        """The power goes between two flash operations."""
        with self.life():
            self.device.flash.power_off()
            raise PowerLoss

    @rule(
        plan=fault_plans(operations=_MOST_OPERATIONS, cuts=True, models=_STEADY, faults=False)
        | fault_plans(operations=8, cuts=True, models=_STEADY, faults=False)
    )
    def arm(self, plan: str) -> None:
        """The power will go during some later operation."""
        self.device.flash.fault = plan

    # ------------------------------------------------------------------------------------------------------ invariants

    @invariant()
    def states_have_names(self) -> None:
        """What stands in otadata is a state of ESP-IDF's, wherever the CRC is right."""
        otadata = self.table.find(type=TYPE_DATA, subtype=_OTA)
        assert otadata is not None
        entries = [entry for entry in read_otadata(self.device.flash, otadata.offset) if entry.crc_ok]
        states = [entry.ota_state for entry in entries]
        assert all(state in _STATES for state in states), states
        assert states.count(OtaImgState.PENDING_VERIFY) <= 1, states

    @invariant()
    def the_running_app_is_whole(self) -> None:
        """Nothing an app does damages the app itself, and the eFuses ask for no more than it has."""
        assert self.running.label in self.whole()


_STATES = frozenset(int(state) for state in OtaImgState)
