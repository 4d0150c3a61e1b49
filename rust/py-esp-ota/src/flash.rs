//! `Flash`: the core's flash behind a lock, so that threads may share it.

use std::sync::Mutex;

use esp_ota_core::err::Failure;
use esp_ota_core::flash as core;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::bytes::Bytes;
use crate::crypt::FlashCrypt;
use crate::err::{FlashError, failure_to_err, misuse, number};
use crate::journal::{FlashOp, FlashStats, Sectors};
use crate::lock::{brief, lock};
use crate::notebook;

/// From this many bytes on the GIL is released; below, handing it over costs more than the work.
const LONG: usize = 16 * 1024;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Flash>()
}

/// NOR flash: 4096-byte sectors erase to 0xFF, programming clears bits, 256-byte pages.
///
/// >>> from py_esp_ota import Flash
/// >>> flash = Flash(1 << 20)
/// >>> flash.program(0x1000, bytes([0b1010]))
/// >>> before = flash.fork()  # shares what neither of them changes
/// >>> flash.erase(0x1000, 0x1000)
/// >>> before.read(0x1000, 2).hex(), flash.read(0x1000, 2).hex()
/// ('0aff', 'ffff')
/// >>> flash.fault = "cut@0:torn-program"  # the plug, half-way through the next operation
#[allow(clippy::doc_lazy_continuation, clippy::doc_link_with_quotes, reason = "an example as Python shows it")]
#[pyclass(module = "py_esp_ota._core", frozen)]
pub(crate) struct Flash {
    size: u64,
    strict: bool,
    chip: Mutex<core::Flash>,
}

impl Flash {
    /// Work on the chip with the GIL released: for verification, erasing, long programs.
    pub(crate) fn with<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut core::Flash) -> T + Send) -> T {
        py.detach(|| work(&mut lock(&self.chip)))
    }

    /// Work that is over sooner than the GIL could change hands.
    pub(crate) fn brief<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut core::Flash) -> T + Send) -> T {
        brief(py, &self.chip, work)
    }

    /// Work on `bytes` bytes: brief or not, by their number.
    pub(crate) fn run<T: Send>(
        &self,
        py: Python<'_>,
        bytes: usize,
        work: impl FnOnce(&mut core::Flash) -> T + Send,
    ) -> T {
        if bytes < LONG { self.brief(py, work) } else { self.with(py, work) }
    }

    /// The same for a call of the flash: what it refuses is `FlashError`.
    pub(crate) fn sized<T: Send>(
        &self,
        py: Python<'_>,
        bytes: usize,
        work: impl FnOnce(&mut core::Flash) -> Result<T, Failure> + Send,
    ) -> PyResult<T> {
        self.run(py, bytes, work).map_err(|failure| failure_to_err::<FlashError>(py, &failure))
    }

    /// Read after checking, so that an absurd length is refused before memory is asked for.
    pub(crate) fn read_bytes<'py>(&self, py: Python<'py>, address: u64, length: u64) -> PyResult<Bound<'py, PyBytes>> {
        self.sized(py, 0, |chip| chip.check_read(address, length))?;
        let length = length as usize;
        PyBytes::new_with(py, length, |out| self.sized(py, length, |chip| chip.read(address, out)))
    }

    /// The same for what the cache shows.
    pub(crate) fn mmap_bytes<'py>(&self, py: Python<'py>, address: u64, length: u64) -> PyResult<Bound<'py, PyBytes>> {
        self.sized(py, 0, |chip| chip.check_read(address, length))?;
        let length = length as usize;
        PyBytes::new_with(py, length, |out| self.sized(py, length, |chip| chip.read_cached(address, out)))
    }

    pub(crate) fn wrap(chip: core::Flash) -> Self {
        Self { size: chip.size(), strict: chip.strict(), chip: Mutex::new(chip) }
    }
}

#[pymethods]
impl Flash {
    #[new]
    #[pyo3(signature = (size=0x0040_0000, *, strict=true))]
    fn new(#[pyo3(from_py_with = number)] size: u64, strict: bool) -> PyResult<Self> {
        core::Flash::new(size, strict).map(Self::wrap).map_err(|fault| misuse(&fault))
    }

