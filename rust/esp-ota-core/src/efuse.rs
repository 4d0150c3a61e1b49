//! eFuses: one-time programmable bits, as a value. A bit burns from 0 to 1 and never back.
//!
//! Only the fields that the update path reads are here. Sources: `components/efuse/<chip>/esp_efuse_table.csv`,
//! `components/efuse/src/esp_efuse_fields.c`, `components/hal/efuse_hal.c`.

use crate::err::{EspErr, Fault};
use crate::target::Target;

/// Slots for digests of secure-boot keys on most chips; see [`EFuse::digest_slots`].
pub const MAX_DIGEST_SLOTS: usize = 3;

/// The eFuses of one chip.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::struct_excessive_bools, reason = "each is one fuse")]
pub struct EFuse {
    /// The chip they are in.
    pub target: &'static Target,
    /// Wafer revision, major * 100 + minor.
    pub chip_revision: u16,
    /// Revision of the eFuse blocks, major * 100 + minor.
    pub block_revision: u16,
    /// `DISABLE_WAFER_VERSION_MAJOR`: an image's maximum chip revision is not looked at.
    pub disable_wafer_version_major: bool,
    /// `DISABLE_BLK_VERSION_MAJOR`: an image's maximum eFuse block revision is not looked at.
    pub disable_blk_version_major: bool,
    /// The anti-rollback field, bit by bit.
    pub secure_version_bits: u32,
    /// `SECURE_BOOT_EN` (ESP32: `ABS_DONE_1`).
    pub secure_boot_en: bool,
    /// `SECURE_BOOT_AGGRESSIVE_REVOKE`.
    pub aggressive_revoke: bool,
    /// SHA-256 of the public key in each slot.
    pub key_digests: [Option<[u8; 32]>; MAX_DIGEST_SLOTS],
    /// `SECURE_BOOT_KEY_REVOKEn`.
    pub revoked: [bool; MAX_DIGEST_SLOTS],
    /// `SPI_BOOT_CRYPT_CNT` (ESP32: `FLASH_CRYPT_CNT`).
    pub flash_crypt_cnt: u8,
    /// `FLASH_CRYPT_CONFIG`, ESP32 only.
    pub flash_crypt_config: u8,
    /// The flash encryption key as espsecure's key file has it: 16, 24, 32 or 64 bytes.
    pub flash_encryption_key: Option<Vec<u8>>,
    /// `RECOVERY_BOOTLOADER_FLASH_SECTOR`, 12 bits: 0 never set, 0xFFF disabled for ever, else the sector's number.
    pub recovery_bootloader_sector: u16,
}

fn refuse<T>(err: EspErr, field: &str, found: impl Into<String>, expected: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::new(err, field, 0, found, expected))
}

impl EFuse {
    /// A chip from the factory: a revision that default builds accept, everything else 0.
    pub fn new(target: &'static Target) -> Self {
        Self {
            target,
            chip_revision: target.default_chip_revision,
            block_revision: 0,
            disable_wafer_version_major: false,
            disable_blk_version_major: false,
            secure_version_bits: 0,
            secure_boot_en: false,
            aggressive_revoke: false,
            key_digests: [None; MAX_DIGEST_SLOTS],
            revoked: [false; MAX_DIGEST_SLOTS],
            flash_crypt_cnt: 0,
            flash_crypt_config: 0,
            flash_encryption_key: None,
            recovery_bootloader_sector: 0,
        }
    }

    /// Bits of the anti-rollback field.
    pub fn secure_version_size(&self) -> u32 {
        match self.target.name {
            "esp32" => 32,
            "esp32c2" => 4,
            "esp32c5" => 9,
            _ => 16,
        }
    }

    /// Slots for key digests: ESP32 and ESP32-C2 have one.
    pub fn digest_slots(&self) -> usize {
        if matches!(self.target.name, "esp32" | "esp32c2") { 1 } else { MAX_DIGEST_SLOTS }
    }

    /// Bytes of a key digest that are kept: the one key block of ESP32-C2 has room for half.
    pub fn digest_len(&self) -> usize {
        if self.target.name == "esp32c2" { 16 } else { 32 }
    }

