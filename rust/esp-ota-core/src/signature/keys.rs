//! Public-key arithmetic, from the bytes of a block to a verdict. Numbers stand in blocks with their lowest byte first.

use rsa::{BoxedUint, PublicKey, pss};
use sha2::Sha256;

use super::Checked;

fn checked(key: Option<()>, signature: impl FnOnce() -> Option<()>) -> Checked {
    match key.map(|()| signature().is_some()) {
        None => Checked::NoKey,
        Some(true) => Checked::Good,
        Some(false) => Checked::Bad,
    }
}

fn reversed<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    let mut number: [u8; N] = bytes.try_into().ok()?;
    number.reverse();
    Some(number)
}

fn number(big_endian: &[u8]) -> BoxedUint {
    BoxedUint::from_be_slice_vartime(big_endian)
}

/// RSA-3072, PSS with SHA-256, MGF1-SHA-256 and a salt of 32 bytes.
pub(super) fn rsa(modulus: &[u8], exponent: &[u8], signature: &[u8], digest: &[u8]) -> Checked {
    use rsa::signature::hazmat::PrehashVerifier;
    let key = || {
        let (modulus, exponent): ([u8; 384], [u8; 4]) = (reversed(modulus)?, reversed(exponent)?);
        PublicKey::new(number(&modulus), number(&exponent)).ok()
    };
    let key = key();
    checked(key.is_some().then_some(()), || {
        let signature: [u8; 384] = reversed(signature)?;
        let key = pss::VerifyingKey::<Sha256>::new_with_salt_len(key?, 32);
        let signature = pss::Signature::try_from(signature.as_slice()).ok()?;
        key.verify_prehash(digest, &signature).ok()
    })
}

/// R^2 mod n with R = 2^3072, and -1/n mod 2^32, as they stand in a block; nothing for an even modulus.
pub(super) fn rsa_helpers(modulus: &[u8]) -> Option<([u8; 384], [u8; 4])> {
    let lowest = u32::from_le_bytes(modulus.get(..4)?.try_into().ok()?);
    if lowest % 2 == 0 {
        return None;
    }
    // Newton's iteration doubles the right bits of an inverse; an odd number is its own to three bits.
    let mut inverse = lowest;
    for _ in 0..4 {
        inverse = inverse.wrapping_mul(2u32.wrapping_sub(lowest.wrapping_mul(inverse)));
    }
    let modulus: [u8; 384] = reversed(modulus)?;
    let modulus = Option::from(rsa::BoxedUint::from_be_slice_vartime(&modulus).to_nz())?;
    let mut power = [0; 769];
    *power.first_mut()? = 1;
    let rest: rsa::BoxedUint = number(&power).rem_vartime(&modulus);
    let bytes = rest.to_le_bytes();
    let mut r_squared = [0; 384];
    r_squared.iter_mut().zip(bytes.iter()).for_each(|(to, from)| *to = *from);
    Some((r_squared, inverse.wrapping_neg().to_le_bytes()))
}

macro_rules! ecdsa {
    ($name:ident, $curve:ident, $size:literal) => {
        /// ECDSA on this curve: `key` is X then Y, `signature` r then s.
        pub(super) fn $name(key: &[u8], signature: &[u8], digest: &[u8]) -> Checked {
            let swapped = |pair: &[u8]| -> Option<([u8; $size], [u8; $size])> {
                let (first, second) = pair.split_at_checked($size)?;
                Some((reversed(first)?, reversed(second)?))
            };
            match (swapped(key), swapped(signature)) {
                (Some((x, y)), Some((r, s))) => $curve(&x, &y, &r, &s, digest),
                _ => Checked::NoKey,
            }
        }
    };
}

ecdsa!(p192, on_p192, 24);
ecdsa!(p256, on_p256, 32);
ecdsa!(p384, on_p384, 48);

macro_rules! curve {
    ($name:ident, $curve:ident, $size:literal) => {
        fn $name(x: &[u8; $size], y: &[u8; $size], r: &[u8; $size], s: &[u8; $size], digest: &[u8]) -> Checked {
            use $curve::ecdsa::signature::hazmat::PrehashVerifier;
            let point = [&[4], x.as_slice(), y.as_slice()].concat();
            let key = $curve::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok();
            checked(key.is_some().then_some(()), || {
                let signature = $curve::ecdsa::Signature::from_scalars(*r, *s).ok()?;
                key?.verify_prehash(digest, &signature).ok()
            })
        }
    };
}

curve!(on_p192, p192, 24);
curve!(on_p256, p256, 32);
curve!(on_p384, p384, 48);

/// Version 1 signatures have their highest byte first, as has the key built into the app.
pub(super) fn p256_big_endian(key: &[u8; 64], signature: &[u8], digest: &[u8; 32]) -> bool {
    let check = || {
        let (x, y) = key.split_at_checked(32)?;
        let (r, s) = signature.split_at_checked(32)?;
        Some(on_p256(x.try_into().ok()?, y.try_into().ok()?, r.try_into().ok()?, s.try_into().ok()?, digest))
    };
    check() == Some(Checked::Good)
}
