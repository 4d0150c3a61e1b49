//! otadata entries and the functions of the bootloader's and the app's shared otadata code.

use esp_ota_core::err::EspErr;
use esp_ota_core::otadata as core;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::bytes::Bytes;
use crate::err::{OtaError, fault_to_err, misuse, number};
use crate::flash::Flash;
use crate::notebook;

const NO_LABEL: &[u8] = &core::OtaSelectEntry::NO_LABEL;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<OtaSelectEntry>()?;
    module.add_function(wrap_pyfunction!(ota_select_crc, module)?)?;
    module.add_function(wrap_pyfunction!(active_otadata, module)?)?;
    module.add_function(wrap_pyfunction!(ota_slot, module)?)?;
    module.add_function(wrap_pyfunction!(rewrite_target, module)?)?;
    module.add_function(wrap_pyfunction!(read_otadata, module)?)?;
    module.add_function(wrap_pyfunction!(write_otadata, module)?)
}

/// `esp_ota_select_entry_t`, 32 bytes. The CRC covers `ota_seq` alone.
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash)]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct OtaSelectEntry(core::OtaSelectEntry);

#[pymethods]
impl OtaSelectEntry {
    #[new]
    #[pyo3(signature = (ota_seq, ota_state, *, seq_label=NO_LABEL, crc=None))]
    fn new(
        #[pyo3(from_py_with = number)] ota_seq: u32,
        #[pyo3(from_py_with = number)] ota_state: u32,
        seq_label: &[u8],
        #[pyo3(from_py_with = number)] crc: Option<u32>,
    ) -> PyResult<Self> {
        let seq_label = seq_label
            .try_into()
            .map_err(|_| PyValueError::new_err(format!("seq_label: found {} bytes, expected 20", seq_label.len())))?;
        let crc = crc.unwrap_or_else(|| core::ota_select_crc(ota_seq));
        Ok(Self(core::OtaSelectEntry { ota_seq, seq_label, ota_state, crc }))
    }

    /// Decode 32 bytes; any bytes are an entry.
    #[staticmethod]
    fn from_bytes(data: Bytes) -> PyResult<Self> {
        let entry = (&*data)
            .try_into()
            .map_err(|_| PyValueError::new_err(format!("otadata entry: found {} bytes, expected 32", data.len())))?;
        Ok(Self(core::OtaSelectEntry::from_bytes(entry)))
    }

    /// The 32 bytes in flash.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.to_bytes())
    }

    /// The same entry, CRC and label as read, in another state.
    fn with_state(&self, #[pyo3(from_py_with = number)] ota_state: u32) -> Self {
        Self(core::OtaSelectEntry { ota_state, ..self.0 })
    }

    /// The sequence number that chooses the slot; 0xFFFFFFFF in a blank entry.
    #[getter]
    fn ota_seq(&self) -> u32 {
        self.0.ota_seq
    }

    /// 20 bytes that nobody reads.
    #[getter]
    fn seq_label<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.seq_label)
    }

    /// `esp_ota_img_states_t`; 0xFFFFFFFF is UNDEFINED.
    #[getter]
    fn ota_state(&self) -> u32 {
        self.0.ota_state
    }

    /// The CRC-32 of `ota_seq`, as it stands in the entry.
    #[getter]
    fn crc(&self) -> u32 {
        self.0.crc
    }

    /// Whether the CRC fits `ota_seq`.
    #[getter]
    fn crc_ok(&self) -> bool {
        self.0.crc_ok()
    }

    /// `bootloader_common_ota_select_invalid`: blank, INVALID or ABORTED; the CRC is not looked at.
    #[getter]
    fn invalid(&self) -> bool {
        self.0.invalid()
    }

    /// `bootloader_common_ota_select_valid`: not invalid, and the CRC matches.
    #[getter]
    fn valid(&self) -> bool {
        self.0.valid()
    }

    fn __repr__(&self) -> String {
        let core::OtaSelectEntry { ota_seq, seq_label, ota_state, crc } = &self.0;
        let label = if *seq_label == core::OtaSelectEntry::NO_LABEL {
            String::new()
        } else {
            format!(", seq_label=b'{}'", seq_label.map(|byte| format!("\\x{byte:02x}")).concat())
        };
        let crc = if self.0.crc_ok() { String::new() } else { format!(", crc=0x{crc:08x}") };
        format!("OtaSelectEntry(0x{ota_seq:x}, 0x{ota_state:x}{label}{crc})")
    }

    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        let core::OtaSelectEntry { ota_seq, ota_state, crc, .. } = self.0;
        let sequence = if ota_seq == core::BLANK_SEQ { "blank".to_owned() } else { ota_seq.to_string() };
        let state = core::state_name(ota_state).map_or_else(|| format!("0x{ota_state:08x}"), str::to_owned);
        let fits = if self.0.crc_ok() { "fits" } else { "does not fit" };
        let counts = if self.0.valid() { "yes" } else { "no" };
        let rows = [
            ("ota_seq", sequence),
            ("ota_state", state),
            ("crc", format!("0x{crc:08x}, {fits}")),
            ("counts at boot", counts.to_owned()),
        ];
        notebook::facts(py, "otadata entry", &rows)
    }
}

