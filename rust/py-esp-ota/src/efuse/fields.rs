//! What Python passes for fuses, checked for size.

use esp_ota_core::efuse as core;
use esp_ota_core::err::Fault;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

pub(super) fn misfit(fault: &Fault) -> PyErr {
    PyValueError::new_err(format!("{}: found {}, expected {}", fault.field, fault.found, fault.expected))
}

pub(super) fn key_digest(digest: &[u8]) -> PyResult<[u8; 32]> {
    let wrong = || PyValueError::new_err(format!("a key digest has 32 bytes, not {}", digest.len()));
    digest.try_into().map_err(|_| wrong())
}

pub(crate) fn hmac_key(key: &[u8]) -> PyResult<[u8; 32]> {
    let wrong = || PyValueError::new_err(format!("an HMAC key has 32 bytes, not {}", key.len()));
    key.try_into().map_err(|_| wrong())
}

/// What a list says of each key block; blocks behind its end are unused.
pub(super) fn key_blocks(bits: &core::EFuse, purposes: &[Option<u8>]) -> PyResult<[Option<u8>; core::MAX_KEY_BLOCKS]> {
    let count = bits.key_block_count();
    if purposes.len() > count {
        let text = format!("key_purposes has {} entries; this chip has {count} such blocks", purposes.len());
        return Err(PyValueError::new_err(text));
    }
    let mut blocks = [None; core::MAX_KEY_BLOCKS];
    blocks.iter_mut().zip(purposes).for_each(|(block, purpose)| *block = *purpose);
    Ok(blocks)
}

/// A value that must fit a field of `size` bits.
pub(super) fn field(name: &str, value: u32, size: u32) -> PyResult<u32> {
    if value >> size != 0 {
        return Err(PyValueError::new_err(format!("{name} is 0x{value:x}; the field has {size} bits")));
    }
    Ok(value)
}

/// Hexadecimal text as bytes, in a list too; anything else as it is, for the constructor to refuse.
pub(super) fn bytes<'py>(py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if let Ok(list) = value.cast::<PyList>() {
        let all = list.iter().map(|item| bytes(py, &item)).collect::<PyResult<Vec<_>>>()?;
        return Ok(PyList::new(py, all)?.into_any());
    }
    match value.cast::<PyString>() {
        Ok(text) => py.get_type::<PyBytes>().call_method1("fromhex", (text,)),
        Err(_) => Ok(value.clone()),
    }
}
