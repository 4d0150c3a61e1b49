use super::*;
use crate::fault::Tear;

const MIB: u64 = 1 << 20;

fn content(flash: &Flash) -> Vec<u8> {
    flash.image().flatten().copied().collect()
}

fn bytes(flash: &mut Flash, address: u64, length: usize) -> Result<Vec<u8>, Failure> {
    let mut out = vec![0; length];
    flash.read(address, &mut out)?;
    Ok(out)
}

fn code<T>(result: Result<T, Failure>) -> Option<EspErr> {
    match result {
        Err(Failure::Fault(fault)) => Some(fault.err),
        _ => None,
    }
}

#[test]
fn chips_are_powers_of_two() {
    for shift in 20..=27 {
        assert_eq!(Flash::new(1 << shift, true).map(|flash| flash.size()), Ok(1 << shift));
    }
    for size in [0, 1, MIB - 1, MIB + 1, 3 * MIB, MIB / 2, 256 * MIB, u64::MAX] {
        assert!(Flash::new(size, true).is_err(), "{size}");
    }
}

#[test]
fn an_image_picks_the_smallest_chip() -> Result<(), Failure> {
    for (length, size) in [(0, MIB), (1, MIB), (MIB, MIB), (MIB + 1, 2 * MIB)] {
        let image = vec![0x5A; length as usize];
        let flash = Flash::from_bytes(&image, None, true)?;
        assert_eq!(flash.size(), size);
        let content = content(&flash);
        assert!(content.starts_with(&image));
        assert!(content.iter().skip(image.len()).all(|&byte| byte == 0xFF));
        assert_eq!(flash.operations(), 0);
    }
    assert!(Flash::from_bytes(&vec![0; 0x10_0001], Some(MIB), true).is_err());
    assert!(Flash::from_bytes(&[], Some(5), true).is_err());
    Ok(())
}

#[test]
fn what_the_driver_does_with_one_command_is_counted() -> Result<(), Failure> {
    let mut flash = Flash::new(MIB, true)?;
    for (address, length, blocks) in
        [(0x1000, 0x1F000, 1), (0, 0xF000, 0), (0x1_0000, 0x2_0000, 2), (0xF000, 0x10000, 0), (0x2000, 0, 0)]
    {
        let before = flash.stats();
        flash.erase(address, length)?;
        assert_eq!(flash.stats().block_erases - before.block_erases, blocks);
        assert_eq!(flash.stats().erases - before.erases, length / SECTOR as u64);
    }
    flash.program(0xF0, &[0; 0x110 + 65])?;
    assert_eq!(flash.stats().program_pieces, 1 + 4 + 2);
    Ok(())
}

#[test]
fn programming_clears_bits_page_by_page() -> Result<(), Failure> {
    let mut flash = Flash::new(MIB, true)?;
    flash.record(true);
    flash.program(0x10F0, &[0x0F; 0x220])?;
    let ops: Vec<_> = flash.journal().map(|op| (op.index, op.address, op.length)).collect();
    assert_eq!(ops, [(0, 0x10F0, 0x10), (1, 0x1100, 0x100), (2, 0x1200, 0x100), (3, 0x1300, 0x10)]);
    flash.program(0x10F0, &[0x05])?;
    assert_eq!(bytes(&mut flash, 0x10EF, 3)?, [0xFF, 0x05, 0x0F]);
    assert_eq!(flash.stats().program_bytes, 0x221);
    Ok(())
}

#[test]
fn a_strict_flash_names_the_first_bit_that_cannot_rise() -> Result<(), Failure> {
    let mut flash = Flash::new(MIB, true)?;
    flash.program(0x1180, &[0xF0])?;
    flash.program(0x1180, &[0x90])?;
    // Starts in the page before, which takes its part; the second page holds the stubborn byte.
    let refused = flash.program(0x1080, &[0x33; 0x180]);
    let expected = "0x33, whose 1 bits need an erase first";
    assert_eq!(refused, Err(Fault::new(EspErr::FlashOpFail, "program", 0x1180, "0x90", expected).into()));
    assert_eq!(bytes(&mut flash, 0x10FF, 2)?, [0x33, 0xFF], "the page before is kept, the refused one untouched");
    assert_eq!(flash.operations(), 3);
    Ok(())
}

