//! Which slot's key signed an image: what revocation of a key asks before it burns a bit.

use sha2::{Digest, Sha256, Sha384};

use super::{Block, Keys, Scheme};
use crate::efuse::EFuse;
use crate::err::{EspErr, Failure};
use crate::flash::SECTOR;
use crate::image::{Build, Mode, Options, Request, verify};
use crate::source::Source;

/// The key slots whose key signed the bytes with this digest, in the order of the slots.
pub fn trusting_slots(sector: &[u8], digest: &[u8], scheme: Scheme, efuse: &EFuse) -> Vec<usize> {
    let keys = Keys::of_efuse(efuse);
    // `validate_signature_block` of the app, then the ROM's arithmetic; the stored digest is not looked at.
    let right = |block: &Block<'_>| {
        let build = block.is_whole() && block.version() == scheme.version();
        let computes = scheme != Scheme::Rsa3072 || block.rsa_helpers() == Some(true);
        build && computes && block.verifies(scheme, digest)
    };
    let good = Block::all(sector).take(keys.max_blocks).filter(right);
    let mut slots: Vec<_> = good.filter_map(|block| keys.position(&block.key_digest(scheme))).collect();
    slots.sort_unstable();
    slots.dedup();
    slots
}

/// `esp_secure_boot_verify_with_efuse_digest_index` for every index: the key slots that signed the image in a region.
///
/// The image is only followed to its end (`esp_image_get_metadata`), not judged. Empty when it cannot be followed, when
/// nothing trusted signed it, or for version 1 signatures.
pub fn signing_slots<S: Source + ?Sized>(
    flash: &S,
    region: (u32, u32),
    scheme: Scheme,
    efuse: &EFuse,
) -> Result<Vec<usize>, Failure> {
    let (offset, size) = region;
    let (efuse_of_chip, options) = (efuse.clone(), Options::default());
    let request = Request { offset, size, build: Build::App, mode: Mode::Metadata, efuse: efuse_of_chip, options };
    let verdict = verify(flash, &request)?;
    if verdict.err != EspErr::Ok || scheme == Scheme::EcdsaV1 {
        return Ok(Vec::new());
    }
    let length = u64::from(verdict.image_len).next_multiple_of(SECTOR as u64);
    let mut sector = vec![0; SECTOR];
    if flash.read(u64::from(offset) + length, &mut sector)? < SECTOR {
        return Ok(Vec::new());
    }
    let digest = if scheme.sha384() {
        hashed::<Sha384, S>(flash, u64::from(offset), length)?
    } else {
        hashed::<Sha256, S>(flash, u64::from(offset), length)?
    };
    Ok(trusting_slots(&sector, &digest, scheme, efuse))
}

fn hashed<D: Digest, S: Source + ?Sized>(flash: &S, from: u64, length: u64) -> Result<Vec<u8>, Failure> {
    let (mut sha, mut done) = (D::new(), 0);
    while done < length {
        let limit = usize::try_from(length - done).unwrap_or(SECTOR).min(SECTOR);
        let run = flash.run(from + done, limit)?;
        if run.is_empty() {
            break;
        }
        sha.update(run);
        done += run.len() as u64;
    }
    Ok(sha.finalize().to_vec())
}
