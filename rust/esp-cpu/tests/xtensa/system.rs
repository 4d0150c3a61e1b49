//! Exceptions, interrupts, timers, and the registers of the system.

use crate::asm::{
    BASE, CODE, DATA, EPC1, EXCCAUSE, EXCVADDR, Machine, PS, addi, jump, l32i, movi, nop, rrr, rsr, s32i, word, wsr,
};
use esp_cpu::xtensa::{Cpu, DEBUG, ESP32, ESP32S3};
use esp_cpu::{Ran, Stop};

const DEPC: u16 = 192;
const INTENABLE: u16 = 228;
const INTERRUPT: u16 = 226;
const CCOUNT: u16 = 234;
const CCOMPARE0: u16 = 240;
const DEBUGCAUSE: u16 = 233;

fn quou(r: u32, s: u32, t: u32) -> Vec<u8> {
    rrr(12, 2, r, s, t)
}

#[test]
fn an_exception_enters_its_vector_and_says_why() {
    let cases: [(Vec<u8>, u32, u32); 5] = [
        (l32i(3, 2, 4), 28, 0x1004),
        (s32i(3, 2, 4), 29, 0x1004),
        (quou(3, 2, 4), 6, 0),
        (word(0), 0, 0),
        (word(0x5000), 1, 0),
    ];
    for (code, cause, address) in cases {
        for (ps, vector) in [(0x4_0020, 0x340), (0x4_0000, 0x300)] {
            let mut machine = Machine::new(&[nop(), code.clone()]);
            machine.cpu.set_special(PS, ps);
            machine.cpu.set_register(2, 0x1000);
            machine.steps(2);
            assert_eq!(machine.cpu.pc(), BASE + vector);
            let found = [EXCCAUSE, EXCVADDR, EPC1, PS].map(|number| machine.special(number));
            assert_eq!(found, [cause, address, CODE + 3, ps | 0x10]);
        }
    }
}

#[test]
fn an_exception_within_one_is_double_and_rfde_returns() {
    let mut machine = Machine::new(&[l32i(3, 2, 0)]);
    machine.cpu.set_special(PS, 0x4_0030);
    machine.put(BASE + 0x3C0, &[word(0x3200)]);
    machine.steps(1);
    assert_eq!((machine.cpu.pc(), machine.special(DEPC)), (BASE + 0x3C0, CODE));
    machine.steps(1);
    assert_eq!((machine.cpu.pc(), machine.special(PS)), (CODE, 0x4_0030));
}

#[test]
fn code_that_is_not_there_is_an_exception_too() {
    let mut machine = Machine::new(&[rrr(0, 0, 0, 2, 10)]);
    machine.cpu.set_register(2, 0x2000_0001);
    machine.steps(2);
    assert_eq!(machine.cpu.pc(), BASE + 0x340);
    assert_eq!([EXCCAUSE, EXCVADDR, EPC1].map(|number| machine.special(number)), [20, 0x2000_0001, 0x2000_0001]);
    // And where the vectors are not there either, the budget ends it.
    machine.cpu.set_special(231, 0x2000_0000);
    assert_eq!(machine.run(1000), Ran { stop: Stop::Budget, instructions: 1000 });
}

#[test]
fn the_host_hears_of_an_exception_and_can_have_it_entered() {
    let mut machine = Machine::new(&[nop(), l32i(3, 2, 0)]);
    machine.cpu.host_traps = true;
    machine.cpu.set_register(2, 0x88);
    let told = Stop::Exception { cause: 28, value: 0x88 };
    assert_eq!(machine.run(9), Ran { stop: told, instructions: 1 });
    assert_eq!((machine.cpu.pc(), machine.special(PS)), (CODE + 3, 0x4_0020));
    machine.cpu.enter(28, 0x88);
    assert_eq!([EXCCAUSE, EXCVADDR, EPC1].map(|number| machine.special(number)), [28, 0x88, CODE + 3]);
    assert_eq!(machine.cpu.pc(), BASE + 0x340);
}

