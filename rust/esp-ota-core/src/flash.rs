//! NOR flash: 4096-byte sectors that erase to 0xFF, programming that clears bits, 256-byte pages.
//!
//! The content is a persistent tree (chunks of 64 sectors behind `Arc`s), so a copy costs nothing until one of the two is
//! written, and then only the touched sectors. Every page program and every sector erase is one *operation*: the unit of
//! the journal and of a fault plan. What is refused (a range outside the chip, a 0 bit to be programmed to 1 on a strict
//! flash) is no operation.

mod cache;
mod operate;
mod pool;
mod recording;
mod region;
mod tear;
mod watch;

use std::sync::Arc;

pub use cache::Cache;
pub use recording::Recording;
pub use region::Region;
pub use watch::Sectors;

use crate::crypt::FlashCrypt;
use crate::err::{EspErr, Failure, Fault};
pub use crate::fault::OpKind;
use crate::fault::{Cell, FaultPlan, Part};
use crate::image::Memo;
use crate::source::Source;

use pool::Pool;
use recording::Step;
use tear::Weak;
use watch::Watch;

/// The erase unit in bytes (`SPI_FLASH_SEC_SIZE`).
pub const SECTOR: usize = 4096;
/// The largest program operation in bytes; one never crosses a multiple of it.
pub const PAGE: usize = 256;
/// What `esp_flash_erase_region` erases with one command where it can (`block_erase_size`).
pub const BLOCK: u64 = 0x1_0000;
/// The most that `esp_flash_write` programs with one command (`SPI_FLASH_HAL_MAX_WRITE_BYTES`).
pub const PIECE: u64 = 64;
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
        self.bytes_array()
    }

    fn bytes_array(&self) -> &[u8; SECTOR] {
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
    /// The commands that ESP-IDF's driver makes of the page programs: 64 bytes at most.
    pub program_pieces: u64,
    /// Blocks of 16 sectors that the driver erases with one command; their sectors are among `erases`.
    pub block_erases: u64,
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

struct Journal {
    base: Flash,
    steps: Vec<Step>,
}

#[derive(Clone)]
struct Armed {
    plan: FaultPlan,
    /// Operations completed since arming, or since power came back after the cut before.
    done: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Power {
    On,
    /// The number that every refused call reports.
    Off(u64),
}

/// A NOR flash chip.
pub struct Flash {
    size: u64,
    strict: bool,
    chunks: Arc<Vec<Arc<Chunk>>>,
    stats: Stats,
    power: Power,
    armed: Option<Armed>,
    journal: Option<Box<Journal>>,
    memo: Memo,
    pool: Pool,
    engine: Option<Arc<FlashCrypt>>,
    weak: Option<Arc<Weak>>,
    watch: Option<Arc<Watch>>,
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
            pool: Pool::default(),
            engine: None,
            weak: None,
            watch: None,
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

    /// The armed plan; what has happened of it is spent.
    pub fn fault(&self) -> Option<&FaultPlan> {
        self.armed.as_ref().map(|armed| &armed.plan).filter(|plan| !plan.0.is_empty())
    }

    /// Arm a plan, which counts from here, or disarm. Cells outside the chip break nothing.
    pub fn set_fault(&mut self, plan: Option<FaultPlan>) {
        self.armed = plan.map(|plan| Armed { plan, done: 0 });
        let cells: Vec<Cell> = self.armed.iter().flat_map(|armed| armed.plan.cells()).collect();
        for cell in cells {
            self.force(cell, cell.stuck);
        }
        if let Some(armed) = &mut self.armed {
            armed.plan.0.retain(|part| !matches!(part, Part::Cell(Cell { stuck: None, .. })));
        }
    }

    /// Pull the plug between two operations.
    pub fn power_off(&mut self) {
        if self.powered() {
            self.power = Power::Off(self.armed.as_ref().map_or(0, |armed| armed.done));
        }
    }

    /// Power comes back. A cut that did not happen stays armed and goes on counting.
    pub fn power_on(&mut self) {
        if !self.powered() {
            self.power = Power::On;
            match &mut self.weak {
                Some(weak) if !weak.awake => Arc::make_mut(weak).awake = true,
                _ => self.weak = None, // what the sector holds is how its cells have settled
            }
        }
    }

    /// An independent copy with the same content, counters, power and armed plan, but without a journal. O(1) now; each
    /// sector that either of the two changes later is copied then.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            chunks: Arc::clone(&self.chunks),
            armed: self.armed.clone(),
            journal: None,
            memo: self.memo.clone(),
            pool: self.pool.clone(),
            engine: self.engine.clone(),
            weak: self.weak.as_ref().map(|weak| Arc::new(Weak::clone(weak))),
            watch: None,
            ..*self
        }
    }

    /// A fork of another kind: strict or not.
    #[must_use]
    pub fn fork_as(&self, strict: bool) -> Self {
        Self { strict, ..self.fork() }
    }

    /// A fork to look at in this flash's stead: looks are noted here, and weak cells are the same ones.
    #[must_use]
    pub fn view(&self) -> Self {
        Self { weak: self.weak.clone(), watch: self.watch.clone(), ..self.fork() }
    }

    /// Start an empty journal, or stop journalling and drop it.
    pub fn record(&mut self, on: bool) {
        self.journal = on.then(|| Box::new(Journal { base: self.fork(), steps: Vec::new() }));
    }

    /// The operations completed since [`record`](Self::record) was switched on.
    pub fn journal(&self) -> impl ExactSizeIterator<Item = Op> + '_ {
        self.journal.as_ref().map_or(&[][..], |journal| &journal.steps).iter().map(|step| step.op)
    }

    /// Erases of each sector, in order.
    pub fn erase_counts(&self) -> impl Iterator<Item = u32> + '_ {
        self.sectors().map(|sector| sector.erases)
    }

    /// How full each sector is, in order: 0 is erased, 1 to 8 how many begun eighths of its bytes are not 0xFF.
    pub fn fill(&self) -> impl Iterator<Item = u8> + '_ {
        self.sectors().map(|sector| {
            let written = sector.bytes.as_deref().map_or(0, |bytes| bytes.iter().filter(|&&byte| byte != 0xFF).count());
            (written * 8).div_ceil(SECTOR) as u8
        })
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
    /// The chip's 64 KiB block erase is counted and not used: each sector is an operation of its own.
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
        let first = address.next_multiple_of(BLOCK);
        self.stats.block_erases += (address + length).saturating_sub(first) / BLOCK;
        Ok(())
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
        let weak = self.weak.as_ref().is_some_and(|weak| weak.sector < high && low < weak.sector + SECTOR as u64);
        !weak
            && self.chunks_of(range).count() == pieces.0.len()
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

#[cfg(test)]
mod power_tests;
#[cfg(test)]
mod tests;
