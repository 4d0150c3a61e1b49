//! Bytes as callers hold them: `bytes`, `bytearray`, `memoryview`, or a `Path`, which reads itself.

use std::ops::Deref;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(whole, module)?)
}

/// An argument of bytes. `bytes` is not copied; it stays readable without the GIL.
pub(crate) enum Bytes {
    Backed(PyBackedBytes),
    Copied(Vec<u8>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Backed(bytes) => bytes,
            Self::Copied(bytes) => bytes,
        }
    }
}

impl<'py> FromPyObject<'_, 'py> for Bytes {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.extract::<PyBackedBytes>() {
            return Ok(Self::Backed(bytes));
        }
        if let Ok(buffer) = PyBuffer::<u8>::get(&object) {
            return Ok(Self::Copied(buffer.to_vec(object.py())?));
        }
        if let Some(read) = object.getattr_opt(intern!(object.py(), "read_bytes"))? {
            return Ok(Self::Backed(read.call0()?.extract()?));
        }
        let found = object.get_type().name()?;
        Err(PyTypeError::new_err(format!("expected bytes, bytearray, memoryview or a Path, not {found}")))
    }
}

/// The bytes themselves.
#[pyfunction]
#[pyo3(signature = (source, /))]
fn whole(source: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyBytes>> {
    if let Ok(bytes) = source.cast::<PyBytes>() {
        return Ok(bytes.clone());
    }
    Ok(PyBytes::new(source.py(), &source.extract::<Bytes>()?))
}
