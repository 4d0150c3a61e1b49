//! Programs of handlers that preempt each other, by the CLIC's levels.

use super::{A0, A1, A2, Bench, CODE, MRET, NOP, RAM, WFI, csr, done, exception};
use crate::riscv::{Cpu, Line, Model};

const MSTATUS: u16 = 0x300;
const MTVEC: u16 = 0x305;
const MTVT: u16 = 0x307;
const MEPC: u16 = 0x341;
const MCAUSE: u16 = 0x342;
const MTVAL: u16 = 0x343;
const MINTTHRESH: u16 = 0x347;
const MINTSTATUS: u16 = 0xFB1;
const MIE: u32 = 8;
const MACHINE: u32 = 3 << 11;
const ECALL: u32 = 0x73;
const URET: u32 = 0x0020_0073;

const TABLE: u32 = RAM + 0x1000;
const TRAPS: u32 = CODE + 0x100;
const LOWER: u32 = CODE + 0x200;
const UPPER: u32 = CODE + 0x300;
/// `csrr s0, mcause`, `csrr s1, mepc`, `csrsi mstatus, 8`; and back again: `csrci mstatus, 8`, `csrw mepc`, `csrw mcause`.
const SAVE: [u32; 3] = [csr(2, 0x342, 0, 8), csr(2, 0x341, 0, 9), csr(6, 0x300, 8, 0)];
const RESTORE: [u32; 4] = [csr(7, 0x300, 8, 0), csr(1, 0x341, 9, 0), csr(1, 0x342, 8, 0), MRET];

/// A line of priority 0 to 7.
fn line(number: u32, priority: u8) -> Line {
    Line { number, level: priority << 5, vectored: true, user: false }
}

fn level(priority: u32) -> u32 {
    priority << 5 | 0x1F
}

fn add_one(register: u32) -> u32 {
    1 << 20 | register << 15 | register << 7 | 0x13
}

/// A core with a CLIC, two handlers, and code that counts in a0. The lower handler lets others in, and counts in a1.
fn bench() -> Bench {
    let mut bench = Bench::new(&[add_one(10); 16]);
    bench.cpu = Cpu::new(Model { clic: true, ..Model::default() });
    bench.cpu.set_pc(CODE);
    let lower = [SAVE.as_slice(), &[add_one(11); 2], &RESTORE].concat();
    for (at, code) in [(LOWER, lower.as_slice()), (UPPER, &[add_one(12), MRET]), (TRAPS, &[NOP; 8])] {
        for (offset, &word) in (0u32..).step_by(4).zip(code) {
            bench.set_word(at + offset, word);
        }
    }
    bench.set_word(TABLE + 4 * 17, LOWER);
    bench.set_word(TABLE + 4 * 18, UPPER);
    bench.cpu.set_csr(MTVEC, TRAPS);
    bench.cpu.set_csr(MTVT, TABLE);
    bench.cpu.set_csr(MSTATUS, MIE);
    bench
}

impl Bench {
    fn is(&self, number: u16) -> u32 {
        self.cpu.csr(number).unwrap_or(0xBAD)
    }

    /// Whether it was let in.
    fn pull(&mut self, line: Line) -> bool {
        let accepted = self.cpu.accepts(line);
        if accepted {
            self.cpu.interrupt(&self.space, line);
        }
        accepted
    }
}