#[test]
fn rfe_leaves_an_exception() {
    let mut machine = Machine::new(&[word(0x5000), nop()]);
    machine.put(BASE + 0x340, &[rsr(177, 2), addi(2, 2, 3), wsr(177, 2), word(0x3000)]);
    machine.steps(5);
    assert_eq!((machine.cpu.pc(), machine.special(PS)), (CODE + 3, 0x4_0020));
}

#[test]
fn break_is_a_debug_exception_below_its_level() {
    let mut machine = Machine::new(&[word(0x4120)]);
    machine.steps(1);
    assert_eq!((machine.cpu.pc(), machine.special(DEBUGCAUSE)), (BASE + 0x280, 8));
    assert_eq!([182, 198, PS].map(|number| machine.special(number)), [CODE, 0x4_0020, 0x4_0036]);
    let mut machine = Machine::new(&[word(0x4120), vec![0x2D, 0xF1]]);
    machine.cpu.set_special(PS, 0x4_0026);
    machine.steps(2);
    assert_eq!(machine.cpu.pc(), CODE + 5);
    let mut machine = Machine::new(&[vec![0x2D, 0xF1]]);
    machine.cpu.host_traps = true;
    assert_eq!(machine.run(5).stop, Stop::Exception { cause: DEBUG, value: 0 });
}

#[test]
fn interrupts_are_taken_by_level() {
    // Lines of levels 1 to 5, and the NMI, with what they enter.
    let vectors = [(0, 1, 0x340), (19, 2, 0x180), (23, 3, 0x1C0), (24, 4, 0x200), (31, 5, 0x240), (14, 7, 0x2C0)];
    for (line, level, vector) in vectors {
        for masked in 0..8 {
            let mut machine = Machine::new(&[nop(), nop()]);
            machine.cpu.set_special(INTENABLE, 1 << line);
            machine.cpu.set_special(PS, 0x4_0020 | masked);
            machine.put(BASE + vector, &[nop()]);
            machine.steps(1);
            machine.cpu.set_lines(1 << line);
            machine.steps(1);
            let taken = level > masked;
            let expected = if taken { BASE + vector + 3 } else { CODE + 6 };
            assert_eq!(machine.cpu.pc(), expected, "line {line}, masked {masked}");
            if taken && level > 1 {
                let found = [176 + level as u16, 192 + level as u16, PS].map(|number| machine.special(number));
                assert_eq!(found, [CODE + 3, 0x4_0020 | masked, 0x4_0030 | level]);
            } else if taken {
                assert_eq!([EPC1, EXCCAUSE].map(|number| machine.special(number)), [CODE + 3, 4]);
            }
        }
    }
}

#[test]
fn an_exception_masks_up_to_level_three() {
    for (line, level) in [(0, 1), (19, 2), (23, 3), (24, 4)] {
        let mut machine = Machine::new(&[nop()]);
        machine.put(BASE + 0x200, &[nop()]);
        machine.cpu.set_special(INTENABLE, 1 << line);
        machine.cpu.set_special(PS, 0x4_0030);
        machine.cpu.set_lines(1 << line);
        machine.steps(1);
        assert_eq!(machine.cpu.pc(), if level > 3 { BASE + 0x203 } else { CODE + 3 });
    }
}

#[test]
fn lines_follow_keep_or_are_set_by_software() {
    let mut cpu = Cpu::new(ESP32, 0);
    // A level line follows, an edge line stays until INTCLEAR, software's are its own, a timer's nobody's.
    cpu.set_lines(1 << 5 | 1 << 10 | 1 << 7 | 1 << 6);
    assert_eq!(cpu.special(INTERRUPT), Some(1 << 5 | 1 << 10));
    cpu.set_lines(0);
    assert_eq!(cpu.special(INTERRUPT), Some(1 << 10));
    cpu.set_special(INTERRUPT, 1 << 7 | 1 << 5 | 1 << 6);
    assert_eq!(cpu.special(INTERRUPT), Some(1 << 10 | 1 << 7));
    cpu.set_special(INTERRUPT + 1, 1 << 10);
    assert_eq!(cpu.special(INTERRUPT), Some(1 << 7));
}

