//! Which sectors an answer depends on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use super::{Flash, SECTOR, Sector};

/// A set of sectors of one flash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sectors(Vec<u64>);

impl Sectors {
    /// Whether the sector of this address is in it.
    pub fn contains(&self, address: u64) -> bool {
        let sector = address / SECTOR as u64;
        self.0.get((sector / 64) as usize).is_some_and(|word| word >> (sector % 64) & 1 == 1)
    }

    /// Their addresses, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let count = self.0.len() as u64 * 64;
        (0..count).map(|sector| sector * SECTOR as u64).filter(|&address| self.contains(address))
    }

    /// Those of both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let (long, short) = if self.0.len() < other.0.len() { (other, self) } else { (self, other) };
        let short = short.0.iter().chain(std::iter::repeat(&0));
        Self(long.0.iter().zip(short).map(|(a, b)| a | b).collect())
    }
}

/// Notes, while it is there, whose content has mattered: read or programmed over before it was erased.
pub(super) struct Watch {
    needed: Vec<AtomicU64>,
    /// Erased before anything else: what stood there can matter no more.
    erased: Vec<AtomicU64>,
}

impl Watch {
    fn new(size: u64) -> Self {
        let words = (size / SECTOR as u64).div_ceil(64);
        let words = || (0..words).map(|_| AtomicU64::new(0)).collect();
        Self { needed: words(), erased: words() }
    }

    fn mark(set: &[AtomicU64], unless: &[AtomicU64], address: u64) {
        let sector = address / SECTOR as u64;
        let (index, bit) = ((sector / 64) as usize, 1 << (sector % 64));
        let Some((word, barred)) = set.get(index).zip(unless.get(index)) else { return };
        if barred.load(Ordering::Relaxed) & bit == 0 {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// The content of the sector at `address` matters.
    pub(super) fn needs(&self, address: u64) {
        Self::mark(&self.needed, &self.erased, address);
    }

    /// The sector at `address` was erased.
    pub(super) fn erased(&self, address: u64) {
        Self::mark(&self.erased, &self.needed, address);
    }
}

impl Flash {
    /// Begin to note on which sectors everything that happens from here depends.
    pub fn watch(&mut self) {
        self.watch = Some(Arc::new(Watch::new(self.size)));
    }

    /// The sectors whose content, as it was when [`watch`](Self::watch) was called, has mattered since. Another flash with
    /// the same content there would have led to the same. A look at the [`image`](Self::image) as a whole does not count.
    pub fn needed(&self) -> Sectors {
        let words = self.watch.as_ref().map_or(&[][..], |watch| &watch.needed);
        Sectors(words.iter().map(|word| word.load(Ordering::Relaxed)).collect())
    }

    /// Whether both have the same content in these sectors; cells that have not settled are like no others.
    pub fn same(&self, other: &Self, sectors: &Sectors) -> bool {
        self.size == other.size
            && sectors.iter().all(|address| {
                let (ours, theirs) = (self.sector(address), other.sector(address));
                let weak = |flash: &Self| flash.weak.as_ref().is_some_and(|weak| weak.sector == address);
                !weak(self) && !weak(other) && ours.map(Sector::bytes) == theirs.map(Sector::bytes)
            })
    }

    /// A name for what [`same`](Self::same) compares, for those who cannot see both: equal for two flashes that are the same
    /// in just these sectors. `None` with cells among them that have not settled.
    pub fn fingerprint(&self, sectors: &Sectors) -> Option<[u8; 32]> {
        if self.weak.as_ref().is_some_and(|weak| sectors.contains(weak.sector)) {
            return None;
        }
        let mut sha = Sha256::new();
        sha.update(self.size.to_le_bytes());
        for address in sectors.iter() {
            sha.update(address.to_le_bytes());
            sha.update(self.sector(address).map_or(&[][..], Sector::bytes));
        }
        Some(sha.finalize().into())
    }

    /// The content of these addresses matters.
    pub(crate) fn needs(&self, (low, high): (u64, u64)) {
        if let Some(watch) = &self.watch {
            let first = low - low % SECTOR as u64;
            (first..high.min(self.size)).step_by(SECTOR).for_each(|address| watch.needs(address));
        }
    }
}
