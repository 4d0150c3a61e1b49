//! One page (`nvs::Page`): its header, its entries, and what changes them.

use super::bitmap::{Bitmap, Code, PER_WORD};
use super::entry::{Entry, ItemType, Key, span_of};
use super::medium::Medium;
use super::{BITMAP_OFFSET, CHUNK_MAX, ENTRIES_OFFSET, ENTRY, ENTRY_COUNT, MAX_KEY, NONE, PAGE, VERSION};
use super::{broken, crc32, refused};
use crate::err::{EspErr, Failure};

/// Bytes of a page's header.
pub(super) const HEADER: usize = 32;

/// `Page::PageState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are ESP-IDF's own")]
pub enum PageState {
    Uninitialized,
    Active,
    Full,
    Freeing,
    /// To be erased before it is used again.
    Corrupt,
    /// A flash operation failed on it.
    Invalid,
}

impl PageState {
    /// The word on flash.
    fn word(self) -> u32 {
        match self {
            Self::Uninitialized => u32::MAX,
            Self::Active => 0xFFFF_FFFE,
            Self::Full => 0xFFFF_FFFC,
            Self::Freeing => 0xFFFF_FFF8,
            Self::Corrupt => 0xFFFF_FFF0,
            Self::Invalid => 0,
        }
    }

    /// The state of a live page, from its word.
    pub(super) fn live(word: u32) -> Option<Self> {
        [Self::Active, Self::Full, Self::Freeing].into_iter().find(|state| state.word() == word)
    }

    /// `Page::pageStateToName`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uninitialized => "UNINITIALIZED",
            Self::Active => "ACTIVE",
            Self::Full => "FULL",
            Self::Freeing => "FREEING",
            Self::Corrupt => "CORRUPT",
            Self::Invalid => "INVALID",
        }
    }
}

/// What is to be written as one item.
pub(super) struct NewItem<'a> {
    pub(super) ns: u8,
    pub(super) kind: ItemType,
    pub(super) key: &'a Key,
    pub(super) chunk: u8,
    pub(super) data: &'a [u8],
}

/// A page as RAM knows it.
pub(super) struct Page {
    /// Bytes from the start of the partition.
    pub(super) base: u32,
    pub(super) state: PageState,
    pub(super) seq: u32,
    pub(super) version: u8,
    pub(super) codes: Bitmap,
    pub(super) first_used: usize,
    pub(super) next_free: usize,
    pub(super) used: usize,
    pub(super) erased: usize,
    /// The hash list: hash and entry, in the order they came.
    pub(super) hashes: Vec<(u32, usize)>,
}

impl Page {
    pub(super) fn new(base: u32) -> Self {
        Self {
            base,
            state: PageState::Uninitialized,
            seq: 0,
            version: VERSION,
            codes: Bitmap::BLANK,
            first_used: NONE,
            next_free: NONE,
            used: 0,
            erased: 0,
            hashes: Vec::new(),
        }
    }

