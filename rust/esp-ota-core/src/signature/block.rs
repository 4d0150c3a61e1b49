//! One signature block, decoded without judging (`ets_secure_boot_sig_block_t`).
//!
//! A build reads a block by the layout of *its own* scheme; only tools go by what the block says about itself.

use sha2::{Digest, Sha256};

use super::{Checked, MAX_BLOCKS, Scheme, keys};
use crate::err::{EspErr, Fault};

/// Bytes of a block.
pub const BLOCK_SIZE: usize = 1216;

const MAGIC: u8 = 0xE7;
const CRC_AT: usize = 1196;
const R_SQUARED_AT: usize = 424;
const M_PRIME_AT: usize = 808;

/// The bytes of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    bytes: &'a [u8; BLOCK_SIZE],
    /// Where it stands in its sector.
    pub offset: usize,
}

/// Where a scheme keeps its parts.
struct Layout {
    digest_len: usize,
    key: (usize, usize),
    signature: (usize, usize),
}

impl Layout {
    fn of(scheme: Scheme) -> Self {
        let (digest_len, key, signature) = match scheme {
            Scheme::Rsa3072 | Scheme::EcdsaV1 => (32, (36, 776), (812, 384)),
            Scheme::EcdsaP192 => (32, (36, 65), (101, 48)),
            Scheme::EcdsaP256 => (32, (36, 65), (101, 64)),
            Scheme::EcdsaP384 => (48, (52, 97), (149, 96)),
        };
        Self { digest_len, key, signature }
    }
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

    /// Whether it starts as a block does.
    pub fn has_magic(&self) -> bool {
        self.magic() == MAGIC
    }

    /// Magic byte and CRC.
    pub fn is_whole(&self) -> bool {
        self.has_magic() && self.crc_stored() == self.crc_calculated()
    }

    /// The byte before the point of an ECDSA key, where a build for `scheme` looks for it.
    pub(super) fn curve_id(&self, scheme: Scheme) -> u8 {
        self.byte(Layout::of(scheme).key.0)
    }

    /// The scheme that the block itself names: version, hash and curve; nothing for a mixture that no tool writes.
    pub fn scheme(&self) -> Option<Scheme> {
        let named = match (self.version(), self.byte(2)) {
            (2, 0) => return Some(Scheme::Rsa3072),
            (3, 0) => [Scheme::EcdsaP192, Scheme::EcdsaP256].as_slice(),
            (3, 1) => &[Scheme::EcdsaP384],
            _ => return None,
        };
        named.iter().find(|scheme| scheme.curve_id() == Some(self.curve_id(**scheme))).copied()
    }

    /// SHA-256 of the public key, as a chip keeps it.
    pub fn key_digest(&self, scheme: Scheme) -> [u8; 32] {
        let (at, length) = Layout::of(scheme).key;
        Sha256::digest(self.part(at, length)).into()
    }

    /// The digest of the signed bytes that stands in the block.
    pub fn stored_digest(&self, scheme: Scheme) -> &'a [u8] {
        self.part(4, Layout::of(scheme).digest_len)
    }

    /// Whether the signature is the key's own over `digest`.
    pub fn check(&self, scheme: Scheme, digest: &[u8]) -> Checked {
        let layout = Layout::of(scheme);
        let signature = self.part(layout.signature.0, layout.signature.1);
        let point = self.part(layout.key.0 + 1, layout.signature.1);
        if scheme.curve_id().is_some_and(|curve| curve != self.curve_id(scheme)) {
            return Checked::NoKey;
        }
        match scheme {
            Scheme::Rsa3072 => keys::rsa(self.part(36, 384), self.part(420, 4), signature, digest),
            Scheme::EcdsaP192 => keys::p192(point, signature, digest),
            Scheme::EcdsaP256 => keys::p256(point, signature, digest),
            Scheme::EcdsaP384 => keys::p384(point, signature, digest),
            Scheme::EcdsaV1 => Checked::NoKey,
        }
    }

    /// The same as yes or no.
    pub fn verifies(&self, scheme: Scheme, digest: &[u8]) -> bool {
        self.check(scheme, digest) == Checked::Good
    }

    /// Whether the two helper numbers, which the chip's RSA hardware calculates with, are those of the key.
    pub(super) fn rsa_helpers(&self) -> Option<bool> {
        let (r_squared, m_prime) = keys::rsa_helpers(self.part(36, 384))?;
        Some(self.part(R_SQUARED_AT, 384) == r_squared && self.part(M_PRIME_AT, 4) == m_prime)
    }

    /// Everything wrong with a block that is not blank. `digest` gives that of the signed bytes, where they are known.
    pub fn faults(&self, digest: impl Fn(Scheme) -> Option<Vec<u8>>) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut say = |field: &str, at: usize, found: String, expected: String| {
            let at = (self.offset + at) as u64;
            faults.push(Fault::new(EspErr::ImageInvalid, format!("signature {field}"), at, found, expected));
        };
        if !self.has_magic() {
            say("magic", 0, format!("0x{:02x}", self.magic()), format!("0x{MAGIC:02x}"));
        }
        if self.crc_stored() != self.crc_calculated() {
            let (stored, right) = (self.crc_stored(), self.crc_calculated());
            say("crc", CRC_AT, format!("0x{stored:08x}"), format!("0x{right:08x}"));
        }
        let Some(scheme) = self.scheme() else {
            let (version, hash) = (self.version(), self.byte(2));
            let like = if hash == 1 { Scheme::EcdsaP384 } else { Scheme::EcdsaP256 };
            let (at, curve) = (Layout::of(like).key.0, self.curve_id(like));
            match (version, hash) {
                (2, _) => say("hash id", 2, hash.to_string(), "0 (SHA-256)".to_owned()),
                (3, 0) => say("curve id", at, curve.to_string(), "1 (P-192) or 2 (P-256)".to_owned()),
                (3, 1) => say("curve id", at, curve.to_string(), "3 (P-384)".to_owned()),
                (3, _) => say("hash id", 2, hash.to_string(), "0 (SHA-256) or 1 (SHA-384)".to_owned()),
                _ => say("version", 1, version.to_string(), "2 (RSA-3072) or 3 (ECDSA)".to_owned()),
            }
            return faults;
        };
        if scheme == Scheme::Rsa3072 && self.rsa_helpers() == Some(false) {
            let found = "numbers that are not the modulus's own".to_owned();
            say("rsa helpers", R_SQUARED_AT, found, "R^2 mod n and -1/n mod 2^32".to_owned());
        }
        if let Some(digest) = digest(scheme) {
            let stored = self.stored_digest(scheme);
            if stored != digest {
                say("image digest", 4, crate::image::hex(stored), crate::image::hex(&digest));
            }
            let layout = Layout::of(scheme);
            match self.check(scheme, &digest) {
                Checked::Good => {}
                Checked::NoKey => {
                    say("key", layout.key.0, "no public key".to_owned(), format!("one of {}", scheme.name()));
                }
                Checked::Bad => {
                    let found = "no signature of these bytes by this key".to_owned();
                    say("value", layout.signature.0, found, "one".to_owned());
                }
            }
        }
        faults
    }
}