#[test]
fn a_timer_fires_when_ccount_is_there_and_its_writing_takes_it_back() {
    // The handler counts in a7, and asks for the next one in 100 cycles.
    let mut machine = Machine::new(&[jump(0)]);
    let handler = [addi(7, 7, 1), rsr(240, 3), addi(3, 3, 100), wsr(240, 3), word(0x3000)];
    machine.put(BASE + 0x340, &handler);
    machine.cpu.set_special(INTENABLE, 1 << 6);
    machine.cpu.set_special(CCOMPARE0, 50);
    machine.steps(50);
    assert_eq!((machine.cpu.register(7), machine.special(INTERRUPT)), (0, 1 << 6));
    machine.steps(1);
    assert_eq!((machine.cpu.register(7), machine.special(CCOUNT)), (1, 51));
    machine.steps(1000 - 51);
    assert_eq!((machine.cpu.register(7), machine.special(CCOUNT)), (10, 1000));
    assert_eq!(machine.cpu.until_timer(), 50);
}

#[test]
fn ccount_is_the_instructions_before_however_the_run_is_cut() {
    let code = [
        nop(),
        nop(),
        rsr(234, 2),
        nop(),
        rsr(234, 3),
        addi(4, 3, 3),
        wsr(241, 4),
        nop(),
        rsr(226, 5),
        nop(),
        rsr(226, 6),
    ];
    for slice in [1, 2, 3, 11] {
        let mut machine = Machine::new(&code);
        let mut left = 11;
        while left > 0 {
            machine.steps(slice.min(left));
            left -= slice.min(left);
        }
        let registers = [2, 3, 5, 6].map(|number| machine.cpu.register(number));
        assert_eq!(registers, [2, 4, 1 << 15, 1 << 15], "{slice}");
    }
    let mut machine = Machine::new(&[nop(), nop(), nop(), wsr(240, 2), rsr(226, 3)]);
    machine.cpu.set_register(2, 2);
    machine.steps(5);
    assert_eq!(machine.cpu.register(3), 0, "a moment that is over does not come back");
}

#[test]
fn a_look_at_the_time_can_cost_more_than_its_instruction() {
    let mut machine = Machine::new(&[rsr(234, 2), rsr(234, 3), rsr(240, 4), rsr(234, 5), rsr(226, 6)]);
    machine.cpu.set_special(240, 1500);
    machine.cpu.look = 1000;
    machine.steps(5);
    let registers = [2, 3, 4, 5, 6].map(|number| machine.cpu.register(number));
    assert_eq!(registers, [0, 1001, 1500, 2003, 1 << 6], "the timer at 1500 fired meanwhile");
    assert_eq!(machine.special(234), 3005);
}

#[test]
fn waiti_waits_for_an_interrupt_that_is_not_there_yet() {
    let mut machine = Machine::new(&[rrr(0, 0, 7, 0, 0), movi(2, 5)]);
    machine.put(BASE + 0x180, &[nop(), rrr(0, 0, 3, 2, 1)]);
    machine.cpu.set_special(INTENABLE, 1 << 19);
    assert_eq!(machine.run(9), Ran { stop: Stop::Wait, instructions: 1 });
    assert_eq!((machine.cpu.pc(), machine.cpu.register(2)), (CODE + 3, 0));
    machine.cpu.set_lines(1 << 19);
    machine.steps(1);
    machine.cpu.set_lines(0);
    machine.steps(1);
    assert_eq!((machine.cpu.pc(), machine.special(PS)), (CODE + 3, 0x4_0020));
    machine.steps(1);
    assert_eq!(machine.cpu.register(2), 5);
    // One that is there is taken at once.
    let mut machine = Machine::new(&[rrr(0, 0, 7, 0, 0)]);
    machine.cpu.set_special(PS, 0x4_002F);
    machine.cpu.set_special(INTENABLE, 1 << 19);
    machine.cpu.set_lines(1 << 19);
    machine.put(BASE + 0x180, &[nop()]);
    machine.steps(2);
    assert_eq!(machine.cpu.pc(), BASE + 0x183);
}

