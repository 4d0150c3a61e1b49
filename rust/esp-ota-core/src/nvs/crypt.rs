//! NVS encryption: XTS-AES-256 over each entry by itself, and the partition that holds the keys.

use aes::Aes256;
use aes::cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::{crc32, refused};
use crate::err::{EspErr, Failure};
use crate::flash::Flash;
use crate::partition::Partition;

/// The least size of a partition for keys (`NVS_KEY_SIZE` and CRC in one sector).
pub const KEY_PARTITION_SIZE: u32 = 4096;

const KEY: usize = 32;
const BLOCK: usize = 16;
const CRC_OFFSET: u64 = 2 * KEY as u64;

/// Both keys and their CRC.
const PAGE_LEN: usize = 2 * KEY + 4;
type Page = [u8; PAGE_LEN];

/// The words whose HMACs are the keys.
const EKEY_SEED: u32 = 0xAEBE_5A5A;
const TKEY_SEED: u32 = 0xCEDE_A5A5;
/// What `nvs_flash_generate_keys` fills the keys with, past flash encryption: neighbouring blocks differ.
const FILL: [[u8; 2]; 2] = [[0xFF, 0x99], [0xEE, 0x88]];

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

    /// `compute_nvs_keys_with_hmac` (components/nvs_sec_provider): what an HMAC key in eFuse makes of two seeds.
    pub fn of_hmac(key: &[u8; KEY]) -> Self {
        let mut block = [0; 64]; // HMAC itself fills a short key up to a block
        block[..KEY].copy_from_slice(key);
        let [eky, tky] = [EKEY_SEED, TKEY_SEED].map(|seed| {
            let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
            mac.update(&seed.to_le_bytes().repeat(KEY / 4));
            mac.finalize().into_bytes().into()
        });
        Self { eky, tky }
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

/// `nvs_flash_read_security_cfg` (components/nvs_flash/src/nvs_api.cpp): the keys of a key partition.
///
/// One that is blank, in flash or once decrypted, is ESP_ERR_NVS_KEYS_NOT_INITIALIZED, one with a wrong CRC
/// ESP_ERR_NVS_CORRUPT_KEY_PART.
pub fn read_keys(flash: &mut Flash, partition: &Partition) -> Result<Keys, Failure> {
    let address = u64::from(partition.offset);
    let blank = |page: &Page| page.iter().all(|&byte| byte == 0xFF);
    let uninitialized = || refused(EspErr::NvsKeysNotInitialized, "NVS keys", address, "erased flash", "two keys");
    let mut raw = [0; PAGE_LEN];
    partition.read_raw(flash, 0, &mut raw)?;
    if blank(&raw) {
        return Err(uninitialized());
    }
    let mut page = [0; PAGE_LEN];
    partition.read(flash, 0, &mut page)?;
    let (keys, stored) = page.split_at(2 * KEY);
    let computed = crc32(&[keys]).to_le_bytes();
    if stored != computed {
        if blank(&page) {
            return Err(uninitialized());
        }
        let word = |bytes: &[u8]| format!("0x{:08x}", bytes.iter().rfold(0, |all, &byte| all << 8 | u32::from(byte)));
        let (field, place) = ("CRC of the NVS keys", address + CRC_OFFSET);
        return Err(refused(EspErr::NvsCorruptKeyPart, field, place, word(stored), word(&computed)));
    }
    let mut both = [0; 2 * KEY];
    both.copy_from_slice(keys);
    Ok(Keys::from_bytes(&both))
}

/// `nvs_flash_generate_keys`: constants past flash encryption, whose decryption the keys are, and their CRC.
pub fn generate_keys(flash: &mut Flash, partition: &Partition) -> Result<Keys, Failure> {
    partition.erase_range(flash, 0, partition.size.into())?;
    for (at, fill) in (0..).step_by(KEY).zip(FILL) {
        let blocks = fill.map(|byte| [byte; BLOCK]);
        partition.write_raw(flash, at, blocks.as_flattened())?;
    }
    let mut bytes = [0; 2 * KEY];
    partition.read(flash, 0, &mut bytes)?;
    let keys = Keys::from_bytes(&bytes);
    write_crc(flash, partition, &keys)?;
    Ok(keys)
}

/// A key partition with keys that are given, as a factory flashes it: erase the sector, write both and their CRC.
pub fn write_keys(flash: &mut Flash, partition: &Partition, keys: &Keys) -> Result<(), Failure> {
    partition.erase_range(flash, 0, KEY_PARTITION_SIZE.into())?;
    partition.write(flash, 0, &keys.eky)?;
    partition.write(flash, KEY as u64, &keys.tky)?;
    write_crc(flash, partition, keys)
}

/// A whole block, so that flash encryption can take it.
fn write_crc(flash: &mut Flash, partition: &Partition, keys: &Keys) -> Result<(), Failure> {
    let mut crc = [0xFF; BLOCK];
    crc[..4].copy_from_slice(&crc32(&[&keys.eky, &keys.tky]).to_le_bytes());
    partition.write(flash, CRC_OFFSET, &crc)
}
