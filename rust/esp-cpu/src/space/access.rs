//! How code reaches memory: the short way through an open page, and the long way, which looks at everything.

use super::{Entry, IN_PAGE, PAGE, PAGE_BITS, Rights, Space};
use crate::bus::Bus;
use crate::stop::{Access, Fault};

/// More pages than any chip has: beyond them some are there twice.
const MOST_OPENED: usize = 1 << 17;

impl Access {
    const fn right(self) -> Rights {
        match self {
            Self::Load => Rights::READ,
            Self::Store => Rights::WRITE,
            Self::Fetch => Rights::EXECUTE,
        }
    }
}

impl Space {
    /// A load of `N` bytes by the short way; `None` says to go the long one, [`Space::load_long`].
    #[inline]
    pub fn load<const N: usize>(&self, address: u32) -> Option<[u8; N]> {
        let entry = self.entry(address);
        if !entry.is_open(Rights::READ) || (address & IN_PAGE) as usize > PAGE - N {
            return None;
        }
        self.arena.get(entry.place(address)..)?.first_chunk::<N>().copied()
    }

    /// A store of `N` bytes by the short way; false says to go the long one, [`Space::store_long`].
    #[inline]
    pub fn store<const N: usize>(&mut self, address: u32, bytes: [u8; N]) -> bool {
        let entry = self.entry(address);
        if !entry.is_open(Rights::WRITE) || (address & IN_PAGE) as usize > PAGE - N {
            return false;
        }
        let Some(place) = self.arena.get_mut(entry.place(address)..).and_then(|rest| rest.first_chunk_mut::<N>())
        else {
            return false;
        };
        *place = bytes;
        true
    }

    /// A load of `size` (1, 2, 4) bytes from wherever they are. `open`: the page may be loaded from without a further
    /// look from now on, as a core says that has no memory protection, or has asked it.
    pub fn load_long(&mut self, bus: &mut dyn Bus, address: u32, size: u8, open: bool) -> Result<u32, Fault> {
        if self.is_torn(address, size) {
            let mut value = 0;
            for at in 0..u32::from(size) {
                value |= self.load_long(bus, address.wrapping_add(at), 1, open)? << (8 * at);
            }
            return Ok(value);
        }
        match self.way(address, Access::Load)? {
            Way::Registers => Ok(bus.read(address, size)),
            Way::Memory(place) => {
                if open {
                    self.open(address, Access::Load);
                }
                let bytes = self.arena.get(place..place + usize::from(size)).unwrap_or_default();
                Ok(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte)))
            }
        }
    }

    /// A store of `size` (1, 2, 4) bytes to wherever they go; `open` as in [`Space::load_long`]. Nothing is stored when
    /// a part of them cannot be.
    pub fn store_long(
        &mut self,
        bus: &mut dyn Bus,
        address: u32,
        size: u8,
        value: u32,
        open: bool,
    ) -> Result<(), Fault> {
        if self.is_torn(address, size) {
            for at in 0..u32::from(size) {
                self.way(address.wrapping_add(at), Access::Store)?;
            }
            for (at, byte) in (0..u32::from(size)).zip(value.to_le_bytes()) {
                self.store_long(bus, address.wrapping_add(at), 1, u32::from(byte), open)?;
            }
            return Ok(());
        }
        match self.way(address, Access::Store)? {
            Way::Registers => bus.write(address, size, value),
            Way::Memory(place) => {
                self.touch(place, usize::from(size));
                if let Some(bytes) = self.arena.get_mut(place..place + usize::from(size)) {
                    bytes.iter_mut().zip(value.to_le_bytes()).for_each(|(byte, new)| *byte = new);
                }
                if open {
                    self.open(address, Access::Store);
                }
            }
        }
        Ok(())
    }

    /// Where in the arena the code at `address` is, which is there to the end of the page, when nothing is to be looked
    /// at any more.
    #[inline]
    pub fn code(&self, address: u32) -> Option<usize> {
        let entry = self.entry(address);
        entry.is_open(Rights::EXECUTE).then(|| entry.place(address))
    }

    /// The same by the long way; `open` as in [`Space::load_long`].
    pub fn code_long(&mut self, address: u32, open: bool) -> Result<usize, Fault> {
        match self.way(address, Access::Fetch)? {
            Way::Registers => Err(Fault { access: Access::Fetch, address }),
            Way::Memory(place) => {
                if open {
                    self.open(address, Access::Fetch);
                }
                Ok(place)
            }
        }
    }

    /// Bytes of the arena, as [`Space::code`] names them: those of its page only.
    #[inline]
    pub fn bytes(&self, place: usize, length: usize) -> &[u8] {
        self.arena.get(place..(place + length).min((place | (PAGE - 1)) + 1)).unwrap_or_default()
    }

    /// Open pages are looked at again: a core's memory protection has changed.
    pub fn close_all(&mut self) {
        for page in self.opened.drain(..) {
            if let Some(entry) = self.map.get_mut(page as usize) {
                *entry = entry.with_closed(Rights::ALL);
            }
        }
    }

    /// What lies at an address, when the window gives the right.
    fn way(&self, address: u32, access: Access) -> Result<Way, Fault> {
        let entry = self.entry(address);
        if entry.has(Entry::REGISTERS) {
            return Ok(Way::Registers);
        }
        if entry.has(Entry::MEMORY | access.right().0) && !entry.has(Entry::HIDDEN) {
            return Ok(Way::Memory(entry.place(address)));
        }
        Err(Fault { access, address })
    }

    /// Whether an access is not one of the arena or the bus, but one of each of its bytes: it crosses a page, or a
    /// register.
    fn is_torn(&self, address: u32, size: u8) -> bool {
        let size = u32::from(size);
        (address & IN_PAGE) + size > PAGE as u32 || (self.entry(address).has(Entry::REGISTERS) && address % size != 0)
    }

    fn open(&mut self, address: u32, access: Access) {
        let entry = self.entry(address);
        let code = self.frames.get(entry.frame()).is_some_and(|frame| frame.code != 0);
        if access == Access::Store && code {
            return;
        }
        if !entry.is_open(Rights::ALL) {
            if self.opened.len() >= MOST_OPENED {
                self.opened.sort_unstable();
                self.opened.dedup();
            }
            self.opened.push(address >> PAGE_BITS);
        }
        if let Some(slot) = self.map.get_mut((address >> PAGE_BITS) as usize) {
            *slot = entry.with_open(access.right());
        }
    }
}

/// Where an access goes.
enum Way {
    /// To the arena, there.
    Memory(usize),
    /// To the bus.
    Registers,
}
