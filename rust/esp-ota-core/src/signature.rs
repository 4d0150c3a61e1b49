//! Signatures of images: the 4096-byte sector of Secure Boot V2, and the 68-byte block of version 1.
//!
//! A V2 sector holds up to three blocks of 1216 bytes: magic, version, digest of the signed bytes, public key, signature,
//! CRC-32. Sources: components/bootloader_support/src/secure_boot_v2, `esp_rom_secure_boot.h`.

mod app;
mod block;
mod bootloader;
mod enable;
#[cfg(feature = "public-keys")]
mod keys;
#[cfg(not(feature = "public-keys"))]
#[path = "signature/no_keys.rs"]
mod keys;
mod signed;
mod slots;

pub use block::{BLOCK_SIZE, Block};
pub use bootloader::{RomVerdict, rom_verify};
pub use enable::{Enabling, enable, enable_on};
pub use signed::Signed;
pub(crate) use signed::hashed;
pub use slots::{signing_slots, trusting_slots};

use sha2::{Digest, Sha256, Sha384};

use crate::efuse::EFuse;
use crate::err::{EspErr, Level, LogLine};
use crate::flash::SECTOR;
use crate::image::Build;

/// Bytes of a version 1 signature: a version word, then r and s of ECDSA P-256.
pub const V1_SIZE: usize = 68;

/// Blocks in a sector.
pub const MAX_BLOCKS: usize = 3;

/// What came of one signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// The key signed these bytes.
    Good,
    /// It did not.
    Bad,
    /// The bytes in the place of the key are none.
    NoKey,
}

/// How apps are signed (`SECURE_SIGNED_APPS_SCHEME`, `SECURE_BOOT_ECDSA_KEY_LEN_SIZE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Scheme {
    EcdsaV1,
    Rsa3072,
    EcdsaP192,
    EcdsaP256,
    EcdsaP384,
}

impl Scheme {
    /// The schemes by their short names.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("ecdsa_v1", Self::EcdsaV1),
        ("rsa3072", Self::Rsa3072),
        ("ecdsa192", Self::EcdsaP192),
        ("ecdsa256", Self::EcdsaP256),
        ("ecdsa384", Self::EcdsaP384),
    ];

    /// The short name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, scheme)| *scheme == self).map_or("", |(name, _)| name)
    }

    /// The scheme with this short name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|&(_, scheme)| scheme)
    }

    /// The version byte of its blocks.
    pub(crate) fn version(self) -> u8 {
        match self {
            Self::EcdsaV1 => 1,
            Self::Rsa3072 => 2,
            Self::EcdsaP192 | Self::EcdsaP256 | Self::EcdsaP384 => 3,
        }
    }

    /// Whether the signed bytes are hashed with SHA-384.
    pub fn sha384(self) -> bool {
        self == Self::EcdsaP384
    }

    /// Bytes that an app's signature takes beyond `image_len`.
    pub fn room(self, image_len: u32) -> u32 {
        if self == Self::EcdsaV1 { V1_SIZE as u32 } else { v2_room(image_len) }
    }

    /// The curve id of its blocks: RSA has none.
    pub(crate) fn curve_id(self) -> Option<u8> {
        match self {
            Self::EcdsaV1 | Self::Rsa3072 => None,
            Self::EcdsaP192 => Some(1),
            Self::EcdsaP256 => Some(2),
            Self::EcdsaP384 => Some(3),
        }
    }

    fn verifying(self) -> &'static str {
        if self == Self::Rsa3072 { "Verifying with RSA-PSS..." } else { "Verifying with ECDSA..." }
    }
}

/// `esp_secure_boot_get_scheme_name`: what a version byte stands for.
fn family(version: u8) -> &'static str {
    match version {
        2 => "RSA",
        1 | 3 => "ECDSA",
        _ => "Unknown",
    }
}

/// Fill up to the next sector, and the signature sector.
pub fn v2_room(image_len: u32) -> u32 {
    let sector = SECTOR as u32;
    (sector - image_len % sector) % sector + sector
}

/// Where trusted keys come from, as the app says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The eFuses: hardware secure boot.
    EFuse,
    /// The running app: its own signature.
    RunningApp,
}

/// Whose signatures count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// SHA-256 of the trusted public key of each slot; a slot that is empty or revoked trusts nobody.
    pub slots: Vec<Option<[u8; 32]>>,
    /// Bytes of a digest that are compared: ESP32-C2 keeps half.
    pub digest_len: usize,
    /// Blocks, and slots, that are looked at.
    pub max_blocks: usize,
    /// Where the keys come from.
    pub origin: Origin,
    /// `esp_secure_boot_enabled`: the fuse is burnt.
    pub secure_boot_en: bool,
    /// ESP32: its ROM takes one digest, and nobody looks for a block of the right scheme before.
    pub one_key_rom: bool,
}

impl Keys {
    /// `esp_secure_boot_read_key_digests`: the slots that hold a key which is not revoked.
    pub fn of_efuse(efuse: &EFuse) -> Self {
        let slots = efuse.key_digests.iter().zip(efuse.revoked).take(efuse.digest_slots());
        Self {
            slots: slots.map(|(digest, revoked)| digest.filter(|_| !revoked)).collect(),
            digest_len: efuse.digest_len(),
            max_blocks: efuse.digest_slots(),
            origin: Origin::EFuse,
            secure_boot_en: efuse.secure_boot_en,
            one_key_rom: efuse.target.name == "esp32",
        }
    }

