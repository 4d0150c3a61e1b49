//! eFuses: one-time programmable bits, as a value. A bit burns from 0 to 1 and never back.
//!
//! Only the fields that the update path reads are here. Sources: `components/efuse/<chip>/esp_efuse_table.csv`,
//! `components/efuse/src/esp_efuse_fields.c`, `components/hal/efuse_hal.c`.

mod bootloader;
mod keys;

use crate::err::{EspErr, Fault};
use crate::target::Target;

pub use keys::{MAX_KEY_BLOCKS, XTS_AES_128_KEY, XTS_AES_256_KEY_1, XTS_AES_256_KEY_2};

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
    /// Its block was burnt without read or write protection, as `espefuse --no-protect-key` leaves it.
    pub flash_encryption_key_open: bool,
    /// The key of purpose HMAC_UP in each key block.
    pub hmac_keys: [Option<[u8; 32]>; MAX_KEY_BLOCKS],
    /// What each key block is burnt for, by the chip's own number (`esp_efuse_purpose_t`); see [`EFuse::key_block_count`].
    pub key_purposes: [Option<u8>; MAX_KEY_BLOCKS],
    /// `RECOVERY_BOOTLOADER_FLASH_SECTOR`, 12 bits: 0 never set, 0xFFF disabled for ever, else the sector's number.
    pub recovery_bootloader_sector: u16,
    /// Burnt bits of `BOOTLOADER_ANTI_ROLLBACK_SECURE_VERSION`, 0 to 4.
    pub bootloader_secure_version: u8,
    /// `BOOTLOADER_ANTI_ROLLBACK_EN`: ROM starts no bootloader below that version.
    pub bootloader_anti_rollback_en: bool,
    /// `BOOTLOADER_ANTI_ROLLBACK_UPDATE_IN_ROM`: ROM raises that version itself.
    pub bootloader_anti_rollback_update_in_rom: bool,
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
            flash_encryption_key_open: false,
            hmac_keys: [None; MAX_KEY_BLOCKS],
            key_purposes: [None; MAX_KEY_BLOCKS],
            recovery_bootloader_sector: 0,
            bootloader_secure_version: 0,
            bootloader_anti_rollback_en: false,
            bootloader_anti_rollback_update_in_rom: false,
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
    fn encryption_is_on_while_an_odd_number_of_bits_is_set() {
        let Some(mut efuse) = efuse("esp32c3") else { return };
        for (count, on) in [(0, false), (1, true), (3, false), (7, true)] {
            efuse.flash_crypt_cnt = count;
            assert_eq!(efuse.flash_encryption_enabled(), on);
        }
    }
}
