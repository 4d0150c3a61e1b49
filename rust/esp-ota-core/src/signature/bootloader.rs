//! components/bootloader_support/src/secure_boot_v2/secure_boot_signatures_bootloader.c, and the ROM function it ends in.

use super::{Block, Console, Keys, Scheme, SignatureVerdict, family};
use crate::err::{EspErr, Level};

/// `esp_secure_boot_verify_sbv2_signature_block` of the bootloader.
pub(super) fn verify(sector: &[u8], digest: &[u8], scheme: Scheme, keys: &Keys) -> SignatureVerdict {
    let mut console = Console(Vec::new());
    let blocks: Vec<_> = Block::all(sector).take(keys.max_blocks).collect();
    let mut trusted = keys.clone();
    let no_keys = keys.none_readable();
    if no_keys {
        if keys.secure_boot_en {
            console.say(Level::Error, "Could not read eFuse secure boot digests!");
            return console.refuse(EspErr::Fail, "secure boot is on and no key digest is in the eFuses");
        }
        console.say(Level::Info, "Secure boot V2 is not enabled yet and eFuse digest keys are not set");
    }
    if !keys.secure_boot_en {
        // The first boot: nothing is burnt for good yet, so an image may bring its keys along.
        let own = |block: &Block<'_>| console.accepts(block, scheme).then(|| block.key_digest(scheme));
        let digests = blocks.iter().map(own).collect();
        if no_keys {
            trusted.slots = digests;
        }
    }
    console.say(Level::Info, scheme.verifying());
    if !keys.one_key_rom && blocks.iter().all(|block| block.version() != scheme.version()) {
        let family = family(scheme.version());
        console.say(Level::Error, "No signature block generated for valid scheme");
        let text = format!("{family} signing scheme selected but no signature block for the selected scheme");
        console.say(Level::Error, text);
        return console.refuse(EspErr::Fail, "no signature block of the build's scheme");
    }
    // Revocation by the ROM is not allowed here: `allow_key_revoke` is false.
    let rom = rom_verify(sector, digest, scheme, &trusted);
    if rom.verified {
        console.say(Level::Info, "Signature verified successfully!");
        return console.accept();
    }
    console.say(Level::Error, "Secure Boot V2 verification failed.");
    let untrusted = rom.failed.is_empty();
    let detail = if untrusted { "no signature block of a trusted key" } else { "a trusted key's signature is wrong" };
    console.refuse(EspErr::ImageInvalid, detail)
}

/// What the ROM found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RomVerdict {
    /// A trusted key signed these bytes.
    pub verified: bool,
    /// Slots whose key stands in a block but did not sign: with `SECURE_BOOT_AGGRESSIVE_REVOKE` the ROM revokes them.
    pub failed: Vec<usize>,
}

/// `ets_secure_boot_verify_signature`, in ROM: it also wants the digest that stands in a block to be right.
///
/// The source of the ROM is not public; this follows its header and the documentation of Secure Boot V2.
pub fn rom_verify(sector: &[u8], digest: &[u8], scheme: Scheme, keys: &Keys) -> RomVerdict {
    let mut failed = Vec::new();
    for block in Block::all(sector).take(keys.max_blocks) {
        if !block.is_whole() || block.version() != scheme.version() {
            continue;
        }
        let Some(slot) = keys.position(&block.key_digest(scheme)) else { continue };
        let computes = scheme != Scheme::Rsa3072 || block.rsa_helpers() == Some(true);
        if computes && block.stored_digest(scheme) == digest && block.verifies(scheme, digest) {
            return RomVerdict { verified: true, failed };
        }
        failed.push(slot);
    }
    RomVerdict { verified: false, failed }
}
