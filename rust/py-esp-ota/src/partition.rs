//! Partition tables: the generator's, the bootloader's and the app's view of them.

use esp_ota_core::err::{EspErr, Fault as CoreFault};
use esp_ota_core::partition as core;
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyList};

use crate::bytes::Bytes;
use crate::err::{Fault, LogLine, PartitionTableError};
use crate::err::{esp_err, fault_saying, fault_to_err, log_lines, number};
use crate::flash::Flash;
use crate::notebook;

/// The sentence for a broken rule: its field names the line or row, and a line number is no place in bytes.
const RULE: &str = "{field}: found {found}, expected {expected}";

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Partition>()?;
    module.add_class::<PartitionTable>()?;
    module.add_class::<TableVerdict>()?;
    module.add_function(wrap_pyfunction!(verify_partition_table, module)?)
}

/// ESP_ERR_INVALID_ARG is a rule of the generator; the other codes are about bytes.
fn refused(py: Python<'_>, fault: &CoreFault) -> PyErr {
    match fault.err {
        EspErr::InvalidArg => fault_saying::<PartitionTableError>(py, fault, RULE),
        _ => fault_to_err::<PartitionTableError>(py, fault),
    }
}

/// One row of a partition table (`esp_partition_info_t`).
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash, from_py_object)]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Partition(pub(crate) core::Partition);

#[pymethods]
impl Partition {
    #[new]
    #[pyo3(signature = (label, r#type, subtype, offset, size, *, encrypted=false, readonly=false))]
    fn new(
        label: &str,
        #[pyo3(from_py_with = number)] r#type: u8,
        #[pyo3(from_py_with = number)] subtype: u8,
        #[pyo3(from_py_with = number)] offset: u32,
        #[pyo3(from_py_with = number)] size: u32,
        encrypted: bool,
        readonly: bool,
    ) -> Self {
        let flag = |on: bool, bit: u32| if on { bit } else { 0 };
        let flags = flag(encrypted, core::FLAG_ENCRYPTED) | flag(readonly, core::FLAG_READONLY);
        let label = label.as_bytes().to_vec();
        Self(core::Partition { label, ptype: r#type, subtype, offset, size, flags })
    }

    /// The name, as text up to its first NUL; bytes that are no UTF-8 are replaced.
    #[getter]
    fn label(&self) -> String {
        self.0.name().into_owned()
    }

    /// `type`: 0 app, 1 data, or another byte.
    #[getter]
    fn r#type(&self) -> u8 {
        self.0.ptype
    }

    /// `subtype`: a byte that each type has its own words for.
    #[getter]
    fn subtype(&self) -> u8 {
        self.0.subtype
    }

    /// gen_esp32part's keyword, or the number in decimal.
    #[getter]
    fn type_name(&self) -> String {
        core::names::type_name(self.0.ptype)
    }

    /// gen_esp32part's keyword within the type, or the number in decimal.
    #[getter]
    fn subtype_name(&self) -> String {
        core::names::subtype_name(self.0.ptype, self.0.subtype)
    }

    /// `pos.offset`: the absolute flash address in bytes.
    #[getter]
    fn offset(&self) -> u32 {
        self.0.offset
    }

    /// `pos.size` in bytes.
    #[getter]
    fn size(&self) -> u32 {
        self.0.size
    }

    /// `PART_FLAG_ENCRYPTED`: bit 0 of the flags.
    #[getter]
    fn encrypted(&self) -> bool {
        self.0.encrypted()
    }

    /// `PART_FLAG_READONLY`: bit 1 of the flags.
    #[getter]
    fn readonly(&self) -> bool {
        self.0.readonly()
    }

    /// 0 to 15 for app/ota_0 to app/ota_15, else `None`.
    #[getter]
    fn ota_slot(&self) -> Option<u8> {
        self.0.ota_slot()
    }

    /// `esp_partition_read`.
    fn read<'py>(
        &self,
        py: Python<'py>,
        flash: &Flash,
        #[pyo3(from_py_with = number)] offset: u64,
        #[pyo3(from_py_with = number)] length: u64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let address = flash.sized(py, 0, |chip| self.0.check_read(chip, offset, length))?;
        if self.0.encrypted() { flash.mmap_bytes(py, address, length) } else { flash.read_bytes(py, address, length) }
    }