#[test]
fn waiting_cycles_run_the_timers() {
    let mut cpu = Cpu::new(ESP32, 0);
    cpu.set_special(CCOMPARE0 + 1, 1000);
    cpu.advance(cpu.until_timer() as u32 - 1);
    assert_eq!((cpu.special(CCOUNT), cpu.special(INTERRUPT)), (Some(999), Some(0)));
    cpu.advance(1);
    assert_eq!(cpu.special(INTERRUPT), Some(1 << 15));
}

#[test]
fn rsil_gives_the_old_ps_and_sets_the_level() {
    let mut machine = Machine::new(&[rrr(0, 0, 6, 3, 2)]);
    machine.steps(1);
    assert_eq!((machine.cpu.register(2), machine.special(PS)), (0x4_0020, 0x4_0023));
}

#[test]
fn floats_need_their_coprocessor() {
    let add = rrr(0, 10, 1, 2, 3);
    let mut machine = Machine::new(std::slice::from_ref(&add));
    machine.steps(1);
    assert_eq!((machine.special(EXCCAUSE), machine.cpu.pc()), (32, BASE + 0x340));
    let mut machine = Machine::new(&[add]);
    machine.cpu.set_special(224, 1);
    machine.cpu.set_float_register(2, 1.5f32.to_bits());
    machine.cpu.set_float_register(3, 2.25f32.to_bits());
    machine.steps(1);
    assert_eq!(machine.cpu.float_register(1), 3.75f32.to_bits());
}

#[test]
fn special_registers_keep_what_is_written_and_strange_ones_are_illegal() {
    for number in (209..=215).chain(244..=247).chain([12, 104, 144, 160, 192, 238]) {
        let mut machine = Machine::new(&[wsr(number, 2), rsr(number, 3)]);
        machine.cpu.set_register(2, 0x1234_5678);
        machine.steps(2);
        assert_eq!(machine.cpu.register(3), 0x1234_5678, "{number}");
    }
    for code in [rsr(5, 2), rsr(89, 2), wsr(235, 2), wsr(83, 2), rsr(176 + 8, 2)] {
        let mut machine = Machine::new(&[code]);
        machine.steps(1);
        assert_eq!((machine.special(EXCCAUSE), machine.cpu.pc()), (0, BASE + 0x340));
    }
    assert_eq!(Cpu::new(ESP32S3, 0).special(235), Some(0xCDCD));
    assert_eq!(Cpu::new(ESP32S3, 1).special(235), Some(0xABAB));
}

#[test]
fn the_host_can_ask_whether_there_is_an_instruction() {
    let mut machine = Machine::new(&[nop(), word(0), rrr(0, 10, 1, 2, 3), rsr(5, 2)]);
    let mut legal = |address| machine.cpu.is_legal(&mut machine.space, address);
    assert_eq!([CODE, CODE + 3, CODE + 6, CODE + 9, 0x1000].map(&mut legal), [true, false, true, false, false]);
}

#[test]
fn registers_are_a_value() {
    let mut machine = Machine::new(&[addi(2, 2, 1), jump(-3)]);
    machine.steps(10);
    let saved = machine.cpu.save();
    machine.steps(20);
    machine.cpu.restore(&saved);
    machine.steps(1);
    assert_eq!((machine.cpu.register(2), machine.cpu.register(1), machine.special(CCOUNT)), (6, DATA, 11));
}
