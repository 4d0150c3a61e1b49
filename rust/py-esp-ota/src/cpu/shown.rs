//! Which pages of a flash a cache shows through its MMU, and what changes of that when the MMU is looked at again.

use std::ops::Range;
use std::sync::Mutex;

use pyo3::prelude::*;
use pyo3::types::PyIterator;

use super::registers::ByAddress;
use crate::lock::lock;

/// What a window is to show: its number, offset and length there, and the place in flash; without one zeros.
pub(super) type Piece = (usize, usize, usize, Option<u64>);

/// Pieces in their order.
#[pyclass(module = "py_esp_ota._core", frozen)]
pub(crate) struct Pieces(pub(super) Vec<Piece>);

#[pymethods]
impl Pieces {
    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.0.clone().into_pyobject(py)?.try_iter()
    }
}

/// What an entry of the MMU showed when it was looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    Nothing,
    /// A page that is old now: of another flash, or changed since.
    Old,
    Page(u32),
}

/// How a word of the MMU's table says that it shows a page, and which.
#[derive(Clone, Copy)]
struct Rule {
    bit: u32,
    set: bool,
    mask: u32,
}

impl Rule {
    fn entry(self, word: u32) -> Entry {
        if (word & self.bit != 0) == self.set { Entry::Page(word & self.mask) } else { Entry::Nothing }
    }
}

struct Inner {
    /// Which bytes of all that the MMU maps each window shows.
    parts: Vec<Range<u64>>,
    rule: Rule,
    shown: Vec<Entry>,
    /// The MMU's table as it was last looked at, nothing when a page is old now; and how many pages it mapped.
    synced: Vec<u8>,
    mapped: usize,
    /// The size of those pages, bytes.
    size: u32,
    /// Every place in flash that was shown since the reset, and when for the last time.
    history: ByAddress<u64, u64>,
    now: u64,
}

impl Inner {
    /// What shows `count` entries from `first` on, the page of the first and those that follow it, or nothing.
    fn show(&self, pieces: &mut Vec<Piece>, (first, count): (usize, usize), entry: Entry, flash: u64) {
        let size = u64::from(self.size);
        let (at, end) = (first as u64 * size, (first + count) as u64 * size);
        for (number, part) in self.parts.iter().enumerate() {
            let (begin, end) = (at.max(part.start), end.min(part.end));
            if begin >= end {
                continue;
            }
            let place = match entry {
                Entry::Page(page) => (u64::from(page) * size + begin - at).checked_rem(flash),
                Entry::Nothing | Entry::Old => None,
            };
            pieces.push((number, (begin - part.start) as usize, (end - begin) as usize, place));
        }
    }

    fn hide(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (entry, shown) in self.shown.iter().enumerate() {
            if *shown != Entry::Nothing {
                self.show(&mut pieces, (entry, 1), Entry::Nothing, 0);
            }
        }
        self.shown.fill(Entry::Nothing);
        self.synced.clear();
        pieces
    }

    fn sync(&mut self, table: &[u8], flash: u64) -> Vec<Piece> {
        if table == self.synced && !table.is_empty() {
            return Vec::new();
        }
        let mapped: Vec<_> = table
            .chunks_exact(4)
            .zip(&self.shown)
            .map(|(bytes, _)| self.rule.entry(bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))))
            .collect();
        let mut pieces = Vec::new();
        // An address beyond the flash comes round again: no run of pages goes beyond its end.
        for (first, count, entry) in runs(&self.shown, &mapped, flash / u64::from(self.size.max(1))) {
            self.show(&mut pieces, (first, count), entry, flash);
            if let Entry::Page(page) = entry {
                for page in u64::from(page)..u64::from(page) + count as u64 {
                    self.now += 1;
                    self.history.insert(page * u64::from(self.size), self.now);
                }
            }
        }
        self.mapped = mapped.iter().filter(|&&entry| entry != Entry::Nothing).count();
        self.shown = mapped;
        self.synced = table.to_vec();
        pieces
    }
}

/// What has changed, as runs of entries: the first, how many, and the page of the first, which the others follow.
fn runs(shown: &[Entry], mapped: &[Entry], pages: u64) -> Vec<(usize, usize, Entry)> {
    let mut runs: Vec<(usize, usize, Entry)> = Vec::new();
    for (at, (&new, &old)) in mapped.iter().zip(shown).enumerate() {
        if new == old {
            continue;
        }
        match runs.last_mut() {
            Some((first, count, page)) if at == *first + *count && follows(*page, *count, new, pages) => *count += 1,
            _ => runs.push((at, 1, new)),
        }
    }
    runs
}

