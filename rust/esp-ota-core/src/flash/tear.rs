//! What an operation that the power left in the middle has done to its cells.

use std::sync::atomic::{AtomicU32, Ordering};

use super::SECTOR;
use crate::fault::Shape;

/// The bits of the byte at `address` that have come further than the others: the same at each run, and in no pattern.
fn chosen(address: u64, salt: u64) -> u8 {
    // The finalizer of SplitMix64.
    let mut x = address.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ salt.wrapping_mul(0xD1B5_4A32_D192_ED03);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (x ^ (x >> 31)) as u8
}

/// `before` with some of the bits that differ taken from `after`.
fn mixed(address: u64, before: &[u8], after: &[u8], salt: u64) -> Vec<u8> {
    let pairs = (address..).zip(before.iter().zip(after));
    pairs.map(|(at, (&old, &new))| old ^ ((old ^ new) & chosen(at, salt))).collect()
}

/// The cells of an operation that got as far as `shape`; weak cells as they settle.
pub(super) fn torn(shape: Shape, address: u64, before: &[u8], after: &[u8]) -> Vec<u8> {
    let half = before.len() / 2;
    let spliced = |done: std::ops::Range<usize>| {
        let pairs = before.iter().zip(after).enumerate();
        pairs.map(|(at, (&old, &new))| if done.contains(&at) { new } else { old }).collect()
    };
    match shape {
        Shape::Head => spliced(0..half),
        Shape::First(count) => spliced(0..usize::from(count)),
        Shape::Tail => spliced(half..before.len()),
        Shape::Bits => mixed(address, before, after, 1),
        Shape::Weak => mixed(address, before, after, 2),
        Shape::Zero => vec![0; before.len()],
    }
}

/// A sector with cells between 0 and 1: each look sees another face of it.
///
/// The faces come in turn: mixed, as after the operation, as before it, mixed otherwise. So a check that looks twice can
/// be shown both a finished entry and an old one.
pub(super) struct Weak {
    pub(super) sector: u64,
    faces: [Box<[u8; SECTOR]>; 4],
    turn: AtomicU32,
    /// Power has come back once.
    pub(super) awake: bool,
}

impl Weak {
    /// The cells `[address, address + before.len())` of a sector that reads `bytes` elsewhere.
    pub(super) fn new(address: u64, bytes: &[u8; SECTOR], before: &[u8], after: &[u8]) -> Self {
        let sector = address - address % SECTOR as u64;
        let face = |cells: &[u8]| {
            let mut face = Box::new(*bytes);
            let at = (address - sector) as usize;
            face.iter_mut().skip(at).zip(cells).for_each(|(to, from)| *to = *from);
            face
        };
        let faces = [
            face(&mixed(address, before, after, 3)),
            face(after),
            face(before),
            face(&mixed(address, before, after, 4)),
        ];
        Self { sector, faces, turn: AtomicU32::new(0), awake: false }
    }

    /// What this look sees.
    pub(super) fn look(&self) -> &[u8] {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) as usize;
        self.faces.get(turn % self.faces.len()).map_or(&[], |face| face.as_slice())
    }
}

impl Clone for Weak {
    fn clone(&self) -> Self {
        let turn = AtomicU32::new(self.turn.load(Ordering::Relaxed));
        Self { sector: self.sector, faces: self.faces.clone(), turn, awake: self.awake }
    }
}
