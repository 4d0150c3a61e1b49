//! NVS encryption: XTS-AES-256 over each entry by itself, and the partition that holds the keys.

use aes::Aes256;
use aes::cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

use super::{crc32, refused};
use crate::err::{EspErr, Failure};
use crate::flash::Flash;
use crate::partition::Partition;

/// The least size of a partition for keys (`NVS_KEY_SIZE` and CRC in one sector).
pub const KEY_PARTITION_SIZE: u32 = 4096;

const KEY: usize = 32;
const BLOCK: usize = 16;
const CRC_OFFSET: u64 = 2 * KEY as u64;

/// `nvs_sec_cfg_t`: the key of the data and the key of the tweak.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// `eky`.
    pub eky: [u8; KEY],
    /// `tky`.
    pub tky: [u8; KEY],
}

impl Keys {
    /// Both in a row, as the key partition holds them.
    pub fn from_bytes(bytes: &[u8; 2 * KEY]) -> Self {
        let mut keys = Self { eky: [0; KEY], tky: [0; KEY] };
        keys.eky.copy_from_slice(&bytes[..KEY]);
        keys.tky.copy_from_slice(&bytes[KEY..]);
        keys
    }
}

/// The two ciphers, ready.
pub(super) struct Xts {
    data: Aes256,
    tweak: Aes256,
}

impl Xts {
    pub(super) fn new(keys: &Keys) -> Self {
        Self { data: Aes256::new(&keys.eky.into()), tweak: Aes256::new(&keys.tky.into()) }
    }

    pub(super) fn encrypt(&self, offset: u32, entry: &mut [u8]) {
        self.walk(offset, entry, |block| self.data.encrypt_block(block));
    }

    pub(super) fn decrypt(&self, offset: u32, entry: &mut [u8]) {
        self.walk(offset, entry, |block| self.data.decrypt_block(block));
    }

    /// The unit is one entry, its number the offset in the partition.
    fn walk(&self, offset: u32, entry: &mut [u8], cipher: impl Fn(&mut Block<Aes256>)) {
        let mut tweak = Block::<Aes256>::default();
        tweak.iter_mut().zip(offset.to_le_bytes()).for_each(|(to, from)| *to = from);
        self.tweak.encrypt_block(&mut tweak);
        for bytes in entry.chunks_exact_mut(BLOCK) {
            let mut block = Block::<Aes256>::default();
            block.copy_from_slice(bytes);
            xor(&mut block, &tweak);
            cipher(&mut block);
            xor(&mut block, &tweak);
            bytes.copy_from_slice(&block);
            double(&mut tweak);
        }
    }
}

fn xor(block: &mut Block<Aes256>, tweak: &Block<Aes256>) {
    block.iter_mut().zip(tweak).for_each(|(byte, mask)| *byte ^= mask);
}

/// Multiplication by x in GF(2^128), little-endian.
fn double(tweak: &mut Block<Aes256>) {
    let mut carry = 0;
    for byte in tweak.iter_mut() {
        let high = *byte >> 7;
        *byte = *byte << 1 | carry;
        carry = high;
    }
    if let Some(first) = tweak.first_mut().filter(|_| carry == 1) {
        *first ^= 0x87;
    }
}

/// `nvs_flash_read_security_cfg` (components/nvs_sec_provider): the keys of a key partition.
///
/// A blank one is ESP_ERR_NVS_KEYS_NOT_INITIALIZED, one with a wrong CRC ESP_ERR_NVS_CORRUPT_KEY_PART.
pub fn read_keys(flash: &mut Flash, partition: &Partition) -> Result<Keys, Failure> {
    let mut bytes = [0; 2 * KEY];
    let mut stored = [0; 4];
    partition.read(flash, 0, &mut bytes)?;
    partition.read(flash, CRC_OFFSET, &mut stored)?;
    let address = u64::from(partition.offset);
    let stored = u32::from_le_bytes(stored);
    if stored == u32::MAX && bytes.iter().all(|&byte| byte == 0xFF) {
        return Err(refused(EspErr::NvsKeysNotInitialized, "NVS keys", address, "erased flash", "two keys"));
    }
    let computed = crc32(&[&bytes]);
    if computed != stored {
        let (found, expected) = (format!("0x{stored:08x}"), format!("0x{computed:08x}"));
        return Err(refused(EspErr::NvsCorruptKeyPart, "CRC of the NVS keys", address + CRC_OFFSET, found, expected));
    }
    Ok(Keys::from_bytes(&bytes))
}

/// `nvs_flash_generate_keys` with keys that are given: erase the sector, write both and their CRC.
pub fn write_keys(flash: &mut Flash, partition: &Partition, keys: &Keys) -> Result<(), Failure> {
    partition.erase_range(flash, 0, KEY_PARTITION_SIZE.into())?;
    partition.write(flash, 0, &keys.eky)?;
    partition.write(flash, KEY as u64, &keys.tky)?;
    // A whole block, so that flash encryption can take it.
    let mut crc = [0xFF; BLOCK];
    crc[..4].copy_from_slice(&crc32(&[&keys.eky, &keys.tky]).to_le_bytes());
    partition.write(flash, CRC_OFFSET, &crc)
}
