//! components/bootloader_support/src/secure_boot_v2/secure_boot.c: the first boot burns the keys.

use super::{Block, Console, Keys, Scheme, SignatureVerdict, Signed};
use crate::efuse::EFuse;
use crate::err::{EspErr, Failure, Level};
use crate::source::Source;

/// Options of the build that enables secure boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enabling {
    /// `SECURE_BOOT_ALLOW_UNUSED_DIGEST_SLOTS`.
    pub allow_unused_slots: bool,
    /// `SECURE_BOOT_ENABLE_AGGRESSIVE_KEY_REVOKE`.
    pub aggressive_revoke: bool,
}

/// `esp_secure_boot_v2_permanently_enable`: what the first boot burns, from the signatures of bootloader and app.
///
/// Both images were verified before. Returns the verdict and, when it is good, the fuses as they are afterwards: they are
/// written in one batch at the end, so a refusal burns nothing.
pub fn enable(
    efuse: &EFuse,
    bootloader: &Signed,
    app: &Signed,
    scheme: Scheme,
    options: Enabling,
) -> (SignatureVerdict, Option<EFuse>) {
    let mut console = Console(Vec::new());
    console.say(Level::Info, "enabling secure boot v2...");
    let mut burnt = efuse.clone();
    if efuse.secure_boot_en {
        console.say(Level::Info, "secure boot v2 is already enabled, continuing..");
        return (console.accept(), Some(burnt));
    }
    if let Err((err, detail)) = check_and_generate_keys(&mut console, &mut burnt, bootloader, app, scheme, options) {
        return (console.refuse(err, detail), None);
    }
    console.say(Level::Info, "blowing secure boot efuse...");
    burnt.aggressive_revoke |= options.aggressive_revoke && burnt.revocable();
    burnt.secure_boot_en = true;
    console.say(Level::Info, "Secure boot permanently enabled");
    (console.accept(), Some(burnt))
}

/// The same, the images being in flash: each as address and size of its region.
pub fn enable_on<S: Source + ?Sized>(
    flash: &S,
    efuse: &EFuse,
    bootloader: (u32, u32),
    app: (u32, u32),
    scheme: Scheme,
    options: Enabling,
) -> Result<(SignatureVerdict, Option<EFuse>), Failure> {
    let signed = |region| Signed::behind(flash, region, scheme, efuse);
    Ok(match (signed(bootloader)?, signed(app)?) {
        (Ok(bootloader), Ok(app)) => enable(efuse, &bootloader, &app, scheme, options),
        (Err(err), _) | (_, Err(err)) => {
            let mut console = Console(Vec::new());
            console.say(Level::Info, "enabling secure boot v2...");
            console.say(Level::Error, format!("bootloader image appears invalid! error {}", err as i32));
            (console.refuse(err, "an image cannot be followed to its signature"), None)
        }
    })
}

