//! Headers, descriptors and segments as Python values.

use esp_ota_core::app_desc as desc;
use esp_ota_core::image as core;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::bytes::Bytes;
use crate::err::{ImageError, fault_to_err};

/// `esp_image_header_t`, 24 bytes.
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash)]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct ImageHeader(pub(crate) core::ImageHeader);

#[pymethods]
impl ImageHeader {
    /// Decode without judging. Raises `ImageError` (ESP_ERR_INVALID_SIZE) below 24 bytes.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, data: Bytes) -> PyResult<Self> {
        core::ImageHeader::parse(&data).map(Self).map_err(|fault| fault_to_err::<ImageError>(py, &fault))
    }

    /// `ESP_IMAGE_HEADER_MAGIC`, 0xE9 in any image.
    #[getter]
    fn magic(&self) -> u8 {
        self.0.magic
    }

    /// The number of segments.
    #[getter]
    fn segment_count(&self) -> u8 {
        self.0.segment_count
    }

    /// `esp_image_spi_mode_t`: how flash is read.
    #[getter]
    fn spi_mode(&self) -> u8 {
        self.0.spi_mode
    }

    /// `esp_image_spi_freq_t`, 4 bits: the flash frequency by its code.
    #[getter]
    fn spi_speed(&self) -> u8 {
        self.0.spi_speed
    }

    /// `esp_image_flash_size_t`, 4 bits: the flash size by its code.
    #[getter]
    fn spi_size(&self) -> u8 {
        self.0.spi_size
    }

    /// The address of the first instruction.
    #[getter]
    fn entry_addr(&self) -> u32 {
        self.0.entry_addr
    }

    /// The write-protect pin for the ROM; 0xEE for none.
    #[getter]
    fn wp_pin(&self) -> u8 {
        self.0.wp_pin
    }

    /// Drive settings of the SPI flash pins for the ROM, 3 bytes.
    #[getter]
    fn spi_pin_drv(&self) -> &[u8] {
        &self.0.spi_pin_drv
    }

    /// `esp_chip_id_t`: the chip it is for.
    #[getter]
    fn chip_id(&self) -> u16 {
        self.0.chip_id
    }

    /// The lowest chip revision in an older form; `min_chip_rev_full` is what counts.
    #[getter]
    fn min_chip_rev(&self) -> u8 {
        self.0.min_chip_rev
    }

    /// The lowest chip revision, major * 100 + minor.
    #[getter]
    fn min_chip_rev_full(&self) -> u16 {
        self.0.min_chip_rev_full
    }

    /// The highest chip revision, major * 100 + minor.
    #[getter]
    fn max_chip_rev_full(&self) -> u16 {
        self.0.max_chip_rev_full
    }

    /// Any value but 0 means that a SHA-256 follows the image.
    #[getter]
    fn hash_appended(&self) -> u8 {
        self.0.hash_appended
    }

    fn __repr__(&self) -> String {
        let core::ImageHeader { magic, segment_count, chip_id, entry_addr, hash_appended, .. } = self.0;
        format!(
            "<ImageHeader magic=0x{magic:02x} segment_count={segment_count} chip_id={chip_id} \
             entry_addr=0x{entry_addr:08x} hash_appended={hash_appended}>"
        )
    }
}

/// `esp_app_desc_t`, 256 bytes at image offset 0x20.
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash)]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct AppDesc(pub(crate) desc::AppDesc);

#[pymethods]
impl AppDesc {
    /// Raises `ImageError`: ESP_ERR_INVALID_SIZE below 256 bytes, ESP_ERR_NOT_FOUND for a wrong magic word.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, data: Bytes) -> PyResult<Self> {
        desc::AppDesc::parse(&data).map(Self).map_err(|fault| fault_to_err::<ImageError>(py, &fault))
    }

    /// Always `ESP_APP_DESC_MAGIC_WORD`.
    #[getter]
    fn magic_word(&self) -> u32 {
        self.0.magic_word()
    }

    /// The anti-rollback version.
    #[getter]
    fn secure_version(&self) -> u32 {
        self.0.secure_version()
    }

    /// The application version.
    #[getter]
    fn version(&self) -> String {
        self.0.version()
    }

    /// All 32 bytes of `version`: what the version check compares.
    #[getter]
    fn version_bytes(&self) -> [u8; 32] {
        self.0.version_bytes()
    }

    /// The project name.
    #[getter]
    fn project_name(&self) -> String {
        self.0.project_name()
    }

    /// All 32 bytes of `project_name`.
    #[getter]
    fn project_name_bytes(&self) -> [u8; 32] {
        self.0.project_name_bytes()
    }

    /// The compiler's time; empty in a reproducible build.
    #[getter]
    fn time(&self) -> String {
        self.0.time()
    }

    /// The compiler's date; empty in a reproducible build.
    #[getter]
    fn date(&self) -> String {
        self.0.date()
    }

    /// The ESP-IDF version.
    #[getter]
    fn idf_ver(&self) -> String {
        self.0.idf_ver()
    }

    /// SHA-256 of the ELF file, 32 bytes.
    #[getter]
    fn app_elf_sha256(&self) -> [u8; 32] {
        self.0.app_elf_sha256()
    }

    /// The lowest eFuse block revision the app runs on, major * 100 + minor; 0 and 0xFFFF mean any.
    #[getter]
    fn min_efuse_blk_rev_full(&self) -> u16 {
        self.0.min_efuse_blk_rev_full()
    }

    /// The highest eFuse block revision the app runs on, major * 100 + minor; 0 and 0xFFFF mean any.
    #[getter]
    fn max_efuse_blk_rev_full(&self) -> u16 {
        self.0.max_efuse_blk_rev_full()
    }

    /// log2 of the MMU page size in bytes; 0 in older images.
    #[getter]
    fn mmu_page_size(&self) -> u8 {
        self.0.mmu_page_size()
    }

    /// The SPI flash mode the app was built for (`CONFIG_ESPTOOLPY_FLASHMODE_VAL`); 0 in older images.
    #[getter]
    fn spi_flash_mode(&self) -> u8 {
        self.0.spi_flash_mode()
    }

    fn __repr__(&self) -> String {
        format!("<AppDesc {:?} {:?}, ESP-IDF {:?}>", self.0.project_name(), self.0.version(), self.0.idf_ver())
    }
}

