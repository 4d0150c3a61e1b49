use super::{A0, A1, Bench, CODE, EBREAK, MRET, NOP, RAM, WFI, csr, done, exception};
use crate::bus::Bus;
use crate::stop::{Ran, Stop};

const MSTATUS: u16 = 0x300;
const MTVEC: u16 = 0x305;
const MEPC: u16 = 0x341;
const MCAUSE: u16 = 0x342;
const MTVAL: u16 = 0x343;
const ECALL: u32 = 0x73;
const HANDLER: u32 = CODE + 0x100;
const USER: u32 = 0;
const MACHINE: u32 = 3 << 11;

impl Bench {
    /// The core enters its handlers itself.
    fn alone(mut self) -> Self {
        self.cpu.host_traps = false;
        self.cpu.set_csr(MTVEC, HANDLER);
        self
    }

    fn csr(&self, number: u16) -> u32 {
        self.cpu.csr(number).unwrap_or(0xBAD)
    }

    /// Go on in user mode, which may do everything with memory.
    fn user(mut self) -> Self {
        self.cpu.set_csr(0x3B0, u32::MAX);
        self.cpu.set_csr(0x3A0, 0x1F);
        self.cpu.set_csr(MEPC, CODE);
        self.cpu.set_csr(MSTATUS, USER);
        self.set_word(CODE + 0x80, MRET);
        self.cpu.set_pc(CODE + 0x80);
        assert_eq!(self.run(1), done(1));
        self
    }
}

#[test]
fn exceptions_are_entered_with_all_that_is_known() {
    let vectors = [
        ("ecall", ECALL, 11, 0),
        ("ebreak", EBREAK, 3, 0),
        ("illegal", 0xFFFF_FFFF, 2, 0xFFFF_FFFF),
        ("a load", 0x0005_A503, 5, 0x40),
        ("a store", 0x00A5_A023, 7, 0x40),
    ];
    for (name, instruction, cause, value) in vectors {
        let mut bench = Bench::new(&[NOP, instruction]).alone().with(&[(A1, 0x40)]);
        bench.set_word(HANDLER, NOP);
        bench.cpu.set_csr(MSTATUS, 8);
        // What is entered counts as one.
        assert_eq!((bench.run(3), bench.cpu.pc()), (done(3), HANDLER + 4), "{name}");
        assert_eq!([bench.csr(MCAUSE), bench.csr(MTVAL), bench.csr(MEPC)], [cause, value, CODE + 4], "{name}");
        assert_eq!(bench.csr(MSTATUS), MACHINE | 0x80, "{name}");
    }
}

#[test]
fn only_interrupts_are_vectored() {
    for (cause, at) in [(2, HANDLER), (0x8000_0007, HANDLER + 28), (0x8000_001F, HANDLER + 124)] {
        let mut bench = Bench::new(&[]).alone();
        bench.cpu.set_csr(MTVEC, HANDLER | 1);
        bench.cpu.enter(cause, 5);
        assert_eq!((bench.cpu.pc(), bench.csr(MCAUSE), bench.csr(MTVAL), bench.csr(MEPC)), (at, cause, 5, CODE));
    }
}

#[test]
fn mret_goes_back_to_the_mode_and_enables_what_was_enabled() {
    let mut bench = Bench::new(&[MRET]);
    bench.cpu.set_csr(MEPC, CODE + 0x21);
    bench.cpu.set_csr(MSTATUS, MACHINE | 0x80 | 1 << 17);
    assert_eq!((bench.run(1), bench.cpu.pc()), (done(1), CODE + 0x20));
    assert_eq!(bench.csr(MSTATUS), 0x88 | 1 << 17);
    let mut bench = Bench::new(&[ECALL]).alone().user();
    assert_eq!(bench.csr(MSTATUS), 0x80);
    bench.run(1);
    assert_eq!((bench.csr(MCAUSE), bench.csr(MSTATUS), bench.cpu.pc()), (8, USER, HANDLER));
}

#[test]
fn user_mode_may_not_do_what_is_the_machines() {
    for word in [MRET, csr(2, 0x300, 0, 10), csr(1, 0x340, 11, 0), csr(2, 0xF14, 0, 10), csr(2, 0x7E2, 0, 10)] {
        let mut bench = Bench::new(&[word]).user();
        assert_eq!(bench.run(5), exception(2, word, 0), "0x{word:08x}");
    }
}

