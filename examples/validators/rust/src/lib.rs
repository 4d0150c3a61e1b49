//! A validator of app images as one finds them. It knows nothing of hashes, chips and app descriptors: a corpus of
//! `esp-ota fuzz-corpus` says so. For cargo-fuzz a target is one line:
//!
//! ```text
//! fuzz_target!(|data: &[u8]| { validate::accepts(data); });
//! ```
//!
//! and it starts from the corpus: `cargo fuzz run target corpus/valid corpus/corrupted`.

const HEADER: usize = 24;
const SEGMENT: usize = 8;
const HASH: usize = 32;

/// Whether an updater would take these bytes: it follows the segments and adds up the checksum.
pub fn accepts(data: &[u8]) -> bool {
    judged(data).is_some_and(|sound| sound)
}

/// `None` when the bytes end too early.
fn judged(data: &[u8]) -> Option<bool> {
    let header = data.get(..HEADER)?;
    if header[0] != 0xE9 || !(1..=16).contains(&header[1]) {
        return Some(false);
    }
    let (mut at, mut checksum) = (HEADER, 0xEF);
    for _ in 0..header[1] {
        let segment = data.get(at..at + SEGMENT)?;
        let length = u32::from_le_bytes(segment[4..].try_into().ok()?) as usize;
        at += SEGMENT;
        let bytes = data.get(at..at.checked_add(length)?)?;
        if length % 4 != 0 {
            return Some(false);
        }
        checksum = bytes.iter().fold(checksum, |sum, byte| sum ^ byte);
        at += length;
    }
    at += 16 - at % 16;
    let stored = *data.get(at - 1)?;
    data.get(at..at + if header[23] == 0 { 0 } else { HASH })?;
    Some(stored == checksum)
}