#[test]
fn a_lax_flash_is_a_plain_and() -> Result<(), Failure> {
    let mut flash = Flash::new(MIB, false)?;
    flash.program(0, &[0xF0])?;
    flash.program(0, &[0x3C])?;
    assert_eq!(bytes(&mut flash, 0, 1)?, [0x30]);
    Ok(())
}

#[test]
fn ranges_are_checked_in_64_bits() -> Result<(), Failure> {
    let mut flash = Flash::new(MIB, true)?;
    for (address, length, err) in [
        (0, 0, None),
        (MIB, 0, None),
        (MIB + 1, 0, Some(EspErr::InvalidArg)),
        (0, MIB, None),
        (1, MIB, Some(EspErr::InvalidArg)),
        (MIB - 4096, 4096, None),
        (u64::MAX, 1, Some(EspErr::InvalidArg)),
        (u64::MAX, u64::MAX, Some(EspErr::InvalidArg)),
        (4096, u64::MAX - 4095, Some(EspErr::InvalidArg)),
    ] {
        assert_eq!(code(flash.check_read(address, length)), err, "{address:#x} {length:#x}");
        assert_eq!(code(flash.is_erased(address, length)), err);
    }
    assert_eq!(code(flash.erase(1, 4096)), Some(EspErr::InvalidArg));
    assert_eq!(code(flash.erase(0, 4095)), Some(EspErr::InvalidArg));
    assert_eq!(code(flash.erase(1, 0)), Some(EspErr::InvalidArg));
    assert_eq!(code(flash.program(MIB - 1, &[0, 0])), Some(EspErr::InvalidArg));
    assert_eq!(flash.operations(), 0);
    Ok(())
}

#[test]
fn forks_go_their_own_ways() -> Result<(), Failure> {
    let mut parent = Flash::new(MIB, true)?;
    parent.program(0x5000, &[1, 2, 3])?;
    let before = content(&parent);
    let mut child = parent.fork();
    child.record(true);
    child.erase(0x5000, 4096)?;
    child.erase(0x5000, 4096)?;
    child.program(0x9000, &[4])?;
    assert_eq!(content(&parent), before);
    parent.program(0x5003, &[9])?;
    assert_eq!(bytes(&mut child, 0x5000, 4)?, [0xFF; 4]);
    assert_eq!(parent.erase_counts().sum::<u32>(), 0);
    assert_eq!(child.erase_counts().position(|count| count == 2), Some(5));
    assert_eq!((parent.operations(), child.operations()), (2, 4));
    assert!(child.fork().journal().len() == 0);
    Ok(())
}

#[test]
fn a_fork_shares_what_nobody_touched() -> Result<(), Failure> {
    let parent = Flash::from_bytes(&vec![7; 0x10_0000], None, true)?;
    let mut child = parent.fork();
    child.erase(0x5000, 4096)?;
    let shared = parent.image().zip(child.image()).filter(|(a, b)| std::ptr::eq(*a, *b)).count();
    assert_eq!(shared, 255);
    Ok(())
}

#[test]
fn a_clean_cut_falls_between_two_operations() -> Result<(), Failure> {
    let mut flash = Flash::new(MIB, true)?;
    flash.program(0, &[0; 16])?;
    flash.set_fault(Some(FaultPlan::cut(2, Tear::Clean)));
    assert_eq!(flash.program(0x100, &[0; 0x400]), Err(Failure::PowerLost(2)));
    assert_eq!((flash.powered(), flash.fault(), flash.operations()), (false, None, 3));
    assert_eq!(flash.check_read(0, 1), Err(Failure::PowerLost(2)));
    assert_eq!(flash.check_read(u64::MAX, 1), Err(Failure::PowerLost(2)), "a dead chip checks no range");
    assert_eq!(flash.is_erased(0, 1), Err(Failure::PowerLost(2)));
    assert_eq!(flash.erase(0, 0), Err(Failure::PowerLost(2)));
    flash.power_on();
    assert_eq!(bytes(&mut flash, 0x2FF, 2)?, [0, 0xFF]);
    flash.program(0x300, &[0; 0x200])?;
    Ok(())
}

