//! Which slot's key signed an image: what revocation of a key asks before it burns a bit.

use super::{Block, Keys, Scheme, Signed};
use crate::efuse::EFuse;
use crate::err::Failure;
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
/// The image is only followed to its end, not judged. Empty when it cannot be followed, or when nothing trusted signed it.
pub fn signing_slots<S: Source + ?Sized>(
    flash: &S,
    region: (u32, u32),
    scheme: Scheme,
    efuse: &EFuse,
) -> Result<Vec<usize>, Failure> {
    let signed = Signed::behind(flash, region, scheme, efuse)?;
    Ok(signed.map_or_else(|_| Vec::new(), |signed| trusting_slots(&signed.sector, &signed.digest, scheme, efuse)))
}
