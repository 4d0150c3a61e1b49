//! The fuses by which the ROM of some chips chooses a bootloader (`components/efuse/<chip>/esp_efuse_table.csv`).

use super::{EFuse, refuse};
use crate::err::{EspErr, Fault};

/// Bits of `BOOTLOADER_ANTI_ROLLBACK_SECURE_VERSION`.
const BOOTLOADER_SECURE_VERSION_SIZE: u8 = 4;
/// Bits of `RECOVERY_BOOTLOADER_FLASH_SECTOR`; with all of them burnt there is never a recovery bootloader.
const SECTOR_MASK: u16 = 0xFFF;
/// The first ESP32-P4 with such a ROM.
const P4_REVISION: u16 = 300;

impl EFuse {
    /// Whether this chip's ROM knows a recovery bootloader at all: ESP32-P4 since v3.0.
    pub fn has_recovery_bootloader(&self) -> bool {
        let old = self.target.name == "esp32p4" && self.chip_revision < P4_REVISION;
        self.target.has_recovery_bootloader() && !old
    }

    /// Whether its ROM compares secure versions of bootloaders (`SOC_BOOTLOADER_ANTI_ROLLBACK_SUPPORTED`).
    pub fn has_bootloader_anti_rollback(&self) -> bool {
        matches!(self.target.name, "esp32c5" | "esp32c61" | "esp32s31")
    }

    /// `efuse_hal_recovery_bootloader_enabled`, and where it lies.
    pub fn recovery_bootloader_address(&self) -> Option<u32> {
        let sector = self.recovery_bootloader_sector;
        let enabled = self.has_recovery_bootloader() && !matches!(sector, 0 | SECTOR_MASK);
        enabled.then(|| u32::from(sector) * 0x1000)
    }

    /// `RECOVERY_BOOTLOADER_FLASH_SECTOR`: more bits, those of `sector`.
    pub fn burn_recovery_bootloader_sector(&mut self, sector: u16) -> Result<(), Fault> {
        let field = "recovery_bootloader_sector";
        if !self.has_recovery_bootloader() {
            return refuse(EspErr::NotSupported, field, format!("0x{sector:x}"), "a chip with a recovery bootloader");
        }
        if sector > SECTOR_MASK {
            return refuse(EspErr::InvalidArg, field, format!("0x{sector:x}"), "12 bits");
        }
        self.recovery_bootloader_sector |= sector;
        Ok(())
    }

    /// `BOOTLOADER_ANTI_ROLLBACK_SECURE_VERSION`: burn until `version` bits are set; it never falls.
    pub fn burn_bootloader_secure_version(&mut self, version: u8) -> Result<(), Fault> {
        let field = "bootloader_secure_version";
        if !self.has_bootloader_anti_rollback() {
            return refuse(EspErr::NotSupported, field, version.to_string(), "a chip with that field");
        }
        if version > BOOTLOADER_SECURE_VERSION_SIZE {
            return refuse(EspErr::InvalidArg, field, version.to_string(), "at most 4, the bits of the eFuse field");
        }
        self.bootloader_secure_version = self.bootloader_secure_version.max(version);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;

    #[test]
    fn a_recovery_bootloader_has_a_sector_and_a_rom_that_knows_it() {
        for (chip, revision, sector, address) in [
            ("esp32c5", 100, 0x3F0, Some(0x3F_0000)),
            ("esp32c5", 100, 0, None),
            ("esp32c5", 100, 0xFFF, None),
            ("esp32p4", 300, 1, Some(0x1000)),
            ("esp32p4", 299, 1, None),
            ("esp32c3", 100, 1, None),
        ] {
            let Some(mut efuse) = Target::by_name(chip).map(EFuse::new) else { return };
            efuse.chip_revision = revision;
            let burnt = efuse.burn_recovery_bootloader_sector(sector);
            assert_eq!(burnt.is_ok(), efuse.has_recovery_bootloader(), "{chip}");
            assert_eq!(efuse.recovery_bootloader_address(), address, "{chip} {revision} {sector:x}");
        }
    }

    #[test]
    fn the_bootloaders_version_rises_to_four() {
        let Some(mut c5) = Target::by_name("esp32c5").map(EFuse::new) else { return };
        for (version, after) in [(2, 2), (1, 2), (4, 4)] {
            assert!(c5.burn_bootloader_secure_version(version).is_ok());
            assert_eq!(c5.bootloader_secure_version, after);
        }
        assert_eq!(c5.burn_bootloader_secure_version(5).map_err(|fault| fault.err), Err(EspErr::InvalidArg));
        let Some(mut p4) = Target::by_name("esp32p4").map(EFuse::new) else { return };
        assert_eq!(p4.burn_bootloader_secure_version(1).map_err(|fault| fault.err), Err(EspErr::NotSupported));
        assert_eq!(c5.burn_recovery_bootloader_sector(0x1000).map_err(|fault| fault.err), Err(EspErr::InvalidArg));
    }
}
