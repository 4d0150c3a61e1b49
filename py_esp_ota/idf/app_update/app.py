"""What every ``esp_ota_ops`` function needs: one running app, its flash, its table, and what it thinks of an image."""

from __future__ import annotations

from py_esp_ota._core import AppDesc, Fault, Partition
from py_esp_ota.chip import Chip, Mode
from py_esp_ota.errors import EspErr, FlashError, ImageError, OtaError, Restart
from py_esp_ota.idf.app_update.otadata import OtaData
from py_esp_ota.idf.efuse import check_secure_version
from py_esp_ota.idf.features import features
from py_esp_ota.idf.image_format import say_bootloader_offset
from py_esp_ota.idf.log import Log
from py_esp_ota.idf.partition import TYPE_APP, Partitions, holding, load_partitions
from py_esp_ota.idf.spi_flash import SpiFlash
from py_esp_ota.sdkconfig import Sdkconfig

TAG = "esp_ota_ops"

_APP_DESC_OFFSET = 0x20
_APP_DESC_SIZE = 256


class OtaApp:
    """One run of an app: a reset ends it, and with it its handles and whatever it switched off.

    Attributes:
        chip: the chip it runs on.
        config: how it was built.
        log: its console.
        table: its partition table, as it loaded it.
        flash: its flash driver, guard included.
        partitions: ``esp_partition`` over that table.
        features: what its release of ESP-IDF has.
    """

    def __init__(self, chip: Chip, running: Partition, config: Sdkconfig, log: Log) -> None:
        self.chip = chip
        self.config = config
        self.log = log
        self.features = features(config.idf_version)
        self.table = load_partitions(chip.flash, config, log)
        self._running = holding(self.table, TYPE_APP, running.offset) or running
        self.flash = SpiFlash(chip.flash, config, self.table, self._running)
        self.partitions = Partitions(chip, config, self.table, self.flash, log)
        self._otadata = OtaData(chip.flash, self.partitions, log)
        self._bootloader_offset: int | None = None  # where, besides its own place, a bootloader image may lie

    def get_running_partition(self) -> Partition:
        """``esp_ota_get_running_partition``: the first app row that holds the running code."""
        return self._running

    def get_app_partition_count(self) -> int:
        """``esp_ota_get_app_partition_count``: OTA slots from ota_0 up to the first gap."""
        return self._otadata.app_count()

    def get_partition_description(self, partition: Partition | None) -> AppDesc:
        """``esp_ota_get_partition_description``: the app descriptor at image offset 0x20.

        Raises ``OtaError``: ESP_ERR_INVALID_ARG, ESP_ERR_NOT_SUPPORTED for a partition of another type,
        ESP_ERR_NOT_FOUND for a wrong magic word. Raises ``FlashError`` as ``esp_partition_read`` does.
        """
        if partition is None:
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "no partition given")
        if partition.type != TYPE_APP:
            raise OtaError(EspErr.ESP_ERR_NOT_SUPPORTED, "{label} is no app partition", label=partition.label)
        data = self.partitions.read(partition, _APP_DESC_OFFSET, _APP_DESC_SIZE)
        try:
            return AppDesc.from_bytes(data)
        except ImageError as error:
            raise OtaError(
                EspErr.ESP_ERR_NOT_FOUND, "{label} holds no app descriptor", **error.fact, label=partition.label
            ) from error

    def _require(self, feature: bool, function: str) -> None:
        """The functions that a release does not have yet. An app of that release would not even link."""
        if not feature:
            what = "{function} is not in ESP-IDF {version}"
            version = "v" + ".".join(str(number) for number in self.config.idf_version)
            raise OtaError(EspErr.ESP_ERR_NOT_SUPPORTED, what, function=function, version=version)

    # ------------------------------------------------------------------------------------------------------- images

    def _image_validate(self, partition: Partition) -> None:
        """``image_validate`` in verify mode: any fault becomes ESP_ERR_OTA_VALIDATE_FAILED."""
        err, fault = self._verify(partition, "verify")
        if err != EspErr.ESP_OK:
            what = "the image in {label} is refused with {cause}"
            raise refused(EspErr.ESP_ERR_OTA_VALIDATE_FAILED, what, fault, label=partition.label, cause=err.name)

    def _is_bootable(self, partition: Partition) -> bool:
        """``image_validate`` in silent mode."""
        return self._verify(partition, "verify_silent")[0] == EspErr.ESP_OK

    def _verify(self, partition: Partition, mode: Mode) -> tuple[EspErr, Fault | None]:
        verdict = self.chip.verify_image(
            partition,
            build="app",
            mode=mode,
            config=self.config,
            running=self._running,
            bootloader_offset=self._bootloader_offset,
        )
        self.log.core(verdict.log)
        if verdict.assertion is not None:
            raise Restart(f"assertion in esp_image_verify: {verdict.assertion}")
        if verdict.crash is not None:
            raise Restart(f"esp_image_verify runs wild: {verdict.crash}")
        return verdict.err, verdict.fault

    def _set_bootloader_offset(self, offset: int | None) -> None:
        """``esp_image_bootloader_offset_set``: an image there is judged as a bootloader; ``None`` for the primary's."""
        self._bootloader_offset = offset
        at = self.chip.target.bootloader_offset if offset is None else offset
        say_bootloader_offset(self.chip, self.config, at, self.log)

    # ------------------------------------------------------------------------------------------------ anti-rollback

    def _is_recent(self, partition: Partition) -> bool:
        """Whether a partition's app may run on this chip. Raises as ``get_partition_description`` does."""
        desc = self.get_partition_description(partition)
        return check_secure_version(self.chip.efuse, self.config, desc.secure_version)

    def _is_readably_recent(self, partition: Partition) -> bool:
        """The same, for an app whose descriptor may be missing: it is not recent then."""
        try:
            return self._is_recent(partition)
        except (OtaError, FlashError):
            return False


def refused(err: EspErr, what: str, fault: Fault | None, **fact: object) -> OtaError:
    """An error about an image, with the fault's numbers in it."""
    if fault is None:
        return OtaError(err, what, **fact)
    return OtaError(
        err,
        what + ": {field} at {offset:#x} is {found}, expected {expected}",
        field=fault.field,
        offset=fault.offset,
        found=fault.found,
        expected=fault.expected,
        **fact,
    )
