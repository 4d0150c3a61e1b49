//! One signature block, decoded without judging (`ets_secure_boot_sig_block_t`).

use sha2::{Digest, Sha256};

use super::{MAX_BLOCKS, Scheme, keys};
use crate::err::{EspErr, Fault};

/// Bytes of a block.
pub const BLOCK_SIZE: usize = 1216;

/// The first byte of every block.
pub const SIGNATURE_MAGIC: u8 = 0xE7;
const CRC_AT: usize = 1196;

/// The bytes of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    bytes: &'a [u8; BLOCK_SIZE],
    /// Where it stands in its sector.
    pub offset: usize,
}

impl<'a> Block<'a> {
    /// The places for blocks in a sector, empty ones included.
    pub fn all(sector: &'a [u8]) -> impl Iterator<Item = Self> {
        let places = sector.chunks_exact(BLOCK_SIZE).take(MAX_BLOCKS).enumerate();
        places.filter_map(|(index, bytes)| Some(Self { bytes: bytes.try_into().ok()?, offset: index * BLOCK_SIZE }))
    }

    fn part(&self, at: usize, length: usize) -> &'a [u8] {
        self.bytes.get(at..at + length).unwrap_or_default()
    }

    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or_default()
    }

    /// Whether nothing was ever written here.
    pub fn is_blank(&self) -> bool {
        self.bytes.iter().all(|&byte| byte == 0xFF)
    }

    /// The first byte.
    pub fn magic(&self) -> u8 {
        self.byte(0)
    }

    /// 2 for RSA-3072, 3 for ECDSA.
    pub fn version(&self) -> u8 {
        self.byte(1)
    }

    /// The CRC-32 that stands in the block.
    pub fn crc_stored(&self) -> u32 {
        self.part(CRC_AT, 4).try_into().map_or(0, u32::from_le_bytes)
    }

    /// The CRC-32 of what stands before it.
    pub fn crc_calculated(&self) -> u32 {
        crc32fast::hash(self.part(0, CRC_AT))
    }

    /// `validate_signature_block`: magic byte and CRC.
    pub fn is_whole(&self) -> bool {
        self.magic() == SIGNATURE_MAGIC && self.crc_stored() == self.crc_calculated()
    }

    /// Where the key starts: ECDSA with P-384 keeps a longer digest before it.
    fn curve_at(&self) -> usize {
        if self.byte(2) == 1 { 52 } else { 36 }
    }

    /// The scheme that version, hash and curve make; nothing for a mixture that no tool writes.
    pub fn scheme(&self) -> Option<Scheme> {
        match (self.version(), self.byte(2), self.byte(self.curve_at())) {
            (2, ..) => Some(Scheme::Rsa3072),
            (3, 0, 1) => Some(Scheme::EcdsaP192),
            (3, 0, 2) => Some(Scheme::EcdsaP256),
            (3, 1, 3) => Some(Scheme::EcdsaP384),
            _ => None,
        }
    }

    /// The bytes that make up the key, to be hashed.
    fn key(&self) -> &'a [u8] {
        match self.scheme() {
            Some(Scheme::EcdsaP384) => self.part(52, 97),
            Some(Scheme::EcdsaP192 | Scheme::EcdsaP256) => self.part(36, 65),
            _ => self.part(36, 776),
        }
    }

    /// SHA-256 of the public key, as a chip keeps it.
    pub fn key_digest(&self) -> [u8; 32] {
        Sha256::digest(self.key()).into()
    }

    /// The digest of the signed bytes that stands in the block.
    pub fn stored_digest(&self) -> &'a [u8] {
        if self.scheme() == Some(Scheme::EcdsaP384) { self.part(4, 48) } else { self.part(4, 32) }
    }

    /// Whether the signature is the key's own over `digest`.
    pub fn verifies(&self, digest: &[u8]) -> bool {
        match self.scheme() {
            Some(Scheme::Rsa3072) => keys::rsa(self.part(36, 384), self.part(420, 4), self.part(812, 384), digest),
            Some(Scheme::EcdsaP192) => keys::p192(self.part(37, 48), self.part(101, 48), digest),
            Some(Scheme::EcdsaP256) => keys::p256(self.part(37, 64), self.part(101, 64), digest),
            Some(Scheme::EcdsaP384) => keys::p384(self.part(53, 96), self.part(149, 96), digest),
            Some(Scheme::EcdsaV1) | None => false,
        }
    }

    /// Everything wrong with a block that is not blank. With `digest`, that of the signed bytes, the signature too.
    pub fn faults(&self, digest: Option<&[u8]>) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut say = |field: &str, at: usize, found: String, expected: String| {
            let at = (self.offset + at) as u64;
            faults.push(Fault::new(EspErr::ImageInvalid, format!("signature {field}"), at, found, expected));
        };
        if self.magic() != SIGNATURE_MAGIC {
            say("magic", 0, format!("0x{:02x}", self.magic()), format!("0x{SIGNATURE_MAGIC:02x}"));
        }
        if self.crc_stored() != self.crc_calculated() {
            let (stored, right) = (self.crc_stored(), self.crc_calculated());
            say("crc", CRC_AT, format!("0x{stored:08x}"), format!("0x{right:08x}"));
        }
        if self.scheme().is_none() {
            let found =
                format!("version {}, hash {}, curve {}", self.version(), self.byte(2), self.byte(self.curve_at()));
            say("version", 1, found, "RSA-3072 (2) or ECDSA (3) with a known curve".to_owned());
        } else if let Some(digest) = digest.filter(|_| faults.is_empty()) {
            let mut say = |field: &str, at: usize, found: String, expected: &str| {
                let at = (self.offset + at) as u64;
                faults.push(Fault::new(EspErr::ImageInvalid, format!("signature {field}"), at, found, expected));
            };
            if self.stored_digest() != digest {
                say("image digest", 4, crate::image::hex(self.stored_digest()), &crate::image::hex(digest));
            }
            if !self.verifies(digest) {
                say("value", 4, "no signature of this image by this key".to_owned(), "one");
            }
        }
        faults
    }
}
