//! Loads and stores, loops, and code that changes itself.

use crate::asm::{CODE, DATA, EXCCAUSE, EXCVADDR, Machine, addi, jump, l32i, movi, nop, rri8, rrr, s32i, word, wsr};
use esp_cpu::bus::{Bus, Silence};
use esp_cpu::xtensa::{ESP32, ESP32S2, ESP32S3};
use esp_cpu::{Ran, Stop};

#[test]
fn loads_fill_registers_and_stores_touch_their_bytes_only() {
    let loads = [rri8(2, 0, 2, 3, 1), rri8(2, 1, 2, 4, 1), rri8(2, 9, 2, 5, 1), l32i(6, 2, 0), rri8(2, 11, 2, 7, 1)];
    let stores = [rri8(2, 4, 2, 6, 9), rri8(2, 5, 2, 6, 5), s32i(6, 2, 16), rri8(2, 15, 2, 6, 5)];
    let mut machine = Machine::new(&[loads.concat(), stores.concat()]);
    machine.space.write_at(DATA, &[0x11, 0xF2, 0x33, 0xF4, 0x55, 0x66, 0x77, 0x88]);
    machine.cpu.set_register(2, DATA);
    machine.steps(9);
    let registers: Vec<_> = (3..8).map(|number| machine.cpu.register(number)).collect();
    assert_eq!(registers, [0xF2, 0xF433, 0xFFFF_F433, 0xF433_F211, 0x8877_6655]);
    let words = [8, 12, 16, 20].map(|offset| machine.word(DATA + offset));
    assert_eq!(words, [0xF211_1100, 0, 0xF433_F211, 0xF433_F211]);
}

#[test]
fn unaligned_accesses_work_but_not_ordered_ones() {
    let mut machine = Machine::new(&[l32i(3, 2, 0), s32i(3, 2, 8), rri8(2, 11, 2, 4, 0)]);
    machine.space.write_at(DATA, &[1, 2, 3, 4, 5]);
    machine.cpu.set_register(2, DATA + 1);
    machine.steps(2);
    assert_eq!((machine.cpu.register(3), machine.word(DATA + 9)), (0x0504_0302, 0x0504_0302));
    machine.steps(1);
    assert_eq!((machine.special(EXCCAUSE), machine.special(EXCVADDR)), (9, DATA + 1));
}

#[test]
fn l32r_reaches_back_from_the_word_behind_it() {
    // From CODE + 6: rounded up to CODE + 8, two words back is the program's first.
    let mut machine = Machine::new(&[vec![0x78, 0x56, 0x34, 0x12], vec![0x3D, 0xF0], word(0xFF_FE31)]);
    machine.cpu.set_pc(CODE + 4);
    machine.steps(2);
    assert_eq!(machine.cpu.register(3), 0x1234_5678);
}

#[test]
fn s32c1i_stores_where_the_old_value_is_expected() {
    let mut machine = Machine::new(&[rri8(2, 14, 2, 3, 0), rri8(2, 14, 2, 4, 0)]);
    machine.space.write_at(DATA, &[7, 0, 0, 0]);
    machine.cpu.set_special(12, 7);
    machine.cpu.set_register(2, DATA);
    machine.cpu.set_register(3, 9);
    machine.cpu.set_register(4, 5);
    machine.steps(2);
    assert_eq!((machine.cpu.register(3), machine.cpu.register(4), machine.word(DATA)), (7, 9, 9));
}

#[test]
fn a_loop_runs_its_body_lcount_and_one_times() {
    let body = |kind, count| [movi(3, count), rri8(6, kind, 3, 7, 5), addi(4, 4, 1), addi(5, 5, 2), nop()];
    for (kind, count, rounds) in [(8, 3, 3), (9, 3, 3), (9, 0, 0), (10, -5, 0), (10, 1, 1)] {
        let mut machine = Machine::new(&body(kind, count));
        machine.steps(3 + 2 * u64::from(rounds));
        assert_eq!((machine.cpu.register(4), machine.cpu.register(5)), (rounds, 2 * rounds), "{kind} {count}");
        assert_eq!(machine.cpu.pc(), CODE + 15);
    }
}

#[test]
fn a_loop_ends_in_the_middle_of_code_that_was_seen_whole() {
    let mut machine = Machine::new(&[addi(4, 4, 1), addi(5, 5, 1), addi(6, 6, 1), jump(0)]);
    machine.steps(3);
    machine.cpu.set_pc(CODE);
    for (number, value) in [(0, CODE), (1, CODE + 6), (2, 4)] {
        machine.cpu.set_special(number, value);
    }
    machine.steps(11);
    let registers = [4, 5, 6].map(|number| machine.cpu.register(number));
    assert_eq!((registers, machine.cpu.pc()), ([6, 6, 2], CODE + 9));
}

