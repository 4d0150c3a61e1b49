//! Where the bootloader may copy a segment without overwriting itself.

use super::options::{IdfVersion, since};
use crate::target::{Ram, Span, Target};

/// `STACK_LOAD_HEADROOM`, kept free below the stack pointer.
const STACK_LOAD_HEADROOM: u32 = 0x8000;
/// What the bootloader has on its stack when it asks. The real figure changes with every build: five of ESP32-C3 had
/// 0x2D0 to 0x2F0.
const STACK_IN_USE: u32 = 0x2E0;
/// So far below the top of that stack the header of an image is read to. This figure changes with every build as well.
pub(super) const HEADER_ON_STACK: u32 = 0x1EC;

/// `SOC_ROM_STACK_START` as releases have it before these: ROM's stack is where it is, whatever they take for its end.
const STACKS: [(&str, u32, &[IdfVersion]); 4] = [
    ("esp32c3", 0x3FCE_BF10, &[(4, 4, 3)]),
    ("esp32s3", 0x3FCE_BF10, &[(4, 4, 3)]),
    ("esp32c5", 0x4085_E9A0, &[(5, 5, 0)]),
    ("esp32c61", 0x4084_EA70, &[(5, 5, 5), (6, 0, 1)]),
];

/// The end of the stack that a release keeps segments from.
pub(super) fn stack_end(target: &Target, version: IdfVersion) -> u32 {
    let older = STACKS.iter().find(|(name, _, fixed)| *name == target.name && !since(version, fixed));
    older.map_or(target.ram.stack_start, |(_, end, _)| *end)
}

/// A range that may not be loaded, as the console shows it: an alias is named by its other address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clash {
    pub(super) low: u32,
    pub(super) high: u32,
    pub(super) reason: &'static str,
}

/// Which of a chip's RAMs an address range lies in with both its ends.
#[derive(Clone, Copy)]
enum Class {
    Dram,
    Iram,
    Other,
    None,
}

fn class(ram: &Ram, range: Span) -> Class {
    let inside = |class: Span| class.contains(range.low) && class.contains(range.high.wrapping_sub(1));
    if inside(ram.dram) {
        Class::Dram
    } else if inside(ram.iram) {
        Class::Iram
    } else if ram.others.iter().any(|&other| inside(other)) {
        Class::Other
    } else {
        Class::None
    }
}

/// `verify_load_addresses` (components/bootloader_support/src/esp_image_format.c) for `[low, high)`, not empty.
///
/// That the range does not wrap is asserted before ([`super::rules::Rules::load_end`]). The stack ends at `stack_end`.
pub(super) fn verify_load_addresses(ram: &Ram, stack_end: u32, low: u32, high: u32) -> Result<(), Clash> {
    let stack = Span { low: ram.stack_start - STACK_IN_USE - STACK_LOAD_HEADROOM, high: stack_end };
    match alias(ram, check(ram, stack, low, high)?, Span { low, high }) {
        // RAM with two addresses is judged again by the other one, and no further.
        Some(other) => check(ram, stack, other.low, other.high).map(drop),
        None => Ok(()),
    }
}

fn check(ram: &Ram, stack: Span, low: u32, high: u32) -> Result<Class, Clash> {
    let range = Span { low, high };
    let refuse = |reason| Err(Clash { low, high, reason });
    if high <= low {
        return refuse("bad load address range");
    }
    match class(ram, range) {
        Class::Dram => {
            if range.overlaps(stack) {
                refuse("overlaps bootloader stack")
            } else if range.overlaps(ram.loader_data) {
                refuse("overlaps bootloader data")
            } else {
                Ok(Class::Dram)
            }
        }
        Class::Iram if range.overlaps(ram.loader_text) => refuse("overlaps loader IRAM"),
        Class::None => refuse("bad load address range"),
        class => Ok(class),
    }
}

/// The part of `range` that has a second address, by that address.
fn alias(ram: &Ram, class: Class, range: Span) -> Option<Span> {
    let (iram, dram) = ram.alias;
    let (here, there) = match class {
        Class::Dram => (dram, iram),
        Class::Iram => (iram, dram),
        Class::Other | Class::None => return None,
    };
    if !range.overlaps(here) {
        return None;
    }
    let (low, high) = (range.low.max(here.low), range.high.min(here.high));
    let convert = |address: u32| {
        if ram.alias_inverted { there.low + (here.high - address) - 4 } else { there.low + (address - here.low) }
    };
    let (one, two) = (convert(low), convert(high));
    Some(Span { low: one.min(two), high: one.max(two) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(chip: &str, low: u32, high: u32) -> Option<Clash> {
        let target = Target::by_name(chip)?;
        verify_load_addresses(&target.ram, target.ram.stack_start, low, high).err()
    }

    #[test]
    fn esp32_dram_above_the_inverted_alias_is_named_by_its_other_address() {
        // 0x3FFE4000..0x3FFF6000 counts down from 0x400BBFFC, beyond the end of IRAM.
        let clash = Clash { low: 0x400B_AFFC, high: 0x400B_BFFC, reason: "bad load address range" };
        assert_eq!(reason("esp32", 0x3FFE_4000, 0x3FFE_5000), Some(clash));
        assert_eq!(reason("esp32", 0x3FFF_6000, 0x3FFF_7000), None);
        assert_eq!(reason("esp32", 0x3FFF_6000, 0x4000_0000), None);
    }

    #[test]
    fn no_range_that_touches_the_stack_or_the_loader_is_accepted_on_any_chip() {
        for target in &crate::target::TARGETS {
            let ram = &target.ram;
            let unified = ram.iram == ram.dram;
            let stack = Span { low: ram.stack_start - STACK_IN_USE - STACK_LOAD_HEADROOM, high: ram.stack_start };
            for guarded in [stack, ram.loader_data, ram.loader_text] {
                if unified && guarded == ram.loader_text {
                    continue; // upstream does not protect it there
                }
                for low in [guarded.low - 4, guarded.low, guarded.high - 4] {
                    assert!(
                        verify_load_addresses(ram, ram.stack_start, low, low + 8).is_err(),
                        "{} {low:x}",
                        target.name
                    );
                }
            }
        }
    }

    #[test]
    fn only_ranges_inside_one_class_are_accepted_and_conversion_never_overflows() {
        for target in &crate::target::TARGETS {
            let ram = &target.ram;
            let classes = [&[ram.iram, ram.dram], ram.others].concat();
            let edges: Vec<u32> = classes.iter().flat_map(|span| [span.low, span.high]).collect();
            let near = |edge: &u32| [-8, -4, 0, 4, 8].map(|step: i32| edge.wrapping_add_signed(step));
            for low in edges.iter().flat_map(near) {
                for high in edges.iter().flat_map(near).chain([low.wrapping_add(4), 0, u32::MAX]) {
                    if verify_load_addresses(ram, ram.stack_start, low, high).is_ok() {
                        let inside = |span: &Span| span.contains(low) && span.contains(high.wrapping_sub(1));
                        assert!(low < high && classes.iter().any(inside), "{} {low:x}-{high:x}", target.name);
                    }
                }
            }
        }
    }
}
