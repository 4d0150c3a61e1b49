//! Physical memory protection: sixteen entries, four-byte granularity, as "The RISC-V Instruction Set Manual, Volume II"
//! says.

use crate::space::PAGE;
use crate::stop::Access;

const ENTRIES: usize = 16;
const LOCKED: u8 = 0x80;
const CONFIGURABLE: u8 = 0x9F;

/// Who accesses memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    User,
    Machine,
}

/// What the protection says of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is allowed, and so is every other one of its kind in this page.
    Page,
    /// It is allowed.
    Here,
    /// It is not.
    Denied,
}

/// What a mode may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Everything,
    Machine(u64),
    User(u64),
}

/// The entries, and where each one's region is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pmp {
    config: [u8; ENTRIES],
    address: [u32; ENTRIES],
    /// First and last byte, of those that match anything, in order of priority.
    regions: Vec<(u64, u64, u8)>,
    /// A number for the regions: as long as it is the same, they are.
    digest: u64,
}

impl Pmp {
    /// What `mode` may do: as long as it is the same, nothing that was looked up is old.
    pub(super) fn view(&self, mode: Mode) -> View {
        match mode {
            Mode::Machine if self.regions.iter().all(|region| region.2 & LOCKED == 0) => View::Everything,
            Mode::Machine => View::Machine(self.digest),
            Mode::User => View::User(self.digest),
        }
    }

    /// Four entries' configuration, a byte each.
    pub(super) fn config(&self, register: usize) -> u32 {
        (0..4).rev().fold(0, |word, at| word << 8 | u32::from(self.config_of(4 * register + at)))
    }

    pub(super) fn set_config(&mut self, register: usize, value: u32) {
        for (at, new) in value.to_le_bytes().into_iter().enumerate() {
            if let Some(byte) = self.config.get_mut(4 * register + at).filter(|byte| **byte & LOCKED == 0) {
                *byte = new & CONFIGURABLE;
            }
        }
        self.arrange();
    }

    pub(super) fn address(&self, entry: usize) -> u32 {
        self.address.get(entry).copied().unwrap_or_default()
    }

    pub(super) fn set_address(&mut self, entry: usize, value: u32) {
        // The top of a range is the bottom of the next one, which may be locked.
        let next = self.config_of(entry + 1);
        let locked = self.config_of(entry) & LOCKED != 0 || (next & LOCKED != 0 && next >> 3 & 3 == 1);
        if let Some(address) = self.address.get_mut(entry).filter(|_| !locked) {
            *address = value;
        }
        self.arrange();
    }

    /// Whether an access of `size` bytes, which does not cross a page, is allowed.
    pub(super) fn permits(&self, mode: Mode, access: Access, address: u32, size: u32) -> Verdict {
        let (first, last) = (u64::from(address), u64::from(address) + u64::from(size) - 1);
        let page = first & !(PAGE as u64 - 1);
        let end = page + PAGE as u64 - 1;
        let mut whole = true;
        for &(low, high, config) in &self.regions {
            if low > end || high < page {
                continue;
            }
            let covers = low <= page && end <= high;
            let holds = low <= first && last <= high;
            if !holds && (low > last || high < first) {
                whole = false;
                continue;
            }
            let allowed = holds && allows(config, mode, access);
            return verdict(allowed, whole && covers);
        }
        verdict(mode == Mode::Machine, whole)
    }

    fn config_of(&self, entry: usize) -> u8 {
        self.config.get(entry).copied().unwrap_or_default()
    }

    fn arrange(&mut self) {
        let mut before = 0;
        let mut regions = Vec::new();
        for (&config, &address) in self.config.iter().zip(&self.address) {
            let word = u64::from(address) << 2;
            match config >> 3 & 3 {
                1 if before < word => regions.push((before, word - 1, config)),
                2 => regions.push((word, word + 3, config)),
                3 => {
                    let size = 8_u64 << address.trailing_ones();
                    let low = word & !(size - 1);
                    regions.push((low, low + size - 1, config));
                }
                _ => {}
            }
            before = word;
        }
        let numbers = regions.iter().flat_map(|&(low, high, config)| [low, high, u64::from(config)]);
        self.digest =
            numbers.fold(0xCBF2_9CE4_8422_2325, |hash, number| (hash ^ number).wrapping_mul(0x0100_0000_01B3));
        self.regions = regions;
    }
}

fn allows(config: u8, mode: Mode, access: Access) -> bool {
    let bit = match access {
        Access::Load => 1,
        Access::Store => 2,
        Access::Fetch => 4,
    };
    config & bit != 0 || (mode == Mode::Machine && config & LOCKED == 0)
}

fn verdict(allowed: bool, page: bool) -> Verdict {
    match (allowed, page) {
        (false, _) => Verdict::Denied,
        (true, true) => Verdict::Page,
        (true, false) => Verdict::Here,
    }
}
