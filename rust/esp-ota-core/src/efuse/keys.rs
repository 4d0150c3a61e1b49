//! Keys, and the blocks they are burnt into. Sources: `components/efuse/src/efuse_controller/keys/`,
//! `components/efuse/<chip>/include/esp_efuse_chip.h`.

use super::{EFuse, MAX_DIGEST_SLOTS, refuse};
use crate::err::{EspErr, Fault};

/// Key blocks of most chips; see [`EFuse::key_block_count`].
pub const MAX_KEY_BLOCKS: usize = 6;

/// `ESP_EFUSE_KEY_PURPOSE_XTS_AES_256_KEY_1`, the same number wherever blocks have a purpose.
pub const XTS_AES_256_KEY_1: u8 = 2;
/// `ESP_EFUSE_KEY_PURPOSE_XTS_AES_256_KEY_2`.
pub const XTS_AES_256_KEY_2: u8 = 3;
/// `ESP_EFUSE_KEY_PURPOSE_XTS_AES_128_KEY`.
pub const XTS_AES_128_KEY: u8 = 4;
const HMAC_UP: u8 = 8;
const SECURE_BOOT_DIGEST0: u8 = 9;

impl EFuse {
    /// Key blocks that a purpose is burnt beside. ESP32 and ESP32-C2 have none: their keys have fixed places.
    pub fn key_block_count(&self) -> usize {
        match self.target.name {
            "esp32" | "esp32c2" => 0,
            "esp32s31" => 5,
            _ => MAX_KEY_BLOCKS,
        }
    }

    /// `esp_efuse_key_block_unused` for each block: the numbers of those that are.
    pub fn free_key_blocks(&self) -> Vec<usize> {
        let blocks = self.key_purposes.iter().take(self.key_block_count());
        blocks.enumerate().filter(|(_, purpose)| purpose.is_none()).map(|(block, _)| block).collect()
    }

    /// `esp_efuse_write_key` with any purpose, for a key that no boot looks at: the block is taken.
    pub fn burn_key_block(&mut self, block: usize, purpose: u8) -> Result<(), Fault> {
        let count = self.key_block_count();
        match self.key_purposes.get_mut(..count).and_then(|all| all.get_mut(block)) {
            None => refuse(EspErr::InvalidArg, "key block", block.to_string(), format!("below {count}")),
            Some(Some(_)) => refuse(EspErr::InvalidState, "key block", block.to_string(), "an unused block"),
            Some(free) => {
                *free = Some(purpose);
                Ok(())
            }
        }
    }

    /// `esp_efuse_write_keys`: the first unused blocks, one for each purpose, or none of them.
    fn claim(&mut self, purposes: &[u8]) -> Result<(), Fault> {
        if self.key_block_count() == 0 {
            return Ok(());
        }
        let free = self.free_key_blocks();
        if free.len() < purposes.len() {
            let expected = format!("{} unused", purposes.len());
            return refuse(EspErr::NotEnoughUnusedKeyBlocks, "key blocks", format!("{} unused", free.len()), expected);
        }
        free.iter().zip(purposes).try_for_each(|(block, purpose)| self.burn_key_block(*block, *purpose))
    }

    /// Key blocks in which software can find an HMAC key: none on chips without the peripheral.
    pub fn hmac_blocks(&self) -> usize {
        if self.target.has_hmac() { self.key_block_count() } else { 0 }
    }

    /// `esp_efuse_write_key` with purpose HMAC_UP: a block takes one key, once.
    pub fn burn_hmac_key(&mut self, block: usize, key: [u8; 32]) -> Result<(), Fault> {
        if self.hmac_blocks() == 0 {
            let expected = "a chip with the HMAC peripheral";
            return refuse(EspErr::NotSupported, "HMAC key block", block.to_string(), expected);
        }
        self.burn_key_block(block, HMAC_UP)?;
        if let Some(slot) = self.hmac_keys.get_mut(block) {
            *slot = Some(key);
        }
        Ok(())
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

    /// `esp_efuse_write_key` with purpose SECURE_BOOT_DIGESTn: a slot takes one key, once.
    pub fn burn_key_digest(&mut self, slot: usize, digest: [u8; 32]) -> Result<(), Fault> {
        let slots = self.digest_slots();
        match self.key_digests.get(..slots).and_then(|all| all.get(slot)) {
            None => refuse(EspErr::InvalidArg, "key digest slot", slot.to_string(), format!("below {slots}")),
            Some(Some(_)) => refuse(EspErr::InvalidState, "key digest slot", slot.to_string(), "an empty slot"),
            Some(None) => {
                self.claim(&[SECURE_BOOT_DIGEST0.saturating_add(u8::try_from(slot).unwrap_or(u8::MAX))])?;
                if let Some(free) = self.key_digests.get_mut(slot) {
                    *free = Some(digest);
                }
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
        self.claim(if key.len() == 64 { &[XTS_AES_256_KEY_1, XTS_AES_256_KEY_2] } else { &[XTS_AES_128_KEY] })?;
        self.flash_encryption_key = Some(key.to_vec());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;

    fn efuse(chip: &str) -> Option<EFuse> {
        Target::by_name(chip).map(EFuse::new)
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
    fn keys_take_the_first_unused_blocks_or_none() {
        let Some(mut s3) = efuse("esp32s3") else { return };
        assert!(s3.burn_key_block(1, 8).is_ok() && s3.burn_key_digest(2, [1; 32]).is_ok());
        assert!(s3.burn_flash_encryption_key(&[0; 64]).is_ok());
        assert_eq!(s3.key_purposes, [Some(11), Some(8), Some(2), Some(3), None, None]);
        assert_eq!(s3.free_key_blocks(), [4, 5]);
        assert_eq!(s3.burn_key_block(1, 0).map_err(|fault| fault.err), Err(EspErr::InvalidState));
        assert_eq!(s3.burn_key_block(6, 0).map_err(|fault| fault.err), Err(EspErr::InvalidArg));
        let Some(mut s31) = efuse("esp32s31") else { return };
        assert!((0..4).all(|block| s31.burn_key_block(block, 8).is_ok()));
        let err = s31.burn_flash_encryption_key(&[0; 64]).map_err(|fault| fault.err);
        assert_eq!((err, s31.free_key_blocks()), (Err(EspErr::NotEnoughUnusedKeyBlocks), vec![4]));
        assert!(s31.burn_flash_encryption_key(&[0; 32]).is_ok() && s31.free_key_blocks().is_empty());
        assert_eq!(s31.burn_key_digest(0, [1; 32]).map_err(|fault| fault.err), Err(EspErr::NotEnoughUnusedKeyBlocks));
    }

    #[test]
    fn two_chips_have_fixed_places_for_their_keys() {
        for chip in ["esp32", "esp32c2"] {
            let Some(mut efuse) = efuse(chip) else { return };
            assert!(efuse.burn_key_digest(0, [1; 32]).is_ok() && efuse.burn_flash_encryption_key(&[0; 32]).is_ok());
            assert_eq!(efuse.key_purposes, [None; MAX_KEY_BLOCKS]);
            assert!(efuse.burn_key_block(0, 8).is_err());
        }
    }
}
