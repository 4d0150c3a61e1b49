//! ESP32's own cipher: AES-256 the wrong way round, with a key that the address flips bits of.

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes256, Block};

use super::BLOCK;

/// Bytes that share one key.
const ROW: u64 = 32;
/// Groups of key bits that FLASH_CRYPT_CONFIG switches on, each with the address bit where its last run starts.
const TAILS: [u8; 4] = [14, 12, 10, 8];

#[derive(Clone)]
pub(super) struct Esp32 {
    key: [u8; 32],
    /// For each key bit, counted from the highest of the first byte, the address bit that flips it.
    pattern: Vec<Option<u8>>,
}

impl Esp32 {
    pub(super) fn new(key: &[u8], config: u8) -> Option<Self> {
        let whole = match key.len() {
            32 => key.to_vec(),
            // Coding scheme 3/4: the missing quarter is the second one again.
            24 => [key, key.get(8..16)?].concat(),
            _ => return None,
        };
        let pattern = TAILS.iter().enumerate().flat_map(|(group, &tail)| {
            let run = |from: u8| (5..=from).rev();
            let bits = run(23).chain(run(23)).chain(run(23)).chain(run(tail));
            bits.map(move |bit| (config >> group & 1 == 1).then_some(bit))
        });
        Some(Self { key: whole.try_into().ok()?, pattern: pattern.collect() })
    }

    pub(super) fn apply(&self, address: u64, data: &mut [u8], encrypt: bool) {
        let mut at = address;
        let mut row = None;
        for block in data.chunks_exact_mut(BLOCK) {
            let cipher = match row {
                Some((start, ref cipher)) if start == at / ROW => cipher,
                _ => &row.insert((at / ROW, self.cipher(at - at % ROW))).1,
            };
            block.reverse();
            if let Ok(bytes) = <[u8; BLOCK]>::try_from(&*block) {
                let mut state = Block::from(bytes);
                // Encryption is AES decryption: reading is the frequent direction, and was the cheap one in silicon.
                if encrypt {
                    cipher.decrypt_block(&mut state);
                } else {
                    cipher.encrypt_block(&mut state);
                }
                block.copy_from_slice(&<[u8; BLOCK]>::from(state));
            }
            block.reverse();
            at = at.wrapping_add(BLOCK as u64);
        }
    }

    fn cipher(&self, row: u64) -> Aes256 {
        let mut key = self.key;
        for (bit, source) in self.pattern.iter().enumerate() {
            let flipped = source.is_some_and(|address_bit| row >> address_bit & 1 == 1);
            if let Some(byte) = key.get_mut(bit / 8).filter(|_| flipped) {
                *byte ^= 0x80 >> (bit % 8);
            }
        }
        Aes256::new(&key.into())
    }
}
