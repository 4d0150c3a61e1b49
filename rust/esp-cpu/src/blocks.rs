//! Decoded blocks of code: found by address, chained to each other, dropped when the bytes they came from change.
//!
//! Generic over the decoded instruction. What is kept is bounded: when it is full, everything goes at once.

use crate::space::{PAGE, Space};

/// The most instructions in a block.
pub const LONGEST: usize = 64;
/// How many ways out of a block are told apart.
pub const WAYS: usize = 4;
const MAX_OPS: usize = 1 << 20;
const MAX_BLOCKS: usize = 1 << 17;
const FIRST_SLOTS: usize = 1 << 10;
const NONE: u32 = u32::MAX;
/// What no tag is: the first epoch is 1.
const DEAD: u64 = 0;

/// One block: instructions that follow each other and are entered at the first only.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Its address, and the epoch it was decoded in.
    tag: u64,
    first: u32,
    count: u32,
    /// The bytes of code that it was decoded from.
    pub bytes: u32,
    /// Whether a run stops before its first instruction.
    pub watched: bool,
    /// The blocks that came next the last times, as [`Blocks::follow`] looks at them.
    next: [u32; WAYS],
}

/// All blocks of a core. It belongs to one [`Space`], whose changes it hears of by [`Blocks::refresh`].
pub struct Blocks<Op> {
    ops: Vec<Op>,
    known: Vec<Block>,
    /// A hash table of block numbers, open addressing; at least twice as many as blocks, a power of two.
    slots: Vec<u32>,
    /// The blocks of each page of the arena.
    by_frame: Vec<Vec<u32>>,
    epoch: u32,
    generation: u64,
}

impl<Op> Default for Blocks<Op> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Op> Blocks<Op> {
    /// No blocks.
    pub fn new() -> Self {
        Self { ops: Vec::new(), known: Vec::new(), slots: Vec::new(), by_frame: Vec::new(), epoch: 1, generation: 0 }
    }

    /// Forget what the space says is old. To be called when a run begins and after each instruction that left
    /// [`Space::has_stale_code`] true; whoever follows a number from before must ask again.
    pub fn refresh(&mut self, space: &mut Space) {
        if self.generation != space.generation() {
            self.generation = space.generation();
            self.forget();
        }
        if space.has_stale_code() {
            for frame in space.take_stale_code() {
                self.drop_frame(frame);
            }
        }
    }

    /// Every block is old, at no cost: what code may be executed has changed.
    pub fn forget(&mut self) {
        if let Some(epoch) = self.epoch.checked_add(1) {
            self.epoch = epoch;
        } else {
            self.clear();
        }
    }

    /// The block at an address.
    #[inline]
    pub fn find(&self, pc: u32) -> Option<u32> {
        let tag = self.tag(pc);
        let mut slot = self.hash(pc);
        loop {
            let number = *self.slots.get(slot)?;
            if number == NONE {
                return None;
            }
            let known = self.known.get(number as usize)?;
            if known.tag == tag {
                return Some(number);
            }
            slot = self.behind(slot);
        }
    }

    /// Keep a block that was decoded from `bytes` bytes of code at `pc`, whose places in the arena are `places` (one, or
    /// two when it crosses a page): its number. The space must have no stale code.
    pub fn add(&mut self, space: &mut Space, pc: u32, places: &[(usize, usize)], ops: &[Op], watched: bool) -> u32
    where
        Op: Copy,
    {
        if self.known.len() >= MAX_BLOCKS || self.ops.len() + ops.len() > MAX_OPS {
            self.clear();
            space.forget_code();
        }
        if 2 * self.known.len() >= self.slots.len() {
            self.grow();
        }
        let number = self.known.len() as u32;
        let first = self.ops.len() as u32;
        self.ops.extend_from_slice(ops);
        let bytes = places.iter().map(|&(_, length)| length as u32).sum();
        let tag = self.tag(pc);
        self.known.push(Block { tag, first, count: ops.len() as u32, bytes, watched, next: [NONE; WAYS] });
        self.insert(pc, number);
        for &(place, length) in places {
            space.mark_code(place, length);
            let frame = place / PAGE;
            if self.by_frame.len() <= frame {
                self.by_frame.resize_with(frame + 1, Vec::new);
            }
            if let Some(list) = self.by_frame.get_mut(frame) {
                list.push(number);
            }
        }
        number
    }

    /// A block by its number.
    #[inline]
    pub fn block(&self, number: u32) -> Option<&Block> {
        self.known.get(number as usize)
    }

    /// Its instructions.
    #[inline]
    pub fn ops(&self, block: &Block) -> &[Op] {
        let first = block.first as usize;
        self.ops.get(first..first + block.count as usize).unwrap_or_default()
    }

