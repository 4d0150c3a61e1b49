//! SHA-256 of a stretch of flash.

use sha2::block_api::compress256;
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

/// What a SHA accelerator does with one 64-byte block after another: `state` is the digest so far, in its own byte order.
/// Bytes after the last whole block are not looked at.
pub fn compress(state: [u8; 32], blocks: &[u8]) -> [u8; 32] {
    let mut words = [0u32; 8];
    for (word, bytes) in words.iter_mut().zip(state.chunks_exact(4)) {
        *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    for block in blocks.chunks_exact(64).filter_map(|block| <[u8; 64]>::try_from(block).ok()) {
        compress256(&mut words, &[block]);
    }
    let mut digest = [0u8; 32];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
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

    #[test]
    fn one_padded_block_compressed_is_the_hash() {
        let mut initial = [0; 32];
        for (at, word) in
            [0x6a09_e667_u32, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19]
                .into_iter()
                .enumerate()
        {
            if let Some(bytes) = initial.get_mut(4 * at..4 * at + 4) {
                bytes.copy_from_slice(&word.to_be_bytes());
            }
        }
        let mut block = [0u8; 64];
        block[..4].copy_from_slice(b"abc\x80");
        block[63] = 24;
        assert_eq!(compress(initial, &block), <[u8; 32]>::from(Sha256::digest(b"abc")));
    }
}