#[test]
fn a_higher_level_preempts_and_each_return_restores_the_level_below() {
    let mut bench = bench();
    assert_eq!(bench.run(2), done(2));
    assert!(bench.pull(line(17, 2)));
    assert_eq!((bench.cpu.pc(), bench.is(MINTSTATUS) >> 24), (LOWER, level(2)));
    assert_eq!(bench.is(MCAUSE), 0x8000_0000 | 3 << 28 | 1 << 27 | 0x11);
    // Nobody gets in before the handler says so, and then who is above it alone.
    assert!(!bench.pull(line(18, 7)));
    assert_eq!(bench.run(4), done(4));
    assert!(!bench.pull(line(18, 2)) && !bench.pull(line(18, 1)));
    assert!(bench.pull(line(18, 3)));
    assert_eq!((bench.cpu.pc(), bench.is(MINTSTATUS) >> 24), (UPPER, level(3)));
    assert_eq!(bench.is(MCAUSE), 0x8000_0000 | 3 << 28 | 1 << 27 | level(2) << 16 | 0x12);
    assert_eq!(bench.run(2), done(2));
    assert_eq!((bench.cpu.pc(), bench.is(MINTSTATUS) >> 24), (LOWER + 16, level(2)));
    assert!(bench.is(MSTATUS) & MIE != 0 && !bench.pull(line(18, 2)));
    // The lower one has mcause from before: with it the level comes back that it interrupted.
    assert_eq!(bench.run(5), done(5));
    assert_eq!((bench.cpu.pc(), bench.is(MINTSTATUS)), (CODE + 8, 0));
    assert_eq!([A0, A1, A2].map(|register| bench.x(register)), [2, 2, 1]);
    assert!(bench.pull(line(18, 1)));
}

#[test]
fn without_mcause_the_handlers_own_level_would_stay() {
    let mut bench = bench();
    assert!(bench.pull(line(17, 2)));
    bench.run(3);
    assert!(bench.pull(line(18, 5)));
    bench.run(2);
    // mcause is still that of the upper one: its mpil is the lower one's level.
    bench.set_word(LOWER + 12, MRET);
    bench.run(1);
    assert_eq!(bench.is(MINTSTATUS) >> 24, level(2));
}

#[test]
fn a_threshold_keeps_its_own_level_and_all_below_it_out() {
    for threshold in 0..8u32 {
        for priority in 0..8u8 {
            let mut bench = bench();
            // csrw mintthresh, a1, as code does it.
            bench.set_word(CODE, csr(1, 0x347, 11, 10));
            bench.cpu.set_register(A1, threshold << 5);
            assert_eq!((bench.run(1), bench.x(A0), bench.is(MINTTHRESH)), (done(1), 0x1F, level(threshold)));
            assert_eq!(bench.pull(line(17, priority)), u32::from(priority) > threshold, "{threshold} {priority}");
        }
    }
}

#[test]
fn a_line_without_a_vector_goes_where_exceptions_go() {
    let mut bench = bench();
    assert!(bench.pull(Line { vectored: false, ..line(20, 4) }));
    assert_eq!((bench.cpu.pc(), bench.is(MCAUSE) & 0x8000_0FFF), (TRAPS, 0x8000_0014));
}

#[test]
fn an_exception_keeps_the_level_of_the_handler_that_raised_it() {
    let mut bench = bench();
    bench.set_word(LOWER, ECALL);
    bench.pull(line(17, 2));
    bench.run(1);
    assert_eq!((bench.cpu.pc(), bench.is(MCAUSE)), (TRAPS, 3 << 28 | level(2) << 16 | 0xB));
    assert_eq!(bench.is(MINTSTATUS) >> 24, level(2));
}

#[test]
fn a_vector_that_cannot_be_read_is_an_exception() {
    let mut bench = bench();
    bench.cpu.set_csr(MTVT, 0x40);
    assert!(bench.pull(line(17, 2)));
    let at = 0x40 + 4 * 17;
    assert_eq!([bench.cpu.pc(), bench.is(MTVAL), bench.is(MEPC)], [TRAPS, at, at]);
    assert_eq!(bench.is(MCAUSE) & 0xC000_0FFF, 0x4000_0001);
}

