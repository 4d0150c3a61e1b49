//! SHA-256 of a stretch of flash.

use sha2::{Digest, Sha256};

use crate::err::Failure;
use crate::source::Source;

/// Bytes hashed while they are hot in the cache.
const RUN: usize = 4096;

/// `bootloader_sha256_flash_contents` (components/bootloader_support/src/bootloader_common_loader.c): the bytes
/// `[offset, offset + length)` of `source`, fewer where it ends.
pub fn sha256_of<S: Source + ?Sized>(source: &S, offset: u64, length: u64) -> Result<[u8; 32], Failure> {
    let (mut sha, mut done) = (Sha256::new(), 0);
    while done < length {
        let limit = usize::try_from(length - done).unwrap_or(RUN).min(RUN);
        let run = source.run(offset.saturating_add(done), limit)?;
        if run.is_empty() {
            break;
        }
        sha.update(run);
        done += run.len() as u64;
    }
    Ok(sha.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_three_letters() -> Result<(), Failure> {
        let start = sha256_of(&b"xabcx"[..], 1, 3)?;
        assert_eq!(start.get(..4), Some(&[0xBA, 0x78, 0x16, 0xBF][..]));
        Ok(())
    }
}
