//! Where bytes to judge come from: a slice, or a region of a flash.

use crate::err::Failure;

/// Random access to bytes, in runs as long as the storage has them in one piece.
pub trait Source {
    /// Bytes readable from offset 0.
    fn len(&self) -> u64;

    /// Whether there is nothing to read.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The longest contiguous run that starts at `offset`, at most `limit` bytes. Empty only at or past the end.
    fn run(&self, offset: u64, limit: usize) -> Result<&[u8], Failure>;

    /// Fill `out` from `offset`; the number of bytes copied is smaller only at the end.
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<usize, Failure> {
        let mut done = 0;
        while let Some(rest) = out.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let run = self.run(offset.saturating_add(done as u64), rest.len())?;
            if run.is_empty() {
                break;
            }
            rest.iter_mut().zip(run).for_each(|(to, from)| *to = *from);
            done += run.len();
        }
        Ok(done)
    }
}

impl Source for [u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn run(&self, offset: u64, limit: usize) -> Result<&[u8], Failure> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(<[u8]>::len(self));
        let end = start.saturating_add(limit).min(<[u8]>::len(self));
        Ok(self.get(start..end).unwrap_or_default())
    }
}
