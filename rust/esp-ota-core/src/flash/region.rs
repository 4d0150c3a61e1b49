//! A part of a flash, to be judged.

use super::{Flash, SECTOR, Sector};
use crate::err::Failure;
use crate::source::Source;

/// A part of a flash as a [`Source`], in runs of at most one sector. Not counted as reads.
#[derive(Clone, Copy)]
pub struct Region<'a> {
    pub(super) flash: &'a Flash,
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl Source for Region<'_> {
    fn len(&self) -> u64 {
        self.size
    }

    fn run(&self, offset: u64, limit: usize) -> Result<&[u8], Failure> {
        let flash = self.flash;
        let address = self.offset.saturating_add(offset);
        let limit = (limit as u64).min(self.size.saturating_sub(offset));
        if limit == 0 {
            flash.check("read", 0, 0)?;
            return Ok(&[]);
        }
        flash.check("read", address, 1)?;
        if let Some(watch) = &flash.watch {
            watch.needs(address);
        }
        let start = (address % SECTOR as u64) as usize;
        let bytes = match &flash.weak {
            Some(weak) if weak.sector == address - start as u64 => weak.look(),
            _ => flash.sector(address).map(Sector::bytes).unwrap_or_default(),
        };
        let end = SECTOR.min(start.saturating_add(limit as usize));
        Ok(bytes.get(start..end).unwrap_or_default())
    }
}
