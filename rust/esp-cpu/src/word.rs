//! A word's two readings.

/// As a number with a sign.
#[inline]
pub(crate) const fn signed(word: u32) -> i32 {
    i32::from_ne_bytes(word.to_ne_bytes())
}

/// The word that a number with a sign is.
#[inline]
pub(crate) const fn unsigned(number: i32) -> u32 {
    u32::from_ne_bytes(number.to_ne_bytes())
}
