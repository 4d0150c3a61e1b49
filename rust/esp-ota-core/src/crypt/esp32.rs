//! ESP32's own cipher: AES-256 the wrong way round, with a key that the address flips bits of.

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes256Dec, Aes256Enc, Block};

use super::BLOCK;

/// Bytes that share one key.
const ROW: u64 = 32;
/// The address bits that flip key bits.
const LOWEST: u8 = 5;
const HIGHEST: u8 = 23;
/// Groups of key bits that FLASH_CRYPT_CONFIG switches on, each with the address bit where its last run starts.
const TAILS: [u8; 4] = [14, 12, 10, 8];

type Key = [u8; 32];

#[derive(Clone)]
pub(super) struct Esp32 {
    key: Key,
    /// For each address bit from the lowest: the key bits that it flips.
    flips: Vec<Key>,
}

impl Esp32 {
    pub(super) fn new(key: &[u8], config: u8) -> Option<Self> {
        let whole = match key.len() {
            32 => key.to_vec(),
            // Coding scheme 3/4: the missing quarter is the second one again.
            24 => [key, key.get(8..16)?].concat(),
            _ => return None,
        };
        // For each key bit, counted from the highest of the first byte, the address bit that flips it.
        let pattern: Vec<Option<u8>> = TAILS
            .iter()
            .enumerate()
            .flat_map(|(group, &tail)| {
                let run = |from: u8| (LOWEST..=from).rev();
                let bits = run(HIGHEST).chain(run(HIGHEST)).chain(run(HIGHEST)).chain(run(tail));
                bits.map(move |bit| (config >> group & 1 == 1).then_some(bit))
            })
            .collect();
        let flipped_by = |address_bit: u8| {
            let mut flips = [0; 32];
            for (byte, bits) in flips.iter_mut().zip(pattern.chunks(8)) {
                *byte = bits.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit == Some(address_bit)));
            }
            flips
        };
        Some(Self { key: whole.try_into().ok()?, flips: (LOWEST..=HIGHEST).map(flipped_by).collect() })
    }

    /// Encryption is AES decryption: reading is the frequent direction, and was the cheap one in silicon.
    pub(super) fn apply(&self, address: u64, data: &mut [u8], encrypt: bool) {
        let mut at = address;
        let first = ((ROW - at % ROW) as usize).min(data.len());
        let Some((head, rest)) = data.split_at_mut_checked(first) else { return };
        for part in std::iter::once(head).chain(rest.chunks_mut(ROW as usize)) {
            let key = self.row_key(at).into();
            if encrypt {
                let cipher = Aes256Dec::new(&key);
                each_reversed(part, |block| cipher.decrypt_block(block));
            } else {
                let cipher = Aes256Enc::new(&key);
                each_reversed(part, |block| cipher.encrypt_block(block));
            }
            at = at.wrapping_add(part.len() as u64);
        }
    }

    fn row_key(&self, address: u64) -> Key {
        let mut key = self.key;
        for (bit, flips) in (LOWEST..).zip(&self.flips) {
            if address >> bit & 1 == 1 {
                key.iter_mut().zip(flips).for_each(|(byte, flip)| *byte ^= flip);
            }
        }
        key
    }
}

/// Each whole block through `cipher`, with its bytes the wrong way round.
fn each_reversed(part: &mut [u8], cipher: impl Fn(&mut Block)) {
    for bytes in part.chunks_exact_mut(BLOCK) {
        bytes.reverse();
        if let Ok(block) = <[u8; BLOCK]>::try_from(&*bytes) {
            let mut block = Block::from(block);
            cipher(&mut block);
            bytes.copy_from_slice(&block);
        }
        bytes.reverse();
    }
}