    /// Whether a key slot can be revoked.
    pub fn revocable(&self) -> bool {
        self.digest_slots() > 1
    }

    /// The lengths a flash encryption key may have, in bytes.
    pub fn flash_encryption_key_sizes(&self) -> &'static [usize] {
        match self.target.name {
            "esp32" => &[24, 32],
            "esp32c2" => &[16, 32],
            "esp32s2" | "esp32s3" | "esp32p4" | "esp32c5" | "esp32h4" | "esp32s31" => &[32, 64],
            _ => &[32],
        }
    }

    /// Bits of the flash encryption counter.
    pub fn flash_crypt_cnt_size(&self) -> u32 {
        if self.target.name == "esp32" { 7 } else { 3 }
    }

    /// The number of burnt bits.
    pub fn secure_version(&self) -> u32 {
        self.secure_version_bits.count_ones()
    }

    /// `esp_efuse_read_secure_version`: the number of burnt bits among the first `size`, all without it.
    pub fn read_secure_version(&self, size: Option<u32>) -> u32 {
        let size = size.unwrap_or(u32::MAX).min(self.secure_version_size());
        (u64::from(self.secure_version_bits) & ((1u64 << size) - 1)).count_ones()
    }

    /// `esp_efuse_update_secure_version`: burn until `version` bits are set. `size`: the configured width of the field.
    pub fn burn_secure_version(&mut self, version: u32, size: u32) -> Result<(), Fault> {
        let burnt = self.read_secure_version(Some(size));
        let size = size.min(self.secure_version_size());
        let refused = |err, expected| refuse(err, "secure_version", version.to_string(), expected);
        if version > size {
            return refused(EspErr::InvalidArg, format!("at most {size}, the bits of the eFuse field"));
        }
        if version < burnt {
            return refused(EspErr::Fail, format!("at least {burnt}, as burnt already"));
        }
        if version > burnt {
            self.secure_version_bits |= u32::try_from((1u64 << version) - 1).unwrap_or(u32::MAX);
        }
        Ok(())
    }

    /// `esp_efuse_write_key` with purpose SECURE_BOOT_DIGESTn: a slot takes one key, once.
    pub fn burn_key_digest(&mut self, slot: usize, digest: [u8; 32]) -> Result<(), Fault> {
        let slots = self.digest_slots();
        match self.key_digests.get_mut(..slots).and_then(|all| all.get_mut(slot)) {
            None => refuse(EspErr::InvalidArg, "key digest slot", slot.to_string(), format!("below {slots}")),
            Some(Some(_)) => refuse(EspErr::InvalidState, "key digest slot", slot.to_string(), "an empty slot"),
            Some(free) => {
                *free = Some(digest);
                Ok(())
            }
        }
    }

    /// `esp_efuse_set_digest_revoke`: the key in `slot` counts no more.
    pub fn revoke_key(&mut self, slot: usize) -> Result<(), Fault> {
        if !self.revocable() {
            return refuse(EspErr::NotSupported, "key digest slot", slot.to_string(), "a chip with revocation bits");
        }
        match self.revoked.get_mut(slot) {
            None => refuse(EspErr::InvalidArg, "key digest slot", slot.to_string(), "below 3"),
            Some(bit) => {
                *bit = true;
                Ok(())
            }
        }
    }

    /// `esp_efuse_write_key` with purpose XTS_AES_n_KEY (ESP32: BLOCK1): once, in a length the chip knows.
    pub fn burn_flash_encryption_key(&mut self, key: &[u8]) -> Result<(), Fault> {
        let sizes = self.flash_encryption_key_sizes();
        let field = "flash_encryption_key";
        if !sizes.contains(&key.len()) {
            return refuse(EspErr::InvalidSize, field, format!("{} bytes", key.len()), format!("one of {sizes:?}"));
        }
        if self.flash_encryption_key.is_some() {
            return refuse(EspErr::InvalidState, field, "a key", "no key yet");
        }
        self.flash_encryption_key = Some(key.to_vec());
        Ok(())
    }

    /// `esp_efuse_write_field_cnt` on the flash encryption counter: one bit more, which turns encryption on or off.
    pub fn burn_flash_crypt_cnt(&mut self) -> Result<(), Fault> {
        let size = self.flash_crypt_cnt_size();
        let next = self.flash_crypt_cnt.trailing_ones();
        if next >= size {
            return refuse(EspErr::EfuseCntIsFull, "flash_crypt_cnt", format!("{size} bits"), "a bit left to burn");
        }
        self.flash_crypt_cnt |= 1 << next;
        Ok(())
    }

    /// `efuse_hal_flash_encryption_enabled`: an odd number of counter bits is set.
    pub fn flash_encryption_enabled(&self) -> bool {
        self.flash_crypt_cnt.count_ones() % 2 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn efuse(chip: &str) -> Option<EFuse> {
        Target::by_name(chip).map(EFuse::new)
    }

    #[test]
    fn the_secure_version_only_rises_and_fits_its_field() {
        for (chip, size) in [("esp32", 32), ("esp32c2", 4), ("esp32c5", 9), ("esp32s3", 16)] {
            let Some(mut efuse) = efuse(chip) else { continue };
            assert_eq!(efuse.secure_version(), 0);
            assert!(efuse.burn_secure_version(3, 32).is_ok() && efuse.secure_version() == 3);
            assert_eq!(efuse.burn_secure_version(2, 32).map_err(|fault| fault.err), Err(EspErr::Fail));
            assert!(efuse.burn_secure_version(size, 32).is_ok() && efuse.secure_version() == size);
            assert_eq!(efuse.burn_secure_version(size + 1, 64).map_err(|fault| fault.err), Err(EspErr::InvalidArg));
        }
    }

    #[test]
    fn a_slot_takes_one_key_and_only_some_chips_revoke() {
        let Some(mut c3) = efuse("esp32c3") else { return };
        assert!(c3.burn_key_digest(1, [1; 32]).is_ok());
        assert_eq!(c3.burn_key_digest(1, [1; 32]).map_err(|fault| fault.err), Err(EspErr::InvalidState));
        assert_eq!(c3.burn_key_digest(3, [1; 32]).map_err(|fault| fault.err), Err(EspErr::InvalidArg));
        assert!(c3.revoke_key(1).is_ok() && c3.revoke_key(1).is_ok() && c3.revoke_key(3).is_err());
        assert_eq!(c3.revoked, [false, true, false]);
        for chip in ["esp32", "esp32c2"] {
            let Some(mut one) = efuse(chip) else { return };
            assert!(one.burn_key_digest(0, [1; 32]).is_ok() && one.burn_key_digest(1, [1; 32]).is_err());
            assert_eq!(one.revoke_key(0).map_err(|fault| fault.err), Err(EspErr::NotSupported));
        }
    }

    #[test]
    fn a_flash_encryption_key_is_burnt_once_and_the_counter_bit_by_bit() {
        let Some(mut c3) = efuse("esp32c3") else { return };
        assert_eq!(c3.burn_flash_encryption_key(&[0; 64]).map_err(|fault| fault.err), Err(EspErr::InvalidSize));
        assert!(c3.burn_flash_encryption_key(&[0; 32]).is_ok());
        assert_eq!(c3.burn_flash_encryption_key(&[0; 32]).map_err(|fault| fault.err), Err(EspErr::InvalidState));
        let counts = [1, 3, 7].map(|count| c3.burn_flash_crypt_cnt().is_ok() && c3.flash_crypt_cnt == count);
        assert_eq!(counts, [true; 3]);
        assert_eq!(c3.burn_flash_crypt_cnt().map_err(|fault| fault.err), Err(EspErr::EfuseCntIsFull));
    }

    #[test]
    fn encryption_is_on_while_an_odd_number_of_bits_is_set() {
        let Some(mut efuse) = efuse("esp32c3") else { return };
        for (count, on) in [(0, false), (1, true), (3, false), (7, true)] {
            efuse.flash_crypt_cnt = count;
            assert_eq!(efuse.flash_encryption_enabled(), on);
        }
    }
}
