//! The pages of a partition (`nvs::PageManager`): which are live, which are free, garbage collection, and recovery at init.

use std::collections::VecDeque;

use super::entry::{ItemType, Key};
use super::lookup::Query;
use super::medium::Medium;
use super::page::{Page, PageState, bases};
use super::{CHUNK_ANY, ENTRY_COUNT, broken, found, refused};
use crate::err::{EspErr, Failure};

/// All pages of a partition.
pub(super) struct Pages {
    /// Those in use, by sequence number; the last one is written to.
    pub(super) live: Vec<Page>,
    /// The others, in the order they will be used.
    pub(super) free: VecDeque<Page>,
    next_seq: u32,
}

impl Pages {
    /// `PageManager::load`.
    pub(super) fn load(medium: &mut Medium<'_>, size: u32) -> Result<Self, Failure> {
        let mut pages = Self { live: Vec::new(), free: VecDeque::new(), next_seq: 0 };
        for base in bases(size) {
            let page = Page::load(medium, base)?;
            if page.is_live() {
                let place = pages.live.iter().position(|other| other.seq > page.seq).unwrap_or(pages.live.len());
                pages.live.insert(place, page);
            } else {
                pages.free.push_back(page);
            }
        }
        let Some(last) = pages.live.last() else {
            pages.activate(medium)?;
            return Ok(pages);
        };
        pages.next_seq = last.seq.wrapping_add(1);
        if !(medium.readonly() && medium.rules().readonly_load) {
            pages.erase_old_copy(medium)?;
            pages.finish_freeing(medium)?;
            if pages.free.is_empty() {
                let address = medium.address(0);
                return Err(refused(EspErr::NvsNoFreePages, "NVS partition", address, "no free page", "one at least"));
            }
        }
        Ok(pages)
    }

    pub(super) fn count(&self) -> usize {
        self.live.len() + self.free.len()
    }

    /// `PageManager::back`.
    pub(super) fn current(&mut self, medium: &Medium<'_>) -> Result<&mut Page, Failure> {
        let address = medium.address(0);
        let none = || refused(EspErr::NvsInvalidState, "NVS partition", address, "no page in use", "one at least");
        self.live.last_mut().ok_or_else(none)
    }

    /// `PageManager::activatePage`: the first free page becomes the current one. Its header is written at its first use.
    fn activate(&mut self, medium: &mut Medium<'_>) -> Result<(), Failure> {
        if let Some(page) = self.free.front_mut().filter(|page| page.state == PageState::Corrupt) {
            page.erase(medium)?;
        }
        let Some(mut page) = self.free.pop_front() else {
            return Err(no_space(medium, "no free page"));
        };
        page.seq = self.next_seq;
        self.next_seq = self.next_seq.wrapping_add(1);
        self.live.push(page);
        Ok(())
    }

    /// `PageManager::requestNewPage`: a free page while two are left, else the one with most to gain is moved together.
    pub(super) fn request(&mut self, medium: &mut Medium<'_>) -> Result<(), Failure> {
        match self.free.len() {
            0 => {
                let address = medium.address(0);
                return Err(refused(EspErr::NvsInvalidState, "NVS partition", address, "no free page", "one at least"));
            }
            1 => {}
            _ => return self.activate(medium),
        }
        let (mut victim, mut most) = (None, 0);
        for (place, page) in self.live.iter().enumerate() {
            // Of a page that counts an entry twice, as it does after writing over one, upstream's difference wraps.
            let unused = ENTRY_COUNT.wrapping_sub(page.used);
            if unused > most {
                (victim, most) = (Some(place), unused);
            }
        }
        let Some(place) = victim else {
            return Err(no_space(medium, "every entry of every page in use"));
        };
        if let Some(page) = self.live.get_mut(place) {
            page.mark_freeing(medium)?;
        }
        let moved = self.live.get(place).map(|page| page.used);
        self.activate(medium)?;
        self.empty(medium, place)?;
        let copied = self.live.last().map(|page| page.used);
        if moved != copied {
            // The erased page stays among those in use, so none is free until the next init.
            let (found, count) = (copied.unwrap_or_default(), moved.unwrap_or_default());
            let (found, expected) = (format!("{found} entries moved"), format!("{count}, as counted before"));
            return Err(broken(medium, 0, "NVS partition", found, &expected));
        }
        self.release(place);
        Ok(())
    }

