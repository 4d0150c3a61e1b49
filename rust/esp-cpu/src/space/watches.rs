//! Addresses at which a run stops before the instruction there is done.

use super::Space;

/// Ranges of addresses, both ends included, by number; and all of them in order, as code asks.
#[derive(Default)]
pub(super) struct Watches {
    by_number: Vec<Option<(u32, u32)>>,
    /// Without overlaps, in order.
    merged: Vec<(u32, u32)>,
}

impl Watches {
    fn merge(&mut self) {
        let mut ranges: Vec<_> = self.by_number.iter().flatten().copied().collect();
        ranges.sort_unstable();
        self.merged.clear();
        for (begin, end) in ranges {
            match self.merged.last_mut() {
                Some(last) if begin <= last.1 => last.1 = last.1.max(end),
                _ => self.merged.push((begin, end)),
            }
        }
    }

    fn contains(&self, address: u32) -> bool {
        let at = self.merged.partition_point(|&(begin, _)| begin <= address);
        at.checked_sub(1).and_then(|at| self.merged.get(at)).is_some_and(|&(_, end)| address <= end)
    }
}

impl Space {
    /// Stop before an instruction from `begin` to `end`, both included: the number to end it with.
    pub fn watch(&mut self, begin: u32, end: u32) -> usize {
        self.watches.by_number.push(Some((begin, end)));
        self.watches.merge();
        self.generation += 1;
        self.watches.by_number.len() - 1
    }

    /// The end of a watch; without effect on a number that is none.
    pub fn unwatch(&mut self, number: usize) {
        if self.watches.by_number.get_mut(number).and_then(Option::take).is_some() {
            self.watches.merge();
            self.generation += 1;
        }
    }

    /// Whether a run stops before an instruction at this address.
    pub fn is_watched(&self, address: u32) -> bool {
        self.watches.contains(address)
    }
}
