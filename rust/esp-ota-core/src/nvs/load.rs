//! Loading a page at init (`Page::load`, `Page::mLoadEntryTable`): what a power cut left is put in order here.

use super::bitmap::{Bitmap, Code};
use super::entry::{Entry, Key};
use super::lookup::Query;
use super::medium::Medium;
use super::page::{HEADER, Page, PageState};
use super::{BITMAP_OFFSET, CHUNK_ANY, ENTRY_COUNT, NONE, VERSION, crc32, found, refused};
use crate::err::{EspErr, Failure};

/// `Page::NS_ANY` and `ItemType::ANY`.
const NS_ANY: u8 = 0xFF;
const TYPE_ANY: u8 = 0xFF;

impl Page {
    /// `Page::load`: classify the page, then read and repair its entries.
    pub(super) fn load(medium: &mut Medium<'_>, base: u32) -> Result<Self, Failure> {
        let mut page = Self::new(base);
        let mut header = [0; HEADER];
        medium.read_raw(base, &mut header)?;
        let word = |at: usize| {
            header.get(at..at + 4).map_or(0, |bytes| bytes.iter().rfold(0, |all, &byte| all << 8 | u32::from(byte)))
        };
        let state = word(0);
        if state == u32::MAX {
            page.state = if medium.is_blank(base)? { PageState::Uninitialized } else { PageState::Corrupt };
            return Ok(page);
        }
        page.state = PageState::Corrupt;
        if crc32(&[&header[4..28]]) != word(28) {
            return Ok(page);
        }
        page.seq = word(4);
        if header[8] < VERSION {
            let (found, expected) = (format!("version 0x{:02x}", header[8]), "0xfe or 0xff");
            return Err(refused(EspErr::NvsNewVersionFound, "NVS page", medium.address(base), found, expected));
        }
        page.version = header[8];
        if let Some(live) = PageState::live(state) {
            page.state = live;
            page.load_entries(medium)?;
        }
        Ok(page)
    }

    fn load_entries(&mut self, medium: &mut Medium<'_>) -> Result<(), Failure> {
        let mut codes = [0; 32];
        let read = medium.read_raw(self.base + BITMAP_OFFSET, &mut codes);
        self.watch(read)?;
        self.codes = Bitmap::new(codes);
        self.first_used = self.codes.first(0, ENTRY_COUNT, Code::Written).unwrap_or(NONE);
        self.used = self.codes.count(Code::Written);
        self.erased = self.codes.count(Code::Erased);
        if self.state != PageState::Active {
            return self.walk_closed(medium);
        }
        self.next_free = self.codes.first(0, ENTRY_COUNT, Code::Empty).unwrap_or(NONE);
        self.skip_torn(medium)?;
        match self.walk_active(medium)? {
            Some((last, entry)) => self.erase_namesake(medium, last, &entry),
            None => Ok(()),
        }
    }

    /// Entries behind the last code that were begun: their first word is not blank.
    fn skip_torn(&mut self, medium: &mut Medium<'_>) -> Result<(), Failure> {
        while self.next_free < ENTRY_COUNT {
            let index = self.next_free;
            let mut word = [0; 4];
            let read = medium.read_raw(self.entry_offset(index), &mut word);
            self.watch(read)?;
            if word == [0xFF; 4] {
                break;
            }
            if self.codes.get(index) == Code::Written {
                self.used = self.used.saturating_sub(1);
            }
            self.set_code(medium, index, Code::Erased)?;
            if medium.rules().purge {
                self.zero(medium, index, 1)?;
            }
            self.erased += 1;
            self.next_free += 1;
        }
        Ok(())
    }

    /// Every header of the active page. Returns the last item, and its place, when it is the last thing there.
    ///
    /// A header that was refused and erased still counts as one.
    fn walk_active(&mut self, medium: &mut Medium<'_>) -> Result<Option<(usize, Entry)>, Failure> {
        let (mut index, mut last) = (0, None);
        let end = self.end();
        while index < end {
            let code = self.codes.get(index);
            let here = index;
            index += 1;
            last = None;
            match code {
                Code::Erased => continue,
                Code::Illegal => {
                    self.recover(medium, here)?;
                    continue;
                }
                Code::Written | Code::Empty => {}
            }
            let read = self.read_entry(medium, here);
            let entry = self.watch(read)?;
            if !entry.is_header(here, medium.rules().floats) {
                self.recover(medium, here)?;
                last = Some((here, entry));
                continue;
            }
            self.hashes.push((entry.hash(), here));
            if entry.kind().is_some_and(super::ItemType::is_variable) {
                index = here + entry.span();
                if !self.is_whole(here, entry.span()) {
                    self.try_recover(medium, here)?;
                    continue;
                }
            }
            last = Some((here, entry));
            // Only the hash is compared: an unrelated key with the same one goes too.
            let earlier = self.hashes.iter().find(|&&(hash, at)| hash == entry.hash() && at < here);
            if let Some(&(_, at)) = earlier {
                self.try_recover(medium, at)?;
            }
        }
        Ok(last)
    }

    /// The last item may be the new version of one before it.
    ///
    /// For a chunk of a blob any chunk of that key will do, so the old version's dies while the new one has no index yet.
    fn erase_namesake(&mut self, medium: &mut Medium<'_>, last: usize, entry: &Entry) -> Result<(), Failure> {
        let key = Key::new(&entry.key());
        let chunk = if medium.rules().repaired { entry.chunk() } else { CHUNK_ANY };
        // What the refused header says is looked for as well: 255 is any namespace or type, a type unknown matches none.
        let (ns, code) = (Some(entry.ns()).filter(|&ns| ns != NS_ANY), entry.code());
        let query = Query { ns, kind: entry.kind(), key: Some(&key), chunk, start: None };
        let known = entry.kind().is_some() || code == TYPE_ANY;
        match self.find(medium, 0, &query)? {
            Some((index, _)) if known && index < last => self.recover(medium, index),
            _ => Ok(()),
        }
    }

    /// The headers of a page that takes no more entries.
    fn walk_closed(&mut self, medium: &mut Medium<'_>) -> Result<(), Failure> {
        let mut index = 0;
        while let Some(here) = self.codes.first(index, ENTRY_COUNT, Code::Written) {
            index = here + 1;
            let read = self.read_entry(medium, here);
            let entry = self.watch(read)?;
            if !entry.is_header(here, medium.rules().floats) {
                self.recover(medium, here)?;
                continue;
            }
            self.hashes.push((entry.hash(), here));
            index = here + entry.span();
            if !self.is_whole(here, entry.span()) {
                self.try_recover(medium, here)?;
            }
        }
        Ok(())
    }

    fn is_whole(&self, index: usize, span: usize) -> bool {
        (index..index + span).all(|at| self.codes.get(at) == Code::Written)
    }

    fn recover(&mut self, medium: &mut Medium<'_>, index: usize) -> Result<(), Failure> {
        let erased = self.erase_entry(medium, index, true);
        self.watch(erased)
    }

    /// Where upstream drops the answer: an init that may not write goes on with what RAM says then.
    fn try_recover(&mut self, medium: &mut Medium<'_>, index: usize) -> Result<(), Failure> {
        found(self.erase_entry(medium, index, true).map(Some)).map(|_| ())
    }
}