#[test]
fn a_loop_does_not_close_while_an_exception_is_handled_or_by_a_jump() {
    let mut machine = Machine::new(&[nop(), jump(3), nop(), jump(0)]);
    for (number, value) in [(0, CODE), (1, CODE + 6), (2, 4)] {
        machine.cpu.set_special(number, value);
    }
    machine.steps(3);
    assert_eq!((machine.cpu.pc(), machine.special(2)), (CODE + 9, 4));
    machine.cpu.set_pc(CODE);
    machine.cpu.set_special(1, CODE + 3);
    machine.cpu.set_special(230, 0x0004_0030);
    machine.steps(1);
    assert_eq!((machine.cpu.pc(), machine.special(2)), (CODE + 3, 4));
}

#[test]
fn code_that_changes_the_next_instruction_runs_the_new_one() {
    // It writes MOVI a5, 7 over the MOVI a5, 1 that follows.
    let new = movi(5, 7);
    let mut machine = Machine::new(&[rri8(2, 5, 2, 3, 0), rri8(2, 4, 2, 4, 2), movi(5, 1), jump(0)]);
    machine.cpu.set_register(2, CODE + 6);
    machine.cpu.set_register(3, u32::from(new[0]) | u32::from(new[1]) << 8);
    machine.cpu.set_register(4, u32::from(new[2]));
    for _ in 0..2 {
        machine.cpu.set_pc(CODE);
        machine.steps(3);
        assert_eq!(machine.cpu.register(5), 7);
        machine.space.write_at(CODE + 6, &movi(5, 1));
    }
}

#[test]
fn an_option_that_a_chip_lacks_is_an_illegal_instruction() {
    for code in [rri8(6, 8, 3, 7, 5), rri8(2, 14, 2, 3, 0), rrr(0, 2, 1, 2, 3), rrr(0, 10, 1, 2, 3), wsr(16, 3)] {
        let mut machine = Machine::of(ESP32S2, &[code]);
        machine.cpu.host_traps = true;
        let told = Stop::Exception { cause: 0, value: 0 };
        assert_eq!(machine.run(9), Ran { stop: told, instructions: 0 });
        assert_eq!(machine.cpu.pc(), CODE);
    }
}

#[test]
fn what_is_not_here_is_an_illegal_instruction() {
    // Formats of the ESP32-S3's vectors, SIMCALL, setting a bit of the dedicated GPIO.
    for code in [word(0x1C_0A0E), word(0x1C_0A0F), word(0x83_0124), word(0x5100), word(0x06_1940)] {
        let mut machine = Machine::of(ESP32S3, std::slice::from_ref(&code));
        machine.cpu.host_traps = true;
        let told = Stop::Exception { cause: 0, value: 0 };
        assert_eq!(machine.run(9), Ran { stop: told, instructions: 0 }, "{code:x?}");
    }
}

#[test]
fn the_lx7_sets_a_register_to_a_comparison() {
    let code = [rrr(7, 2, 4, 2, 3), rrr(6, 2, 5, 2, 3), rrr(7, 2, 6, 3, 2), rrr(6, 2, 7, 3, 2), rrr(7, 2, 8, 2, 2)];
    for (config, steps) in [(ESP32S2, 5), (ESP32S3, 5), (ESP32, 0)] {
        let mut machine = Machine::of(config, &code);
        machine.cpu.host_traps = true;
        machine.cpu.set_register(2, u32::MAX);
        machine.cpu.set_register(3, 1);
        machine.cpu.set_register(8, 9);
        assert_eq!(machine.run(5).instructions, steps);
        let registers = [4, 5, 6, 7, 8].map(|number| machine.cpu.register(number));
        assert_eq!(registers, if steps == 5 { [1, 0, 0, 1, 0] } else { [0, 0, 0, 0, 9] });
    }
}

struct Asks(bool);

impl Bus for Asks {
    fn read(&mut self, address: u32, _size: u8) -> u32 {
        address
    }
    fn write(&mut self, _address: u32, _size: u8, value: u32) {
        self.0 = value == 1;
    }
    fn asks(&self) -> bool {
        self.0
    }
}

#[test]
fn the_bus_ends_the_run_behind_the_instruction() {
    let mut machine = Machine::new(&[l32i(3, 2, 4), s32i(3, 2, 0), movi(4, 1), s32i(4, 2, 0), nop(), jump(0)]);
    machine.space.add_registers(0x6000_0000, 0x6000_1000);
    machine.cpu.set_register(2, 0x6000_0000);
    let ran = machine.cpu.run(&mut machine.space, &mut Asks(false), 100);
    assert_eq!((ran, machine.cpu.pc()), (Ran { stop: Stop::Asked, instructions: 4 }, CODE + 12));
    assert_eq!(machine.cpu.register(3), 0x6000_0004);
}

#[test]
fn a_watched_address_stops_the_run_unless_it_is_the_first() {
    let mut machine = Machine::new(&[nop(), nop(), nop(), jump(-6)]);
    machine.space.watch(CODE + 3, CODE + 3);
    assert_eq!(machine.run(100), Ran { stop: Stop::Break, instructions: 1 });
    assert_eq!((machine.cpu.pc(), machine.run(1).stop), (CODE + 3, Stop::Budget));
    assert_eq!(machine.cpu.run(&mut machine.space, &mut Silence, 2), Ran { stop: Stop::Break, instructions: 2 });
}