    /// `esp_partition_read_raw`.
    fn read_raw<'py>(
        &self,
        py: Python<'py>,
        flash: &Flash,
        #[pyo3(from_py_with = number)] offset: u64,
        #[pyo3(from_py_with = number)] length: u64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let address = flash.sized(py, 0, |chip| self.0.check_read(chip, offset, length))?;
        flash.read_bytes(py, address, length)
    }

    /// `esp_partition_write_raw`.
    fn write_raw(
        &self,
        py: Python<'_>,
        flash: &Flash,
        #[pyo3(from_py_with = number)] offset: u64,
        data: Bytes,
    ) -> PyResult<()> {
        flash.sized(py, data.len(), |chip| self.0.write_raw(chip, offset, &data))
    }

    /// `esp_partition_write`.
    fn write(
        &self,
        py: Python<'_>,
        flash: &Flash,
        #[pyo3(from_py_with = number)] offset: u64,
        data: Bytes,
    ) -> PyResult<()> {
        flash.sized(py, data.len(), |chip| self.0.write(chip, offset, &data))
    }

    /// `esp_partition_erase_range`.
    fn erase_range(
        &self,
        py: Python<'_>,
        flash: &Flash,
        #[pyo3(from_py_with = number)] offset: u64,
        #[pyo3(from_py_with = number)] length: u64,
    ) -> PyResult<()> {
        flash.sized(py, length as usize, |chip| self.0.erase_range(chip, offset, length))
    }

    fn __repr__(&self) -> String {
        let core::Partition { ptype, subtype, offset, size, .. } = &self.0;
        let flag = |on, text| if on { text } else { "" };
        format!(
            "Partition({:?}, type={ptype}, subtype={subtype}, offset=0x{offset:x}, size=0x{size:x}{}{})",
            self.0.name(),
            flag(self.0.encrypted(), ", encrypted=True"),
            flag(self.0.readonly(), ", readonly=True"),
        )
    }
}

/// Rows in table order, as gen_esp32part.py, the bootloader and the app each read them.
///
/// >>> from py_esp_ota import PartitionTable
/// >>> table = PartitionTable.builtin("two_ota")  # or from_csv, from_bytes, load from a flash
/// >>> [row.label for row in table]
/// ['nvs', 'otadata', 'phy_init', 'factory', 'ota_0', 'ota_1']
/// >>> table[4]
/// Partition("ota_0", type=0, subtype=16, offset=0x110000, size=0x100000)
#[allow(clippy::doc_lazy_continuation, clippy::doc_link_with_quotes, reason = "an example as Python shows it")]
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash)]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct PartitionTable(Vec<core::Partition>);

#[pymethods]
impl PartitionTable {
    #[new]
    fn new(partitions: Vec<Partition>) -> Self {
        Self(partitions.into_iter().map(|row| row.0).collect())
    }

    /// One of `builtin_names()`. Raises `ValueError`.
    #[staticmethod]
    fn builtin(py: Python<'_>, name: &str) -> PyResult<Self> {
        let rows = core::builtin(name).ok_or_else(|| {
            let names = core::BUILTIN_NAMES.join(", ");
            PyValueError::new_err(format!("unknown partition table {name:?}; known are {names}"))
        })?;
        rows.map(Self).map_err(|fault| refused(py, &fault))
    }

