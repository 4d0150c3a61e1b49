//! Signatures of images: the 4096-byte sector of Secure Boot V2, and the 68-byte block of version 1.
//!
//! A V2 sector holds up to three blocks of 1216 bytes: magic, version, digest of the signed bytes, public key, signature,
//! CRC-32. Sources: components/bootloader_support/src/secure_boot_v2, `esp_rom_secure_boot.h`.

mod block;
mod keys;

pub use block::{BLOCK_SIZE, Block, SIGNATURE_MAGIC};

use crate::efuse::EFuse;
use crate::err::{EspErr, Level, LogLine};
use crate::flash::SECTOR;
use crate::image::Build;

/// Bytes of a version 1 signature: a version word, then r and s of ECDSA P-256.
pub const V1_SIZE: usize = 68;

/// Blocks in a sector.
pub const MAX_BLOCKS: usize = 3;

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

    /// `esp_secure_boot_get_scheme_name`, as far as a version byte tells it.
    fn family(self) -> &'static str {
        if self == Self::Rsa3072 { "RSA" } else { "ECDSA" }
    }

    fn verifying(self) -> &'static str {
        if self == Self::Rsa3072 { "Verifying with RSA-PSS..." } else { "Verifying with ECDSA..." }
    }
}

/// Fill up to the next sector, and the signature sector.
pub fn v2_room(image_len: u32) -> u32 {
    let sector = SECTOR as u32;
    (sector - image_len % sector) % sector + sector
}

/// Whose signatures count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// SHA-256 of the trusted public keys.
    pub digests: Vec<[u8; 32]>,
    /// Bytes of a digest that are compared: ESP32-C2 keeps half.
    pub digest_len: usize,
    /// Blocks that are looked at.
    pub max_blocks: usize,
    /// What the app says about where the keys come from.
    pub source: &'static str,
    /// `esp_secure_boot_enabled`: the fuse is burnt.
    pub secure_boot_en: bool,
}

impl Keys {
    /// `esp_secure_boot_read_key_digests`: the slots that hold a key which is not revoked.
    pub fn of_efuse(efuse: &EFuse) -> Self {
        let slots = efuse.key_digests.iter().zip(efuse.revoked).take(efuse.digest_slots());
        Self {
            digests: slots.filter(|(_, revoked)| !revoked).filter_map(|(digest, _)| *digest).collect(),
            digest_len: if efuse.target.name == "esp32c2" { 16 } else { 32 },
            max_blocks: efuse.digest_slots(),
            source: "Take trusted digest key(s) from eFuse block(s)",
            secure_boot_en: efuse.secure_boot_en,
        }
    }

    /// The keys of the running app, for signed apps without secure boot: only the first block counts.
    pub fn of_running_app(digests: Vec<[u8; 32]>) -> Self {
        let source = "Take trusted digest key(s) from running app";
        Self { digests, digest_len: 32, max_blocks: 1, source, secure_boot_en: false }
    }

    fn position(&self, digest: &[u8; 32]) -> Option<usize> {
        self.digests.iter().position(|known| known.get(..self.digest_len) == digest.get(..self.digest_len))
    }
}

/// What a check of one signature sector said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureVerdict {
    /// The code returned.
    pub err: EspErr,
    /// The console.
    pub log: Vec<LogLine>,
    /// Why not, in words.
    pub detail: String,
}

struct Console(Vec<LogLine>);

impl Console {
    fn say(&mut self, level: Level, text: impl Into<String>) {
        self.0.push(LogLine { level, tag: "secure_boot_v2", text: text.into() });
    }

    fn refuse(self, err: EspErr, detail: &str) -> SignatureVerdict {
        SignatureVerdict { err, log: self.0, detail: detail.to_owned() }
    }

    fn accept(mut self) -> SignatureVerdict {
        self.say(Level::Info, "Signature verified successfully!");
        SignatureVerdict { err: EspErr::Ok, log: self.0, detail: String::new() }
    }
}

/// `esp_secure_boot_verify_sbv2_signature_block`: `digest` is that of the signed bytes.
pub fn verify_v2(sector: &[u8], digest: &[u8], scheme: Scheme, keys: &Keys, build: Build) -> SignatureVerdict {
    match build {
        Build::App => by_app(sector, digest, scheme, keys),
        Build::Bootloader => by_bootloader(sector, digest, scheme, keys),
    }
}

/// components/bootloader_support/src/secure_boot_v2/secure_boot_signatures_app.c.
///
/// The digest stored inside the block is not looked at here.
fn by_app(sector: &[u8], digest: &[u8], scheme: Scheme, keys: &Keys) -> SignatureVerdict {
    let mut console = Console(Vec::new());
    console.say(Level::Info, keys.source);
    if keys.digests.is_empty() {
        console.say(Level::Error, "Could not read secure boot digests!");
        return console.refuse(EspErr::Fail, "no trusted key digest");
    }
    let mut detail = "no signature block of the build's scheme";
    for (index, block) in Block::all(sector).take(keys.max_blocks).enumerate() {
        if !block.is_whole() || block.scheme() != Some(scheme) {
            continue;
        }
        let Some(trusted) = keys.position(&block.key_digest()) else {
            detail = "no signature block of a trusted key";
            continue;
        };
        console.say(Level::Info, format!("#{index} app key digest == #{trusted} trusted key digest"));
        console.say(Level::Info, scheme.verifying());
        if block.verifies(digest) {
            return console.accept();
        }
        detail = "a trusted key's signature is wrong";
    }
    console.refuse(EspErr::ImageInvalid, detail)
}

