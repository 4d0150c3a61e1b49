//! Flash encryption: what the flash controller does between the cache and the chip's bytes.
//!
//! Two ciphers: XTS-AES over 128-byte units on all chips but ESP32, and ESP32's own. Both work on 16-byte blocks that depend
//! on nothing but their key, their address and themselves, so any aligned block can be written or read alone.
//! Sources: components/bootloader_support/src/flash_encryption, ESP32 and ESP32-S2 technical reference manuals.

mod esp32;
mod xts;

use crate::efuse::EFuse;
use crate::err::{EspErr, Fault};

/// Bytes that are encrypted together.
pub const BLOCK: usize = 16;

#[derive(Clone)]
enum Cipher {
    Xts(Box<xts::Xts>),
    Esp32(Box<esp32::Esp32>),
}

/// The encryption engine of one chip with its key.
#[derive(Clone)]
pub struct FlashCrypt {
    cipher: Cipher,
    /// What makes two engines the same.
    identity: (bool, Vec<u8>, u8),
}

impl PartialEq for FlashCrypt {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Eq for FlashCrypt {}

impl std::fmt::Debug for FlashCrypt {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.identity.0 { "FlashCrypt(ESP32)" } else { "FlashCrypt(XTS-AES)" })
    }
}

impl FlashCrypt {
    /// The engine of a chip: `key` as espsecure's key file has it, `config` ESP32's FLASH_CRYPT_CONFIG.
    pub fn new(chip: &str, key: &[u8], config: u8) -> Result<Self, Fault> {
        let cipher = if chip == "esp32" {
            esp32::Esp32::new(key, config).map(|cipher| Cipher::Esp32(Box::new(cipher)))
        } else {
            xts::Xts::new(key).map(|cipher| Cipher::Xts(Box::new(cipher)))
        };
        let refused = || {
            let expected = if chip == "esp32" { "24 or 32 bytes" } else { "16, 32 or 64 bytes" };
            let found = format!("{} bytes", key.len());
            Fault::new(EspErr::InvalidSize, "flash encryption key", 0, found, expected)
        };
        // Only ESP32's cipher knows FLASH_CRYPT_CONFIG.
        let identity = (chip == "esp32", key.to_vec(), if chip == "esp32" { config } else { 0 });
        cipher.map(|cipher| Self { cipher, identity }).ok_or_else(refused)
    }

    /// The engine that these fuses switch on, if they do.
    pub fn of_efuse(efuse: &EFuse) -> Option<Self> {
        if efuse.flash_encryption_enabled() { Self::of_key(efuse) } else { None }
    }

    /// The engine with the key in these fuses, whether or not it is switched on. Where none is burnt the fuses read zero.
    pub fn of_key(efuse: &EFuse) -> Option<Self> {
        let chip = efuse.target.name;
        let unburnt = vec![0; if chip == "esp32c2" { 16 } else { 32 }];
        Self::new(chip, efuse.flash_encryption_key.as_ref().unwrap_or(&unburnt), efuse.flash_crypt_config).ok()
    }

    /// Encrypt whole blocks that stand at `address`, a multiple of 16. Bytes beyond the last whole block stay plain.
    pub fn encrypt(&self, address: u64, data: &mut [u8]) {
        match &self.cipher {
            Cipher::Xts(cipher) => cipher.apply(address, data, true),
            Cipher::Esp32(cipher) => cipher.apply(address, data, true),
        }
    }

