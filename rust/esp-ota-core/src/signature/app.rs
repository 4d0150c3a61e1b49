//! components/bootloader_support/src/secure_boot_v2/secure_boot_signatures_app.c: how an app looks at an update.

use super::{Block, Checked, Console, Keys, Origin, Scheme, SignatureVerdict};
use crate::err::{EspErr, Level};

/// `PSA_ERROR_INVALID_SIGNATURE`, `PSA_ERROR_INVALID_ARGUMENT`.
const BAD_SIGNATURE: i32 = -149;
const BAD_KEY: i32 = -135;

/// `esp_secure_boot_verify_sbv2_signature_block` of the app. The digest stored inside a block is not looked at.
pub(super) fn verify(sector: &[u8], digest: &[u8], scheme: Scheme, keys: &Keys) -> SignatureVerdict {
    let mut console = Console(Vec::new());
    match keys.origin {
        Origin::EFuse => console.say(Level::Info, "Take trusted digest key(s) from eFuse block(s)"),
        Origin::RunningApp => {
            console.say(Level::Info, "Take trusted digest key(s) from running app");
            if keys.none_readable() {
                console.say(Level::Error, "No signatures were found for the running app");
            }
        }
    }
    if keys.none_readable() {
        console.say(Level::Error, "Could not read secure boot digests!");
        return console.refuse(EspErr::Fail, "no trusted key digest");
    }
    let mut detail = "no signature block of the build's scheme";
    for (index, block) in Block::all(sector).take(keys.max_blocks).enumerate() {
        if !console.accepts(&block, scheme) {
            continue;
        }
        let Some(trusted) = keys.position(&block.key_digest(scheme)) else {
            detail = "no signature block of a trusted key";
            continue;
        };
        console.say(Level::Info, format!("#{index} app key digest == #{trusted} trusted key digest"));
        console.say(Level::Info, scheme.verifying());
        if verify_block(&block, digest, scheme, &mut console) {
            return console.accept();
        }
        detail = "a trusted key's signature is wrong";
    }
    console.refuse(EspErr::ImageInvalid, detail)
}

/// `verify_rsa_signature_block`, `verify_ecdsa_signature_block`: only the first says so when it is content.
fn verify_block(block: &Block<'_>, digest: &[u8], scheme: Scheme, console: &mut Console) -> bool {
    let checked = block.check(scheme, digest);
    let rsa = scheme == Scheme::Rsa3072;
    let (tag, key, gap) = if rsa {
        ("secure_boot_v2_rsa", "Failed to import key into PSA, err: ", " ")
    } else {
        ("secure_boot_v2_ecdsa", "Failed to import key, err:", "")
    };
    match checked {
        Checked::Good if rsa => console.say_as(tag, Level::Info, "Signature verified successfully!"),
        Checked::Good => {}
        Checked::Bad => {
            let text = format!("Signature verification failed, err:{gap}{BAD_SIGNATURE}");
            console.say_as(tag, Level::Error, text);
        }
        Checked::NoKey => console.say_as(tag, Level::Error, format!("{key}{BAD_KEY}")),
    }
    checked == Checked::Good
}