#[test]
fn a_torn_program_stores_the_first_half() -> Result<(), Failure> {
    for (length, stored) in [(1, 0), (2, 1), (31, 15), (32, 16), (256, 128)] {
        let mut flash = Flash::new(MIB, true)?;
        flash.set_fault(Some(FaultPlan::cut(0, Tear::Half)));
        assert_eq!(flash.program(0x100, &vec![0; length]), Err(Failure::PowerLost(0)));
        flash.power_on();
        let found = bytes(&mut flash, 0x100, length)?;
        assert!(found.iter().enumerate().all(|(at, &byte)| byte == if at < stored { 0 } else { 0xFF }));
        assert_eq!(flash.operations(), 0, "a torn operation did not complete");
    }
    Ok(())
}

#[test]
fn a_torn_erase_clears_the_first_half() -> Result<(), Failure> {
    let mut flash = Flash::from_bytes(&[0; 0x3000], None, true)?;
    flash.record(true);
    flash.set_fault(Some(FaultPlan::cut(1, Tear::Half)));
    assert_eq!(flash.erase(0, 0x3000), Err(Failure::PowerLost(1)));
    flash.power_on();
    let found = bytes(&mut flash, 0, 0x3000)?;
    assert!(found.iter().enumerate().all(|(at, &byte)| byte == if at < 0x1800 { 0xFF } else { 0 }));
    assert_eq!(flash.erase_counts().take(3).collect::<Vec<_>>(), [1, 0, 0]);
    assert_eq!(flash.journal().len(), 1);
    Ok(())
}

#[test]
fn a_plan_that_did_not_fire_stays_armed() -> Result<(), Failure> {
    let mut flash = Flash::new(MIB, true)?;
    let plan = FaultPlan::cut(2, Tear::Clean);
    flash.set_fault(Some(plan.clone()));
    flash.erase(0, 4096)?;
    flash.power_off();
    assert_eq!(flash.check_read(0, 0), Err(Failure::PowerLost(1)));
    flash.power_on();
    assert_eq!(flash.fault(), Some(&plan));
    flash.erase(0, 4096)?;
    assert_eq!(flash.erase(0, 4096), Err(Failure::PowerLost(2)));
    Ok(())
}

#[test]
fn what_is_refused_is_no_operation() -> Result<(), Failure> {
    let mut flash = Flash::from_bytes(&[0; 16], None, true)?;
    flash.record(true);
    flash.set_fault(Some(FaultPlan::cut(0, Tear::Half)));
    assert_eq!(code(flash.program(0, &[1])), Some(EspErr::FlashOpFail));
    assert_eq!(code(flash.erase(1, 1)), Some(EspErr::InvalidArg));
    flash.erase(0, 0)?;
    flash.program(0, &[])?;
    assert!(flash.powered() && flash.journal().len() == 0);
    Ok(())
}

#[test]
fn a_region_reads_in_runs_of_a_sector() -> Result<(), Failure> {
    let flash = Flash::from_bytes(&(0..=255).cycle().take(0x4000).collect::<Vec<_>>(), None, true)?;
    let region = flash.region(0xFF0, 0x1020);
    assert_eq!(region.len(), 0x1020);
    assert_eq!(region.run(0, usize::MAX)?.len(), 0x10);
    assert_eq!(region.run(0x10, usize::MAX)?.len(), 0x1000);
    assert_eq!(region.run(0x1010, usize::MAX)?.len(), 0x10);
    assert!(region.run(0x1020, 1)?.is_empty());
    assert!(region.run(u64::MAX, 1)?.is_empty());
    let mut out = [0; 0x20];
    assert_eq!(region.read(0x1000, &mut out)?, 0x20);
    assert_eq!(out.to_vec(), (0xF0..=255).chain(0..16).collect::<Vec<u8>>());
    assert_eq!(code(flash.region(MIB, 16).run(0, 1)), Some(EspErr::InvalidArg));
    assert_eq!(code(flash.region(u64::MAX, 16).run(1, 1)), Some(EspErr::InvalidArg));
    assert_eq!(flash.stats(), Stats::default(), "judging is not reading");
    Ok(())
}