    /// Decrypt whole blocks that stand at `address`, a multiple of 16.
    pub fn decrypt(&self, address: u64, data: &mut [u8]) {
        match &self.cipher {
            Cipher::Xts(cipher) => cipher.apply(address, data, false),
            Cipher::Esp32(cipher) => cipher.apply(address, data, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::hex;

    fn encrypted(chip: &str, key_length: u8, address: u64, plain: &[u8]) -> String {
        let key: Vec<u8> = (0..key_length).collect();
        let mut data = plain.to_vec();
        let Ok(engine) = FlashCrypt::new(chip, &key, 0xF) else { return String::new() };
        engine.encrypt(address, &mut data);
        let shown = hex(&data);
        engine.decrypt(address, &mut data);
        assert_eq!(data, plain);
        shown
    }

    #[test]
    fn encryption_vectors() {
        let plain: Vec<u8> = (0..16).collect();
        for (chip, key, address, cipher) in [
            ("esp32c3", 32, 0x10000, "2c2a288e9e96647587883012b81d1739"),
            ("esp32c3", 32, 0x10010, "b0c82fa75404ac8367b5dd6793163003"),
            ("esp32c3", 32, 0x10070, "017e7968b02b5bdf567adb608eba04b0"),
            ("esp32c3", 32, 0x10080, "38e0f4d7cada78038eb03c2da25a0631"),
            ("esp32s3", 64, 0x10000, "ed032950be116e860729b191d93e3cc2"),
            ("esp32c2", 16, 0x10000, "57bcbe7a34b77c9d72cd546dcf9868a0"),
            ("esp32", 32, 0x1000, "a354ea55e9d9d83cd027e80a6b03a53c"),
            ("esp32", 32, 0x1010, "a354ea55e9d9d83cd027e80a6b03a53c"),
            ("esp32", 32, 0x1020, "51a7cdb27dbc91a9fe8e6e70969c056b"),
            ("esp32", 24, 0x1000, "9e9843fb003d20814e40efb5a89cf896"),
        ] {
            assert_eq!(encrypted(chip, key, address, &plain), cipher, "{chip} {key} {address:x}");
        }
    }

    #[test]
    fn erased_flash_is_noise() {
        let key: Vec<u8> = (0..32).collect();
        for (address, noise) in
            [(0x10000, "4ebc78460780bfea1886c53ca63b90d0"), (0x10010, "95a6e53c96a0e99090d50da424ae882e")]
        {
            let mut data = [0xFF; 16];
            if let Ok(engine) = FlashCrypt::new("esp32c3", &key, 0) {
                engine.decrypt(address, &mut data);
            }
            assert_eq!(hex(&data), noise);
        }
    }

    #[test]
    fn blocks_do_not_depend_on_what_is_written_with_them() {
        let plain: Vec<u8> = (0..=255).cycle().take(0x300).collect();
        for (chip, key) in [("esp32c3", 32), ("esp32s3", 64), ("esp32c2", 16), ("esp32", 32), ("esp32", 24)] {
            let whole = encrypted(chip, key, 0x1_0050, &plain);
            for at in (0..plain.len()).step_by(BLOCK) {
                let one = encrypted(chip, key, 0x1_0050 + at as u64, plain.get(at..at + BLOCK).unwrap_or_default());
                assert_eq!(Some(one.as_str()), whole.get(2 * at..2 * (at + BLOCK)));
            }
        }
    }

    #[test]
    fn engines_are_the_same_when_they_encrypt_the_same() {
        let engine = |chip: &str, key: u8, config| FlashCrypt::new(chip, &[key; 32], config).ok();
        assert_eq!(engine("esp32c3", 1, 0), engine("esp32s3", 1, 0xF));
        assert_ne!(engine("esp32c3", 1, 0), engine("esp32c3", 2, 0));
        assert_ne!(engine("esp32", 1, 0xF), engine("esp32", 1, 7));
        assert_ne!(engine("esp32", 1, 0), engine("esp32c3", 1, 0));
    }

    #[test]
    fn without_a_key_the_fuses_are_zeros() {
        for (chip, length) in [("esp32c3", 32), ("esp32s3", 32), ("esp32c2", 16), ("esp32", 32)] {
            let Some(mut efuse) = crate::target::Target::by_name(chip).map(EFuse::new) else { return };
            let zeros = FlashCrypt::new(chip, &vec![0; length], 0).ok();
            assert_eq!((FlashCrypt::of_efuse(&efuse), FlashCrypt::of_key(&efuse)), (None, zeros.clone()));
            efuse.flash_crypt_cnt = 1;
            assert_eq!(FlashCrypt::of_efuse(&efuse), zeros);
        }
    }

    #[test]
    fn keys_of_other_lengths_are_refused() {
        for (chip, length) in [("esp32", 16), ("esp32", 64), ("esp32c3", 24), ("esp32c3", 0), ("esp32s3", 65)] {
            assert!(FlashCrypt::new(chip, &vec![0; length], 0xF).is_err());
        }
    }
}
