//! Sectors of equal content, held once: flashes of one family that write the same image share it, and the verdicts over it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{CHUNK, Flash, SECTOR, Sector};

/// Sectors known before those that nobody holds any more are looked for.
const FEW: usize = 1024;

/// What sectors of a flash and its forks are, by their content.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    /// By checksum and number of erases. Of two that differ and have both alike only the first is shared.
    sectors: HashMap<(u32, u32), Weak<Sector>>,
    tidied: usize,
}

impl Pool {
    /// The sector that was the first of this content; this one when none is there.
    fn first(&self, sector: &Arc<Sector>) -> Arc<Sector> {
        let key = (crc32fast::hash(sector.bytes()), sector.erases);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = known.sectors.get(&key).and_then(Weak::upgrade) {
            return if first.bytes() == sector.bytes() { first } else { Arc::clone(sector) };
        }
        if known.sectors.len() >= FEW.max(2 * known.tidied) {
            known.sectors.retain(|_, sector| sector.strong_count() > 0);
            known.tidied = known.sectors.len();
        }
        known.sectors.insert(key, Arc::downgrade(sector));
        Arc::clone(sector)
    }
}

impl Flash {
    /// Hold the sectors of `[low, high)`, which begins and ends with one, together with those of the family who have the same.
    pub(crate) fn share(&mut self, low: u64, high: u64) {
        for address in (low..high).step_by(SECTOR) {
            let (chunk, at) = ((address / CHUNK) as usize, (address % CHUNK) as usize / SECTOR);
            let Some(ours) = self.chunks.get(chunk).and_then(|chunk| chunk.get(at)) else { continue };
            let shared = self.pool.first(ours);
            if Arc::ptr_eq(ours, &shared) {
                continue;
            }
            let chunk = Arc::make_mut(&mut self.chunks).get_mut(chunk).map(Arc::make_mut);
            if let Some(sector) = chunk.and_then(|chunk| chunk.get_mut(at)) {
                *sector = shared;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::err::Failure;

    fn filled(byte: u8) -> Vec<u8> {
        vec![byte; SECTOR]
    }

    fn same(ours: &Flash, theirs: &Flash, address: u64) -> bool {
        ours.sector(address).zip(theirs.sector(address)).is_some_and(|(a, b)| std::ptr::eq(a, b))
    }

    fn written(parent: &Flash, data: &[u8]) -> Result<Flash, Failure> {
        let mut flash = parent.fork();
        flash.program(0, data)?;
        flash.share(0, SECTOR as u64);
        Ok(flash)
    }

    #[test]
    fn two_of_a_family_hold_the_same_sector_until_one_writes_on() -> Result<(), Failure> {
        let parent = Flash::new(1 << 20, true)?;
        let (mut a, b) = (written(&parent, &filled(0x5A))?, written(&parent, &filled(0x5A))?);
        assert!(same(&a, &b, 0) && !same(&a, &parent, 0));
        a.program(0, &[0x50])?;
        assert!(!same(&a, &b, 0));
        assert_eq!(b.image().next(), Some(filled(0x5A).as_slice()));
        let stranger = written(&Flash::new(1 << 20, true)?, &filled(0x5A))?;
        assert!(!same(&b, &stranger, 0));
        Ok(())
    }

    #[test]
    fn what_differs_is_not_shared_whatever_its_checksum() -> Result<(), Failure> {
        let parent = Flash::new(1 << 20, true)?;
        let ours = filled(0x5A);
        let mut theirs = ours.clone();
        theirs.iter_mut().zip([0x41, 0x06, 0x71, 0xDB, 0x01]).for_each(|(byte, of_polynomial)| *byte ^= of_polynomial);
        assert_eq!(crc32fast::hash(&ours), crc32fast::hash(&theirs));
        let (a, b) = (written(&parent, &ours)?, written(&parent, &theirs)?);
        assert!(!same(&a, &b, 0));
        assert_eq!((a.image().next(), b.image().next()), (Some(ours.as_slice()), Some(theirs.as_slice())));
        Ok(())
    }

    #[test]
    fn a_sector_that_was_erased_more_often_is_another() -> Result<(), Failure> {
        let parent = Flash::new(1 << 20, true)?;
        let mut worn = parent.fork();
        worn.erase(0, SECTOR as u64)?;
        let (a, b) = (written(&parent, &filled(0))?, written(&worn, &filled(0))?);
        assert!(!same(&a, &b, 0));
        assert_eq!((a.erase_counts().next(), b.erase_counts().next()), (Some(0), Some(1)));
        Ok(())
    }

    #[test]
    fn what_nobody_holds_any_more_is_forgotten() -> Result<(), Failure> {
        let parent = Flash::new(1 << 20, true)?;
        for number in 0..8 * FEW as u32 {
            written(&parent, &number.to_le_bytes())?;
        }
        let known = parent.pool.0.lock().unwrap_or_else(PoisonError::into_inner).sectors.len();
        assert!(known <= FEW, "{known}");
        Ok(())
    }
}
