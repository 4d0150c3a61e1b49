//! XTS-AES-128 and XTS-AES-256 as the flash controller does it: units of 128 bytes, the whole unit byte-reversed.

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes256, Block};
use sha2::{Digest, Sha256};

use super::BLOCK;

/// Bytes of a data unit; each has its own tweak.
const UNIT: u64 = 128;
const BLOCKS: u64 = UNIT / BLOCK as u64;

#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "the engine itself is boxed")]
enum Keys {
    Aes128 { data: Aes128, tweak: Aes128 },
    Aes256 { data: Aes256, tweak: Aes256 },
}

#[derive(Clone)]
pub(super) struct Xts(Keys);

impl Xts {
    /// A key file of 32 or 64 bytes, data key first; ESP32-C2's 16 bytes are hashed to 32.
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        if key.len() == 16 {
            return Self::new(&Sha256::digest(key));
        }
        let (data, tweak) = key.split_at_checked(key.len() / 2)?;
        match key.len() {
            32 => Some(Self(Keys::Aes128 {
                data: Aes128::new_from_slice(data).ok()?,
                tweak: Aes128::new_from_slice(tweak).ok()?,
            })),
            64 => Some(Self(Keys::Aes256 {
                data: Aes256::new_from_slice(data).ok()?,
                tweak: Aes256::new_from_slice(tweak).ok()?,
            })),
            _ => None,
        }
    }

    pub(super) fn apply(&self, address: u64, data: &mut [u8], encrypt: bool) {
        let mut at = address;
        // What is left of the first unit, then whole units: the blocks of one go through the cipher together.
        let first = ((UNIT - at % UNIT) as usize).min(data.len());
        let Some((head, rest)) = data.split_at_mut_checked(first) else { return };
        for part in std::iter::once(head).chain(rest.chunks_mut(UNIT as usize)) {
            self.unit(at, part, encrypt);
            at = at.wrapping_add(part.len() as u64);
        }
    }

    /// The masks of a unit's blocks: the encrypted address, doubled from block to block.
    fn masks(&self, unit: u64) -> [u128; BLOCKS as usize] {
        let mut block = Block::from(u128::from(unit as u32).to_le_bytes());
        match &self.0 {
            Keys::Aes128 { tweak, .. } => tweak.encrypt_block(&mut block),
            Keys::Aes256 { tweak, .. } => tweak.encrypt_block(&mut block),
        }
        let mut mask = u128::from_le_bytes(block.into());
        [(); BLOCKS as usize].map(|()| {
            let now = mask;
            let carry = if mask >> 127 == 1 { 0x87 } else { 0 };
            mask = mask << 1 ^ carry;
            now
        })
    }

    /// The blocks of one unit, or some in a row, that stand at `at`.
    fn unit(&self, at: u64, part: &mut [u8], encrypt: bool) {
        // The unit is reversed as a whole: its last block comes first, and bytes within a block run backwards.
        let masks = self.masks(at - at % UNIT);
        let masks = masks.iter().rev().skip((at % UNIT) as usize / BLOCK);
        let mut blocks = [Block::default(); BLOCKS as usize];
        for ((block, bytes), mask) in blocks.iter_mut().zip(part.chunks_exact(BLOCK)).zip(masks.clone()) {
            let plain = <[u8; BLOCK]>::try_from(bytes).map(u128::from_be_bytes).unwrap_or_default();
            *block = (plain ^ mask).to_le_bytes().into();
        }
        let Some(used) = blocks.get_mut(..part.len() / BLOCK) else { return };
        match (&self.0, encrypt) {
            (Keys::Aes128 { data, .. }, true) => data.encrypt_blocks(used),
            (Keys::Aes128 { data, .. }, false) => data.decrypt_blocks(used),
            (Keys::Aes256 { data, .. }, true) => data.encrypt_blocks(used),
            (Keys::Aes256 { data, .. }, false) => data.decrypt_blocks(used),
        }
        for ((bytes, block), mask) in part.chunks_exact_mut(BLOCK).zip(used).zip(masks) {
            let done = u128::from_le_bytes((*block).into()) ^ mask;
            bytes.copy_from_slice(&done.to_be_bytes());
        }
    }
}