    /// Load a raw image; the rest stays erased. Without `size`: the smallest flash that holds it.
    #[staticmethod]
    #[pyo3(signature = (image, *, size=None, strict=true))]
    fn from_bytes(
        py: Python<'_>,
        image: Bytes,
        #[pyo3(from_py_with = number)] size: Option<u64>,
        strict: bool,
    ) -> PyResult<Self> {
        let loaded = py.detach(|| core::Flash::from_bytes(&image, size, strict));
        loaded.map(Self::wrap).map_err(|fault| misuse(&fault))
    }

    /// Bytes of the chip.
    #[getter]
    fn size(&self) -> u64 {
        self.size
    }

    /// Whether programming a 0 bit to 1 is an error.
    #[getter]
    fn strict(&self) -> bool {
        self.strict
    }

    /// Whether the power is on.
    #[getter]
    fn powered(&self, py: Python<'_>) -> bool {
        self.brief(py, |chip| chip.powered())
    }

    /// Page programs and sector erases completed since the flash was made.
    #[getter]
    fn operations(&self, py: Python<'_>) -> u64 {
        self.brief(py, |chip| chip.operations())
    }

    /// The counters.
    #[getter]
    fn stats(&self, py: Python<'_>) -> FlashStats {
        let core::Stats { reads, read_bytes, programs, program_bytes, erases, program_pieces, block_erases } =
            self.brief(py, |chip| chip.stats());
        FlashStats { reads, read_bytes, programs, program_bytes, erases, program_pieces, block_erases }
    }

    /// What is left of the armed fault plan, or empty.
    #[getter]
    fn fault(&self, py: Python<'_>) -> String {
        self.brief(py, |chip| chip.fault().map_or_else(String::new, ToString::to_string))
    }

    #[setter]
    fn set_fault(&self, py: Python<'_>, plan: &str) -> PyResult<()> {
        let plan = match plan {
            "" => None,
            text => Some(
                text.parse()
                    .map_err(|refused: esp_ota_core::fault::NotAPlan| PyValueError::new_err(refused.to_string()))?,
            ),
        };
        self.brief(py, |chip| chip.set_fault(plan));
        Ok(())
    }