type Refused = (EspErr, &'static str);

fn fail<T>(console: &mut Console, text: &'static str) -> Result<T, Refused> {
    console.say(Level::Error, text);
    Err((EspErr::Fail, text))
}

/// `esp_efuse_write_keys` with the purposes SECURE_BOOT_DIGESTn: all of the keys, or none.
fn burn_keys(console: &mut Console, burnt: &mut EFuse, keys: &[[u8; 32]]) -> Result<(), Refused> {
    // The one key block of ESP32-C2 reads as used once flash encryption has its half.
    let taken = burnt.digest_len() < 32 && burnt.flash_encryption_key.is_some();
    let err = if taken {
        Some(EspErr::InvalidState)
    } else {
        keys.iter().enumerate().find_map(|(slot, key)| burnt.burn_key_digest(slot, *key).err()).map(|fault| fault.err)
    };
    let Some(err) = err else { return Ok(()) };
    if err == EspErr::NotEnoughUnusedKeyBlocks {
        console.say(Level::Error, format!("Bootloader signatures({}) more than available key slots.", keys.len()));
    } else {
        let text = format!("Failed to write efuse block with purpose (err=0x{:x}). Can't continue.", err as i32);
        console.say(Level::Error, text);
    }
    Err((err, "the keys of the bootloader cannot be burnt"))
}

/// `check_and_generate_secure_boot_keys`.
fn check_and_generate_keys(
    console: &mut Console,
    burnt: &mut EFuse,
    bootloader: &Signed,
    app: &Signed,
    scheme: Scheme,
    options: Enabling,
) -> Result<(), Refused> {
    let boot_keys = if burnt.key_digests.iter().any(Option::is_some) {
        console.say(Level::Info, "Secure boot digests already present");
        let keys: Vec<_> = Keys::of_efuse(burnt).slots.into_iter().flatten().collect();
        if keys.is_empty() {
            return fail(console, "No valid pre-loaded public key digest in eFuse");
        }
        console.say(Level::Warning, "Using pre-loaded public key digest in eFuse");
        keys
    } else {
        console.say(Level::Info, "Secure boot digests absent, generating..");
        let Some(keys) = image_keys(console, bootloader, scheme, burnt.digest_slots()) else {
            return fail(console, "Bootloader signature block is invalid");
        };
        if keys.is_empty() {
            return fail(console, "No valid bootloader signature blocks found.");
        }
        console.say(Level::Info, format!("{} signature block(s) found appended to the bootloader.", keys.len()));
        console.say(Level::Info, "Burning public key hash to eFuse");
        burn_keys(console, burnt, &keys)?;
        keys
    };
    let Some(app_keys) = image_keys(console, app, scheme, burnt.digest_slots()) else {
        return fail(console, "Application signature block is invalid.");
    };
    if app_keys.is_empty() {
        return fail(console, "No valid applications signature blocks found.");
    }
    console.say(Level::Info, format!("{} signature block(s) found appended to the app.", app_keys.len()));
    if app_keys.len() > boot_keys.len() {
        let (app, boot) = (app_keys.len(), boot_keys.len());
        let text = format!(
            "App has {app} signature blocks but bootloader only has {boot}. Some keys missing from bootloader?"
        );
        console.say(Level::Warning, text);
    }
    if !share_a_key(console, burnt, &boot_keys, &app_keys) {
        return fail(console, "No application key digest matches the bootloader key digest.");
    }
    if burnt.revocable() {
        // Counted, not looked up: a pre-loaded key beyond that number is revoked with the empty slots.
        for (slot, bit) in burnt.revoked.iter_mut().enumerate().skip(boot_keys.len()) {
            if options.allow_unused_slots {
                let text = format!(
                    "Unused key digest slot ({slot}) left un-revoked due to the config SECURE_BOOT_ALLOW_UNUSED_DIGEST_SLOTS"
                );
                console.say(Level::Warning, text);
            } else {
                console.say(Level::Info, format!("Revoking empty key digest slot ({slot})..."));
                *bit = true;
            }
        }
    }
    Ok(())
}

fn share_a_key(console: &mut Console, burnt: &EFuse, boot: &[[u8; 32]], app: &[[u8; 32]]) -> bool {
    let length = burnt.digest_len();
    let mut shared = false;
    for (slot, (key, revoked)) in boot.iter().zip(burnt.revoked).enumerate() {
        if revoked {
            console.say(Level::Info, format!("Key block({slot}) has been revoked."));
            continue;
        }
        for (index, other) in app.iter().enumerate() {
            if key.get(..length) == other.get(..length) {
                let text = format!("Application key({index}) matches with bootloader key({slot}).");
                console.say(Level::Info, text);
                shared = true;
            }
        }
    }
    shared
}

/// `s_calculate_image_public_key_digests`: the keys of the blocks before the first that is none; `None` when a block with
/// a right CRC and digest does not verify.
fn image_keys(console: &mut Console, signed: &Signed, scheme: Scheme, limit: usize) -> Option<Vec<[u8; 32]>> {
    let mut keys = Vec::new();
    for (index, block) in Block::all(&signed.sector).take(limit).enumerate() {
        if !block.has_magic() {
            break;
        }
        if !block.is_whole() {
            console.say(Level::Error, "Magic byte correct but incorrect crc.");
            break;
        }
        if block.stored_digest(scheme) != signed.digest {
            console.say(Level::Error, "Magic byte & CRC correct but incorrect image digest.");
            break;
        }
        // The ROM's own functions do the arithmetic here.
        let computes = scheme != Scheme::Rsa3072 || block.rsa_helpers() == Some(true);
        if !computes || !block.verifies(scheme, &signed.digest) {
            console.say(Level::Error, format!("Secure boot key ({index}) verification failed."));
            return None;
        }
        keys.push(block.key_digest(scheme));
    }
    if !keys.is_empty() {
        let (count, offset) = (keys.len(), signed.offset);
        let text = format!("Digests successfully calculated, {count} valid signatures (image offset 0x{offset:x})");
        console.say(Level::Info, text);
    }
    Some(keys)
}
