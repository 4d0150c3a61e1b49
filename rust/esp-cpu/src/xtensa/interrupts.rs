//! Interrupts: lines, levels, and the three timers that make some of their own.

use super::config::{EDGE_LINES, EXCM_LEVEL, LEVEL_LINES, LEVELS, NMI_LEVEL, NMI_LINE, SOFTWARE_LINES, TIMER_LINES};
use super::exceptions::{LEVEL_1, Trap};
use super::{Cpu, PS_EXCM, PS_INTLEVEL, State};

impl Cpu {
    /// The interrupt lines from outside, a bit for each of the 32; the core's own (timers, software) are not looked at.
    pub fn set_lines(&mut self, mask: u32) {
        let state = &mut self.state;
        let rising = mask & !state.lines & EDGE_LINES;
        let nmi = mask & !state.lines & NMI_LINE;
        state.lines = mask;
        state.interrupt = state.interrupt & !LEVEL_LINES | mask & LEVEL_LINES | rising | nmi;
        state.look_at_interrupts();
    }

    /// Cycles go by without an instruction, as they do while the core waits; timers run.
    pub fn advance(&mut self, cycles: u32) {
        self.state.count(u64::from(cycles));
    }

    /// The cycles until the next of CCOMPARE0 to 2 is reached: 1 to 2^32.
    pub fn until_timer(&self) -> u64 {
        self.state.until_timer()
    }
}

impl State {
    /// Whether an interrupt is to be taken, after any change to what decides it.
    pub(super) fn look_at_interrupts(&mut self) {
        self.attention = self.next_interrupt() != 0;
    }

    /// The level of the interrupt to be taken now; 0: none.
    fn next_interrupt(&self) -> u32 {
        let masked = (self.ps & PS_INTLEVEL).max(if self.ps & PS_EXCM == 0 { 0 } else { EXCM_LEVEL });
        let pending = self.interrupt & (self.enabled | NMI_LINE);
        if pending == 0 {
            return 0;
        }
        let wanted =
            (1..=NMI_LEVEL).rev().find(|&level| LEVELS.get(level as usize).is_some_and(|lines| pending & lines != 0));
        wanted.filter(|&level| level > masked).unwrap_or(0)
    }

    /// Enter the handler of the interrupt that wants it.
    pub(super) fn take_interrupt(&mut self) {
        match self.next_interrupt() {
            0 => self.attention = false,
            1 => self.enter(Trap::of(LEVEL_1)),
            level => {
                if level == NMI_LEVEL {
                    self.interrupt &= !NMI_LINE;
                }
                self.enter_level(level, 0x180 + (level - 2) * 0x40);
            }
        }
    }

    /// Whether one waits to be enabled or not: what WAITI looks at is the same as what is taken.
    pub(super) fn wants_interrupt(&self) -> bool {
        self.attention
    }

    /// INTSET.
    pub(super) fn raise(&mut self, mask: u32) {
        self.interrupt |= mask & SOFTWARE_LINES;
        self.look_at_interrupts();
    }

    /// INTCLEAR.
    pub(super) fn clear(&mut self, mask: u32) {
        self.interrupt &= !(mask & (SOFTWARE_LINES | EDGE_LINES));
        self.look_at_interrupts();
    }

    /// Cycles until the next timer's line rises.
    #[inline]
    pub(super) fn until_timer(&self) -> u64 {
        let [one, two, three] = self.ccompare.map(|compare| compare.wrapping_sub(self.ccount).wrapping_sub(1));
        u64::from(one.min(two).min(three)) + 1
    }

    /// Cycles have gone by.
    #[inline]
    pub(super) fn count(&mut self, cycles: u64) {
        if cycles >= self.until_timer() {
            for (compare, line) in self.ccompare.into_iter().zip(TIMER_LINES) {
                if u64::from(compare.wrapping_sub(self.ccount).wrapping_sub(1)) < cycles {
                    self.interrupt |= line;
                }
            }
            self.look_at_interrupts();
        }
        self.ccount = self.ccount.wrapping_add(cycles as u32);
    }

    /// CCOMPARE, whose writing takes the timer's interrupt back.
    pub(super) fn set_compare(&mut self, number: usize, value: u32) {
        if let (Some(compare), Some(line)) = (self.ccompare.get_mut(number), TIMER_LINES.get(number)) {
            *compare = value;
            self.interrupt &= !line;
            self.look_at_interrupts();
        }
    }
}
