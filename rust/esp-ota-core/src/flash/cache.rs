//! The flash as the cache shows it: decrypted when flash encryption is on.

use std::cell::OnceCell;

use super::{Flash, Region, SECTOR};
use crate::crypt::{BLOCK, FlashCrypt};
use crate::err::{EspErr, Failure, Fault};
use crate::source::Source;

type Plain = OnceCell<Box<[u8; SECTOR]>>;

/// A whole flash as a [`Source`]: what `bootloader_mmap` and `spi_flash_mmap` show. Not counted as reads.
///
/// Sectors are decrypted when they are first looked at.
pub struct Cache<'a> {
    raw: Region<'a>,
    engine: Option<&'a FlashCrypt>,
    plain: Vec<Plain>,
}

impl Flash {
    /// Switch flash encryption on, with this engine, or off.
    pub fn set_encryption(&mut self, engine: Option<FlashCrypt>) {
        if self.encryption() != engine.as_ref() {
            self.engine = engine.map(std::sync::Arc::new);
        }
    }

    /// The engine, when flash encryption is on.
    pub fn encryption(&self) -> Option<&FlashCrypt> {
        self.engine.as_deref()
    }

    /// The flash as the cache shows it.
    pub fn cache(&self) -> Cache<'_> {
        let engine = self.encryption();
        let sectors = if engine.is_some() { (self.size / SECTOR as u64) as usize } else { 0 };
        let plain = std::iter::repeat_with(OnceCell::new).take(sectors).collect();
        Cache { raw: self.region(0, self.size), engine, plain }
    }

    /// Fill `out` with what the cache shows at `address`. Counted as a read.
    pub fn read_cached(&mut self, address: u64, out: &mut [u8]) -> Result<(), Failure> {
        let Some(engine) = self.engine.clone() else {
            return self.read(address, out);
        };
        self.check_read(address, out.len() as u64)?;
        let start = address - address % BLOCK as u64;
        let end = (address + out.len() as u64).next_multiple_of(BLOCK as u64).min(self.size);
        let mut blocks = vec![0; (end - start) as usize];
        self.read(start, &mut blocks)?;
        engine.decrypt(start, &mut blocks);
        let plain = blocks.get((address - start) as usize..).unwrap_or_default();
        out.iter_mut().zip(plain).for_each(|(to, from)| *to = *from);
        Ok(())
    }

    /// `esp_flash_write_encrypted` (components/spi_flash/esp_flash_api.c): plain bytes when encryption is off.
    ///
    /// Address and length must be multiples of 16, the address being asked first; nothing at all is no length.
    pub fn program_encrypted(&mut self, address: u64, data: &[u8]) -> Result<(), Failure> {
        self.check("program", address, data.len() as u64)?;
        let Some(engine) = self.engine.clone() else {
            return self.program(address, data);
        };
        let unaligned = |err, name, value: u64| {
            let found = format!("{name} 0x{value:x}");
            Err(Fault::new(err, "encrypted program", address, found, "a multiple of 16").into())
        };
        if address % BLOCK as u64 != 0 {
            return unaligned(EspErr::InvalidArg, "address", address);
        }
        if data.len() % BLOCK != 0 {
            return unaligned(EspErr::InvalidSize, "length", data.len() as u64);
        }
        let mut cipher = data.to_vec();
        engine.encrypt(address, &mut cipher);
        self.program(address, &cipher)
    }
}

impl Source for Cache<'_> {
    fn len(&self) -> u64 {
        self.raw.len()
    }

    fn run(&self, offset: u64, limit: usize) -> Result<&[u8], Failure> {
        let run = self.raw.run(offset, limit)?;
        let (Some(engine), Some(cell)) = (self.engine, self.plain.get((offset / SECTOR as u64) as usize)) else {
            return Ok(run);
        };
        let start = offset - offset % SECTOR as u64;
        if cell.get().is_none() {
            let mut sector = Box::new([0; SECTOR]);
            self.raw.read(start, sector.as_mut_slice())?;
            engine.decrypt(start, sector.as_mut_slice());
            let _ = cell.set(sector);
        }
        let at = (offset - start) as usize;
        Ok(cell.get().and_then(|sector| sector.get(at..at + run.len())).unwrap_or_default())
    }
}
