//! NOR flash: 4096-byte sectors that erase to 0xFF, programming that clears bits, 256-byte pages.
//!
//! The content is a persistent tree (chunks of 64 sectors behind `Arc`s), so a copy costs nothing until one of the two is
//! written, and then only the touched sectors. Every page program and every sector erase is one *operation*: the unit of
//! the journal and of a fault plan. What is refused (a range outside the chip, a 0 bit to be programmed to 1 on a strict
//! flash) is no operation.

mod cache;

use std::sync::Arc;

pub use cache::Cache;

use crate::crypt::FlashCrypt;
use crate::err::{EspErr, Failure, Fault};
use crate::fault::{FaultPlan, Tear};
use crate::image::Memo;
use crate::source::Source;

/// The erase unit in bytes (`SPI_FLASH_SEC_SIZE`).
pub const SECTOR: usize = 4096;
/// The largest program operation in bytes; one never crosses a multiple of it.
pub const PAGE: usize = 256;
/// The smallest chip: 1 MiB.
pub const MIN_SIZE: u64 = 1 << 20;
/// The largest chip: 128 MiB.
pub const MAX_SIZE: u64 = 128 << 20;

const SECTORS_PER_CHUNK: usize = 64;
const CHUNK: u64 = (SECTORS_PER_CHUNK * SECTOR) as u64;
static ERASED: [u8; SECTOR] = [0xFF; SECTOR];

/// One sector; without bytes it is erased.
#[derive(Clone, Default)]
struct Sector {
    bytes: Option<Box<[u8; SECTOR]>>,
    erases: u32,
}

impl Sector {
    fn bytes(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or(&ERASED)
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_or_insert_with(|| Box::new(ERASED)).as_mut_slice()
    }
}

type Chunk = Vec<Arc<Sector>>;

/// Counters since the flash was made; a fork starts from its parent's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stats {
    /// Calls of [`Flash::read`].
    pub reads: u64,
    /// Bytes they returned.
    pub read_bytes: u64,
    /// Page programs completed.
    pub programs: u64,
    /// Bytes they programmed.
    pub program_bytes: u64,
    /// Sector erases completed.
    pub erases: u64,
}

/// The two kinds of mutating operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum OpKind {
    Program,
    Erase,
}

/// One completed operation in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Op {
    /// Its number since the journal was started: `cut@index`, armed at the same moment, falls on this operation.
    pub index: u64,
    /// What was done.
    pub kind: OpKind,
    /// Where, in bytes.
    pub address: u64,
    /// To how many bytes.
    pub length: u64,
}

#[derive(Clone, Copy)]
struct Armed {
    plan: FaultPlan,
    /// Operations completed since arming.
    done: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Power {
    On,
    /// The number that every refused call reports.
    Off(u64),
}

/// What the fault plan lets happen to the next operation.
#[derive(Clone, Copy)]
enum Permit {
    Whole,
    /// By half; then the power is gone.
    Half,
}

/// A NOR flash chip.
pub struct Flash {
    size: u64,
    strict: bool,
    chunks: Arc<Vec<Arc<Chunk>>>,
    stats: Stats,
    power: Power,
    armed: Option<Armed>,
    journal: Option<Vec<Op>>,
    memo: Memo,
    engine: Option<Arc<FlashCrypt>>,
}

/// Some of a flash's content, held: whoever writes there has to copy it first.
pub struct Pieces(Vec<Arc<Chunk>>);

/// Whether a chip of `size` bytes exists.
fn is_size(size: u64) -> bool {
    size.is_power_of_two() && (MIN_SIZE..=MAX_SIZE).contains(&size)
}

impl Flash {
    /// An erased flash. `size`: a power of two from 1 MiB to 128 MiB.
    pub fn new(size: u64, strict: bool) -> Result<Self, Fault> {
        if !is_size(size) {
            let expected = "a power of two from 1 MiB to 128 MiB";
            return Err(Fault::new(EspErr::InvalidSize, "flash size", 0, size.to_string(), expected));
        }
        // One erased sector and one chunk stand for all until they are written.
        let sector = Arc::new(Sector::default());
        let chunk = Arc::new(vec![sector; SECTORS_PER_CHUNK]);
        Ok(Self {
            size,
            strict,
            chunks: Arc::new(vec![chunk; (size / CHUNK) as usize]),
            stats: Stats::default(),
            power: Power::On,
            armed: None,
            journal: None,
            memo: Memo::default(),
            engine: None,
        })
    }

