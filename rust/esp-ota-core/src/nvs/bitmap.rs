//! The entry states of one page: two bits each, kept in RAM and written word by word (`CompressedEnumTable`).

use super::ENTRY_COUNT;

/// Entries whose codes share one 4-byte word.
pub(super) const PER_WORD: usize = 16;

/// `Page::EntryState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Erased = 0,
    Illegal = 1,
    Written = 2,
    Empty = 3,
}

/// All codes of a page as they stand on flash.
#[derive(Clone, Debug)]
pub(super) struct Bitmap([u8; 32]);

impl Bitmap {
    pub(super) const BLANK: Self = Self([0xFF; 32]);

    pub(super) fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The code of an entry; beyond the last one: empty.
    pub(super) fn get(&self, index: usize) -> Code {
        let byte = self.0.get(index / 4).copied().unwrap_or(0xFF);
        match byte >> (2 * (index % 4)) & 3 {
            0 => Code::Erased,
            1 => Code::Illegal,
            2 => Code::Written,
            _ => Code::Empty,
        }
    }

    pub(super) fn set(&mut self, index: usize, code: Code) {
        if let Some(byte) = self.0.get_mut(index / 4) {
            let shift = 2 * (index % 4);
            *byte = *byte & !(3 << shift) | (code as u8) << shift;
        }
    }

    /// The word with an entry's code: its offset in the bitmap and its bytes.
    pub(super) fn word(&self, index: usize) -> (u32, [u8; 4]) {
        let start = index / PER_WORD * 4;
        let mut word = [0xFF; 4];
        let bytes = self.0.get(start..).unwrap_or_default();
        word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        (start as u32, word)
    }

    pub(super) fn count(&self, code: Code) -> usize {
        (0..ENTRY_COUNT).filter(|&index| self.get(index) == code).count()
    }

    /// The first entry with this code from `start` on.
    pub(super) fn first(&self, start: usize, end: usize, code: Code) -> Option<usize> {
        (start..end.min(ENTRY_COUNT)).find(|&index| self.get(index) == code)
    }
}
