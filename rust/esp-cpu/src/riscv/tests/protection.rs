use super::{A0, A1, Bench, CODE, MRET, NOP, PAGE, RAM, csr, done, exception, itype};
use crate::riscv::pmp::{Mode, Pmp, Verdict};
use crate::stop::Access;

const R: u32 = 1;
const W: u32 = 2;
const X: u32 = 4;
const TOR: u32 = 1 << 3;
const NA4: u32 = 2 << 3;
const NAPOT: u32 = 3 << 3;
const L: u32 = 0x80;

/// Entries as configuration and address register, from the first on.
fn pmp(entries: &[(u32, u32)]) -> Pmp {
    let mut pmp = Pmp::default();
    for (entry, &(_, address)) in entries.iter().enumerate() {
        pmp.set_address(entry, address);
    }
    for (register, four) in entries.chunks(4).enumerate() {
        let word = four.iter().rev().fold(0, |word, &(config, _)| word << 8 | config);
        pmp.set_config(register, word);
    }
    pmp
}

fn napot(base: u32, size: u32) -> u32 {
    base >> 2 | (size / 8 - 1)
}

#[test]
fn the_first_entry_that_matches_decides() {
    use Verdict::{Denied, Here, Page};
    let ram = RAM + 0x1000;
    let one = pmp(&[(L | R | NAPOT, napot(ram, 16)), (L | R | W | NAPOT, napot(ram, 0x1000)), (L | TOR, RAM >> 2)]);
    let vectors = [
        ("the first", Mode::Machine, Access::Store, ram, 4, Denied),
        ("the first lets load", Mode::Machine, Access::Load, ram + 12, 4, Here),
        ("half in the first", Mode::Machine, Access::Load, ram + 14, 4, Denied),
        ("behind it", Mode::Machine, Access::Store, ram + 16, 4, Here),
        ("no code", Mode::Machine, Access::Fetch, ram + 16, 2, Denied),
        ("below a top, from the one before", Mode::Machine, Access::Load, RAM - 4, 4, Page),
        ("where none matches", Mode::Machine, Access::Store, RAM + 0x10_0000, 4, Page),
        ("where none matches a user", Mode::User, Access::Load, RAM + 0x10_0000, 4, Denied),
        ("a user", Mode::User, Access::Load, ram, 4, Here),
    ];
    for (name, mode, access, address, size, expected) in vectors {
        assert_eq!(one.permits(mode, access, address, size), expected, "{name}");
    }
    let open = pmp(&[(NAPOT, napot(ram, 16)), (R | W | X | NAPOT, u32::MAX)]);
    assert_eq!(open.permits(Mode::Machine, Access::Store, ram, 4), Here, "not locked: not the machine's");
    assert_eq!(open.permits(Mode::User, Access::Store, ram, 4), Denied);
    assert_eq!(open.permits(Mode::User, Access::Store, ram + PAGE, 4), Page, "all ones are everything");
    let range = pmp(&[(0, ram >> 2), (R | TOR, (ram + 8) >> 2), (W | NA4, (ram + 8) >> 2), (R | TOR, 0)]);
    let user = |access, address| range.permits(Mode::User, access, address, 4);
    assert_eq!(
        [user(Access::Load, ram), user(Access::Load, ram + 4), user(Access::Load, ram + 8)],
        [Here, Here, Denied]
    );
    assert_eq!(
        [user(Access::Store, ram + 8), user(Access::Store, ram + 12), user(Access::Load, ram - 4)],
        [Here, Denied, Denied]
    );
}

#[test]
fn what_is_locked_stays() {
    let mut pmp = pmp(&[(R | TOR, 0x100), (L | R | TOR, 0x200), (R | NA4, 0x300)]);
    pmp.set_config(0, 0);
    assert_eq!(pmp.config(0), (L | R | TOR) << 8);
    for (entry, expected) in [(0, 0x100), (1, 0x200), (2, 0x999)] {
        pmp.set_address(entry, 0x999);
        assert_eq!(pmp.address(entry), expected, "{entry}");
    }
}

#[test]
fn a_page_that_was_open_closes_and_opens_with_the_entries() {
    // lw a0, 0(a1); csrw pmpcfg0, a2; lw a0, 0(a1)
    let load = itype(0x03, 2, 0);
    let mut bench = Bench::new(&[load, csr(1, 0x3A0, 12, 0), load]).with(&[(A1, RAM + 4), (12, L | NAPOT)]);
    bench.cpu.set_csr(0x3B0, napot(RAM, 0x1000));
    bench.set_word(RAM + 4, 77);
    assert_eq!(bench.run(9), exception(5, RAM + 4, 2));
    assert_eq!((bench.cpu.pc(), bench.x(A0)), (CODE + 8, 77));
    bench.cpu.reset();
    bench.cpu.set_register(A1, RAM + 4);
    bench.cpu.set_pc(CODE + 8);
    assert_eq!((bench.run(1), bench.x(A0)), (done(1), 77));
}

#[test]
fn code_is_protected_to_the_byte() {
    let mut bench = Bench::new(&[NOP; 8]);
    bench.cpu.set_csr(0x3B0, (CODE + 8) >> 2);
    bench.cpu.set_csr(0x3B1, (CODE + 16) >> 2);
    bench.cpu.set_csr(0x3A0, (L | R | TOR) << 8);
    assert_eq!((bench.run(9), bench.cpu.pc()), (exception(1, CODE + 8, 2), CODE + 8));
    // Its first half may be executed, its second half not.
    bench.space.write_at(CODE + 4, &[1, 0, 0x13, 0]);
    bench.cpu.set_pc(CODE);
    assert_eq!((bench.run(9), bench.cpu.pc()), (exception(1, CODE + 8, 2), CODE + 6));
}

#[test]
fn an_access_across_pages_needs_both() {
    let at = RAM + PAGE;
    for (base, touched) in [(RAM, at - 2), (at, at)] {
        let mut bench = Bench::new(&[itype(0x03, 2, 0)]).with(&[(A1, at - 2)]);
        bench.cpu.set_csr(0x3B0, napot(base, PAGE));
        bench.cpu.set_csr(0x3A0, L | NAPOT);
        assert_eq!(bench.run(1), exception(5, touched, 0));
    }
}

#[test]
fn the_machine_may_access_as_the_user_that_it_serves() {
    // A user may do everything but load from the first page of RAM.
    let load = itype(0x03, 2, 0);
    let mut bench = Bench::new(&[load, MRET]).with(&[(A1, RAM)]);
    bench.cpu.set_csr(0x3B0, napot(RAM, 0x1000));
    bench.cpu.set_csr(0x3B1, u32::MAX);
    bench.cpu.set_csr(0x3A0, (R | W | X | NAPOT) << 8 | NAPOT);
    bench.cpu.set_csr(0x341, CODE);
    assert_eq!(bench.run(2), done(2), "the machine");
    assert_eq!(bench.run(1), exception(5, RAM, 0), "the user");
    bench.cpu.enter(11, 0);
    bench.cpu.set_csr(0x300, 1 << 17);
    bench.cpu.set_pc(CODE);
    assert_eq!(bench.run(1), exception(5, RAM, 0), "the machine in the user's place");
    bench.cpu.set_csr(0x300, 1 << 17 | 3 << 11);
    assert_eq!(bench.run(1), done(1), "the machine in its own");
}