    /// Load a raw image at address 0; the rest stays erased. Without `size`: the smallest flash that holds it.
    pub fn from_bytes(image: &[u8], size: Option<u64>, strict: bool) -> Result<Self, Fault> {
        let length = image.len() as u64;
        let size = size.unwrap_or_else(|| length.next_power_of_two().max(MIN_SIZE));
        let mut flash = Self::new(size, strict)?;
        if length > size {
            let expected = format!("at most the {size} bytes of the flash");
            return Err(Fault::new(EspErr::InvalidSize, "image", 0, format!("{length} bytes"), expected));
        }
        let mut address = 0;
        for piece in image.chunks(SECTOR) {
            if piece.iter().any(|&byte| byte != 0xFF) {
                if let Some(sector) = flash.sector_mut(address) {
                    sector.bytes_mut().iter_mut().zip(piece).for_each(|(to, from)| *to = *from);
                }
            }
            address += SECTOR as u64;
        }
        Ok(flash)
    }

    /// Bytes of the chip.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether programming a 0 bit to 1 is an error.
    pub fn strict(&self) -> bool {
        self.strict
    }

    /// Whether the power is on.
    pub fn powered(&self) -> bool {
        self.power == Power::On
    }

    /// Page programs and sector erases completed since the flash was made.
    pub fn operations(&self) -> u64 {
        self.stats.programs + self.stats.erases
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The armed plan; a fired one is spent.
    pub fn fault(&self) -> Option<FaultPlan> {
        self.armed.map(|armed| armed.plan)
    }

    /// Arm a plan, which counts from here, or disarm.
    pub fn set_fault(&mut self, plan: Option<FaultPlan>) {
        self.armed = plan.map(|plan| Armed { plan, done: 0 });
    }

    /// Pull the plug between two operations.
    pub fn power_off(&mut self) {
        if self.powered() {
            self.power = Power::Off(self.armed.map_or(0, |armed| armed.done));
        }
    }

    /// Power comes back. A plan that did not fire stays armed and goes on counting.
    pub fn power_on(&mut self) {
        self.power = Power::On;
    }

    /// An independent copy with the same content, counters, power and armed plan, but without a journal. O(1) now; each
    /// sector that either of the two changes later is copied then.
    #[must_use]
    pub fn fork(&self) -> Self {
        let (chunks, memo, engine) = (Arc::clone(&self.chunks), self.memo.clone(), self.engine.clone());
        Self { chunks, journal: None, memo, engine, ..*self }
    }

    /// Start an empty journal, or stop journalling and drop it.
    pub fn record(&mut self, on: bool) {
        self.journal = on.then(Vec::new);
    }

    /// The operations completed since [`record`](Self::record) was switched on.
    pub fn journal(&self) -> &[Op] {
        self.journal.as_deref().unwrap_or_default()
    }

    /// Erases of each sector, in order.
    pub fn erase_counts(&self) -> impl Iterator<Item = u32> + '_ {
        self.sectors().map(|sector| sector.erases)
    }

    /// The whole chip sector by sector, readable even when the power is off (as with a programmer).
    pub fn image(&self) -> impl Iterator<Item = &[u8]> {
        self.sectors().map(Sector::bytes)
    }

    /// The part `[offset, offset + size)` as a [`Source`]. What lies outside the chip fails when it is read.
    pub fn region(&self, offset: u64, size: u64) -> Region<'_> {
        Region { flash: self, offset, size }
    }

    /// The checks of `esp_flash_read` alone: power, then range.
    pub fn check_read(&self, address: u64, length: u64) -> Result<(), Failure> {
        self.check("read", address, length)
    }

