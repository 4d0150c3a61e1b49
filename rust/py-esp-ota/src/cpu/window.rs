//! The flash as the cache shows it: pages that come when they are first touched.

use std::sync::{Arc, Mutex};

use esp_cpu::space::{PAGE, Space};
use esp_ota_core::err::Failure;
use esp_ota_core::flash::Flash;

use crate::lock::lock;

/// Where a page comes from: a flash as it was when the cache showed it, and the place there; zeros without one.
#[derive(Clone, Default)]
struct Source(Option<(Arc<Mutex<Flash>>, u64)>);

/// A block of a space whose pages are hidden until they are touched.
pub(super) struct Window {
    block: usize,
    ranges: Vec<(u32, u32)>,
    sources: Vec<Source>,
}

impl Window {
    /// Over all of a block, which is `size` bytes long and seen at `bases`: zeros.
    pub(super) fn new(space: &mut Space, block: usize, size: usize, bases: impl Iterator<Item = u32>) -> Self {
        space.hide(block, 0, size, true);
        let ranges = bases.map(|base| (base, size as u32)).collect();
        Self { block, ranges, sources: vec![Source::default(); size / PAGE] }
    }

    /// Which of its pages an address is in.
    pub(super) fn page_of(&self, address: u32) -> Option<usize> {
        let inside = self.ranges.iter().find_map(|&(base, size)| {
            let offset = address.checked_sub(base)?;
            (offset < size).then_some(offset)
        })?;
        Some(inside as usize / PAGE)
    }

    /// Show `length` bytes of a flash from `place` on, or zeros, at `offset`.
    pub(super) fn show(
        &mut self,
        space: &mut Space,
        (offset, length): (usize, usize),
        flash: Option<(&Arc<Mutex<Flash>>, u64)>,
    ) {
        let pages = offset / PAGE..(offset + length).div_ceil(PAGE);
        for (at, source) in self.sources.iter_mut().take(pages.end).skip(pages.start).enumerate() {
            *source = Source(flash.map(|(flash, place)| (Arc::clone(flash), place + (at * PAGE) as u64)));
        }
        space.hide(self.block, offset, length, true);
    }

    /// Bring a page that was touched.
    pub(super) fn bring(&self, space: &mut Space, page: usize) -> Result<(), Failure> {
        let mut bytes = [0; PAGE];
        if let Some(Source(Some((flash, place)))) = self.sources.get(page) {
            lock(flash).read_cached(*place, &mut bytes)?;
        }
        space.put(self.block, page * PAGE, &bytes);
        space.hide(self.block, page * PAGE, PAGE, false);
        Ok(())
    }
}
