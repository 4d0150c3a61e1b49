//! In place of `keys`, where the feature `public-keys` is off: no bytes are a key. For who never asks, as the page of
//! `esp-ota teach`, and need not have the arithmetic of five crates.

use super::Checked;

pub(super) fn rsa(_modulus: &[u8], _exponent: &[u8], _signature: &[u8], _digest: &[u8]) -> Checked {
    Checked::NoKey
}

pub(super) fn rsa_helpers(_modulus: &[u8]) -> Option<([u8; 384], [u8; 4])> {
    None
}

pub(super) fn p192(_key: &[u8], _signature: &[u8], _digest: &[u8]) -> Checked {
    Checked::NoKey
}

pub(super) fn p256(_key: &[u8], _signature: &[u8], _digest: &[u8]) -> Checked {
    Checked::NoKey
}

pub(super) fn p384(_key: &[u8], _signature: &[u8], _digest: &[u8]) -> Checked {
    Checked::NoKey
}

pub(super) fn p256_big_endian(_key: &[u8; 64], _signature: &[u8], _digest: &[u8; 32]) -> bool {
    false
}