    /// `esp_flash_read` (components/spi_flash/esp_flash_api.c): fill `out` from `address`.
    pub fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), Failure> {
        self.check("read", address, out.len() as u64)?;
        self.region(address, out.len() as u64).read(0, out)?;
        self.stats.reads += 1;
        self.stats.read_bytes += out.len() as u64;
        Ok(())
    }

    /// Whether every byte is 0xFF. Not counted as a read.
    pub fn is_erased(&self, address: u64, length: u64) -> Result<bool, Failure> {
        self.check("read", address, length)?;
        let region = self.region(address, length);
        let mut done = 0;
        while done < length {
            let run = region.run(done, SECTOR)?;
            if run.is_empty() || run.iter().any(|&byte| byte != 0xFF) {
                return Ok(false);
            }
            done += run.len() as u64;
        }
        Ok(true)
    }

    /// `esp_flash_write` (components/spi_flash/esp_flash_api.c): program page by page, ascending.
    ///
    /// On a strict flash a page that would need a 0 bit to become 1 is refused whole (ESP_ERR_FLASH_OP_FAIL, naming the
    /// first such address); the pages before it stay programmed, as on the chip.
    pub fn program(&mut self, address: u64, data: &[u8]) -> Result<(), Failure> {
        self.check("program", address, data.len() as u64)?;
        let (mut address, mut rest) = (address, data);
        while !rest.is_empty() {
            let room = PAGE - (address % PAGE as u64) as usize;
            let (page, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            self.program_page(address, page)?;
            address += page.len() as u64;
            rest = later;
        }
        Ok(())
    }

    /// `esp_flash_erase_region` (components/spi_flash/esp_flash_api.c): whole sectors, ascending.
    ///
    /// The chip's 64 KiB block erase is not used: each sector is an operation of its own.
    pub fn erase(&mut self, address: u64, length: u64) -> Result<(), Failure> {
        self.check("erase", address, length)?;
        for (name, value) in [("address", address), ("length", length)] {
            if value % SECTOR as u64 != 0 {
                let found = format!("{name} 0x{value:x}");
                return Err(Fault::new(EspErr::InvalidArg, "erase", address, found, "a multiple of 0x1000").into());
            }
        }
        for sector in 0..length / SECTOR as u64 {
            self.erase_sector(address + sector * SECTOR as u64)?;
        }
        Ok(())
    }

    fn program_page(&mut self, address: u64, page: &[u8]) -> Result<(), Failure> {
        if self.strict {
            self.check_bits(address, page)?;
        }
        let permit = self.permit()?;
        let whole = page.len();
        let done = match permit {
            Permit::Whole => page,
            Permit::Half => page.split_at_checked(whole / 2).map_or(page, |(half, _)| half),
        };
        // A page of 0xFF changes nothing, so an erased sector may go on sharing its storage.
        if done.iter().any(|&byte| byte != 0xFF) {
            let at = (address % SECTOR as u64) as usize;
            let cells = self.sector_mut(address).and_then(|sector| sector.bytes_mut().get_mut(at..));
            cells.into_iter().flatten().zip(done).for_each(|(cell, byte)| *cell &= byte);
        }
        self.finish(permit, OpKind::Program, address, whole as u64)
    }

    fn erase_sector(&mut self, address: u64) -> Result<(), Failure> {
        let permit = self.permit()?;
        if let Some(sector) = self.sector_mut(address) {
            match permit {
                Permit::Whole => *sector = Sector { bytes: None, erases: sector.erases.saturating_add(1) },
                Permit::Half => sector.bytes_mut().iter_mut().take(SECTOR / 2).for_each(|cell| *cell = 0xFF),
            }
        }
        self.finish(permit, OpKind::Erase, address, SECTOR as u64)
    }

    /// Count and journal a whole operation; after half a one the power is gone.
    fn finish(&mut self, permit: Permit, kind: OpKind, address: u64, length: u64) -> Result<(), Failure> {
        if let Permit::Half = permit {
            return Err(self.cut());
        }
        match kind {
            OpKind::Program => {
                self.stats.programs += 1;
                self.stats.program_bytes += length;
            }
            OpKind::Erase => self.stats.erases += 1,
        }
        if let Some(armed) = &mut self.armed {
            armed.done += 1;
        }
        if let Some(journal) = &mut self.journal {
            journal.push(Op { index: journal.len() as u64, kind, address, length });
        }
        Ok(())
    }

    /// Ask the fault plan before an operation.
    fn permit(&mut self) -> Result<Permit, Failure> {
        match self.armed {
            Some(armed) if armed.done >= armed.plan.operations() => match armed.plan.tear() {
                Tear::Clean => Err(self.cut()),
                Tear::Half => Ok(Permit::Half),
            },
            _ => Ok(Permit::Whole),
        }
    }

    /// The plan fires: it is spent, and the power is gone.
    fn cut(&mut self) -> Failure {
        let done = self.armed.take().map_or(0, |armed| armed.done);
        self.power = Power::Off(done);
        Failure::PowerLost(done)
    }

    /// What every call asks first: power, then the range (`esp_flash_*` row "start > size or len > size - start").
    fn check(&self, what: &str, address: u64, length: u64) -> Result<(), Failure> {
        if let Power::Off(operation) = self.power {
            return Err(Failure::PowerLost(operation));
        }
        if address > self.size || length > self.size - address {
            let expected = format!("a range inside the 0x{:x} bytes of the flash", self.size);
            return Err(Fault::new(EspErr::InvalidArg, what, address, format!("length 0x{length:x}"), expected).into());
        }
        Ok(())
    }

    /// Refuse a page that needs a 0 bit to become 1.
    fn check_bits(&self, address: u64, page: &[u8]) -> Result<(), Failure> {
        let cells = self.region(address, page.len() as u64);
        let cells = cells.run(0, page.len())?;
        for (at, (&cell, &byte)) in (address..).zip(cells.iter().zip(page)) {
            if cell & byte != byte {
                let expected = format!("0x{byte:02x}, whose 1 bits need an erase first");
                let found = format!("0x{cell:02x}");
                return Err(Fault::new(EspErr::FlashOpFail, "program", at, found, expected).into());
            }
        }
        Ok(())
    }

    /// The verdicts over images in this flash and its forks.
    pub(crate) fn memo(&self) -> &Memo {
        &self.memo
    }

    /// What stands at the addresses `[low, high)`, held.
    pub(crate) fn pieces(&self, range: (u64, u64)) -> Pieces {
        Pieces(self.chunks_of(range).cloned().collect())
    }

    /// Whether the content of `[low, high)` is still the very same as when it was held.
    pub(crate) fn has(&self, pieces: &Pieces, range: (u64, u64)) -> bool {
        let (low, high) = range;
        let mut start = low - low % CHUNK;
        self.chunks_of(range).count() == pieces.0.len()
            && self.chunks_of(range).zip(&pieces.0).all(|(now, then)| {
                // Another sector of the chunk may have been written: look at those in the range.
                let first = low.saturating_sub(start) as usize / SECTOR;
                let end = (high.saturating_sub(start).min(CHUNK) as usize).div_ceil(SECTOR);
                start += CHUNK;
                let (ours, held) = (now.get(first..end).unwrap_or_default(), then.get(first..end).unwrap_or_default());
                Arc::ptr_eq(now, then) || ours.iter().zip(held).all(|(now, then)| Arc::ptr_eq(now, then))
            })
    }

    fn chunks_of(&self, (low, high): (u64, u64)) -> impl Iterator<Item = &Arc<Chunk>> {
        let end = (high.div_ceil(CHUNK) as usize).min(self.chunks.len());
        let start = ((low / CHUNK) as usize).min(end);
        self.chunks.get(start..end).unwrap_or_default().iter()
    }

    fn sectors(&self) -> impl Iterator<Item = &Sector> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).map(AsRef::as_ref)
    }

    fn sector(&self, address: u64) -> Option<&Sector> {
        let chunk = self.chunks.get((address / CHUNK) as usize)?;
        chunk.get((address % CHUNK) as usize / SECTOR).map(AsRef::as_ref)
    }

    /// The sector as this flash's own, copied first when a fork shares it.
    fn sector_mut(&mut self, address: u64) -> Option<&mut Sector> {
        let chunk = Arc::make_mut(&mut self.chunks).get_mut((address / CHUNK) as usize)?;
        Arc::make_mut(chunk).get_mut((address % CHUNK) as usize / SECTOR).map(Arc::make_mut)
    }
}

/// A part of a flash as a [`Source`], in runs of at most one sector. Not counted as reads.
#[derive(Clone, Copy)]
pub struct Region<'a> {
    flash: &'a Flash,
    offset: u64,
    size: u64,
}

impl Source for Region<'_> {
    fn len(&self) -> u64 {
        self.size
    }

    fn run(&self, offset: u64, limit: usize) -> Result<&[u8], Failure> {
        let address = self.offset.saturating_add(offset);
        let limit = (limit as u64).min(self.size.saturating_sub(offset));
        if limit == 0 {
            self.flash.check("read", 0, 0)?;
            return Ok(&[]);
        }
        self.flash.check("read", address, 1)?;
        let sector = self.flash.sector(address).map(Sector::bytes).unwrap_or_default();
        let start = (address % SECTOR as u64) as usize;
        let end = SECTOR.min(start.saturating_add(limit as usize));
        Ok(sector.get(start..end).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
