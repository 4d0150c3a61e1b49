//! The core's failures as the exceptions of `py_esp_ota.errors`, and the two small values that carry facts and lines.

use esp_ota_core::err::{EspErr, Failure, Fault as CoreFault, Level, LogLine as CoreLogLine};
use pyo3::PyTypeInfo;
use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

pyo3::import_exception!(py_esp_ota.errors, FlashError);
pyo3::import_exception!(py_esp_ota.errors, PartitionTableError);
pyo3::import_exception!(py_esp_ota.errors, ImageError);
pyo3::import_exception!(py_esp_ota.errors, NvsError);
pyo3::import_exception!(py_esp_ota.errors, OtaError);
pyo3::import_exception!(py_esp_ota.errors, PowerLoss);

/// The sentence of every error about bytes; its holes are filled from the exception's `fact`.
const SENTENCE: &str = "{field} at 0x{offset:x}: found {found}, expected {expected}";

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Fault>()?;
    module.add_class::<LogLine>()
}

/// A code as a member of `py_esp_ota.errors.EspErr`.
pub(crate) fn esp_err(py: Python<'_>, err: EspErr) -> PyResult<Bound<'_, PyAny>> {
    static ESP_ERR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    ESP_ERR.import(py, "py_esp_ota.errors", "EspErr")?.call1((err as i32,))
}

/// A fault as the exception `E` (one of the `EspError` classes above), with the five facts in `fact`.
pub(crate) fn fault_to_err<E: PyTypeInfo>(py: Python<'_>, fault: &CoreFault) -> PyErr {
    fault_saying::<E>(py, fault, SENTENCE)
}

/// The same with a sentence of its own, for faults whose offset is no place in bytes.
pub(crate) fn fault_saying<E: PyTypeInfo>(py: Python<'_>, fault: &CoreFault, sentence: &str) -> PyErr {
    let build = || {
        let fact = PyDict::new(py);
        fact.set_item(intern!(py, "field"), &fault.field)?;
        fact.set_item(intern!(py, "offset"), fault.offset)?;
        fact.set_item(intern!(py, "found"), &fault.found)?;
        fact.set_item(intern!(py, "expected"), &fault.expected)?;
        E::type_object(py).call((esp_err(py, fault.err)?, sentence), Some(&fact))
    };
    build().map_or_else(|broken| broken, PyErr::from_value)
}

/// A failure as `PowerLoss` or as the exception `E`: `FlashError` for what the flash refuses.
pub(crate) fn failure_to_err<E: PyTypeInfo>(py: Python<'_>, failure: &Failure) -> PyErr {
    match failure {
        Failure::Fault(fault) => fault_to_err::<E>(py, fault),
        Failure::PowerLost(operation) => PowerLoss::new_err(*operation),
    }
}

/// A fault in what the Python caller passed as `ValueError`.
pub(crate) fn misuse(fault: &CoreFault) -> PyErr {
    PyValueError::new_err(format!("{}: found {}, expected {}", fault.field, fault.found, fault.expected))
}

/// An integer argument (`from_py_with`): one that is negative or too large is `ValueError`, not `OverflowError`.
pub(crate) fn number<'py, T>(value: &Bound<'py, PyAny>) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    value.extract().map_err(|err: PyErr| {
        if err.is_instance_of::<PyOverflowError>(value.py()) {
            PyValueError::new_err(format!("{value} is out of range"))
        } else {
            err
        }
    })
}

/// One thing wrong with some bytes: where, what was found, what the rule expects.
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash)]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Fault(pub(crate) CoreFault);

#[pymethods]
impl Fault {
    /// The code that ESP-IDF returns for it.
    #[getter]
    fn err<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        esp_err(py, self.0.err)
    }

    /// The name of the field or rule, in the reference's words.
    #[getter]
    fn field(&self) -> &str {
        &self.0.field
    }

    /// Where, in bytes from the start of what was given (a flash address where a flash was given).
    #[getter]
    fn offset(&self) -> u64 {
        self.0.offset
    }

    /// What is there.
    #[getter]
    fn found(&self) -> &str {
        &self.0.found
    }

    /// What the rule asks for.
    #[getter]
    fn expected(&self) -> &str {
        &self.0.expected
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let name: String = self.err(py)?.getattr(intern!(py, "name"))?.extract()?;
        let CoreFault { field, offset, found, expected, .. } = &self.0;
        Ok(format!("Fault({name}, {field:?}, offset=0x{offset:x}, found={found:?}, expected={expected:?})"))
    }
}

/// One console line without its time stamp.
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash)]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct LogLine(pub(crate) CoreLogLine);

#[pymethods]
impl LogLine {
    /// `"E"`, `"W"` or `"I"`.
    #[getter]
    fn level(&self) -> &'static str {
        match self.0.level {
            Level::Error => "E",
            Level::Warning => "W",
            Level::Info => "I",
        }
    }

    /// The component's tag.
    #[getter]
    fn tag(&self) -> &'static str {
        self.0.tag
    }

    /// The text after the tag.
    #[getter]
    fn text(&self) -> &str {
        &self.0.text
    }

    fn __repr__(&self) -> String {
        format!("LogLine({:?}, {:?}, {:?})", self.level(), self.0.tag, self.0.text)
    }
}

/// The lines of a verdict as Python values.
pub(crate) fn log_lines(lines: &[CoreLogLine]) -> Vec<LogLine> {
    lines.iter().cloned().map(LogLine).collect()
}