#[test]
fn csrs_hold_what_they_can() {
    let mut bench = bench();
    for (number, written, read) in [
        (MTVEC, u32::MAX, 0xFFFF_FFC3),
        (MTVT, u32::MAX, 0xFFFF_FFC0),
        (MINTTHRESH, 0, 0x1F),
        (0x304, u32::MAX, 0),
        (MCAUSE, u32::MAX, 0xF8FF_0FFF),
        // There is no supervisor: the mode before stays.
        (MCAUSE, 1 << 28, 3 << 28),
        (MCAUSE, 0, 0),
        (MINTSTATUS, u32::MAX, 0),
    ] {
        assert!(bench.cpu.set_csr(number, written));
        assert_eq!(bench.is(number), read, "0x{number:x}");
    }
    // mcause shows two fields of mstatus.
    bench.cpu.set_csr(MCAUSE, 3 << 28 | 1 << 27);
    assert_eq!(bench.is(MSTATUS), MACHINE | 0x80 | MIE);
    let other = Cpu::new(Model::default());
    assert!(other.csr(MINTTHRESH).is_none() && other.csr(MTVT).is_none() && other.csr(0x041).is_none());
}

/// Go on at `CODE` in user mode, which may do everything with memory.
fn below(mut bench: Bench) -> Bench {
    bench.cpu.set_csr(0x3B0, u32::MAX);
    bench.cpu.set_csr(0x3A0, 0x1F);
    bench.set_word(CODE + 0x80, MRET);
    bench.cpu.set_csr(MEPC, CODE);
    bench.cpu.set_csr(MSTATUS, 0);
    bench.cpu.set_pc(CODE + 0x80);
    assert_eq!(bench.run(1), done(1));
    bench
}

#[test]
fn machine_mode_interrupts_user_mode_whatever_its_bit_and_threshold() {
    let mut bench = below(bench());
    bench.cpu.set_csr(MINTTHRESH, 0xFF);
    bench.cpu.set_csr(MSTATUS, 0);
    assert!(bench.pull(line(18, 1)));
    assert_eq!((bench.is(MCAUSE) >> 28 & 3, bench.cpu.pc()), (0, UPPER));
    assert_eq!(bench.run(3), done(3));
    assert_eq!((bench.x(A2), bench.x(A0), bench.is(MINTSTATUS)), (1, 1, 0));
}

#[test]
fn user_mode_has_interrupts_of_its_own_that_nobody_else_sees() {
    let mut bench = below(bench());
    bench.set_word(TABLE + 4 * 18, UPPER);
    bench.set_word(UPPER + 4, URET);
    let own = Line { user: true, ..line(18, 3) };
    for (number, value) in [(0x005, TRAPS), (0x007, TABLE), (0x047, 2 << 5)] {
        assert!(bench.cpu.set_csr(number, value));
    }
    assert!(!bench.pull(own), "UIE is zero");
    bench.set_word(CODE, csr(6, 0x000, 1, 0));
    assert_eq!(bench.run(1), done(1));
    assert!(!bench.pull(Line { level: 2 << 5, ..own }), "the threshold");
    assert!(bench.pull(own));
    assert_eq!([bench.cpu.pc(), bench.is(0x041), bench.is(0x000)], [UPPER, CODE + 4, 0x10]);
    assert_eq!((bench.is(0x042), bench.is(0xCB1)), (0x8000_0000 | 1 << 27 | 0x12, level(3)));
    assert!(!bench.pull(Line { level: 0xE0, ..own }), "its handler lets nobody in");
    assert_eq!((bench.run(2), bench.cpu.pc()), (done(2), CODE + 4));
    assert_eq!([bench.is(0x000), bench.is(0xCB1), bench.x(A2)], [0x11, 0, 1]);
    // Its exceptions are machine mode's.
    bench.set_word(CODE + 4, ECALL);
    bench.run(1);
    assert_eq!((bench.is(MCAUSE) & 0x3000_0FFF, bench.cpu.pc()), (8, TRAPS));
    assert!(!bench.pull(own), "machine mode is above it");
}

#[test]
fn uret_is_illegal_without_user_modes_own_traps() {
    assert_eq!(Bench::new(&[URET]).run(1), exception(2, URET, 0));
}

#[test]
fn who_waits_wakes_in_the_handler() {
    let mut bench = bench();
    bench.set_word(CODE, WFI);
    bench.run(1);
    assert!(bench.pull(line(18, 1)));
    bench.run(2);
    assert_eq!((bench.x(A2), bench.cpu.pc()), (1, CODE + 4));
}