    /// The names of ESP-IDF's own tables.
    #[staticmethod]
    fn builtin_names() -> Vec<&'static str> {
        core::BUILTIN_NAMES.to_vec()
    }

    /// gen_esp32part.py `PartitionTable.from_csv` and `verify`. Raises `PartitionTableError` naming the line.
    #[staticmethod]
    #[pyo3(signature = (
        text, *, table_offset=0x8000, primary_bootloader_offset=None, recovery_bootloader_offset=None,
        secure_v1=false, verify=true, extra_subtypes=vec![]
    ))]
    #[allow(clippy::too_many_arguments, reason = "each keyword is one option of the generator")]
    fn from_csv(
        py: Python<'_>,
        text: &str,
        #[pyo3(from_py_with = number)] table_offset: u32,
        #[pyo3(from_py_with = number)] primary_bootloader_offset: Option<u32>,
        #[pyo3(from_py_with = number)] recovery_bootloader_offset: Option<u32>,
        secure_v1: bool,
        verify: bool,
        extra_subtypes: Vec<(u8, String, u8)>,
    ) -> PyResult<Self> {
        let placement = core::csv::Placement {
            table_offset,
            primary_bootloader_offset,
            recovery_bootloader_offset,
            secure_v1,
            verify,
            extra_subtypes,
        };
        let rows = py.detach(|| core::csv::from_csv(text, &placement));
        rows.map(Self).map_err(|fault| refused(py, &fault))
    }

    /// gen_esp32part.py `PartitionTable.from_binary`. Raises `PartitionTableError` naming the row.
    #[staticmethod]
    #[pyo3(signature = (data, *, md5=true))]
    fn from_bytes(py: Python<'_>, data: Bytes, md5: bool) -> PyResult<Self> {
        core::binary::from_bytes(&data, md5).map(Self).map_err(|fault| refused(py, &fault))
    }

    /// `load_partitions` of components/esp_partition/partition.c: what a running app sees.
    #[staticmethod]
    #[pyo3(signature = (flash, table_offset=0x8000, *, md5=true))]
    fn load(
        py: Python<'_>,
        flash: &Flash,
        #[pyo3(from_py_with = number)] table_offset: u32,
        md5: bool,
    ) -> PyResult<Self> {
        let (sector, encryption) = flash.sized(py, 0, |chip| {
            let mut sector = [0; core::TABLE_SECTOR as usize];
            chip.read_cached(table_offset.into(), &mut sector).map(|()| (sector, chip.encryption().is_some()))
        })?;
        core::device::load(&sector, md5, encryption).map(Self).map_err(|fault| refused(py, &fault))
    }

    /// gen_esp32part.py `PartitionTable.verify` and `verify_size_fits`. Raises `PartitionTableError`.
    #[pyo3(signature = (*, table_offset=0x8000, flash_size=None, secure_v1=false, rules=true))]
    fn check(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = number)] table_offset: u32,
        #[pyo3(from_py_with = number)] flash_size: Option<u64>,
        secure_v1: bool,
        rules: bool,
    ) -> PyResult<()> {
        let origin = core::rules::Origin::Table;
        let verified = if rules { core::rules::verify(&self.0, origin, table_offset, secure_v1) } else { Ok(()) };
        let fits = |()| flash_size.map_or(Ok(()), |size| core::rules::verify_size_fits(&self.0, origin, size));
        verified.and_then(fits).map_err(|fault| refused(py, &fault))
    }

    /// What gen_esp32part.py would warn of.
    fn warnings(&self) -> Vec<String> {
        core::rules::warnings(&self.0)
    }

    /// gen_esp32part.py `PartitionTable.to_csv`.
    fn to_csv(&self) -> String {
        core::csv::to_csv(&self.0)
    }

    /// The 3072-byte binary with its MD5 row.
    #[pyo3(signature = (*, md5=true))]
    fn to_bytes<'py>(&self, py: Python<'py>, md5: bool) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = core::binary::to_bytes(&self.0, md5).map_err(|fault| refused(py, &fault))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// `esp_partition_find_first`: the first row that matches.
    #[pyo3(signature = (*, r#type=None, subtype=None, label=None))]
    fn find(
        &self,
        #[pyo3(from_py_with = number)] r#type: Option<u8>,
        #[pyo3(from_py_with = number)] subtype: Option<u8>,
        label: Option<&str>,
    ) -> Option<Partition> {
        core::find(&self.0, r#type, subtype, label.map(str::as_bytes)).cloned().map(Partition)
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        PyList::new(py, self.0.iter().cloned().map(Partition))?.try_iter()
    }

    fn __getitem__(&self, index: isize) -> PyResult<Partition> {
        let place = if index < 0 { index.checked_add_unsigned(self.0.len()) } else { Some(index) };
        let row = place.and_then(|place| self.0.get(usize::try_from(place).ok()?));
        row.cloned().map(Partition).ok_or_else(|| PyIndexError::new_err(format!("row {index} of {}", self.0.len())))
    }

    fn __repr__(&self) -> String {
        let labels: Vec<String> = self.0.iter().map(|row| row.name().into_owned()).collect();
        format!("<PartitionTable {}>", labels.join(", "))
    }

    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        let heads = ["Name", "Type", "SubType", "Offset", "Size", "Flags"];
        let rows: Vec<Vec<String>> = self.0.iter().map(|row| core::csv::fields(row).to_vec()).collect();
        notebook::table(py, "Partition table", &heads, &rows)
    }
}

/// What `esp_partition_table_verify` said.
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash)]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct TableVerdict(core::device::TableVerdict);

#[pymethods]
impl TableVerdict {
    /// The code returned.
    #[getter]
    fn err<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        esp_err(py, self.0.err)
    }

    /// The rule that was broken first; `None` after ESP_OK.
    #[getter]
    fn fault(&self) -> Option<Fault> {
        self.0.fault.clone().map(Fault)
    }

    /// The console.
    #[getter]
    fn log(&self) -> Vec<LogLine> {
        log_lines(&self.0.log)
    }

    /// The rows the bootloader will walk: the first `num_partitions` ones, an MD5 row in the middle included.
    #[getter]
    fn rows(&self) -> Vec<Partition> {
        self.0.rows.iter().cloned().map(Partition).collect()
    }

    fn __repr__(&self) -> String {
        match &self.0.fault {
            None => format!("<TableVerdict ESP_OK, {} rows>", self.0.rows.len()),
            Some(fault) => format!("<TableVerdict {fault}>"),
        }
    }
}

/// `esp_partition_table_verify` (components/bootloader_support/src/flash_partitions.c).
#[pyfunction]
#[pyo3(signature = (data, flash_size, *, wraps=false, empty=false))]
fn verify_partition_table(
    data: Bytes,
    #[pyo3(from_py_with = number)] flash_size: u64,
    wraps: bool,
    empty: bool,
) -> TableVerdict {
    TableVerdict(core::device::verify(&data, flash_size, wraps, empty))
}
