//! Windowed registers, with vectors written as the ISA manual's windowed ABI asks.

use crate::asm::{BASE, CODE, DATA, EPC1, EXCCAUSE, Machine, PS, addi, call, entry, jump, movi, nop, retw, rrr, word};
use esp_cpu::{Ran, Stop};

const WINDOWBASE: u16 = 72;
const WINDOWSTART: u16 = 73;

fn s32e(t: u32, s: u32, offset: i32) -> Vec<u8> {
    rrr(4, 9, (offset + 64) as u32 / 4, s, t)
}
fn l32e(t: u32, s: u32, offset: i32) -> Vec<u8> {
    rrr(0, 9, (offset + 64) as u32 / 4, s, t)
}
fn rfwo() -> Vec<u8> {
    word(0x3400)
}
fn rfwu() -> Vec<u8> {
    word(0x3500)
}

/// The six vectors: a frame's first four registers below its callee's stack, the others below its caller's.
fn with_vectors(mut machine: Machine) -> Machine {
    for (slot, extra) in [(0, 0), (1, 4), (2, 8)] {
        let callee = 4 + extra;
        let mut save: Vec<_> = (0..4).map(|n| s32e(n, callee + 1, n as i32 * 4 - 16)).collect();
        let mut load: Vec<_> =
            (0..4).filter(|&n| n != 1 || extra == 0).map(|n| l32e(n, callee + 1, n as i32 * 4 - 16)).collect();
        if extra > 0 {
            let base = -(extra as i32) * 4 - 16;
            save.insert(1, l32e(0, 1, -12));
            load.insert(1, l32e(1, callee + 1, -12));
            load.push(l32e(callee - 1, 1, -12));
            for n in 4..4 + extra {
                save.push(s32e(n, 0, base + (n as i32 - 4) * 4));
                load.push(l32e(n, callee - 1, base + (n as i32 - 4) * 4));
            }
            // The register that held the caller's stack comes last.
            let last =
                load.iter().position(|code| *code == l32e(callee - 1, callee - 1, base + (extra as i32 - 1) * 4));
            if let Some(last) = last {
                let code = load.remove(last);
                load.push(code);
            }
        }
        save.push(rfwo());
        load.push(rfwu());
        machine.put(BASE + slot * 0x80, &save);
        machine.put(BASE + slot * 0x80 + 0x40, &load);
    }
    // The outermost frame's caller's stack.
    machine.space.write_at(DATA - 12, &DATA.to_le_bytes());
    machine
}

/// A function that calls itself `a2` times, `windows` further each time, and adds its own `a2` to what comes back. All
/// its registers are used.
fn recursive(windows: u32, depth: i32) -> Machine {
    let callee = windows * 4;
    let mut code = vec![movi(callee + 2, depth)];
    code.push(nop());
    code.push(vec![0x3D, 0xF0]);
    code.push(call(windows, CODE + 8, CODE + 64));
    code.push(jump(0));
    let mut machine = with_vectors(Machine::new(&code));
    // BNEZ a2 over the jump to the return.
    let mut function = vec![entry(1, 64), addi(3, 2, 0), word(2 << 12 | 2 << 8 | 0x56), jump(21)];
    function.extend([addi(callee + 2, 2, -1), nop(), nop(), nop()]);
    function.extend([call(windows, CODE + 64 + 24, CODE + 64), rrr(8, 0, 2, 3, callee + 2), retw()]);
    machine.put(CODE + 64, &function);
    machine
}

#[test]
fn deep_calls_save_and_load_their_frames() {
    for windows in 1..=3 {
        for depth in [0, 1, 3, 7, 40] {
            let mut machine = recursive(windows, depth);
            machine.space.watch(CODE + 11, CODE + 11);
            assert_eq!(machine.run(100_000).stop, Stop::Break, "{windows} {depth}");
            let sum = machine.cpu.register(windows as usize * 4 + 2);
            assert_eq!(sum as i32, depth * (depth + 1) / 2, "{windows} {depth}");
            assert_eq!((machine.cpu.register(1), machine.special(WINDOWBASE)), (DATA, 0));
            assert_eq!(machine.special(WINDOWSTART), 1);
        }
    }
}