/// `bootloader_common_ota_select_crc`.
#[pyfunction]
fn ota_select_crc(#[pyo3(from_py_with = number)] ota_seq: u32) -> u32 {
    core::ota_select_crc(ota_seq)
}

/// `bootloader_common_get_active_otadata`: 0, 1, or -1 when neither is valid.
#[pyfunction]
fn active_otadata(first: &OtaSelectEntry, second: &OtaSelectEntry) -> i32 {
    entry_number(core::active_otadata(&entries(first, second)))
}

/// `(ota_seq - 1) % app_count` in 32 bits.
#[pyfunction]
fn ota_slot(
    #[pyo3(from_py_with = number)] ota_seq: u32,
    #[pyo3(from_py_with = number)] app_count: u32,
) -> PyResult<u32> {
    core::ota_slot(ota_seq, app_count).ok_or_else(|| PyValueError::new_err("app_count: found 0, expected OTA slots"))
}

/// `esp_rewrite_ota_data` before it writes: which entry, and the new `ota_seq` that selects `slot`.
#[pyfunction]
fn rewrite_target(
    py: Python<'_>,
    first: &OtaSelectEntry,
    second: &OtaSelectEntry,
    #[pyo3(from_py_with = number)] slot: u8,
    #[pyo3(from_py_with = number)] app_count: u8,
) -> PyResult<(usize, u32)> {
    core::rewrite_target(&entries(first, second), slot, app_count).map_err(|fault| match fault.err {
        EspErr::InvalidArg => misuse(&fault),
        _ => fault_to_err::<OtaError>(py, &fault),
    })
}

/// The entries at `offset` and `offset + 0x1000`.
#[pyfunction]
fn read_otadata(
    py: Python<'_>,
    flash: &Flash,
    #[pyo3(from_py_with = number)] offset: u64,
) -> PyResult<(OtaSelectEntry, OtaSelectEntry)> {
    let [first, second] = flash.sized(py, 0, |chip| core::read_otadata(chip, offset))?;
    Ok((OtaSelectEntry(first), OtaSelectEntry(second)))
}

/// Erase the sector of entry `index`, then program its 32 bytes.
#[pyfunction]
fn write_otadata(
    py: Python<'_>,
    flash: &Flash,
    #[pyo3(from_py_with = number)] offset: u64,
    #[pyo3(from_py_with = number)] index: usize,
    entry: &OtaSelectEntry,
) -> PyResult<()> {
    if index > 1 {
        return Err(PyValueError::new_err(format!("index: found {index}, expected 0 or 1")));
    }
    let entry = entry.0;
    flash.sized(py, 0, |chip| core::write_otadata(chip, offset, index, &entry))
}

/// The core's pair of two Python entries.
pub(crate) fn entries(first: &OtaSelectEntry, second: &OtaSelectEntry) -> core::Entries {
    [first.0, second.0]
}

/// An entry's number as Python writes it: -1 for none.
pub(crate) fn entry_number(index: Option<usize>) -> i32 {
    index.and_then(|index| i32::try_from(index).ok()).unwrap_or(-1)
}