    /// `get_secure_boot_key_digests` of the app: eFuses once secure boot is on, else the keys of the running app.
    ///
    /// `secure_boot_v2`: the build has hardware secure boot; others look at the first block and the first key alone.
    pub fn of_app(efuse: &EFuse, running: &[[u8; 32]], secure_boot_v2: bool) -> Self {
        let mut keys = Self::of_efuse(efuse);
        if !efuse.secure_boot_en {
            keys.slots = running.iter().copied().map(Some).collect();
            keys.origin = Origin::RunningApp;
        }
        if !secure_boot_v2 {
            keys.max_blocks = 1;
        }
        keys
    }

    fn none_readable(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }

    fn position(&self, digest: &[u8; 32]) -> Option<usize> {
        let same = |known: &[u8; 32]| known.get(..self.digest_len) == digest.get(..self.digest_len);
        self.slots.iter().take(self.max_blocks).position(|slot| slot.as_ref().is_some_and(same))
    }
}

/// What a check of one signature sector said.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SignatureVerdict {
    /// The code returned.
    pub err: EspErr,
    /// The console.
    pub log: Vec<LogLine>,
    /// Why not, in words.
    pub detail: String,
}

const TAG: &str = "secure_boot_v2";

struct Console(Vec<LogLine>);

impl Console {
    fn say(&mut self, level: Level, text: impl Into<String>) {
        self.say_as(TAG, level, text);
    }

    fn say_as(&mut self, tag: &'static str, level: Level, text: impl Into<String>) {
        self.0.push(LogLine { level, tag, text: text.into() });
    }

    fn refuse(self, err: EspErr, detail: &str) -> SignatureVerdict {
        SignatureVerdict { err, log: self.0, detail: detail.to_owned() }
    }

    fn accept(self) -> SignatureVerdict {
        SignatureVerdict { err: EspErr::Ok, log: self.0, detail: String::new() }
    }

    /// `validate_signature_block`: magic byte and CRC, then version and curve, which it complains about.
    fn accepts(&mut self, block: &Block<'_>, scheme: Scheme) -> bool {
        if !block.is_whole() {
            return false;
        }
        if block.version() != scheme.version() {
            let (ours, theirs) = (family(scheme.version()), family(block.version()));
            let text = format!("{ours} signing scheme selected but signature block generated for {theirs} scheme");
            self.say(Level::Error, text);
            return false;
        }
        let (curve, expected) = (block.curve_id(scheme), scheme.curve_id().unwrap_or_default());
        if scheme.curve_id().is_some() && curve != expected {
            let text = format!("ECDSA curve mismatch: actual (curve_id {curve}), expected (curve_id {expected})");
            self.say(Level::Error, text);
            return false;
        }
        true
    }
}

/// `esp_secure_boot_verify_sbv2_signature_block`: `digest` is that of the signed bytes.
pub fn verify_v2(sector: &[u8], digest: &[u8], scheme: Scheme, keys: &Keys, build: Build) -> SignatureVerdict {
    match build {
        Build::App => app::verify(sector, digest, scheme, keys),
        Build::Bootloader => bootloader::verify(sector, digest, scheme, keys),
    }
}

/// The digest of signed bytes, as this scheme takes it.
pub fn signed_digest(scheme: Scheme, signed: &[u8]) -> Vec<u8> {
    if scheme.sha384() { Sha384::digest(signed).to_vec() } else { Sha256::digest(signed).to_vec() }
}

/// `esp_secure_boot_verify_signature` of version 1 over a whole file: what is signed, then the 68-byte block.
pub fn verify_v1_file(data: &[u8], public_key: &[u8; 64]) -> SignatureVerdict {
    let Some((signed, block)) = data.len().checked_sub(V1_SIZE).and_then(|end| data.split_at_checked(end)) else {
        let detail = format!("{} bytes are less than the {V1_SIZE} of a signature", data.len());
        return SignatureVerdict { err: EspErr::Fail, log: Vec::new(), detail };
    };
    verify_v1(block, &Sha256::digest(signed).into(), public_key, Build::App)
}

/// `esp_secure_boot_verify_ecdsa_signature_block`, version 1: `block` follows the image, `digest` covers all before it.
pub fn verify_v1(block: &[u8], digest: &[u8; 32], public_key: &[u8; 64], build: Build) -> SignatureVerdict {
    let tag = if build == Build::App { "secure_boot_v1" } else { "secure_boot" };
    let say = |text: &str| vec![LogLine { level: Level::Error, tag, text: text.to_owned() }];
    let Some((version, signature)) = block.split_first_chunk().filter(|(_, rest)| rest.len() == V1_SIZE - 4) else {
        return SignatureVerdict { err: EspErr::Fail, log: Vec::new(), detail: "the block ends too early".to_owned() };
    };
    let version = u32::from_le_bytes(*version);
    if version != 0 {
        let log =
            say(&format!("image has invalid signature version field 0x{version:08x} (image without a signature?)"));
        return SignatureVerdict { err: EspErr::Fail, log, detail: format!("signature version {version}, expected 0") };
    }
    if keys::p256_big_endian(public_key, signature, digest) {
        return SignatureVerdict { err: EspErr::Ok, log: Vec::new(), detail: String::new() };
    }
    SignatureVerdict { err: EspErr::ImageInvalid, log: Vec::new(), detail: "the signature is wrong".to_owned() }
}
