//! A chip's memory: blocks of bytes in one arena, each seen through windows, with rights; and what is watched in it.
//!
//! One lookup by page says where a window leads and what may be done there *without a further look*. Everything that
//! needs one closes the way: a page that was not written since the last snapshot, one that has decoded code in it, one
//! that a core's memory protection has not been asked for.

mod access;
mod contents;
mod snapshot;
#[cfg(test)]
mod tests;
mod watches;

use std::ops::BitOr;

pub use snapshot::Snapshot;

use snapshot::Pages;
use watches::Watches;

/// The unit of windows, rights and snapshots, bytes.
pub const PAGE: usize = 4096;
/// The most memory a space can have, bytes.
pub const MAX_SIZE: usize = 1 << 30;
/// What is set aside for it at once.
const RESERVED: usize = 1 << 26;

const PAGE_BITS: u32 = 12;
const IN_PAGE: u32 = PAGE as u32 - 1;
const PAGES: usize = 1 << (32 - PAGE_BITS);

/// What a window lets code do; combined by `|`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rights(u32);

impl Rights {
    /// Loads.
    pub const READ: Self = Self(1);
    /// Stores.
    pub const WRITE: Self = Self(2);
    /// Instruction fetches.
    pub const EXECUTE: Self = Self(4);
    /// Everything.
    pub const ALL: Self = Self(7);
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// From the bits 1, 2 and 4: read, write, execute.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & 7)
    }
}

impl BitOr for Rights {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One page as the CPU sees it: the offset of its bytes in the arena, and in the lowest bits what is known of it.
#[derive(Clone, Copy, Default)]
struct Entry(u32);

impl Entry {
    /// There are bytes.
    const MEMORY: u32 = 8;
    /// The bus answers.
    const REGISTERS: u32 = 16;
    /// There are bytes that nobody can reach: [`Space::hide`].
    const HIDDEN: u32 = 256;
    /// Loads, stores and fetches need no further look: the bits of `Rights`, higher up.
    const OPEN: u32 = 5;

    const fn memory(frame: usize, rights: Rights) -> Self {
        Self((frame as u32) << PAGE_BITS | Self::MEMORY | rights.0)
    }

    const fn has(self, bits: u32) -> bool {
        self.0 & bits == bits
    }

    const fn is_open(self, right: Rights) -> bool {
        self.0 & right.0 << Self::OPEN != 0
    }

    const fn with_open(self, right: Rights) -> Self {
        Self(self.0 | right.0 << Self::OPEN)
    }

    const fn with_closed(self, right: Rights) -> Self {
        Self(self.0 & !(right.0 << Self::OPEN))
    }

    const fn with_hidden(self, hidden: bool) -> Self {
        if hidden { Self(self.0 | Self::HIDDEN) } else { Self(self.0 & !Self::HIDDEN) }
    }

    const fn frame(self) -> usize {
        (self.0 >> PAGE_BITS) as usize
    }

    const fn place(self, address: u32) -> usize {
        (self.0 & !IN_PAGE | address & IN_PAGE) as usize
    }
}

/// One page of the arena.
#[derive(Clone, Copy, Default)]
struct Frame {
    block: usize,
    /// Whether it was written since the last snapshot.
    dirty: bool,
    /// Which 64ths of it have decoded code in them.
    code: u64,
}

/// Where a block's bytes are, and where they are seen.
struct Block {
    first: usize,
    size: usize,
    windows: Vec<u32>,
}

/// The memory of one chip. A core runs on it, alone.
pub struct Space {
    map: Vec<Entry>,
    arena: Vec<u8>,
    frames: Vec<Frame>,
    blocks: Vec<Block>,
    dirty: Vec<usize>,
    base: Pages,
    /// Frames whose decoded code is no longer what is there.
    stale: Vec<usize>,
    watches: Watches,
    /// The pages that have an open way, some of them twice.
    opened: Vec<u32>,
    /// Counts what makes all decoded code old: windows and watches.
    generation: u64,
}

impl Default for Space {
    fn default() -> Self {
        Self::new()
    }
}

impl Space {
    /// Nothing is anywhere.
    pub fn new() -> Self {
        Self {
            map: vec![Entry(0); PAGES],
            // Zeros that the host hands out when they are first touched, where a growing vector would touch them all.
            arena: vec![0; RESERVED],
            frames: Vec::new(),
            blocks: Vec::new(),
            dirty: Vec::new(),
            base: Pages::default(),
            stale: Vec::new(),
            watches: Watches::default(),
            opened: Vec::new(),
            generation: 0,
        }
    }

    /// A block of memory, of zeros, and the windows that each show all of it: its number.
    ///
    /// Sizes and addresses are rounded to pages; a window over another one hides it. Beyond [`MAX_SIZE`] in all there is
    /// no more memory, and nothing is seen there.
    pub fn add(&mut self, size: usize, windows: &[(u32, Rights)]) -> usize {
        let first = self.frames.len();
        let count = size.min(MAX_SIZE).div_ceil(PAGE).min(MAX_SIZE / PAGE - first);
        let number = self.blocks.len();
        self.frames.resize(first + count, Frame { block: number, ..Frame::default() });
        if self.arena.len() < (first + count) * PAGE {
            self.arena.resize((first + count) * PAGE, 0);
        }
        self.base.grow(first + count);
        for &(base, rights) in windows {
            for page in 0..count {
                self.place(base >> PAGE_BITS, page, Entry::memory(first + page, rights));
            }
        }
        let windows = windows.iter().map(|&(base, _)| base & !IN_PAGE).collect();
        self.blocks.push(Block { first, size: size.min(count * PAGE), windows });
        self.generation += 1;
        number
    }

    /// The bus answers from `begin` up to, not including, `end`.
    pub fn add_registers(&mut self, begin: u32, end: u32) {
        for page in 0..(end.saturating_sub(begin) as usize).div_ceil(PAGE) {
            self.place(begin >> PAGE_BITS, page, Entry(Entry::REGISTERS));
        }
        self.generation += 1;
    }

    fn place(&mut self, base: u32, page: usize, entry: Entry) {
        if let Some(slot) = self.map.get_mut(base as usize + page) {
            *slot = entry;
        }
    }

    /// The address space behind one address.
    #[inline]
    fn entry(&self, address: u32) -> Entry {
        self.map.get((address >> PAGE_BITS) as usize).copied().unwrap_or_default()
    }

    /// Take a right from every way to a frame, until it is looked at again.
    fn close_frame(&mut self, frame: usize, right: Rights) {
        self.change_ways(frame, |entry| entry.with_closed(right));
    }

    /// Change every way to a frame.
    fn change_ways(&mut self, frame: usize, change: impl Fn(Entry) -> Entry) {
        let Some(block) = self.frames.get(frame).and_then(|known| self.blocks.get(known.block)) else { return };
        let page = frame - block.first;
        for base in &block.windows {
            if let Some(entry) = self.map.get_mut((base >> PAGE_BITS) as usize + page) {
                if entry.has(Entry::MEMORY) && entry.frame() == frame {
                    *entry = change(*entry);
                }
            }
        }
    }
}
