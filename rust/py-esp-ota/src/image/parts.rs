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

    #[getter]
    fn magic(&self) -> u8 {
        self.0.magic
    }

    #[getter]
    fn segment_count(&self) -> u8 {
        self.0.segment_count
    }

    #[getter]
    fn spi_mode(&self) -> u8 {
        self.0.spi_mode
    }

    #[getter]
    fn spi_speed(&self) -> u8 {
        self.0.spi_speed
    }

    #[getter]
    fn spi_size(&self) -> u8 {
        self.0.spi_size
    }

    #[getter]
    fn entry_addr(&self) -> u32 {
        self.0.entry_addr
    }

    #[getter]
    fn wp_pin(&self) -> u8 {
        self.0.wp_pin
    }

    #[getter]
    fn spi_pin_drv(&self) -> &[u8] {
        &self.0.spi_pin_drv
    }

    #[getter]
    fn chip_id(&self) -> u16 {
        self.0.chip_id
    }

    #[getter]
    fn min_chip_rev(&self) -> u8 {
        self.0.min_chip_rev
    }

    #[getter]
    fn min_chip_rev_full(&self) -> u16 {
        self.0.min_chip_rev_full
    }

    #[getter]
    fn max_chip_rev_full(&self) -> u16 {
        self.0.max_chip_rev_full
    }

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

    #[getter]
    fn magic_word(&self) -> u32 {
        self.0.magic_word()
    }

    #[getter]
    fn secure_version(&self) -> u32 {
        self.0.secure_version()
    }

    #[getter]
    fn version(&self) -> String {
        self.0.version()
    }

    #[getter]
    fn version_bytes(&self) -> [u8; 32] {
        self.0.version_bytes()
    }

    #[getter]
    fn project_name(&self) -> String {
        self.0.project_name()
    }

    #[getter]
    fn project_name_bytes(&self) -> [u8; 32] {
        self.0.project_name_bytes()
    }

    #[getter]
    fn time(&self) -> String {
        self.0.time()
    }

    #[getter]
    fn date(&self) -> String {
        self.0.date()
    }

    #[getter]
    fn idf_ver(&self) -> String {
        self.0.idf_ver()
    }

    #[getter]
    fn app_elf_sha256(&self) -> [u8; 32] {
        self.0.app_elf_sha256()
    }

    #[getter]
    fn min_efuse_blk_rev_full(&self) -> u16 {
        self.0.min_efuse_blk_rev_full()
    }

    #[getter]
    fn max_efuse_blk_rev_full(&self) -> u16 {
        self.0.max_efuse_blk_rev_full()
    }

    #[getter]
    fn mmu_page_size(&self) -> u8 {
        self.0.mmu_page_size()
    }

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

    #[getter]
    fn magic_byte(&self) -> u8 {
        self.0.magic_byte()
    }

    #[getter]
    fn secure_version(&self) -> u8 {
        self.0.secure_version()
    }

    #[getter]
    fn version(&self) -> u32 {
        self.0.version()
    }

    #[getter]
    fn idf_ver(&self) -> String {
        self.0.idf_ver()
    }

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
    #[getter]
    fn index(&self) -> u8 {
        self.0.index
    }

    #[getter]
    fn load_addr(&self) -> u32 {
        self.0.load_addr
    }

    #[getter]
    fn length(&self) -> u32 {
        self.0.length
    }

    #[getter]
    fn offset(&self) -> u32 {
        self.0.offset
    }

    #[getter]
    fn kind(&self) -> &'static str {
        match self.0.kind {
            core::SegmentKind::Map => "map",
            core::SegmentKind::Load => "load",
            core::SegmentKind::Padding => "padding",
        }
    }

    fn __repr__(&self) -> String {
        let core::Segment { index, load_addr, length, offset, .. } = self.0;
        format!("<Segment {index} {} load_addr=0x{load_addr:08x} length={length} offset=0x{offset:x}>", self.kind())
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
