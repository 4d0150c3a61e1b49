//! The long way to memory: protection, registers of the chip, accesses across pages.

use super::hart::{FETCH_FAULT, Hart, LOAD_FAULT, LOAD_MISALIGNED, STORE_FAULT, STORE_MISALIGNED, Trap};
use super::pmp::Verdict;
use crate::bus::Bus;
use crate::space::{PAGE, Space};
use crate::stop::{Access, Fault};

impl From<Fault> for Trap {
    fn from(fault: Fault) -> Self {
        let cause = match fault.access {
            Access::Load => LOAD_FAULT,
            Access::Store => STORE_FAULT,
            Access::Fetch => FETCH_FAULT,
        };
        Self { cause, value: fault.address }
    }
}

impl Hart {
    pub(super) fn load(&self, space: &mut Space, bus: &mut dyn Bus, address: u32, size: u8) -> Result<u32, Trap> {
        let open = self.ask(Access::Load, address, u32::from(size))?;
        Ok(space.load_long(bus, address, size, open)?)
    }

    pub(super) fn store(
        &self,
        space: &mut Space,
        bus: &mut dyn Bus,
        address: u32,
        size: u8,
        value: u32,
    ) -> Result<(), Trap> {
        let open = self.ask(Access::Store, address, u32::from(size))?;
        Ok(space.store_long(bus, address, size, value, open)?)
    }

    /// `lr.w`.
    pub(super) fn load_reserved(&mut self, space: &mut Space, bus: &mut dyn Bus, address: u32) -> Result<u32, Trap> {
        if address % 4 != 0 {
            return Err(Trap { cause: LOAD_MISALIGNED, value: address });
        }
        let value = self.load(space, bus, address, 4)?;
        self.reserved = Some((address, value));
        Ok(value)
    }

    /// `sc.w`: 0 when it has stored, else 1.
    pub(super) fn store_conditional(
        &mut self,
        space: &mut Space,
        bus: &mut dyn Bus,
        address: u32,
        value: u32,
    ) -> Result<u32, Trap> {
        if address % 4 != 0 {
            return Err(Trap { cause: STORE_MISALIGNED, value: address });
        }
        let Some((reserved, before)) = self.reserved.take() else { return Ok(1) };
        // A store in between may have the hart fail or not: it does when it was another value.
        if reserved != address || self.load(space, bus, address, 4).map_err(as_store)? != before {
            return Ok(1);
        }
        self.store(space, bus, address, 4, value)?;
        Ok(0)
    }

    /// An atomic operation: what was there before.
    pub(super) fn swap(
        &self,
        space: &mut Space,
        bus: &mut dyn Bus,
        address: u32,
        combine: impl Fn(u32) -> u32,
    ) -> Result<u32, Trap> {
        if address % 4 != 0 {
            return Err(Trap { cause: STORE_MISALIGNED, value: address });
        }
        self.ask(Access::Store, address, 4)?;
        let old = self.load(space, bus, address, 4).map_err(as_store)?;
        self.store(space, bus, address, 4, combine(old))?;
        Ok(old)
    }

    /// Where in the arena code is; what may be executed from there: to the end of the page when the protection says so,
    /// else `size` bytes.
    pub(super) fn fetch(&self, space: &mut Space, address: u32, size: u32) -> Result<(usize, bool), Trap> {
        let fault = Fault { access: Access::Fetch, address };
        match self.pmp.permits(self.mode, Access::Fetch, address, size) {
            Verdict::Denied => Err(fault.into()),
            verdict => Ok((space.code_long(address, false)?, verdict == Verdict::Page)),
        }
    }

    /// Whether the protection allows an access; true when it need not be asked again for this page.
    fn ask(&self, access: Access, address: u32, size: u32) -> Result<bool, Trap> {
        let mode = self.data_mode();
        let here = (PAGE as u32 - address % PAGE as u32).min(size);
        let parts = [(address, here), (address.wrapping_add(here), size - here)];
        let mut open = true;
        for (address, size) in parts.into_iter().filter(|&(_, size)| size != 0) {
            match self.pmp.permits(mode, access, address, size) {
                Verdict::Denied => return Err(Fault { access, address }.into()),
                Verdict::Here => open = false,
                Verdict::Page => {}
            }
        }
        Ok(open)
    }
}

/// What fails to load fails as a store where the instruction is one.
fn as_store(trap: Trap) -> Trap {
    Trap { cause: STORE_FAULT, ..trap }
}
