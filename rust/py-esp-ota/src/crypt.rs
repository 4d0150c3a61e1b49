//! `FlashCrypt`: the encryption engine of one chip.

use esp_ota_core::crypt as core;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::bytes::Bytes;
use crate::efuse::EFuse;
use crate::err::{misuse, number};
use crate::target::by_name;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<FlashCrypt>()
}

/// The flash encryption engine of one chip with its key.
#[pyclass(module = "py_esp_ota._core", frozen, eq)]
#[derive(Clone, PartialEq)]
pub(crate) struct FlashCrypt(pub(crate) core::FlashCrypt);

#[pymethods]
impl FlashCrypt {
    #[new]
    #[pyo3(signature = (chip, key, *, flash_crypt_config=0xF))]
    fn new(chip: &str, key: &[u8], #[pyo3(from_py_with = number)] flash_crypt_config: u8) -> PyResult<Self> {
        let chip = by_name(chip)?.name;
        core::FlashCrypt::new(chip, key, flash_crypt_config).map(Self).map_err(|fault| misuse(&fault))
    }

    /// The engine that these fuses switch on; `None` while encryption is off.
    #[staticmethod]
    fn of_efuse(efuse: &Bound<'_, EFuse>) -> Option<Self> {
        core::FlashCrypt::of_efuse(&efuse.get().value()).map(Self)
    }

    /// The engine with the key in these fuses, switched on or not.
    #[staticmethod]
    fn of_key(efuse: &Bound<'_, EFuse>) -> Option<Self> {
        core::FlashCrypt::of_key(&efuse.get().value()).map(Self)
    }

    /// What stands in flash for plain bytes at `address`.
    fn encrypt<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = number)] address: u64,
        data: Bytes,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let mut blocks = blocks(address, data)?;
        py.detach(|| self.0.encrypt(address, &mut blocks));
        Ok(PyBytes::new(py, &blocks))
    }

    /// What the cache shows for bytes that stand in flash at `address`.
    fn decrypt<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = number)] address: u64,
        data: Bytes,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let mut blocks = blocks(address, data)?;
        py.detach(|| self.0.decrypt(address, &mut blocks));
        Ok(PyBytes::new(py, &blocks))
    }

    fn __repr__(&self) -> String {
        format!("<{:?}>", self.0)
    }
}

fn blocks(address: u64, data: Bytes) -> PyResult<Vec<u8>> {
    if address % core::BLOCK as u64 != 0 || data.len() % core::BLOCK != 0 {
        let text = format!("address 0x{address:x} and length {} must be multiples of 16", data.len());
        return Err(PyValueError::new_err(text));
    }
    Ok(data.to_vec())
}