#[test]
fn a_run_in_pieces_is_the_run_in_one() {
    for windows in 1..=3 {
        let mut one = recursive(windows, 40);
        let mut pieces = [1, 2, 3, 5, 7].map(|length| (recursive(windows, 40), length));
        for _ in 0..30 {
            one.steps(105);
            for (machine, length) in &mut pieces {
                (0..105).step_by(*length).for_each(|at| machine.steps((*length).min(105 - at) as u64));
                assert_eq!(machine.cpu.save(), one.cpu.save(), "{windows} {length}");
                assert_eq!(machine.space.read_at(DATA - 0x1000, 0x1000), one.space.read_at(DATA - 0x1000, 0x1000));
            }
        }
    }
}

#[test]
fn an_overflow_says_where_it_came_from() {
    // The frames begin at windows 0, 1 and 3; a5 is in window 1.
    let mut machine = Machine::new(&[addi(2, 2, 1), addi(5, 2, 0)]);
    machine.cpu.set_special(WINDOWSTART, 0b1011);
    machine.steps(2);
    assert_eq!(machine.cpu.pc(), BASE + 0x80);
    assert_eq!((machine.special(WINDOWBASE), machine.special(EPC1)), (1, CODE + 3));
    assert_eq!(machine.special(PS), 0x0004_0030);
}

#[test]
fn what_stands_behind_entry_overflows_by_the_window_that_entry_turned_to() {
    // The frames begin at windows 0 and 3; ENTRY turns to 1, from where a8 is in window 3.
    let mut machine = Machine::new(&[entry(1, 16), addi(7, 2, 1), addi(8, 2, 0)]);
    machine.cpu.set_special(WINDOWSTART, 0b1001);
    machine.cpu.set_special(PS, 0x0005_0020);
    machine.steps(3);
    assert_eq!((machine.special(WINDOWBASE), machine.special(EPC1)), (3, CODE + 6));
    assert_eq!(machine.cpu.pc(), BASE + 0x100, "the frame at 3 goes round to the one at 0");
}

#[test]
fn retw_refuses_what_no_call_made() {
    // No size, a frame nearer than it says, and within an exception.
    for (link, start, ps) in [(0x1000, 1, 0x4_0020), (0x8000_1000, 0x8001, 0x4_0020), (0x4000_1000, 1, 0x4_0030)] {
        let mut machine = Machine::new(&[retw()]);
        machine.cpu.host_traps = true;
        machine.cpu.set_register(0, link);
        machine.cpu.set_special(WINDOWSTART, start);
        machine.cpu.set_special(PS, ps);
        assert_eq!(machine.run(5), Ran { stop: Stop::Exception { cause: 0, value: 0 }, instructions: 0 }, "{link:x}");
    }
}

#[test]
fn movsp_moves_where_the_caller_is_in_registers_only() {
    let mut machine = Machine::new(&[rrr(0, 0, 1, 3, 1)]);
    machine.cpu.set_register(3, 0x1234);
    machine.cpu.set_special(WINDOWSTART, 0x8001);
    machine.steps(1);
    assert_eq!(machine.cpu.register(1), 0x1234);
    let mut machine = Machine::new(&[rrr(0, 0, 1, 3, 1)]);
    machine.cpu.host_traps = true;
    machine.steps(1);
    assert_eq!((machine.cpu.pc(), machine.special(EXCCAUSE)), (BASE + 0x340, 5));
    assert_eq!(machine.cpu.register(1), DATA);
}

#[test]
fn rotw_moves_both_ways_and_registers_move_with_it() {
    let mut machine = Machine::new(&[rrr(4, 0, 8, 0, 15), rrr(4, 0, 8, 0, 3)]);
    machine.cpu.set_special(PS, 0x10);
    for number in 0..16 {
        machine.cpu.set_register(number, number as u32 + 100);
    }
    machine.steps(1);
    let registers = [4, 7, 15].map(|number| machine.cpu.register(number));
    assert_eq!((machine.special(WINDOWBASE), registers), (15, [100, 103, 111]));
    machine.steps(1);
    assert_eq!((machine.special(WINDOWBASE), machine.cpu.register(0)), (2, 108));
}

#[test]
fn windows_that_turn_for_ever_end_with_the_budget() {
    // A function that only calls itself: its frames go down through the memory, and then there is none.
    let mut machine = with_vectors(Machine::new(&[entry(1, 32), jump(5), nop(), call(3, CODE + 8, CODE)]));
    machine.put(CODE + 8, &[call(3, CODE + 8, CODE)]);
    machine.cpu.set_special(PS, 0x7_0020);
    assert_eq!(machine.run(1_000_000), Ran { stop: Stop::Budget, instructions: 1_000_000 });
}