#[test]
fn csr_instructions_read_write_set_and_clear() {
    // On mscratch, which is 0b1100, with a1 = 0b1010, and with the value 10 itself.
    for (funct3, after) in [(1, 0b1010), (2, 0b1110), (3, 0b0100)] {
        for (funct3, operand) in [(funct3, 11), (funct3 + 4, 10)] {
            let mut bench = Bench::new(&[csr(funct3, 0x340, operand, 10)]).with(&[(A1, 0b1010)]);
            bench.cpu.set_csr(0x340, 0b1100);
            assert_eq!((bench.run(1), bench.x(A0), bench.csr(0x340)), (done(1), 0b1100, after), "{funct3}");
        }
    }
    // The register that is written may be the one that is read.
    let mut bench = Bench::new(&[csr(1, 0x340, 11, 11)]).with(&[(A1, 7)]);
    bench.cpu.set_csr(0x340, 9);
    assert_eq!((bench.run(1), bench.x(A1), bench.csr(0x340)), (done(1), 9, 7));
}

#[test]
fn what_is_read_only_may_be_read_only() {
    for (word, legal) in [
        (csr(2, 0xF14, 0, 10), true),
        (csr(7, 0xF14, 0, 10), true),
        (csr(2, 0xF14, 11, 10), false),
        (csr(1, 0xF14, 0, 10), false),
        (csr(5, 0xF14, 0, 10), false),
    ] {
        // a1 is zero, which changes nothing.
        let expected = if legal { done(1) } else { exception(2, word, 0) };
        assert_eq!(Bench::new(&[word]).run(1), expected, "0x{word:08x}");
    }
}

#[test]
fn csrs_hold_what_they_can() {
    let mut bench = Bench::new(&[]);
    for (number, written, read) in [
        (MSTATUS, u32::MAX, MACHINE | 1 << 17 | 0x99),
        // There is no supervisor: the mode before stays.
        (MSTATUS, 1 << 11, MACHINE),
        (MSTATUS, 0, 0),
        (MTVEC, u32::MAX, 0xFFFF_FFFD),
        (MEPC, u32::MAX, 0xFFFF_FFFE),
        (MCAUSE, u32::MAX, u32::MAX),
        (0x301, 0, 0x4010_1105),
        (0x344, u32::MAX, 0),
        (0xF11, 0, 0x612),
        (0x3A3, u32::MAX, 0x9F9F_9F9F),
    ] {
        assert!(bench.cpu.set_csr(number, written));
        assert_eq!(bench.csr(number), read, "0x{number:x}");
    }
    assert!(!bench.cpu.set_csr(0x7E2, 1) && bench.cpu.csr(0x7E2).is_none());
}

/// A chip with one CSR of its own.
struct Counter(u32);

impl Bus for Counter {
    fn read(&mut self, _address: u32, _size: u8) -> u32 {
        0
    }

    fn write(&mut self, _address: u32, _size: u8, _value: u32) {}

    fn asks(&self) -> bool {
        self.0 > 100
    }

    fn csr(&mut self, number: u16) -> Option<u32> {
        self.0 += 1;
        (number == 0x7E2).then_some(self.0)
    }
}

#[test]
fn the_chip_has_csrs_of_its_own() {
    let mut bench = Bench::new(&[csr(2, 0x7E2, 0, 10), csr(1, 0x7E2, 11, 12), csr(2, 0x7E3, 0, 10)]);
    let mut bus = Counter(40);
    assert_eq!(bench.run_on(&mut bus, 9), exception(2, csr(2, 0x7E3, 0, 10), 2));
    assert_eq!((bench.x(A0), bench.x(12)), (41, 42));
    let mut bus = Counter(100);
    bench.cpu.set_pc(CODE);
    assert_eq!(bench.run_on(&mut bus, 9), Ran { stop: Stop::Asked, instructions: 1 });
    assert_eq!((bench.x(A0), bench.cpu.pc()), (101, CODE + 4));
}

#[test]
fn who_waits_is_behind_its_instruction() {
    let mut bench = Bench::new(&[NOP, WFI, NOP]);
    assert_eq!(bench.run(9), Ran { stop: Stop::Wait, instructions: 2 });
    assert_eq!(bench.cpu.pc(), CODE + 8);
}

#[test]
fn exceptions_without_end_come_to_the_end_of_the_budget() {
    let mut bench = Bench::new(&[ECALL]).alone();
    bench.cpu.set_csr(MTVEC, 0x10);
    assert_eq!((bench.run(100_000), bench.cpu.pc()), (done(100_000), 0x10));
    assert_eq!((bench.csr(MCAUSE), bench.csr(MTVAL)), (1, 0x10));
}

#[test]
fn all_registers_are_saved_and_come_back() {
    let mut bench = Bench::new(&[0x0015_0513; 8]).with(&[(A0, 1), (2, RAM)]);
    let saved = bench.cpu.save();
    bench.cpu.enter(11, 3);
    bench.cpu.set_register(A0, 9);
    bench.cpu.restore(&saved);
    assert!(bench.cpu.save() == saved);
    assert_eq!((bench.run(8), bench.x(A0), bench.csr(MCAUSE)), (done(8), 9, 0));
    bench.cpu.reset();
    assert_eq!((bench.cpu.pc(), bench.x(A0), bench.x(2)), (0, 0, 0));
}
