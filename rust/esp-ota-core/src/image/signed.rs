//! `process_appended_hash_and_sig`, the part of builds with signatures: what is hashed, and what follows from the verdict.

use sha2::Sha384;

use super::digest::Sums;
use super::options::Options;
use super::request::Build;
use super::rules::{Rules, line};
use super::walk::{Stop, Walk, ask};
use crate::err::{EspErr, Level};
use crate::flash::SECTOR;
use crate::signature::{Keys, Scheme, SignatureVerdict, V1_SIZE, hashed, v2_room, verify_v1, verify_v2};
use crate::source::Source;

/// Bytes that a build with signatures keeps free behind an image, whether it looks at them or not.
pub(super) fn room(options: &Options, rules: &Rules, image_len: u32) -> u32 {
    match options.scheme.filter(|_| rules.features.signature_room) {
        None => 0,
        Some(_) if rules.bootloader && options.secure_boot_v2 => v2_room(image_len),
        Some(_) if rules.bootloader => 0,
        Some(scheme) => scheme.room(image_len),
    }
}

/// `verify_secure_boot_signature`: `sums` have seen the image up to its appended hash.
///
/// When the signature holds the simple hash is not compared at all; when not, it only decides between two warnings.
pub(super) fn verify_secure_boot_signature<S: Source + ?Sized>(
    walk: &mut Walk<'_, S>,
    mut sums: Sums,
) -> Result<(), Stop> {
    let Some(scheme) = walk.request.options.scheme else {
        return Ok(());
    };
    let (image_len, simple) = (walk.data.image_len, sums.clone().digest());
    sums.hash(walk.data.digest.as_ref().map_or(&[], |digest| &digest[..]));
    walk.data.log.push(line(Level::Info, "esp_image", "Verifying image signature...".to_owned()));
    let verdict = match scheme {
        Scheme::EcdsaV1 => version_1(walk, &sums)?,
        _ => version_2(walk, sums, scheme)?,
    };
    if verdict.err == EspErr::Ok {
        walk.data.log.extend(verdict.log);
        walk.data.image_len = image_len.wrapping_add(scheme.room(image_len));
        return Ok(());
    }
    let corrupt = walk.data.digest.is_none() || walk.data.digest != simple;
    let at = u64::from(image_len);
    ask(Some(walk.rules.signature(at, verdict.detail, corrupt, verdict.log)))
}

fn version_1<S: Source + ?Sized>(walk: &Walk<'_, S>, sums: &Sums) -> Result<SignatureVerdict, Stop> {
    let mut block = [0; V1_SIZE];
    walk.read_into(walk.data.image_len, "signature", &mut block)?;
    let options = &walk.request.options;
    let (Some(digest), Some(key)) = (sums.clone().digest(), options.v1_public_key) else {
        let detail = "the build has no public key".to_owned();
        return Ok(SignatureVerdict { err: EspErr::Fail, log: Vec::new(), detail });
    };
    Ok(verify_v1(&block, &digest, &key, walk.request.build))
}

fn version_2<S: Source + ?Sized>(walk: &Walk<'_, S>, mut sums: Sums, scheme: Scheme) -> Result<SignatureVerdict, Stop> {
    let (offset, image_len) = (u64::from(walk.request.offset), u64::from(walk.data.image_len));
    let boundary = image_len.next_multiple_of(SECTOR as u64);
    let mut sector = vec![0; SECTOR];
    walk.read_into(boundary as u32, "signature sector", &mut sector)?;
    walk.see(offset, boundary);
    let digest = if scheme.sha384() {
        // Builds for P-384 hash everything once more.
        hashed::<Sha384, S>(walk.flash, offset, boundary)?
    } else {
        sums.fill(walk.flash, offset + image_len, boundary - image_len)?;
        sums.digest().map_or_else(Vec::new, |digest| digest.to_vec())
    };
    Ok(verify_v2(&sector, &digest, scheme, &keys(walk), walk.request.build))
}

/// `get_secure_boot_key_digests`: an app trusts the eFuses once secure boot is on, and until then the running app.
///
/// Apps built without secure boot look at one signature only, of an image and of the running app.
fn keys<S: Source + ?Sized>(walk: &Walk<'_, S>) -> Keys {
    let (efuse, options) = (&walk.request.efuse, &walk.request.options);
    match walk.request.build {
        Build::Bootloader => Keys::of_efuse(efuse),
        Build::App => Keys::of_app(efuse, &options.trusted_digests, options.secure_boot_v2),
    }
}