    /// Copy a page's items into the current page and erase it.
    fn empty(&mut self, medium: &mut Medium<'_>, place: usize) -> Result<(), Failure> {
        match self.live.split_last_mut() {
            Some((new, others)) => others.get_mut(place).map_or(Ok(()), |old| {
                old.copy_items(medium, new)?;
                old.erase(medium)
            }),
            None => Ok(()),
        }
    }

    /// An erased page is the last of the free ones.
    fn release(&mut self, place: usize) {
        if place < self.live.len() {
            let freed = self.live.remove(place);
            self.free.push_back(freed);
        }
    }

    /// The last item written may have an older copy in another page: power went before that one was erased.
    fn erase_old_copy(&mut self, medium: &mut Medium<'_>) -> Result<(), Failure> {
        let Some((last, earlier)) = self.live.split_last_mut() else {
            return Ok(());
        };
        let (mut from, mut item) = (0, None);
        while let Some((index, entry)) = found(last.find(medium, from, &Query::ALL))? {
            from = index + entry.span().max(1);
            item = Some(entry);
        }
        let Some(item) = item else {
            return Ok(());
        };
        let key = Key::new(&item.key());
        let query = Query { ns: Some(item.ns()), kind: item.kind(), key: Some(&key), chunk: item.chunk(), start: None };
        // An index may stand for a blob that version 1 stored without one.
        let kinds = [item.kind(), Some(ItemType::Blob).filter(|_| item.kind() == Some(ItemType::BlobIdx))];
        for kind in kinds.into_iter().flatten() {
            for page in earlier.iter_mut().filter(|page| page.state != PageState::Freeing) {
                let erased = page.erase_item(medium, &query.kind(kind), true).map(|erased| erased.then_some(()));
                if found(erased)?.is_some() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// A page that was being moved is moved again from the start.
    fn finish_freeing(&mut self, medium: &mut Medium<'_>) -> Result<(), Failure> {
        let Some(place) = self.live.iter().position(|page| page.state == PageState::Freeing) else {
            return Ok(());
        };
        if let Some(partial) = self.live.last_mut().filter(|page| page.state == PageState::Active) {
            partial.erase(medium)?;
            self.free.extend(self.live.pop());
        }
        self.activate(medium)?;
        self.empty(medium, place)?;
        self.release(place);
        Ok(())
    }

    /// `Storage::findItem`: pages in order, the first hit wins. Returns the page's place among the live ones.
    pub(super) fn find(&mut self, medium: &mut Medium<'_>, query: &Query<'_>) -> Result<Option<Hit>, Failure> {
        for (place, page) in self.live.iter_mut().enumerate() {
            if let Some((index, entry)) = found(page.find(medium, 0, query))? {
                return Ok(Some(Hit { place, index, entry, base: page.base, seq: page.seq }));
            }
        }
        Ok(None)
    }

    /// Erase what was found, if no page has moved since.
    pub(super) fn erase(&mut self, medium: &mut Medium<'_>, hit: &Hit, purge: bool) -> Result<(), Failure> {
        match self.live.get_mut(hit.place) {
            Some(page) => page.erase_entry(medium, hit.index, purge),
            None => Ok(()),
        }
    }

    /// Where an item found before is now, when its page was neither moved nor freed.
    pub(super) fn place_of(&self, hit: &Hit) -> Option<usize> {
        self.live.iter().position(|page| {
            page.base == hit.base && page.seq == hit.seq && matches!(page.state, PageState::Active | PageState::Full)
        })
    }
}

/// An item and where it was found.
#[derive(Clone, Copy)]
pub(super) struct Hit {
    pub(super) place: usize,
    pub(super) index: usize,
    pub(super) entry: super::entry::Entry,
    pub(super) base: u32,
    pub(super) seq: u32,
}

impl Hit {
    pub(super) fn is_index(&self) -> bool {
        self.entry.kind() == Some(ItemType::BlobIdx) && self.entry.chunk() == CHUNK_ANY
    }
}

pub(super) fn no_space(medium: &Medium<'_>, what: &str) -> Failure {
    refused(EspErr::NvsNotEnoughSpace, "NVS partition", medium.address(0), what, "room for the item")
}