    /// `esp_flash_read`.
    fn read<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = number)] address: u64,
        #[pyo3(from_py_with = number)] length: u64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.read_bytes(py, address, length)
    }

    /// `bootloader_mmap`, `spi_flash_mmap`: what the cache shows.
    fn mmap<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = number)] address: u64,
        #[pyo3(from_py_with = number)] length: u64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.mmap_bytes(py, address, length)
    }

    /// `esp_flash_write_encrypted`.
    fn program_encrypted(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = number)] address: u64,
        data: Bytes,
    ) -> PyResult<()> {
        self.sized(py, data.len(), |chip| chip.program_encrypted(address, &data))
    }

    /// The engine, when flash encryption is on.
    #[getter]
    fn encryption(&self, py: Python<'_>) -> Option<FlashCrypt> {
        self.brief(py, |chip| chip.encryption().cloned()).map(FlashCrypt)
    }

    #[setter]
    fn set_encryption(&self, py: Python<'_>, engine: Option<&Bound<'_, FlashCrypt>>) {
        let engine = engine.map(|engine| engine.get().0.clone());
        self.brief(py, |chip| chip.set_encryption(engine));
    }

    /// `esp_flash_write`: program page by page.
    fn program(&self, py: Python<'_>, #[pyo3(from_py_with = number)] address: u64, data: Bytes) -> PyResult<()> {
        self.sized(py, data.len(), |chip| chip.program(address, &data))
    }

    /// `esp_flash_erase_region`: whole sectors, ascending.
    fn erase(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = number)] address: u64,
        #[pyo3(from_py_with = number)] length: u64,
    ) -> PyResult<()> {
        self.sized(py, length as usize, |chip| chip.erase(address, length))
    }

    /// Whether every byte is 0xFF. Not counted as a read.
    fn is_erased(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = number)] address: u64,
        #[pyo3(from_py_with = number)] length: u64,
    ) -> PyResult<bool> {
        self.sized(py, length as usize, |chip| chip.is_erased(address, length))
    }

    /// An independent copy that shares unchanged sectors, as strict as this one if nothing else is said.
    #[pyo3(signature = (*, strict=None))]
    fn fork(&self, py: Python<'_>, strict: Option<bool>) -> Self {
        let strict = strict.unwrap_or(self.strict);
        Self::wrap(self.brief(py, |chip| chip.fork_as(strict)))
    }

    /// The whole chip, readable even when the power is off.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        // A fork is a snapshot: copying 128 MiB holds up nobody else's work on this flash.
        let snapshot = self.brief(py, |chip| chip.fork());
        PyBytes::new_with(py, self.size as usize, |out| {
            py.detach(|| {
                let mut rest = out;
                for sector in snapshot.image() {
                    let Some((to, later)) = rest.split_at_mut_checked(sector.len()) else { break };
                    to.copy_from_slice(sector);
                    rest = later;
                }
            });
            Ok(())
        })
    }

    /// Erases of each sector, in order.
    fn erase_counts(&self, py: Python<'_>) -> Vec<u32> {
        self.brief(py, |chip| chip.erase_counts().collect())
    }

    /// How full each sector is, in order.
    fn fill<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let snapshot = self.brief(py, |chip| chip.fork());
        PyBytes::new(py, &py.detach(|| snapshot.fill().collect::<Vec<u8>>()))
    }

    /// The operations completed since `record(True)`.
    fn journal(&self, py: Python<'_>) -> Vec<FlashOp> {
        self.brief(py, |chip| chip.journal().map(FlashOp::from).collect())
    }

    /// Start an empty journal, or stop journalling.
    fn record(&self, py: Python<'_>, on: bool) {
        self.brief(py, |chip| chip.record(on));
    }

    /// Begin to note on which sectors everything that happens from here depends.
    fn watch(&self, py: Python<'_>) {
        self.brief(py, core::Flash::watch);
    }

    /// The sectors whose content has mattered since.
    fn needed(&self, py: Python<'_>) -> Sectors {
        Sectors(self.brief(py, |chip| chip.needed()))
    }

    /// Whether both have the same content in these sectors.
    fn same(&self, py: Python<'_>, other: &Bound<'_, Self>, sectors: &Bound<'_, Sectors>) -> bool {
        // A snapshot, for one thread must not hold two locks.
        let other = other.get().brief(py, |chip| chip.fork());
        let sectors = &sectors.get().0;
        self.brief(py, |chip| chip.same(&other, sectors))
    }

    /// A name for the content of these sectors.
    fn fingerprint<'py>(&self, py: Python<'py>, sectors: &Bound<'py, Sectors>) -> Option<Bound<'py, PyBytes>> {
        let sectors = &sectors.get().0;
        self.brief(py, |chip| chip.fingerprint(sectors)).map(|name| PyBytes::new(py, &name))
    }

    /// Pull the plug between two operations.
    fn power_off(&self, py: Python<'_>) {
        self.brief(py, core::Flash::power_off);
    }

    /// Power comes back; a fault that did not fire stays armed.
    fn power_on(&self, py: Python<'_>) {
        self.brief(py, core::Flash::power_on);
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let (operations, powered) = self.brief(py, |chip| (chip.operations(), chip.powered()));
        let strict = if self.strict { "" } else { ", strict=False" };
        let power = if powered { "" } else { ", no power" };
        format!("<Flash 0x{:x}{strict}, {operations} operations{power}>", self.size)
    }

    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        let erased = |chip: &mut core::Flash| {
            let sectors = (0..self.size).step_by(core::SECTOR);
            sectors.map(|at| chip.is_erased(at, core::SECTOR as u64).map(|erased| !erased)).collect()
        };
        let written: Vec<bool> = self.sized(py, self.size as usize, erased)?;
        notebook::sector_map(py, &format!("Flash of {} KiB", self.size >> 10), &written)
    }
}
