"""``esp_ota_ops`` about images: their descriptions, and whether they suit this chip."""

from __future__ import annotations

from py_esp_ota._core import AppDesc, BootloaderDesc, ImageHeader, Partition, check_image_validity
from py_esp_ota.errors import EspErr, FlashError, ImageError, OtaError
from py_esp_ota.idf.app_update.app import TAG, OtaApp, refused
from py_esp_ota.idf.partition import TYPE_APP, TYPE_BOOTLOADER

_BOOTLOADER_DESC_OFFSET = 0x20
_BOOTLOADER_DESC_SIZE = 80


class OtaImages(OtaApp):
    """What an app asks about images, its own included."""

    def get_bootloader_description(self, partition: Partition | None = None) -> BootloaderDesc:
        """``esp_ota_get_bootloader_description``: of a partition of any type, or of the bootloader in its place.

        Raises ``OtaError`` (ESP_ERR_NOT_FOUND) for a wrong magic byte, ``FlashError`` as ``esp_partition_read`` does.
        """
        place = self.primary_bootloader() if partition is None else partition
        data = self.partitions.read(place, _BOOTLOADER_DESC_OFFSET, _BOOTLOADER_DESC_SIZE)
        try:
            return BootloaderDesc.from_bytes(data)
        except ImageError as error:
            what = "{label} holds no bootloader descriptor"
            raise OtaError(EspErr.ESP_ERR_NOT_FOUND, what, **error.fact, label=place.label) from error

    def primary_bootloader(self) -> Partition:
        """The place of the bootloader, whether or not the table has a row for it."""
        start = self.chip.target.bootloader_offset
        size, encrypted = self.config.partition_table_offset - start, self.chip.flash.encryption is not None
        return Partition("bootloader", TYPE_BOOTLOADER, 0, start, size, encrypted=encrypted)

    def check_image_validity(self, part_type: int, header: ImageHeader | None, desc: AppDesc | None) -> None:
        """``esp_ota_check_image_validity``: chip, chip revision and, of an app, the SPI flash mode of the running one.

        Raises ``OtaError``: ESP_ERR_INVALID_ARG without a header or for a partition type that holds no image,
        ESP_ERR_INVALID_VERSION, ESP_ERR_OTA_SPI_MODE_MISMATCH.
        """
        self._require(self.features.image_validity, "esp_ota_check_image_validity")
        self.judge_image_header(part_type, header, desc)

    def judge_image_header(self, part_type: int, header: ImageHeader | None, desc: AppDesc | None) -> None:
        """The same in any release: ``esp_https_ota`` asked so itself before ``esp_ota_ops`` could."""
        if header is None:
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "no image header given")
        if part_type not in (TYPE_APP, TYPE_BOOTLOADER):
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "partition type {found} holds no image", found=part_type)
        is_app, running = part_type == TYPE_APP, self._running_app_desc()
        verdict = check_image_validity(
            header,
            desc if is_app else None,
            chip=self.chip.target.name,
            chip_revision=self.chip.efuse.chip_revision,
            running=running,
            no_max_revision=not is_app or self.chip.efuse.disable_wafer_version_major,
        )
        self.log.core(verdict.log)
        if verdict.err != EspErr.ESP_OK:
            raise refused(verdict.err, "the image does not suit this chip", verdict.fault)
        modes = [one.spi_flash_mode for one in (desc, running) if one is not None]
        if is_app and desc is not None and 0 in modes and self.features.image_validity:
            self.log.debug(TAG, "Older image format and hence no SPI flash mode info is available")

    def _running_app_desc(self) -> AppDesc | None:
        """``esp_app_get_description``: the running app's own descriptor, in RAM upstream, in its slot here."""
        try:
            return self.get_partition_description(self._running)
        except (OtaError, FlashError):
            return None
