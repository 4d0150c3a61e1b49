//! Public-key arithmetic, from the bytes of a block to yes or no. Numbers stand in blocks with their lowest byte first.

use rsa::{BoxedUint, PublicKey, pss};
use sha2::Sha256;

fn reversed<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    let mut number: [u8; N] = bytes.try_into().ok()?;
    number.reverse();
    Some(number)
}

/// RSA-3072, PSS with SHA-256, MGF1-SHA-256 and a salt of 32 bytes.
pub(super) fn rsa(modulus: &[u8], exponent: &[u8], signature: &[u8], digest: &[u8]) -> bool {
    use rsa::signature::hazmat::PrehashVerifier;
    let check = || {
        let modulus: [u8; 384] = reversed(modulus)?;
        let exponent: [u8; 4] = reversed(exponent)?;
        let signature: [u8; 384] = reversed(signature)?;
        let number = |bytes: &[u8]| BoxedUint::from_be_slice_vartime(bytes);
        let key = PublicKey::new(number(&modulus), number(&exponent)).ok()?;
        let key = pss::VerifyingKey::<Sha256>::new_with_salt_len(key, 32);
        let signature = pss::Signature::try_from(signature.as_slice()).ok()?;
        key.verify_prehash(digest, &signature).ok()
    };
    check().is_some()
}

macro_rules! ecdsa {
    ($name:ident, $curve:ident, $size:literal) => {
        /// ECDSA on this curve: `key` is X then Y, `signature` r then s.
        pub(super) fn $name(key: &[u8], signature: &[u8], digest: &[u8]) -> bool {
            let check = || {
                let (x, y) = key.split_at_checked($size)?;
                let (r, s) = signature.split_at_checked($size)?;
                let (x, y): ([u8; $size], [u8; $size]) = (reversed(x)?, reversed(y)?);
                let (r, s): ([u8; $size], [u8; $size]) = (reversed(r)?, reversed(s)?);
                $curve(&x, &y, &r, &s, digest)
            };
            check().is_some()
        }
    };
}

ecdsa!(p192, on_p192, 24);
ecdsa!(p256, on_p256, 32);
ecdsa!(p384, on_p384, 48);

macro_rules! curve {
    ($name:ident, $curve:ident, $size:literal) => {
        fn $name(x: &[u8; $size], y: &[u8; $size], r: &[u8; $size], s: &[u8; $size], digest: &[u8]) -> Option<()> {
            use $curve::ecdsa::signature::hazmat::PrehashVerifier;
            let point = [&[4], x.as_slice(), y.as_slice()].concat();
            let key = $curve::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()?;
            let signature = $curve::ecdsa::Signature::from_scalars(*r, *s).ok()?;
            key.verify_prehash(digest, &signature).ok()
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
        on_p256(x.try_into().ok()?, y.try_into().ok()?, r.try_into().ok()?, s.try_into().ok()?, digest)
    };
    check().is_some()
}
