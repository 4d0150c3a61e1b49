"""``esp_ota_ops`` about keys: an app that was signed with a new one retires the old one."""

from __future__ import annotations

from py_esp_ota._core import Partition, signing_slots
from py_esp_ota.errors import EspErr, OtaError
from py_esp_ota.idf.app_update.app import TAG
from py_esp_ota.idf.app_update.states import OtaStates
from py_esp_ota.idf.rollback import OtaImgState


class OtaKeys(OtaStates):
    """Revocation of Secure Boot keys."""

    def revoke_secure_boot_public_key(self, index: int) -> None:
        """``esp_ota_revoke_secure_boot_public_key``: burn a key's revocation bit, if app and bootloader have another.

        Raises ``OtaError``: ESP_ERR_NOT_SUPPORTED in builds without Secure Boot V2 and on chips with one key,
        ESP_ERR_INVALID_ARG for an index above 2, ESP_FAIL for everything else.
        """
        efuse = self.chip.efuse
        self._require_revocation()
        if not efuse.secure_boot_en:
            raise self._revocation_failed("Secure boot v2 has not been enabled.")
        if index not in range(len(efuse.key_digests)):
            self.log.error(TAG, f"Invalid Index found for public key revocation {index}.")
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "there is no key {index}", index=index)
        if self.config.bootloader_app_rollback_enable:
            self._require_confirmed()
        usable = [
            slot for slot, digest in enumerate(efuse.key_digests) if digest is not None and slot not in efuse.revoked
        ]
        if not usable:
            raise self._revocation_failed("Could not read the secure boot key digests from efuse. Aborting..")
        if index not in usable:
            self.log.info(TAG, f"Given public key digest({index}) is already revoked.")
            return
        others = [slot for slot in usable if slot != index]
        for name, image in (("Application", self._running), ("Bootloader", self.primary_bootloader())):
            if not self._validate_img(image, others):
                what = f"{name} cannot be verified with any key other than the one being revoked"
                raise self._revocation_failed(what)
        efuse.revoke_key(index)
        self.log.info(TAG, f"Revoked signature block {index}.")

    def _require_revocation(self) -> None:
        """The conditions under which upstream compiles the function at all."""
        if not self.config.secure_boot_v2_enabled or len(self.chip.efuse.key_digests) == 1:
            what = "this build of {chip} has no esp_ota_revoke_secure_boot_public_key"
            raise OtaError(EspErr.ESP_ERR_NOT_SUPPORTED, what, chip=self.chip.target.name)

    def _require_confirmed(self) -> None:
        """Builds with rollback: an app that may still be rolled back takes no key away."""
        try:
            state = self.get_state_partition(self._running)
        except OtaError as error:
            raise self._revocation_failed(f"esp_ota_get_state_partition returned: {error.err.name}") from error
        if state != OtaImgState.VALID:
            raise self._revocation_failed("The current running application is not marked as a valid image. Aborting..")

    def _validate_img(self, partition: Partition, slots: list[int]) -> bool:
        """``validate_img``: whether one of these keys alone is enough for an image. It is followed, not judged."""
        scheme = self.config.signature_scheme
        if scheme is None or scheme == "ecdsa_v1":
            return False
        where = (self.chip.flash, partition.offset, partition.size)
        signed = signing_slots(*where, efuse=self.chip.efuse, scheme=scheme)
        for slot in slots:
            if slot in signed:
                self.log.info(TAG, f"Application successfully verified with public key digest {slot}")
                return True
        return False

    def _revocation_failed(self, text: str) -> OtaError:
        self.log.error(TAG, text)
        return OtaError(EspErr.ESP_FAIL, text)
