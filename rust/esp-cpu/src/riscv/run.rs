//! The loop: from block to block, until something ends the run.

use super::Cpu;
use super::execute::Exit;
use super::hart::{Hart, Trap};
use super::op::Op;
use super::pmp::View;
use super::translate::translate;
use crate::blocks::Blocks;
use crate::bus::Bus;
use crate::space::Space;
use crate::stop::{Ran, Stop};

/// Where a block begins.
enum Begin {
    At(u32),
    /// On a watched address.
    Watched,
    /// Nowhere: there is no code that may be executed.
    Nowhere(Trap),
}

impl Cpu {
    /// Do up to `budget` instructions. The first one is done even if its address is watched.
    pub fn run(&mut self, space: &mut Space, bus: &mut dyn Bus, budget: u64) -> Ran {
        let Self { hart, blocks, host_traps, view } = self;
        let mut left = budget;
        let mut first = true;
        // The way by which the last block was left: its number, and 0 or 1.
        let mut from = None;
        look_again(hart, blocks, view, space);
        let stop = loop {
            if left == 0 {
                break if !first && space.is_watched(hart.pc) { Stop::Break } else { Stop::Budget };
            }
            let number = match begin(hart, blocks, space, from.take(), first) {
                Begin::At(number) => number,
                Begin::Watched => break Stop::Break,
                Begin::Nowhere(trap) => {
                    if let Some(stop) = take(hart, trap, *host_traps) {
                        break stop;
                    }
                    look_again(hart, blocks, view, space);
                    (first, left) = (false, left - 1);
                    continue;
                }
            };
            first = false;
            let Some(block) = blocks.block(number) else { break Stop::Budget };
            let ops = blocks.ops(block);
            let (ops, bytes) = match usize::try_from(left).ok().and_then(|left| ops.get(..left)) {
                Some(part) if part.len() < ops.len() => (part, part.iter().map(|op| op.length()).sum()),
                _ => (ops, block.bytes),
            };
            let count = ops.len() as u64;
            match hart.execute(ops, bytes, space, bus) {
                Exit::Taken | Exit::Jumped => (left, from) = (left - count, Some((number, 0))),
                Exit::Fell => (left, from) = (left - count, Some((number, 1))),
                Exit::Looked(done) => {
                    left -= done;
                    look_again(hart, blocks, view, space);
                    if bus.asks() {
                        break if space.is_watched(hart.pc) { Stop::Break } else { Stop::Asked };
                    }
                }
                Exit::Waits(done) => {
                    left -= done;
                    break Stop::Wait;
                }
                Exit::Trapped(done, trap) => {
                    left -= done;
                    if let Some(stop) = take(hart, trap, *host_traps) {
                        break stop;
                    }
                    left -= 1;
                    look_again(hart, blocks, view, space);
                }
            }
        };
        Ran { stop, instructions: budget - left }
    }
}

/// A trap is the host's, or entered.
fn take(hart: &mut Hart, trap: Trap, host: bool) -> Option<Stop> {
    let Trap { cause, value } = trap;
    if host {
        return Some(Stop::Exception { cause, value });
    }
    hart.enter(cause, value);
    None
}

/// Drop what was looked up, as far as it is old.
fn look_again(hart: &Hart, blocks: &mut Blocks<Op>, view: &mut (View, View), space: &mut Space) {
    blocks.refresh(space);
    if hart.view() != *view {
        *view = hart.view();
        space.close_all();
        blocks.forget();
    }
}

#[inline]
fn begin(hart: &Hart, blocks: &mut Blocks<Op>, space: &mut Space, from: Option<(u32, usize)>, first: bool) -> Begin {
    if let Some((number, way)) = from {
        if let Some(next) = blocks.block(number).and_then(|block| blocks.follow(block, way, hart.pc)) {
            return arrive(blocks, next, first);
        }
    }
    let found = blocks.find(hart.pc);
    let number = match found {
        Some(number) => number,
        None if !first && space.is_watched(hart.pc) => return Begin::Watched,
        None => match translate(hart, blocks, space) {
            Ok(number) => number,
            Err(trap) => return Begin::Nowhere(trap),
        },
    };
    if let Some((from, way)) = from {
        blocks.link(from, way, number);
    }
    arrive(blocks, number, first)
}

#[inline]
fn arrive(blocks: &Blocks<Op>, number: u32, first: bool) -> Begin {
    let watched = !first && blocks.block(number).is_some_and(|block| block.watched);
    if watched { Begin::Watched } else { Begin::At(number) }
}
