//! Torn operations, plans of several parts, recordings and watches.

use super::*;
use crate::fault::{Cut, Tear};

const MIB: u64 = 1 << 20;

fn plan(text: &str) -> FaultPlan {
    text.parse().unwrap_or_else(|refused| unreachable!("{refused}"))
}

fn bytes(flash: &mut Flash, address: u64, length: usize) -> Result<Vec<u8>, Failure> {
    let mut out = vec![0; length];
    flash.read(address, &mut out)?;
    Ok(out)
}

fn ones(bytes: &[u8]) -> u32 {
    bytes.iter().map(|byte| byte.count_ones()).sum()
}

/// A page of zeros over an erased page, cut so.
fn page(tear: &str) -> Result<Vec<u8>, Failure> {
    let mut flash = Flash::new(MIB, false)?;
    flash.set_fault(Some(plan(&format!("cut@0:{tear}"))));
    assert!(matches!(flash.program(0x100, &[0; 0x100]), Err(Failure::PowerLost(_))), "{tear}");
    flash.power_on();
    bytes(&mut flash, 0x100, 0x100)
}

/// The erase of a sector of zeros, cut so.
fn sector(tear: &str) -> Result<Vec<u8>, Failure> {
    let mut flash = Flash::from_bytes(&[0; 0x3000], None, false)?;
    flash.set_fault(Some(plan(&format!("cut@0:{tear}"))));
    assert!(matches!(flash.erase(0x1000, 0x1000), Err(Failure::PowerLost(_))), "{tear}");
    flash.power_on();
    assert_eq!((bytes(&mut flash, 0, 0x1000)?, bytes(&mut flash, 0x2000, 0x1000)?), (vec![0; 0x1000], vec![0; 0x1000]));
    bytes(&mut flash, 0x1000, 0x1000)
}

#[test]
fn a_torn_program_leaves_what_its_model_says() -> Result<(), Failure> {
    let head = |count: usize| [vec![0; count], vec![0xFF; 0x100 - count]].concat();
    assert_eq!(page("torn-program")?, head(0x80));
    assert_eq!(page("torn-program/28")?, head(28));
    assert_eq!(page("torn-program/0")?, head(0));
    assert_eq!(page("torn-program/9999")?, head(0x100));
    assert_eq!(page("tail-program")?, [vec![0xFF; 0x80], vec![0; 0x80]].concat());
    assert_eq!(page("after")?, head(0x100));
    let bits = page("bits-program")?;
    assert!((800..1250).contains(&ones(&bits)), "about half of 2048: {}", ones(&bits));
    assert_eq!(bits, page("bits-program")?);
    // A tear of the other kind: the operation is not begun.
    assert_eq!(page("torn-erase")?, head(0));
    Ok(())
}

#[test]
fn a_torn_erase_leaves_what_its_model_says() -> Result<(), Failure> {
    assert_eq!(sector("torn-erase")?, [vec![0xFF; 0x800], vec![0; 0x800]].concat());
    assert_eq!(sector("zero-erase")?, vec![0; 0x1000]);
    assert_eq!(sector("after")?, vec![0xFF; 0x1000]);
    assert_eq!(sector("torn-program")?, vec![0; 0x1000]);
    let bits = sector("bits-erase")?;
    assert!((15_000..18_000).contains(&ones(&bits)), "about half of 32768: {}", ones(&bits));
    let mut flash = Flash::from_bytes(&[0xA5; 0x1000], None, false)?;
    flash.set_fault(Some(plan("cut@0:zero-erase")));
    assert!(flash.erase(0, 0x1000).is_err());
    flash.power_on();
    assert_eq!(bytes(&mut flash, 0, 0x1000)?, vec![0; 0x1000]);
    Ok(())
}

