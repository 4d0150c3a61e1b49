//! Memory as the host sees it, and the bookkeeping of what changes in it.

use super::{Entry, Frame, IN_PAGE, PAGE, Rights, Space};

impl Space {
    /// The size of a block, bytes.
    pub fn size(&self, block: usize) -> usize {
        self.blocks.get(block).map_or(0, |block| block.size)
    }

    /// Bytes of a block; `None` when they are not all in it.
    pub fn get(&self, block: usize, offset: usize, length: usize) -> Option<&[u8]> {
        let place = self.place_in(block, offset, length)?;
        self.arena.get(place..place + length)
    }

    /// Bytes into a block; false when they do not fit. What is there already is no change.
    pub fn put(&mut self, block: usize, offset: usize, data: &[u8]) -> bool {
        let Some(place) = self.place_in(block, offset, data.len()) else { return false };
        self.write(place, data);
        true
    }

    /// Fill a block with zeros.
    pub fn clear(&mut self, block: usize) {
        let Some(known) = self.blocks.get(block) else { return };
        let (first, count) = (known.first, known.size.div_ceil(PAGE));
        for frame in first..first + count {
            if self.frames.get(frame).is_some_and(|known| known.dirty) || !self.base.is_zero(frame) {
                self.write(frame * PAGE, &[0; PAGE]);
            }
        }
    }

    /// Memory at an address, whatever the rights; `None` when it is not all memory.
    pub fn read_at(&self, address: u32, length: usize) -> Option<Vec<u8>> {
        let mut data = Vec::new();
        self.pieces(address, length, |_, place, piece| data.extend_from_slice(self.bytes(place, piece)))?;
        Some(data)
    }

    /// Into memory at an address, whatever the rights; false, and nothing is written, when it is not all memory.
    pub fn write_at(&mut self, address: u32, data: &[u8]) -> bool {
        let mut pieces = Vec::new();
        let whole = self.pieces(address, data.len(), |at, place, piece| pieces.push((at, place, piece)));
        for (at, place, piece) in pieces.iter().filter(|_| whole.is_some()) {
            self.write(*place, data.get(*at..at + piece).unwrap_or_default());
        }
        whole.is_some()
    }

    fn place_in(&self, block: usize, offset: usize, length: usize) -> Option<usize> {
        let block = self.blocks.get(block)?;
        (offset.checked_add(length)? <= block.size).then_some(block.first * PAGE + offset)
    }

    /// Take the pages that these bytes of a block lie in away from every window, or give them back: whoever touches one
    /// meanwhile faults, and the host can bring it.
    pub fn hide(&mut self, block: usize, offset: usize, length: usize, hidden: bool) {
        let Some(place) = self.place_in(block, offset, length) else { return };
        for index in place / PAGE..(place + length).div_ceil(PAGE) {
            let Some(frame) = self.frames.get_mut(index) else { return };
            if hidden && frame.code != 0 {
                frame.code = 0;
                self.stale.push(index);
            }
            self.change_ways(index, |entry| entry.with_closed(Rights::ALL).with_hidden(hidden));
        }
    }

    /// Whether an address is one of memory that is hidden.
    pub fn is_hidden(&self, address: u32) -> bool {
        self.entry(address).has(Entry::HIDDEN)
    }

    /// The parts of a range of addresses, page by page: how far in, where in the arena, how long.
    fn pieces(&self, address: u32, length: usize, mut each: impl FnMut(usize, usize, usize)) -> Option<()> {
        let mut at = 0;
        while at < length {
            let now = address.checked_add(u32::try_from(at).ok()?)?;
            let entry = self.entry(now);
            if !entry.has(Entry::MEMORY) || entry.has(Entry::HIDDEN) {
                return None;
            }
            let piece = (PAGE - (now & IN_PAGE) as usize).min(length - at);
            each(at, entry.place(now), piece);
            at += piece;
        }
        Some(())
    }

    /// Bytes into the arena, page by page; those that are there already are no change.
    pub(super) fn write(&mut self, place: usize, data: &[u8]) {
        let mut at = 0;
        while at < data.len() {
            let piece = (PAGE - (place + at) % PAGE).min(data.len() - at);
            let Some(new) = data.get(at..at + piece) else { return };
            let range = place + at..place + at + piece;
            if self.arena.get(range.clone()).is_some_and(|old| old != new) {
                self.touch(range.start, piece);
                if let Some(old) = self.arena.get_mut(range) {
                    old.copy_from_slice(new);
                }
            }
            at += piece;
        }
    }

    /// Bytes within one page are about to change.
    pub(super) fn touch(&mut self, place: usize, length: usize) {
        let index = place / PAGE;
        let Some(frame) = self.frames.get_mut(index) else { return };
        if !frame.dirty {
            frame.dirty = true;
            self.dirty.push(index);
        }
        if frame.code & granules(place, length) != 0 {
            frame.code = 0;
            self.stale.push(index);
        }
    }

    /// Code at these bytes of the arena was decoded: stores into them are looked for from now on.
    pub fn mark_code(&mut self, place: usize, length: usize) {
        let mut at = place;
        while at < place + length {
            let index = at / PAGE;
            let piece = (PAGE - at % PAGE).min(place + length - at);
            if let Some(frame) = self.frames.get_mut(index) {
                let first = frame.code == 0;
                *frame = Frame { code: frame.code | granules(at, piece), ..*frame };
                if first {
                    self.close_frame(index, Rights::WRITE);
                }
            }
            at += piece;
        }
    }

    /// Whether decoded code has changed that nobody has taken yet.
    #[inline]
    pub fn has_stale_code(&self) -> bool {
        !self.stale.is_empty()
    }

    /// The pages of the arena whose decoded code is old, each once; they have none now.
    pub fn take_stale_code(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.stale)
    }

    /// All decoded code is forgotten.
    pub fn forget_code(&mut self) {
        self.frames.iter_mut().for_each(|frame| frame.code = 0);
        self.stale.clear();
    }

    /// A number that changes when windows or watches do: blocks that were decoded before are old.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

/// The 64ths of a page that these bytes of it are in.
fn granules(place: usize, length: usize) -> u64 {
    const SIZE: usize = PAGE / 64;
    let first = place % PAGE / SIZE;
    let last = (place % PAGE + length.max(1) - 1).min(PAGE - 1) / SIZE;
    (u64::MAX >> (63 - (last - first))) << first
}