/// components/bootloader_support/src/secure_boot_v2/secure_boot_signatures_bootloader.c, and the ROM function it ends in.
fn by_bootloader(sector: &[u8], digest: &[u8], scheme: Scheme, keys: &Keys) -> SignatureVerdict {
    let mut console = Console(Vec::new());
    let blocks: Vec<_> = Block::all(sector).take(keys.max_blocks).collect();
    let mut trusted = keys.clone();
    if keys.digests.is_empty() {
        if keys.secure_boot_en {
            console.say(Level::Error, "Could not read eFuse secure boot digests!");
            return console.refuse(EspErr::Fail, "secure boot is on and no key digest is in the eFuses");
        }
        console.say(Level::Info, "Secure boot V2 is not enabled yet and eFuse digest keys are not set");
    }
    if !keys.secure_boot_en {
        // The first boot: nothing is burnt for good yet, so an image may bring its keys along.
        for block in blocks.iter().filter(|block| block.is_whole()) {
            if block.version() == scheme.version() {
                if keys.digests.is_empty() {
                    trusted.digests.push(block.key_digest());
                }
            } else {
                let (ours, theirs) = (scheme.family(), if block.version() == 2 { "RSA" } else { "ECDSA" });
                let text = format!("{ours} signing scheme selected but signature block generated for {theirs} scheme");
                console.say(Level::Error, text);
            }
        }
    }
    console.say(Level::Info, scheme.verifying());
    if blocks.iter().all(|block| block.version() != scheme.version()) {
        let family = scheme.family();
        console.say(Level::Error, "No signature block generated for valid scheme");
        let text = format!("{family} signing scheme selected but no signature block for the selected scheme");
        console.say(Level::Error, text);
        return console.refuse(EspErr::Fail, "no signature block of the build's scheme");
    }
    // ets_secure_boot_verify_signature, in ROM: it also wants the digest that stands in the block to be right.
    let known = |block: &&Block<'_>| block.is_whole() && trusted.position(&block.key_digest()).is_some();
    let good =
        |block: &Block<'_>| block.scheme() == Some(scheme) && block.stored_digest() == digest && block.verifies(digest);
    if blocks.iter().filter(known).any(good) {
        return console.accept();
    }
    console.say(Level::Error, "Secure Boot V2 verification failed.");
    let detail = if blocks.iter().any(|block| known(&block)) {
        "a trusted key's signature is wrong"
    } else {
        "no signature block of a trusted key"
    };
    console.refuse(EspErr::ImageInvalid, detail)
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

/// `esp_secure_boot_v2_permanently_enable`: why the fuses stay as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotEnabled(pub &'static str);

/// `esp_secure_boot_v2_permanently_enable`: what the first boot burns, from the signature sectors of bootloader and app.
///
/// The bootloader's whole, right blocks give the digests; the app must share one of them; slots that stay empty are revoked
/// unless `allow_unused_slots`. Returns the fuses as they are afterwards.
pub fn enable(
    efuse: &EFuse,
    bootloader: (&[u8], &[u8]),
    app: &[u8],
    scheme: Scheme,
    allow_unused_slots: bool,
) -> Result<EFuse, NotEnabled> {
    let mut burnt = efuse.clone();
    if efuse.secure_boot_en {
        return Ok(burnt);
    }
    let (sector, digest) = bootloader;
    let usable = |block: &Block<'_>| block.is_whole() && block.scheme() == Some(scheme);
    if Keys::of_efuse(efuse).digests.is_empty() {
        let right = |block: &Block<'_>| usable(block) && block.stored_digest() == digest && block.verifies(digest);
        let found: Vec<_> = Block::all(sector).take(burnt.digest_slots()).filter(right).collect();
        if found.is_empty() {
            return Err(NotEnabled("the bootloader has no valid signature block"));
        }
        for (slot, block) in found.iter().enumerate() {
            if burnt.burn_key_digest(slot, block.key_digest()).is_err() {
                return Err(NotEnabled("a key slot is in use"));
            }
        }
    }
    let keys = Keys::of_efuse(&burnt);
    let mut shared = Block::all(app).take(keys.max_blocks).filter(usable);
    if !shared.any(|block| keys.position(&block.key_digest()).is_some()) {
        return Err(NotEnabled("the app is signed with none of the bootloader's keys"));
    }
    if !allow_unused_slots && burnt.revocable() {
        for (digest, revoked) in burnt.key_digests.iter().zip(burnt.revoked.iter_mut()) {
            *revoked |= digest.is_none();
        }
    }
    burnt.secure_boot_en = true;
    Ok(burnt)
}