#[test]
fn weak_cells_read_otherwise_each_time_and_settle_with_the_next_power_cut() -> Result<(), Failure> {
    let mut flash = Flash::new(MIB, false)?;
    flash.set_fault(Some(plan("cut@0:weak-program")));
    assert!(flash.program(0x1010, &[0; 32]).is_err());
    flash.power_on();
    let looks = (0..8).map(|_| bytes(&mut flash, 0x1000, 64)).collect::<Result<Vec<_>, _>>()?;
    assert_eq!(looks.get(..4), looks.get(4..));
    let cells = |look: usize| looks.get(look).and_then(|all| all.get(16..48)).unwrap_or_default();
    assert_eq!((cells(1), cells(2)), (&[0; 32][..], &[0xFF; 32][..]));
    assert!(cells(0) != cells(1) && cells(0) != cells(2) && cells(0) != cells(3));
    assert!(looks.iter().all(|all| all.iter().take(16).chain(all.iter().skip(48)).all(|&byte| byte == 0xFF)));
    // A fork sees the same turns, and takes none of this one's.
    let mut fork = flash.fork();
    assert_eq!(bytes(&mut fork, 0x1000, 64)?, bytes(&mut flash, 0x1000, 64)?);
    flash.power_off();
    flash.power_on();
    let settled = bytes(&mut flash, 0x1000, 64)?;
    assert_eq!(settled, bytes(&mut flash, 0x1000, 64)?);
    assert!((90..166).contains(&ones(settled.get(16..48).unwrap_or_default())), "some of 256 bits");
    Ok(())
}

#[test]
fn an_erase_ends_weak_cells_and_a_program_finds_them_settled() -> Result<(), Failure> {
    let mut flash = Flash::from_bytes(&[0; 0x1000], None, false)?;
    flash.set_fault(Some(plan("cut@0:weak-erase")));
    assert!(flash.erase(0, 0x1000).is_err());
    flash.power_on();
    let mut erased = flash.fork();
    erased.erase(0, 0x1000)?;
    assert_eq!(bytes(&mut erased, 0, 0x1000)?, vec![0xFF; 0x1000]);
    flash.program(0xFFF, &[0])?;
    assert_eq!(bytes(&mut flash, 0, 0x1000)?, bytes(&mut flash, 0, 0x1000)?);
    Ok(())
}

#[test]
fn the_second_cut_counts_from_when_power_came_back() -> Result<(), Failure> {
    let mut flash = Flash::new(MIB, false)?;
    flash.set_fault(Some(plan("cut@1:torn+cut@2")));
    assert_eq!(flash.program(0, &[0; 0x200]), Err(Failure::PowerLost(1)));
    assert_eq!(flash.fault(), Some(&plan("cut@2")));
    flash.power_on();
    assert_eq!(flash.program(0x1000, &[0; 0x400]), Err(Failure::PowerLost(2)));
    assert_eq!(flash.fault(), None);
    flash.power_on();
    flash.erase(0, 0x1000)
}

#[test]
fn stuck_cells_stay_and_flipped_ones_do_not() -> Result<(), Failure> {
    let mut flash = Flash::from_bytes(&[0x0F; 0x2000], None, true)?;
    flash.set_fault(Some(plan("stuck0@0x10.0+stuck1@0x11.7+bitflip@0x12.4+stuck1@0xffffffff.0")));
    assert_eq!(flash.fault(), Some(&plan("stuck0@0x10.0+stuck1@0x11.7+stuck1@0xffffffff.0")));
    assert_eq!(bytes(&mut flash, 0xF, 5)?, [0x0F, 0x0E, 0x8F, 0x1F, 0x0F]);
    flash.erase(0, 0x1000)?;
    assert_eq!(bytes(&mut flash, 0xF, 5)?, [0xFF, 0xFE, 0xFF, 0xFF, 0xFF]);
    flash.program(0xF, &[0xFF, 0xFF, 0x00, 0x00])?;
    assert_eq!(bytes(&mut flash, 0xF, 5)?, [0xFF, 0xFE, 0x80, 0x00, 0xFF]);
    flash.set_fault(None);
    flash.erase(0, 0x1000)?;
    assert_eq!(bytes(&mut flash, 0x10, 1)?, [0xFF]);
    Ok(())
}

/// Erase two sectors, program three pages and the head of one that is there.
fn run(flash: &mut Flash) -> Result<(), Failure> {
    flash.erase(0x1000, 0x2000)?;
    flash.program(0x1080, &[0x55; 0x200])?;
    flash.program(0x5000, &[0x0F; 8])
}

