//! Single instructions: what another implementation of the ISA made of the same registers.
//!
//! steps.txt has a line each: the bytes as one number, the operation, the length; the registers that are not zero (a:
//! address, s: special by number, f: floating point), and what they are behind the instruction. `pc`, LBEG and LEND count
//! from the instruction; `s4bitN` is one bit of BR.

use crate::asm::{CODE, Machine, PS};

/// A register's name and its number: `a3` is `('a', 3)`.
fn name(text: &str) -> Option<(char, u16)> {
    Some((text.chars().next()?, text.get(1..)?.parse().ok()?))
}

fn get(machine: &Machine, (kind, number): (char, u16)) -> Option<u32> {
    match kind {
        'a' => Some(machine.cpu.register(number as usize)),
        'f' => Some(machine.cpu.float_register(number as usize)),
        _ => machine.cpu.special(number),
    }
}

fn set(machine: &mut Machine, (kind, number): (char, u16), value: u32) {
    match kind {
        'a' => machine.cpu.set_register(number as usize, value),
        'f' => machine.cpu.set_float_register(number as usize, value),
        _ => assert!(machine.cpu.set_special(number, value)),
    }
}

fn all() -> impl Iterator<Item = (char, u16)> {
    let specials = [0, 1, 2, 3, 4, 16, 17, 32, 33, 34, 35].map(|number| ('s', number));
    (0..16).map(|number| ('a', number)).chain((0..16).map(|number| ('f', number))).chain(specials)
}

/// Runs one line: `None` when it cannot be read, else what differs.
fn differences(machine: &mut Machine, line: &str) -> Option<Vec<String>> {
    let mut parts = line.split('|');
    let mut head = parts.next()?.split_whitespace();
    let code = u32::from_str_radix(head.next()?, 16).ok()?;
    let length: usize = head.nth(1)?.parse().ok()?;
    machine.cpu.reset();
    machine.cpu.set_pc(CODE);
    machine.put(CODE, &[code.to_le_bytes()[..length].to_vec()]);
    machine.cpu.set_special(PS, 0x0004_00E0);
    machine.cpu.set_special(224, 255);
    for pair in parts.next()?.split_whitespace() {
        let (register, value) = pair.split_once('=')?;
        set(machine, name(register)?, u32::from_str_radix(value, 16).ok()?);
    }
    let mut expected: Vec<_> = all().map(|register| (register, get(machine, register))).collect();
    machine.steps(1);
    let mut found = Vec::new();
    for pair in parts.next()?.split_whitespace() {
        let (register, value) = pair.split_once('=')?;
        let value = u32::from_str_radix(value, 16).ok()?;
        if register == "pc" {
            if machine.cpu.pc() != CODE.wrapping_add(value) {
                found.push(format!("pc is {:x}", machine.cpu.pc()));
            }
        } else if let Some(bit) = register.strip_prefix("s4bit") {
            if machine.cpu.special(4)? >> bit.parse::<u32>().ok()? & 1 != value {
                found.push(format!("BR is {:x?}", machine.cpu.special(4)));
            }
            expected.retain(|(register, _)| *register != ('s', 4));
        } else {
            let register = name(register)?;
            let value = if matches!(register, ('s', 0 | 1)) { CODE.wrapping_add(value) } else { value };
            expected.iter_mut().filter(|(known, _)| *known == register).for_each(|(_, old)| *old = Some(value));
        }
    }
    for (register, value) in expected {
        let ours = get(machine, register);
        if ours != value {
            found.push(format!("{register:?} is {ours:x?}, not {value:x?}"));
        }
    }
    Some(found)
}

#[test]
fn every_instruction_does_what_another_implementation_does() {
    let lines: Vec<_> = include_str!("steps.txt").lines().collect();
    assert!(lines.len() > 500);
    let mut machine = Machine::new(&[]);
    for line in lines {
        assert_eq!(differences(&mut machine, line), Some(Vec::new()), "{line}");
    }
}
