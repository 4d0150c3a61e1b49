//! SHA-256 of a stretch of flash.

use esp_ota_core::sha256 as core;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::err::number;
use crate::flash::Flash;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(flash_sha256, module)?)?;
    module.add_function(wrap_pyfunction!(sha256_compress, module)?)
}

/// `bootloader_sha256_flash_contents`: SHA-256 of `length` bytes as the cache shows them.
#[pyfunction]
fn flash_sha256<'py>(
    py: Python<'py>,
    flash: &Flash,
    #[pyo3(from_py_with = number)] address: u64,
    #[pyo3(from_py_with = number)] length: u64,
) -> PyResult<Bound<'py, PyBytes>> {
    let digest = flash.sized(py, length as usize, |chip| {
        chip.check_read(address, length)?;
        core::sha256_of(&chip.cache(), address, length)
    })?;
    Ok(PyBytes::new(py, &digest))
}

/// The digest `state` after the 64-byte blocks of `data`.
#[pyfunction]
fn sha256_compress<'py>(py: Python<'py>, state: [u8; 32], data: &[u8]) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &core::compress(state, data))
}