/// `esp_bootloader_desc_t`, 80 bytes at image offset 0x20.
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash)]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct BootloaderDesc(pub(crate) desc::BootloaderDesc);

#[pymethods]
impl BootloaderDesc {
    /// Raises `ImageError`: ESP_ERR_INVALID_SIZE below 80 bytes, ESP_ERR_NOT_FOUND for a wrong magic byte.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, data: Bytes) -> PyResult<Self> {
        desc::BootloaderDesc::parse(&data).map(Self).map_err(|fault| fault_to_err::<ImageError>(py, &fault))
    }

    /// Always `ESP_BOOTLOADER_DESC_MAGIC_BYTE`.
    #[getter]
    fn magic_byte(&self) -> u8 {
        self.0.magic_byte()
    }

    /// The bootloader's anti-rollback version.
    #[getter]
    fn secure_version(&self) -> u8 {
        self.0.secure_version()
    }

    /// `CONFIG_BOOTLOADER_PROJECT_VER`.
    #[getter]
    fn version(&self) -> u32 {
        self.0.version()
    }

    /// The ESP-IDF version.
    #[getter]
    fn idf_ver(&self) -> String {
        self.0.idf_ver()
    }

    /// The compiler's date and time.
    #[getter]
    fn date_time(&self) -> String {
        self.0.date_time()
    }

    fn __repr__(&self) -> String {
        format!("<BootloaderDesc version {}, ESP-IDF {:?}>", self.0.version(), self.0.idf_ver())
    }
}

/// One segment; `offset` is where its data starts, counted from the start of the image.
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash)]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Segment(core::Segment);

#[pymethods]
impl Segment {
    /// Its place in the image, from 0.
    #[getter]
    fn index(&self) -> u8 {
        self.0.index
    }

    /// Where the data belongs in the chip's address space.
    #[getter]
    fn load_addr(&self) -> u32 {
        self.0.load_addr
    }

    /// `data_len`: bytes of data.
    #[getter]
    fn length(&self) -> u32 {
        self.0.length
    }

    /// Where the data starts, in bytes from the start of the image.
    #[getter]
    fn offset(&self) -> u32 {
        self.0.offset
    }

    /// What becomes of it at boot: `"map"`, `"load"`, or `"padding"`, which is skipped.
    #[getter]
    fn kind(&self) -> &'static str {
        segment_kind(self.0.kind)
    }

    fn __repr__(&self) -> String {
        let core::Segment { index, load_addr, length, offset, .. } = self.0;
        format!("<Segment {index} {} load_addr=0x{load_addr:08x} length={length} offset=0x{offset:x}>", self.kind())
    }
}

/// What becomes of a segment at boot, in a word.
pub(crate) fn segment_kind(kind: core::SegmentKind) -> &'static str {
    match kind {
        core::SegmentKind::Map => "map",
        core::SegmentKind::Load => "load",
        core::SegmentKind::Padding => "padding",
    }
}

/// A segment table as Python values.
pub(crate) fn segments(table: &[core::Segment]) -> Vec<Segment> {
    table.iter().copied().map(Segment).collect()
}

/// One row of `ImageInfo.to_dict()["segments"]`.
pub(crate) fn segment_dict<'py>(py: Python<'py>, segment: &core::Segment) -> PyResult<Bound<'py, PyDict>> {
    let row = PyDict::new(py);
    row.set_item("load_addr", segment.load_addr)?;
    row.set_item("length", segment.length)?;
    row.set_item("offset", segment.offset)?;
    Ok(row)
}

/// `ImageInfo.to_dict()["app_desc"]`.
pub(crate) fn app_desc_dict<'py>(py: Python<'py>, desc: &desc::AppDesc) -> PyResult<Bound<'py, PyDict>> {
    let row = PyDict::new(py);
    row.set_item("project_name", desc.project_name())?;
    row.set_item("version", desc.version())?;
    row.set_item("idf_ver", desc.idf_ver())?;
    row.set_item("secure_version", desc.secure_version())?;
    row.set_item("time", desc.time())?;
    row.set_item("date", desc.date())?;
    row.set_item("app_elf_sha256", core::hex(&desc.app_elf_sha256()))?;
    row.set_item("min_efuse_blk_rev_full", desc.min_efuse_blk_rev_full())?;
    row.set_item("max_efuse_blk_rev_full", desc.max_efuse_blk_rev_full())?;
    row.set_item("mmu_page_size", desc.mmu_page_size())?;
    row.set_item("spi_flash_mode", desc.spi_flash_mode())?;
    Ok(row)
}

/// `ImageInfo.to_dict()["bootloader_desc"]`.
pub(crate) fn bootloader_desc_dict<'py>(py: Python<'py>, desc: &desc::BootloaderDesc) -> PyResult<Bound<'py, PyDict>> {
    let row = PyDict::new(py);
    row.set_item("version", desc.version())?;
    row.set_item("idf_ver", desc.idf_ver())?;
    row.set_item("date_time", desc.date_time())?;
    row.set_item("secure_version", desc.secure_version())?;
    Ok(row)
}