    /// The block at `pc`, when it is the one that came behind this block by that way the last time.
    #[inline]
    pub fn follow(&self, block: &Block, way: usize, pc: u32) -> Option<u32> {
        let number = *block.next.get(way)?;
        (self.known.get(number as usize)?.tag == self.tag(pc)).then_some(number)
    }

    /// Remember that.
    #[inline]
    pub fn link(&mut self, from: u32, way: usize, to: u32) {
        if let Some(next) = self.known.get_mut(from as usize).and_then(|block| block.next.get_mut(way)) {
            *next = to;
        }
    }

    fn hash(&self, pc: u32) -> usize {
        // Xtensa's instructions begin anywhere.
        (pc.wrapping_mul(0x9E37_79B1) >> 12) as usize & self.slots.len().wrapping_sub(1)
    }

    fn behind(&self, slot: usize) -> usize {
        (slot + 1) & self.slots.len().wrapping_sub(1)
    }

    fn tag(&self, pc: u32) -> u64 {
        u64::from(self.epoch) << 32 | u64::from(pc)
    }

    fn insert(&mut self, pc: u32, number: u32) {
        let mut slot = self.hash(pc);
        // The slot of an old one is free.
        while self.slots.get(slot).is_some_and(|&taken| self.is_live(taken)) {
            slot = self.behind(slot);
        }
        if let Some(free) = self.slots.get_mut(slot) {
            *free = number;
        }
    }

    fn grow(&mut self) {
        let count = (2 * self.slots.len()).max(FIRST_SLOTS);
        self.slots.clear();
        self.slots.resize(count, NONE);
        for number in 0..self.known.len() as u32 {
            if self.is_live(number) {
                if let Some(&Block { tag, .. }) = self.block(number) {
                    self.insert(tag as u32, number);
                }
            }
        }
    }

    fn is_live(&self, number: u32) -> bool {
        self.known.get(number as usize).is_some_and(|block| block.tag >> 32 == u64::from(self.epoch))
    }

    fn drop_frame(&mut self, frame: usize) {
        for number in self.by_frame.get_mut(frame).map(std::mem::take).unwrap_or_default() {
            if let Some(block) = self.known.get_mut(number as usize) {
                block.tag = DEAD;
            }
        }
    }

    fn clear(&mut self) {
        self.ops.clear();
        self.known.clear();
        self.slots.clear();
        self.by_frame.iter_mut().for_each(Vec::clear);
        self.epoch = 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{Blocks, MAX_BLOCKS};
    use crate::space::{PAGE, Rights, Space};

    fn space() -> (Space, usize) {
        let mut space = Space::new();
        let block = space.add(2 * PAGE, &[(0x1000, Rights::ALL)]);
        (space, block)
    }

    #[test]
    fn a_block_is_found_until_its_bytes_change() -> Result<(), &'static str> {
        let (mut space, memory) = space();
        let mut blocks = Blocks::new();
        blocks.refresh(&mut space);
        let one = blocks.add(&mut space, 0x1FFC, &[(PAGE - 4, 4), (PAGE, 2)], &['a', 'b'], false);
        let two = blocks.add(&mut space, 0x1000, &[(0, 2)], &['c'], true);
        blocks.link(one, 1, two);
        let known = *blocks.block(one).ok_or("no block")?;
        assert_eq!((blocks.find(0x1FFC), blocks.find(0x1FFE)), (Some(one), None));
        assert_eq!((blocks.ops(&known), known.bytes), (['a', 'b'].as_slice(), 6));
        let known = *blocks.block(one).ok_or("no block")?;
        assert_eq!((blocks.follow(&known, 1, 0x1000), blocks.follow(&known, 1, 0x1002)), (Some(two), None));
        space.put(memory, PAGE, &[1]);
        blocks.refresh(&mut space);
        assert_eq!((blocks.find(0x1FFC), blocks.find(0x1000)), (None, Some(two)));
        let again = blocks.add(&mut space, 0x1FFC, &[(PAGE - 4, 4)], &['d'], false);
        assert_eq!(blocks.find(0x1FFC), Some(again));
        Ok(())
    }

    #[test]
    fn a_watch_makes_every_block_old() {
        let (mut space, _) = space();
        let mut blocks = Blocks::new();
        blocks.refresh(&mut space);
        blocks.add(&mut space, 0x1000, &[(0, 2)], &['a'], false);
        space.watch(0x1000, 0x1000);
        blocks.refresh(&mut space);
        assert_eq!(blocks.find(0x1000), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (mut space, _) = space();
        let mut blocks = Blocks::new();
        for round in 0..3 * MAX_BLOCKS as u32 {
            let number = blocks.add(&mut space, round, &[(round as usize % PAGE, 1)], &[round; 9], false);
            assert!(number < MAX_BLOCKS as u32);
            assert_eq!(blocks.find(round), Some(number));
        }
        assert!(blocks.ops.len() <= super::MAX_OPS);
    }
}