    pub(super) fn entry_offset(&self, index: usize) -> u32 {
        self.base + ENTRIES_OFFSET + (index * ENTRY) as u32
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self.state, PageState::Active | PageState::Full | PageState::Freeing)
    }

    /// Where lookups end.
    pub(super) fn end(&self) -> usize {
        self.next_free.min(ENTRY_COUNT)
    }

    pub(super) fn read_entry(&self, medium: &mut Medium<'_>, index: usize) -> Result<Entry, Failure> {
        medium.read_entry(self.entry_offset(index)).map(Entry)
    }

    /// A flash operation that failed leaves the page unusable until the next init.
    pub(super) fn watch<T>(&mut self, result: Result<T, Failure>) -> Result<T, Failure> {
        if result.is_err() {
            self.state = PageState::Invalid;
        }
        result
    }

    /// `Page::writeItem`. False: the page is full, and nothing was written but perhaps its header.
    pub(super) fn write_item(&mut self, medium: &mut Medium<'_>, item: &NewItem<'_>) -> Result<bool, Failure> {
        match self.state {
            PageState::Invalid => return Err(self.invalid(medium)),
            PageState::Uninitialized => self.initialize(medium)?,
            PageState::Full => return Ok(false),
            _ => {}
        }
        let address = medium.address(self.base);
        if item.key.length > MAX_KEY {
            let found = format!("{} bytes", item.key.length);
            return Err(refused(EspErr::NvsKeyTooLong, "NVS key", address, found, "at most 15 bytes"));
        }
        if item.data.len() > CHUNK_MAX {
            let found = format!("{} bytes", item.data.len());
            return Err(refused(EspErr::NvsValueTooLong, "NVS value", address, found, "at most 4000 bytes"));
        }
        let variable = item.kind.is_variable();
        let span = if variable { span_of(item.data.len()) } else { 1 };
        if self.next_free.saturating_add(span) > ENTRY_COUNT {
            return Ok(false);
        }
        let mut value = [0xFF; 8];
        if variable {
            value[..2].copy_from_slice(&(item.data.len() as u16).to_le_bytes());
            value[4..].copy_from_slice(&crc32(&[item.data]).to_le_bytes());
        } else {
            value.iter_mut().zip(item.data).for_each(|(to, from)| *to = *from);
        }
        let header = Entry::header(item.ns, item.kind, span, item.chunk, item.key, value);
        self.hashes.push((header.hash(), self.next_free));
        self.write_entry(medium, &header)?;
        if variable {
            let whole = item.data.len() / ENTRY * ENTRY;
            let (slices, rest) = item.data.split_at_checked(whole).unwrap_or_default();
            if !slices.is_empty() {
                self.write_slices(medium, slices)?;
            }
            if !rest.is_empty() {
                let mut last = Entry([0xFF; ENTRY]);
                last.0.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                self.write_entry(medium, &last)?;
            }
        }
        Ok(true)
    }

    pub(super) fn invalid(&self, medium: &Medium<'_>) -> Failure {
        let expected = "one on which no flash operation failed";
        refused(EspErr::NvsInvalidState, "NVS page", medium.address(self.base), self.state.name(), expected)
    }

    /// `Page::initialize`: the header of a fresh page, at its first use.
    fn initialize(&mut self, medium: &mut Medium<'_>) -> Result<(), Failure> {
        let mut header = [0xFF; HEADER];
        header[..4].copy_from_slice(&PageState::Active.word().to_le_bytes());
        header[4..8].copy_from_slice(&self.seq.to_le_bytes());
        header[8] = self.version;
        let crc = crc32(&[&header[4..28]]);
        header[28..].copy_from_slice(&crc.to_le_bytes());
        self.state = PageState::Active;
        let done = medium.write_raw(self.base, &header);
        self.watch(done)?;
        self.next_free = 0;
        self.codes = Bitmap::BLANK;
        Ok(())
    }

    /// `Page::writeEntry`: the entry, then its code.
    fn write_entry(&mut self, medium: &mut Medium<'_>, entry: &Entry) -> Result<(), Failure> {
        if self.next_free >= ENTRY_COUNT {
            let found = format!("entry {}", self.next_free);
            return Err(broken(medium, self.base, "NVS page", found, "one of 126 entries"));
        }
        let done = medium.write_entries(self.entry_offset(self.next_free), &entry.0);
        self.watch(done)?;
        self.set_code(medium, self.next_free, Code::Written)?;
        if self.first_used == NONE {
            self.first_used = self.next_free;
        }
        self.used += 1;
        self.next_free += 1;
        Ok(())
    }

    /// `Page::writeEntryData`: whole slices in one program, then their codes.
    fn write_slices(&mut self, medium: &mut Medium<'_>, slices: &[u8]) -> Result<(), Failure> {
        let count = slices.len() / ENTRY;
        if self.first_used == NONE {
            let found = "no header before its data".to_owned();
            return Err(broken(medium, self.base, "NVS page", found, "one"));
        }
        let done = medium.write_entries(self.entry_offset(self.next_free), slices);
        self.watch(done)?;
        self.set_codes(medium, self.next_free, count, Code::Written)?;
        self.used += count;
        self.next_free += count;
        Ok(())
    }

    /// `Page::alterEntryState`.
    pub(super) fn set_code(&mut self, medium: &mut Medium<'_>, index: usize, code: Code) -> Result<(), Failure> {
        self.codes.set(index, code);
        let (offset, word) = self.codes.word(index);
        let done = medium.write_raw(self.base + BITMAP_OFFSET + offset, &word);
        self.watch(done)
    }

    /// `Page::alterEntryRangeState`: from the last entry down; a word is written when the walk leaves it.
    fn set_codes(&mut self, medium: &mut Medium<'_>, start: usize, count: usize, code: Code) -> Result<(), Failure> {
        for index in (start..start + count).rev() {
            self.codes.set(index, code);
            if index == start || index % PER_WORD == 0 {
                let (offset, word) = self.codes.word(index);
                medium.write_raw(self.base + BITMAP_OFFSET + offset, &word)?;
            }
        }
        Ok(())
    }

    /// `Page::eraseEntryAndSpan`: an item dies whole, anything else entry by entry; `purge` overwrites what died.
    pub(super) fn erase_entry(&mut self, medium: &mut Medium<'_>, index: usize, purge: bool) -> Result<(), Failure> {
        let mut span = 1;
        if self.codes.get(index) == Code::Written {
            let entry = self.read_entry(medium, index)?;
            self.hashes.retain(|&(_, at)| at != index);
            if entry.is_header(index, medium.rules().floats) {
                span = entry.span();
            }
            let range = index..index + span;
            let written = range.clone().filter(|&at| self.codes.get(at) == Code::Written).count();
            self.used = self.used.saturating_sub(written);
            self.erased += span;
        }
        if span == 1 {
            self.set_code(medium, index, Code::Erased)?;
        } else {
            self.set_codes(medium, index, span, Code::Erased)?;
        }
        if purge && medium.rules().purge {
            self.zero(medium, index, span)?;
        }
        if index == self.first_used {
            self.first_used = self.codes.first(index + span, self.end(), Code::Written).unwrap_or(NONE);
        }
        self.next_free = self.next_free.max(index + span);
        Ok(())
    }

    /// Overwrite entries with zeros, past the encryption.
    pub(super) fn zero(&mut self, medium: &mut Medium<'_>, index: usize, span: usize) -> Result<(), Failure> {
        for at in index..index + span {
            let done = medium.write_raw(self.entry_offset(at), &[0; ENTRY]);
            self.watch(done)?;
        }
        Ok(())
    }

    /// `Page::copyItems`: every live item into a fresh page, entry by entry.
    ///
    /// The spans are believed: what a header does not cover is taken for a header, and one that leads out of the page is
    /// noticed when it has been copied.
    pub(super) fn copy_items(&mut self, medium: &mut Medium<'_>, other: &mut Self) -> Result<(), Failure> {
        if self.first_used == NONE {
            return Ok(());
        }
        if other.state == PageState::Uninitialized {
            other.initialize(medium)?;
        }
        let mut index = self.first_used;
        while index < ENTRY_COUNT {
            if self.codes.get(index) != Code::Written {
                if index == self.first_used {
                    let found = "another code".to_owned();
                    return Err(broken(medium, self.entry_offset(index), "first NVS entry", found, "a written one"));
                }
                index += 1;
                continue;
            }
            let header = self.read_entry(medium, index)?;
            other.hashes.push((header.hash(), other.next_free));
            other.write_entry(medium, &header)?;
            let end = index + header.span();
            if end > ENTRY_COUNT {
                let found = format!("span {}", header.span());
                return Err(broken(
                    medium,
                    self.entry_offset(index),
                    "NVS entry",
                    found,
                    "an item that ends in its page",
                ));
            }
            for at in index + 1..end {
                let data = self.read_entry(medium, at)?;
                other.write_entry(medium, &data)?;
            }
            index = end;
        }
        Ok(())
    }

    /// `Page::alterPageState`.
    fn set_state(&mut self, medium: &mut Medium<'_>, state: PageState) -> Result<(), Failure> {
        let done = medium.write_raw(self.base, &state.word().to_le_bytes());
        self.watch(done)?;
        self.state = state;
        Ok(())
    }

    /// `Page::markFull`.
    pub(super) fn mark_full(&mut self, medium: &mut Medium<'_>) -> Result<(), Failure> {
        if self.state != PageState::Active {
            return Err(self.invalid(medium));
        }
        self.set_state(medium, PageState::Full)
    }

    /// `Page::markFreeing`.
    pub(super) fn mark_freeing(&mut self, medium: &mut Medium<'_>) -> Result<(), Failure> {
        if !matches!(self.state, PageState::Active | PageState::Full) {
            return Err(self.invalid(medium));
        }
        self.set_state(medium, PageState::Freeing)
    }

    /// `Page::erase`.
    pub(super) fn erase(&mut self, medium: &mut Medium<'_>) -> Result<(), Failure> {
        let done = medium.erase_page(self.base);
        self.watch(done)?;
        *self = Self { seq: self.seq, version: self.version, ..Self::new(self.base) };
        Ok(())
    }

    /// `Page::getVarDataTailroom`: bytes of data that one more item could have.
    pub(super) fn tailroom(&self) -> usize {
        match self.state {
            PageState::Uninitialized => CHUNK_MAX,
            PageState::Full => 0,
            _ => (ENTRY_COUNT - 1).saturating_sub(self.next_free) * ENTRY,
        }
    }
}

/// Pages a partition of `size` bytes has.
pub(super) fn bases(size: u32) -> impl Iterator<Item = u32> {
    (0..size / PAGE).map(|sector| sector * PAGE)
}