#[test]
fn a_recording_leaves_what_the_armed_cut_leaves() -> Result<(), Failure> {
    let start = Flash::from_bytes(&vec![0xA5; 0x8000], None, false)?;
    let mut whole = start.fork();
    whole.record(true);
    run(&mut whole)?;
    let Some(mut recording) = whole.recording() else { unreachable!("recording") };
    assert_eq!(recording.ops().len(), 6);
    for tear in
        ["", ":after", ":torn", ":torn-program", ":bits-program", ":weak-program", ":zero-erase", ":torn-program/3"]
    {
        for operation in [5, 0, 3, 1, 4, 2] {
            let text = format!("cut@{operation}{tear}");
            let mut armed = start.fork();
            armed.set_fault(Some(plan(&text)));
            assert!(run(&mut armed).is_err());
            let Some(cut) = plan(&text).next_cut() else { unreachable!("one cut") };
            let erase = operation < 2;
            if erase && tear.contains("program") || !erase && tear.contains("erase") {
                assert!(recording.cut(cut).is_err(), "{text} is of the other kind");
                continue;
            }
            let left = recording.cut(cut)?;
            assert!(!left.powered() && left.image().eq(armed.image()), "{text}");
            let (mut left, mut armed) = (left.fork(), armed.fork());
            left.power_on();
            armed.power_on();
            assert_eq!(bytes(&mut left, 0x1000, 0x2000)?, bytes(&mut armed, 0x1000, 0x2000)?, "{text}");
        }
    }
    assert!(recording.cut(Cut { operations: 6, tear: Tear::Clean }).is_err());
    assert!(recording.flash_after(6)?.image().eq(whole.image()));
    let mut other = recording.over(&Flash::new(MIB, false)?);
    assert_eq!(bytes(&mut other.flash_after(6)?, 0x5000, 9)?, [[0x0F; 8].as_slice(), &[0xFF]].concat());
    Ok(())
}

#[test]
fn what_was_erased_first_is_not_needed() -> Result<(), Failure> {
    let mut flash = Flash::new(MIB, false)?;
    assert_eq!(flash.needed().iter().count(), 0);
    flash.watch();
    flash.erase(0x1000, 0x1000)?;
    flash.program(0x1000, &[1])?;
    bytes(&mut flash, 0x1000, 4)?;
    bytes(&mut flash, 0x4FFF, 2)?;
    flash.erase(0x4000, 0x1000)?;
    flash.program(0x8000, &[2])?;
    flash.is_erased(0x9000, 1)?;
    flash.view().check_read(0, 0)?;
    crate::source::Source::run(&flash.view().region(0xA000, 16), 0, 16)?;
    crate::source::Source::run(&flash.fork().region(0xB000, 16), 0, 16)?;
    flash.set_fault(Some(plan("cut@0:torn")));
    assert!(flash.erase(0xC000, 0x1000).is_err());
    let needed = flash.needed();
    assert_eq!(needed.iter().collect::<Vec<_>>(), [0x4000, 0x5000, 0x8000, 0x9000, 0xA000, 0xC000]);
    assert!(needed.contains(0x4ABC) && !needed.contains(0x1000) && !needed.contains(u64::MAX));
    assert_eq!(flash.fork().needed().iter().count(), 0);
    Ok(())
}

#[test]
fn two_flashes_are_the_same_where_it_matters() -> Result<(), Failure> {
    let mut one = Flash::from_bytes(&vec![7; 0x8000], None, false)?;
    one.watch();
    bytes(&mut one, 0x1000, 1)?;
    bytes(&mut one, 0x3000, 1)?;
    let (needed, mut other) = (one.needed(), Flash::from_bytes(&[7; 0x4000], None, false)?);
    assert!(one.same(&other, &needed));
    other.program(0x2000, &[0])?;
    assert!(one.same(&other, &needed));
    assert_eq!(one.fingerprint(&needed), other.fingerprint(&needed));
    other.program(0x3000, &[0])?;
    assert!(!one.same(&other, &needed));
    assert_ne!(one.fingerprint(&needed), other.fingerprint(&needed));
    let mut weak = one.fork();
    weak.set_fault(Some(plan("cut@0:weak-erase")));
    assert!(weak.erase(0x1000, 0x1000).is_err());
    assert!(!weak.same(&weak.fork(), &needed), "it may read otherwise");
    assert_eq!(weak.fingerprint(&needed), None);
    Ok(())
}
