//! From the bytes of code to decoded blocks.

use super::hart::{Hart, Trap};
use super::op::{Code, Op};
use super::{compressed, decode};
use crate::blocks::{Blocks, LONGEST};
use crate::space::{PAGE, Space};

/// One decoded instruction, and the places in the arena that it was decoded from.
struct Found {
    op: Op,
    first: (usize, usize),
    /// The rest of one that crosses into another page.
    rest: Option<(usize, usize)>,
    /// Whether everything else in the page may be executed, too.
    whole: bool,
}

/// Decode the block at `pc`: up to what ends one, the end of the page, or the next watched address.
pub(super) fn translate(hart: &Hart, blocks: &mut Blocks<Op>, space: &mut Space) -> Result<u32, Trap> {
    let start = hart.pc;
    let Found { op, mut first, rest, whole } = find(hart, space, start, false)?;
    let mut ops = Vec::with_capacity(LONGEST);
    ops.push(op);
    let room = PAGE - first.0 % PAGE;
    while ops.len() < LONGEST && first.1 < room && !ops.last().is_some_and(|op| op.code.ends_block()) {
        let pc = start.wrapping_add(first.1 as u32);
        if space.is_watched(pc) {
            break;
        }
        // What cannot be fetched is not here yet, and what crosses into another page is a block of its own.
        match find(hart, space, pc, whole) {
            Ok(Found { op, first: (_, length), rest: None, .. }) => {
                ops.push(op);
                first.1 += length;
            }
            _ => break,
        }
    }
    let places = [first, rest.unwrap_or_default()];
    let count = 1 + usize::from(rest.is_some());
    let watched = space.is_watched(start);
    Ok(blocks.add(space, start, places.get(..count).unwrap_or_default(), &ops, watched))
}

/// Whether there is an instruction at `pc` that may be executed.
pub(super) fn is_legal(hart: &Hart, space: &mut Space, pc: u32) -> bool {
    find(hart, space, pc, false).is_ok_and(|found| found.op.code != Code::Illegal)
}

/// The instruction at `pc`. `whole`: everything in its page may be executed.
fn find(hart: &Hart, space: &mut Space, pc: u32, whole: bool) -> Result<Found, Trap> {
    let (place, whole) = if whole { (space.code_long(pc, false)?, true) } else { hart.fetch(space, pc, 2)? };
    let half = half_at(space, place);
    if half & 3 != 3 {
        return Ok(Found { op: compressed::decode(half, pc), first: (place, 2), rest: None, whole });
    }
    let crosses = place % PAGE == PAGE - 2;
    let (second, _) = if whole && !crosses { (place + 2, true) } else { hart.fetch(space, pc.wrapping_add(2), 2)? };
    let op = decode::decode(half_at(space, second) << 16 | half, pc, hart.model.atomics);
    let (first, rest) = if crosses { ((place, 2), Some((second, 2))) } else { ((place, 4), None) };
    Ok(Found { op, first, rest, whole })
}

fn half_at(space: &Space, place: usize) -> u32 {
    space.bytes(place, 2).first_chunk::<2>().map_or(0, |&bytes| u32::from(u16::from_le_bytes(bytes)))
}