fn follows(first: Entry, count: usize, new: Entry, pages: u64) -> bool {
    match (first, new) {
        (Entry::Page(first), Entry::Page(new)) => {
            u64::from(new) == u64::from(first) + count as u64 && u64::from(new).checked_rem(pages) != Some(0)
        }
        _ => first == new,
    }
}

/// The pages that a cache shows. The MMU is looked at when somebody asks, not at each of the stores that fill it.
#[pyclass(module = "py_esp_ota._core", frozen)]
pub(crate) struct ShownPages(Mutex<Inner>);

#[pymethods]
impl ShownPages {
    /// An entry of the MMU shows the page in its bits `mask` when `bit` is set, or when it is not.
    #[new]
    #[pyo3(signature = (parts, entries, *, bit, set, mask))]
    fn new(parts: Vec<(u64, u64)>, entries: usize, bit: u32, set: bool, mask: u32) -> Self {
        Self(Mutex::new(Inner {
            parts: parts.into_iter().map(|(begin, end)| begin..end).collect(),
            rule: Rule { bit, set, mask },
            shown: vec![Entry::Nothing; entries],
            synced: Vec::new(),
            mapped: 0,
            size: 0,
            history: ByAddress::default(),
            now: 0,
        }))
    }

    /// The MMU holds `table` now, its pages have `size` bytes, and the flash is so big: what is to be shown anew.
    fn sync(&self, table: &[u8], size: u32, flash: u64) -> Pieces {
        let mut inner = lock(&self.0);
        let mut pieces = Vec::new();
        if size != inner.size {
            pieces = inner.hide();
            inner.size = size;
        }
        pieces.extend(inner.sync(table, flash));
        Pieces(pieces)
    }

    /// Nothing is shown, and never was.
    fn reset(&self) -> Pieces {
        let mut inner = lock(&self.0);
        inner.history.clear();
        Pieces(inner.hide())
    }

    /// These places were shown so far, the latest last, and all that is shown now is old.
    fn restore(&self, history: Vec<u64>) {
        let mut inner = lock(&self.0);
        inner.history = history.into_iter().zip(0..).collect();
        inner.now = inner.history.len() as u64;
        inner.synced.clear();
        for entry in &mut inner.shown {
            if *entry != Entry::Nothing {
                *entry = Entry::Old;
            }
        }
    }

    /// These bytes of the flash have changed: their pages are old.
    fn forget(&self, address: u64, length: u64) {
        let mut inner = lock(&self.0);
        let last = address.saturating_add(length.max(1) - 1);
        let size = u64::from(inner.size);
        let (Some(first), Some(last)) = (address.checked_div(size), last.checked_div(size)) else { return };
        let Inner { shown, synced, .. } = &mut *inner;
        for entry in shown {
            if matches!(*entry, Entry::Page(page) if first <= u64::from(page) && u64::from(page) <= last) {
                *entry = Entry::Old;
                synced.clear();
            }
        }
    }

    /// The place in flash that an entry shows, below zero for a page that is old; `None`: it shows nothing.
    fn place(&self, entry: usize) -> Option<i64> {
        let inner = lock(&self.0);
        match inner.shown.get(entry)? {
            Entry::Page(page) => Some(i64::from(*page) * i64::from(inner.size)),
            Entry::Old => Some(-i64::from(inner.size)),
            Entry::Nothing => None,
        }
    }

    /// How many pages the MMU mapped when it was last looked at.
    #[getter]
    fn mapped(&self) -> usize {
        lock(&self.0).mapped
    }

    /// The size of a page then, bytes.
    #[getter]
    fn size(&self) -> u32 {
        lock(&self.0).size
    }

    /// The places in flash that were shown since the reset, the latest first.
    fn history(&self) -> Vec<u64> {
        let mut places: Vec<_> = lock(&self.0).history.iter().map(|(&place, &when)| (when, place)).collect();
        places.sort_unstable_by(|one, other| other.cmp(one));
        places.into_iter().map(|(_, place)| place).collect()
    }
}
