//! The two sums over an image, taken in one pass: XOR of the segment data, SHA-256 of everything.

use sha2::{Digest, Sha256};

use crate::err::Failure;
use crate::source::Source;

/// Bytes handed to both sums while they are hot in the cache.
const RUN: usize = 4096;

/// The checksum and the hash of an image, as far as it has been read.
#[derive(Clone)]
pub(super) struct Sums {
    xor: u8,
    sha: Option<Sha256>,
}

impl Sums {
    /// Start; without `hash` only the checksum is taken.
    pub(super) fn new(hash: bool) -> Self {
        // ESP_ROM_CHECKSUM_INITIAL
        Self { xor: 0xEF, sha: hash.then(Sha256::new) }
    }

    /// Bytes that only the hash covers: headers, fill and the checksum byte.
    pub(super) fn hash(&mut self, bytes: &[u8]) {
        if let Some(sha) = &mut self.sha {
            sha.update(bytes);
        }
    }

    /// `process_segment_data`: `length` bytes of segment data from `at`. Returns the bytes there were.
    ///
    /// Upstream XORs words and folds them at the end; bytes give the same sum, and the compiler makes vectors of them.
    pub(super) fn data<S: Source + ?Sized>(&mut self, source: &S, at: u64, length: u64) -> Result<u64, Failure> {
        let mut done = 0;
        while done < length {
            let limit = usize::try_from(length - done).unwrap_or(RUN).min(RUN);
            let run = source.run(at.saturating_add(done), limit)?;
            if run.is_empty() {
                break;
            }
            self.xor = run.iter().fold(self.xor, |sum, byte| sum ^ byte);
            self.hash(run);
            done += run.len() as u64;
        }
        Ok(done)
    }

    /// `length` bytes that only the hash covers, from `at`; fewer where the source ends.
    pub(super) fn fill<S: Source + ?Sized>(&mut self, source: &S, at: u64, length: u64) -> Result<(), Failure> {
        let mut done = 0;
        while done < length {
            let limit = usize::try_from(length - done).unwrap_or(RUN).min(RUN);
            let run = source.run(at.saturating_add(done), limit)?;
            if run.is_empty() {
                break;
            }
            self.hash(run);
            done += run.len() as u64;
        }
        Ok(())
    }

    /// Whether a hash is taken at all.
    pub(super) fn hashes(&self) -> bool {
        self.sha.is_some()
    }

    /// The checksum over the data so far.
    pub(super) fn checksum(&self) -> u8 {
        self.xor
    }

    /// The hash over everything so far, when there is one to take.
    pub(super) fn digest(self) -> Option<[u8; 32]> {
        self.sha.map(|sha| sha.finalize().into())
    }
}
