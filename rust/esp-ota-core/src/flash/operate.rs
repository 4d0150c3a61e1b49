//! One operation: what the fault plan lets happen of it, and what it does to the cells.

use std::sync::Arc;

use super::{ERASED, Flash, Op, OpKind, PIECE, Power, SECTOR, Sector, Step, Weak, tear};
use crate::err::{EspErr, Failure, Fault};
use crate::fault::{Cell, Shape, Tear};
use crate::source::Source;

/// What the fault plan lets happen to the next operation.
#[derive(Clone, Copy)]
enum Permit {
    Whole,
    /// As far as that; then the power is gone.
    Torn(Shape),
    /// Whole; then the power is gone.
    Last,
}

impl Flash {
    pub(super) fn program_page(&mut self, address: u64, page: &[u8]) -> Result<(), Failure> {
        if self.strict {
            self.check_bits(address, page)?;
        }
        let permit = self.permit(OpKind::Program)?;
        self.needs((address, address + 1));
        self.settle(address);
        if let Permit::Torn(shape) = permit {
            let before = self.region(address, page.len() as u64).run(0, page.len())?.to_vec();
            let after: Vec<u8> = before.iter().zip(page).map(|(cell, byte)| cell & byte).collect();
            self.tear(shape, address, &before, &after);
        } else if page.iter().any(|&byte| byte != 0xFF) {
            // A page of 0xFF changes nothing, so an erased sector may go on sharing its storage.
            let at = (address % SECTOR as u64) as usize;
            let cells = self.sector_mut(address).and_then(|sector| sector.bytes_mut().get_mut(at..));
            cells.into_iter().flatten().zip(page).for_each(|(cell, byte)| *cell &= byte);
        }
        self.finish(permit, OpKind::Program, address, page)
    }

    pub(super) fn erase_sector(&mut self, address: u64) -> Result<(), Failure> {
        let permit = self.permit(OpKind::Erase)?;
        self.settle(address);
        if let Permit::Torn(shape) = permit {
            self.needs((address, address + 1));
            let before = self.sector(address).map_or(ERASED, |sector| *sector.bytes_array());
            self.tear(shape, address, &before, &ERASED);
        } else {
            if let Some(watch) = &self.watch {
                watch.erased(address);
            }
            if let Some(sector) = self.sector_mut(address) {
                *sector = Sector { bytes: None, erases: sector.erases.saturating_add(1) };
            }
        }
        self.finish(permit, OpKind::Erase, address, &[])
    }

    /// Leave the cells of an operation in the middle.
    fn tear(&mut self, shape: Shape, address: u64, before: &[u8], after: &[u8]) {
        let at = (address % SECTOR as u64) as usize;
        if shape == Shape::Weak {
            let bytes = self.sector(address).map_or(ERASED, |sector| *sector.bytes_array());
            self.weak = Some(Arc::new(Weak::new(address, &bytes, before, after)));
        }
        let left = tear::torn(shape, address, before, after);
        let cells = self.sector_mut(address).and_then(|sector| sector.bytes_mut().get_mut(at..));
        cells.into_iter().flatten().zip(left).for_each(|(cell, byte)| *cell = byte);
    }

    /// Whoever works on a sector with weak cells finds them as they settle.
    fn settle(&mut self, address: u64) {
        if self.weak.as_ref().is_some_and(|weak| weak.sector == address - address % SECTOR as u64) {
            self.weak = None;
        }
    }

    /// Count and journal a whole operation; then, or after a part of one, the power may be gone.
    fn finish(&mut self, permit: Permit, kind: OpKind, address: u64, page: &[u8]) -> Result<(), Failure> {
        self.force_stuck(address);
        if let Permit::Torn(_) = permit {
            return Err(self.cut());
        }
        let length = if kind == OpKind::Program { page.len() } else { SECTOR } as u64;
        match kind {
            OpKind::Program => {
                self.stats.programs += 1;
                self.stats.program_bytes += length;
                self.stats.program_pieces += length.div_ceil(PIECE);
            }
            OpKind::Erase => self.stats.erases += 1,
        }
        if let Some(armed) = &mut self.armed {
            armed.done += 1;
        }
        if let Some(journal) = &mut self.journal {
            let op = Op { index: journal.steps.len() as u64, kind, address, length };
            journal.steps.push(Step { op, data: page.into() });
        }
        if let Permit::Last = permit { Err(self.cut()) } else { Ok(()) }
    }

    /// Stuck cells of the sector that was worked on are stuck again.
    fn force_stuck(&mut self, address: u64) {
        let sector = address / SECTOR as u64;
        let stuck = |cell: &Cell| cell.stuck.is_some() && cell.address / SECTOR as u64 == sector;
        let cells = self.armed.iter().flat_map(|armed| armed.plan.cells()).filter(stuck);
        for cell in cells.collect::<Vec<_>>() {
            self.force(cell, cell.stuck);
        }
    }

    /// Ask the fault plan before an operation.
    fn permit(&mut self, kind: OpKind) -> Result<Permit, Failure> {
        let due =
            self.armed.as_ref().and_then(|armed| armed.plan.next_cut().filter(|cut| armed.done >= cut.operations));
        match due.map(|cut| cut.tear) {
            None => Ok(Permit::Whole),
            Some(Tear::After) => Ok(Permit::Last),
            Some(Tear::Half) => Ok(Permit::Torn(Shape::Head)),
            Some(Tear::Torn(of, shape)) if of == kind => Ok(Permit::Torn(shape)),
            Some(Tear::Clean | Tear::Torn(..)) => Err(self.cut()),
        }
    }

    /// The next cut happens: it is spent, and the power is gone.
    fn cut(&mut self) -> Failure {
        let done = self.armed.as_mut().map_or(0, |armed| {
            armed.plan.spend_cut();
            std::mem::take(&mut armed.done)
        });
        self.power = Power::Off(done);
        Failure::PowerLost(done)
    }

    /// A cell takes a value, or the other one.
    pub(super) fn force(&mut self, cell: Cell, value: Option<bool>) {
        let at = (cell.address % SECTOR as u64) as usize;
        let byte = self.sector_mut(cell.address).and_then(|sector| sector.bytes_mut().get_mut(at));
        if let Some(byte) = byte {
            match value {
                Some(true) => *byte |= cell.mask(),
                Some(false) => *byte &= !cell.mask(),
                None => *byte ^= cell.mask(),
            }
        }
    }

    /// Refuse a page that needs a 0 bit to become 1.
    fn check_bits(&self, address: u64, page: &[u8]) -> Result<(), Failure> {
        let cells = self.region(address, page.len() as u64);
        let cells = cells.run(0, page.len())?;
        for (at, (&cell, &byte)) in (address..).zip(cells.iter().zip(page)) {
            let stuck = self.stuck_bits(at);
            if cell & byte | stuck != byte | stuck {
                let expected = format!("0x{byte:02x}, whose 1 bits need an erase first");
                let found = format!("0x{cell:02x}");
                return Err(Fault::new(EspErr::FlashOpFail, "program", at, found, expected).into());
            }
        }
        Ok(())
    }

    /// The bits of this byte that nothing changes: a broken cell is no fault of the one who programs it.
    fn stuck_bits(&self, address: u64) -> u8 {
        let cells = self.armed.iter().flat_map(|armed| armed.plan.cells());
        cells.filter(|cell| cell.address == address && cell.stuck.is_some()).fold(0, |bits, cell| bits | cell.mask())
    }
}
