use super::{PAGE, Rights, Space};
use crate::bus::Silence;
use crate::stop::{Access, Fault};

const RAM: u32 = 0x3FC8_0000;
const ALIAS: u32 = 0x4038_0000;

fn space() -> (Space, usize) {
    let mut space = Space::new();
    let block = space.add(4 * PAGE, &[(RAM, Rights::READ | Rights::WRITE), (ALIAS, Rights::ALL)]);
    space.add(PAGE, &[(0x4000_0000, Rights::READ | Rights::EXECUTE)]);
    (space, block)
}

fn load(space: &mut Space, address: u32) -> Result<u32, Fault> {
    space.load::<4>(address).map(u32::from_le_bytes).map_or_else(|| space.load_long(&mut Silence, address, 4, true), Ok)
}

fn store(space: &mut Space, address: u32, value: u32) -> Result<(), Fault> {
    if space.store(address, value.to_le_bytes()) {
        return Ok(());
    }
    space.store_long(&mut Silence, address, 4, value, true)
}

#[test]
fn every_window_shows_the_same_bytes() -> Result<(), Fault> {
    let (mut space, block) = space();
    store(&mut space, RAM + 8, 0x1234_5678)?;
    assert_eq!(load(&mut space, ALIAS + 8), Ok(0x1234_5678));
    assert_eq!(space.get(block, 8, 4), Some([0x78, 0x56, 0x34, 0x12].as_slice()));
    assert_eq!(space.read_at(ALIAS + 9, 2), Some(vec![0x56, 0x34]));
    Ok(())
}

#[test]
fn rights_are_kept_by_the_short_way_too() {
    let (mut space, _) = space();
    assert_eq!(load(&mut space, 0x4000_0000), Ok(0));
    let refused = Err(Fault { access: Access::Store, address: 0x4000_0004 });
    assert_eq!(store(&mut space, 0x4000_0004, 1), refused);
    assert_eq!(store(&mut space, 0x4000_0004, 1), refused);
    assert_eq!(space.code_long(RAM, true), Err(Fault { access: Access::Fetch, address: RAM }));
    assert_eq!(load(&mut space, 0), Err(Fault { access: Access::Load, address: 0 }));
}

#[test]
fn an_access_across_pages_is_whole_or_not_at_all() -> Result<(), Fault> {
    let (mut space, _) = space();
    let seam = RAM + PAGE as u32 - 2;
    store(&mut space, seam, 0xAABB_CCDD)?;
    assert_eq!(load(&mut space, seam), Ok(0xAABB_CCDD));
    let end = RAM + 4 * PAGE as u32 - 2;
    assert_eq!(store(&mut space, end, 1), Err(Fault { access: Access::Store, address: end + 2 }));
    assert_eq!(space.read_at(end, 2), Some(vec![0, 0]));
    assert!(!space.write_at(end, &[1, 2, 3]));
    assert_eq!(space.read_at(end, 2), Some(vec![0, 0]));
    assert_eq!(load(&mut space, u32::MAX), Err(Fault { access: Access::Load, address: u32::MAX }));
    Ok(())
}

#[test]
fn a_store_into_decoded_code_is_noticed_through_every_window() -> Result<(), Fault> {
    let (mut space, block) = space();
    store(&mut space, RAM + 0x100, 1)?;
    let place = space.code_long(ALIAS + 0x100, true)?;
    space.mark_code(place, 4);
    store(&mut space, RAM + 0x200, 1)?;
    assert!(!space.has_stale_code());
    store(&mut space, RAM + 0x100, 2)?;
    assert_eq!(space.take_stale_code(), [place / PAGE]);
    space.mark_code(place, 4);
    space.put(block, 0x100, &[2]);
    assert!(!space.has_stale_code());
    space.put(block, 0x100, &[3]);
    assert!(space.has_stale_code());
    Ok(())
}

#[test]
fn a_snapshot_comes_back_and_leaves_unchanged_code_alone() -> Result<(), Fault> {
    let (mut space, block) = space();
    store(&mut space, RAM, 1)?;
    let first = space.snapshot();
    store(&mut space, RAM, 2)?;
    store(&mut space, RAM + PAGE as u32, 3)?;
    let second = space.snapshot();
    store(&mut space, RAM, 4)?;
    assert!(space.restore(&first));
    assert_eq!((load(&mut space, RAM), load(&mut space, RAM + PAGE as u32)), (Ok(1), Ok(0)));
    let place = space.code_long(ALIAS, true)?;
    space.mark_code(place + 64, 4);
    store(&mut space, RAM, 7)?;
    assert!(space.restore(&first));
    assert!(!space.has_stale_code() || space.take_stale_code() == [place / PAGE]);
    assert!(space.restore(&second));
    assert_eq!((load(&mut space, RAM), load(&mut space, RAM + PAGE as u32)), (Ok(2), Ok(3)));
    space.clear(block);
    assert_eq!((load(&mut space, RAM), load(&mut space, RAM + PAGE as u32)), (Ok(0), Ok(0)));
    assert!(space.restore(&second));
    assert_eq!(load(&mut space, RAM + PAGE as u32), Ok(3));
    assert!(!Space::new().restore(&first));
    Ok(())
}

#[test]
fn watches_include_both_ends_and_end_by_number() {
    let (mut space, _) = space();
    let before = space.generation();
    let all = space.watch(0x4000_0000, u32::MAX);
    let one = space.watch(0x10, 0x10);
    assert!(space.is_watched(u32::MAX) && space.is_watched(0x10) && !space.is_watched(0x11));
    space.unwatch(all);
    assert!(!space.is_watched(0x4000_0000) && space.is_watched(0x10));
    space.unwatch(one);
    space.unwatch(99);
    assert!(!space.is_watched(0x10) && space.generation() > before);
}

#[test]
fn who_touches_a_hidden_page_faults_and_its_code_is_old() -> Result<(), Fault> {
    let (mut space, block) = space();
    let second = PAGE as u32;
    store(&mut space, RAM + second, 5)?;
    let place = space.code_long(ALIAS + second, true)?;
    space.mark_code(place, 4);
    space.hide(block, PAGE, 1, true);
    assert_eq!(space.take_stale_code(), [place / PAGE]);
    assert!(space.is_hidden(ALIAS + second) && !space.is_hidden(ALIAS) && !space.is_hidden(0));
    assert_eq!(load(&mut space, RAM + second), Err(Fault { access: Access::Load, address: RAM + second }));
    assert_eq!(store(&mut space, RAM + second, 1), Err(Fault { access: Access::Store, address: RAM + second }));
    assert!(space.code_long(ALIAS + second, true).is_err() && space.read_at(RAM + second - 2, 4).is_none());
    assert!(space.put(block, PAGE, &[6]));
    space.hide(block, PAGE, 1, false);
    assert_eq!(load(&mut space, RAM + second), Ok(6));
    Ok(())
}

#[test]
fn what_was_open_closes_through_every_window() -> Result<(), Fault> {
    let (mut space, _) = space();
    for address in [RAM, ALIAS, ALIAS + PAGE as u32] {
        store(&mut space, address, 5)?;
        load(&mut space, address)?;
        assert_eq!(space.load::<4>(address), Some([5, 0, 0, 0]));
    }
    space.close_all();
    for address in [RAM, ALIAS, ALIAS + PAGE as u32] {
        assert!(space.load::<4>(address).is_none() && !space.store(address, [1; 4]));
        assert_eq!(load(&mut space, address), Ok(5));
    }
    Ok(())
}
