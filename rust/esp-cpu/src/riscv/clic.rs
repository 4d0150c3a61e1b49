//! What the core has of a CLIC: an interrupt level, a threshold and a table of vectors for each mode, and the user mode's
//! own traps.
//!
//! Semantics are those of the "Core-Local Interrupt Controller (CLIC) RISC-V Privileged Architecture Extensions", with
//! three bits of a level, as the ESP32-C5 and the ESP32-C61 have them. The lines and what is set for each are the chip's.
//! Nobody uses `mnxti`, `mscratchcsw` and `mscratchcswl`: they are absent.

use super::pmp::Mode;

/// A level has so many bits; those below read as ones.
pub(super) const LOW: u8 = 0xFF >> 3;

/// An interrupt line as it is set. `level` is in the upper bits of its eight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 0.
    pub number: u32,
    /// The level, of which a line has the upper three bits.
    pub level: u8,
    /// Whether the table has an address for it; else it goes where exceptions go.
    pub vectored: bool,
    /// Whether it interrupts user mode, and nothing else.
    pub user: bool,
}

/// One mode's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Levels {
    pub(super) table: u32,
    pub(super) threshold: u8,
    pub(super) now: u8,
    /// What it was before the last trap.
    pub(super) before: u8,
}

impl Default for Levels {
    fn default() -> Self {
        Self { table: 0, threshold: LOW, now: 0, before: 0 }
    }
}

impl Levels {
    pub(super) fn lets_in(&self, level: u8) -> bool {
        level > self.now.max(self.threshold)
    }

    /// An interrupt of this level is taken.
    pub(super) fn rise(&mut self, level: u8) {
        (self.before, self.now) = (self.now, level | LOW);
    }

    /// A return goes back to the level that the cause holds.
    pub(super) fn fall(&mut self) {
        self.now = self.before;
    }
}

/// The CSRs of user mode's traps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct User {
    pub(super) vector: u32,
    pub(super) scratch: u32,
    pub(super) epc: u32,
    pub(super) cause: u32,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Clic {
    pub(super) machine: Levels,
    pub(super) user: Levels,
    pub(super) own: User,
}

impl Clic {
    /// An exception: machine mode keeps its level, and begins with none where it comes from below.
    pub(super) fn exception(&mut self, from: Mode) {
        self.machine.before = self.machine.now;
        if from == Mode::User {
            self.machine.now = 0;
        }
    }
}
