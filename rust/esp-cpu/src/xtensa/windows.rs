//! Windowed registers: sixteen of sixty-four, which calls move by four, eight or twelve.
//!
//! The sixteen are copied out and in when the window moves, so that every other instruction finds them at fixed places.

use super::{ALL, FAR, NEAR, PS_CALLINC, PS_EXCM, PS_OWB, PS_WOE, State};
use crate::word::unsigned;

/// What ENTRY came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Done,
    /// The vector that saves the frame in the way.
    Overflow(u32),
    Illegal,
}

impl State {
    /// The window now, as WINDOWBASE.
    pub(super) fn base(&self) -> u32 {
        u32::from(self.base)
    }

    /// Which windows of four begin a frame, as WINDOWSTART.
    pub(super) fn start(&self) -> u32 {
        u32::from(self.start)
    }

    pub(super) fn set_start(&mut self, value: u32) {
        self.start = value as u16;
        self.look_at_windows();
    }

    /// The window moves to `base`.
    pub(super) fn turn_to(&mut self, base: u8) {
        let base = base & 15;
        if base != self.base {
            self.keep();
            let first = 4 * usize::from(base);
            if let Some(registers) = self.far.get(first..).and_then(|rest| rest.first_chunk::<NEAR>()) {
                self.near = *registers;
            }
            self.base = base;
        }
        self.look_at_windows();
    }

    /// Copy the window's registers to where they are kept.
    #[inline]
    fn keep(&mut self) {
        let first = 4 * usize::from(self.base);
        if let Some(slots) = self.far.get_mut(first..).and_then(|rest| rest.first_chunk_mut::<NEAR>()) {
            *slots = self.near;
        }
        // What is there twice: the last windows reach around.
        if first + NEAR > ALL {
            self.far.copy_within(ALL..first + NEAR, 0);
        } else if first < FAR - ALL {
            self.far.copy_within(first..FAR - ALL, ALL + first);
        }
    }

    /// How many windows are free behind the first, after any change to what decides it.
    pub(super) fn look_at_windows(&mut self) {
        let armed = self.ps & (PS_WOE | PS_EXCM) == PS_WOE;
        // The frames that begin one, two and three windows further, in bits 1 to 3, and one more as a stop.
        let near = u32::from(self.start.rotate_right(u32::from(self.base))) & 0xE | 0x10;
        self.free = if armed { near.trailing_zeros() as u8 - 1 } else { 3 };
    }

    /// The exception of touching a frame that begins within the `free + 1` windows: the vector that saves it.
    pub(super) fn overflow(&mut self, pc: u32) -> u32 {
        let owner = self.base.wrapping_add(self.free + 1) & 15;
        let old = self.base();
        let frames = self.start.rotate_right(u32::from(owner));
        let vector = if frames & 2 != 0 {
            0
        } else if frames & 4 != 0 {
            0x80
        } else {
            0x100
        };
        self.window_exception(pc, old);
        self.turn_to(owner);
        self.vecbase.wrapping_add(vector)
    }

    fn window_exception(&mut self, pc: u32, old: u32) {
        self.set_ps(self.ps & !(15 << PS_OWB) | PS_EXCM | old << PS_OWB);
        if let Some(epc) = self.epc.get_mut(1) {
            *epc = pc;
        }
    }

    /// A call's part: where to come back to, and by how many windows the callee shall turn.
    #[inline]
    pub(super) fn windowed_call(&mut self, pc: u32, windows: u8) {
        self.ps = self.ps & !(3 << PS_CALLINC) | u32::from(windows & 3) << PS_CALLINC;
        self.set(windows << 2, u32::from(windows) << 30 | pc.wrapping_add(3) & 0x3FFF_FFFF);
    }

    /// ENTRY.
    #[inline]
    pub(super) fn entry(&mut self, pc: u32, stack: u8, size: i32) -> Turn {
        let windows = (self.ps >> PS_CALLINC) as u8 & 3;
        if stack > 3 || self.ps & (PS_WOE | PS_EXCM) != PS_WOE {
            return Turn::Illegal;
        }
        if windows > self.free {
            return Turn::Overflow(self.overflow(pc));
        }
        let top = self.get(stack).wrapping_sub(unsigned(size));
        self.set(windows << 2 | stack, top);
        let base = self.base.wrapping_add(windows) & 15;
        self.start |= 1 << base;
        self.turn_to(base);
        Turn::Done
    }

    /// RETW: the address to go on at, which is an underflow's vector when the caller's frame is not there; `None`: an
    /// illegal instruction.
    #[inline]
    pub(super) fn windowed_return(&mut self, pc: u32) -> Option<u32> {
        let link = self.get(0);
        let windows = (link >> 30) as u8;
        let behind = self.start.rotate_right(u32::from(self.base)).leading_zeros() as u8 + 1;
        if windows == 0 || (behind < 4 && behind != windows) || self.ps & (PS_WOE | PS_EXCM) != PS_WOE {
            return None;
        }
        let (old, base) = (self.base, self.base.wrapping_sub(windows) & 15);
        if self.start >> base & 1 != 0 {
            self.start &= !(1 << old);
            self.turn_to(base);
            return Some(pc & 0xC000_0000 | link & 0x3FFF_FFFF);
        }
        self.window_exception(pc, u32::from(old));
        self.turn_to(base);
        Some(self.vecbase.wrapping_add(u32::from(windows) * 0x80 - 0x40))
    }

    /// Whether MOVSP may move: some frame of the last three windows is in registers.
    pub(super) fn may_move_stack(&self) -> bool {
        self.start.rotate_right(u32::from(self.base)) & 0xE000 != 0
    }

    /// RFWO and RFWU: the end of a window exception, whose frame is saved or loaded now.
    pub(super) fn window_return(&mut self, loaded: bool) -> u32 {
        let bit = 1 << self.base;
        self.start = if loaded { self.start | bit } else { self.start & !bit };
        self.set_ps(self.ps & !PS_EXCM);
        self.turn_to((self.ps >> PS_OWB) as u8 & 15);
        self.epc.get(1).copied().unwrap_or_default()
    }
}
