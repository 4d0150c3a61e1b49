//! `NvsPartition` and `NvsHandle`: non-volatile storage on a flash. What a reset loses lives here.

use std::sync::Mutex;

use esp_ota_core::err::{EspErr, Failure, Fault};
use esp_ota_core::flash as chip;
use esp_ota_core::nvs as core;
use esp_ota_core::nvs::{ItemType, Value};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::err::{FlashError, NvsError, failure_to_err, number};
use crate::flash::Flash;
use crate::lock::{brief, lock};
use crate::notebook;
use crate::partition::Partition;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<NvsEntry>()?;
    module.add_class::<NvsStats>()?;
    module.add_class::<NvsPage>()?;
    module.add_class::<NvsHandle>()?;
    module.add_class::<NvsPartition>()?;
    module.add_function(wrap_pyfunction!(read_nvs_keys, module)?)?;
    module.add_function(wrap_pyfunction!(write_nvs_keys, module)?)?;
    module.add_function(wrap_pyfunction!(generate_nvs_keys, module)?)?;
    module.add_function(wrap_pyfunction!(derive_nvs_keys, module)?)
}

/// What the flash refuses is `FlashError`, everything else `NvsError`.
fn raised(py: Python<'_>, failure: &Failure) -> PyErr {
    match failure {
        Failure::Fault(Fault { err: EspErr::FlashOpFail, .. }) => failure_to_err::<FlashError>(py, failure),
        _ => failure_to_err::<NvsError>(py, failure),
    }
}

/// A name or text of C: no NUL inside.
fn c_string<'a>(what: &str, text: &'a str) -> PyResult<&'a [u8]> {
    if text.contains('\0') {
        return Err(PyValueError::new_err(format!("{what} {text:?} has a NUL inside")));
    }
    Ok(text.as_bytes())
}

fn item_type(name: &str) -> PyResult<ItemType> {
    let kind = ItemType::from_name(name).filter(|kind| !matches!(kind, ItemType::BlobData | ItemType::BlobIdx));
    kind.ok_or_else(|| {
        let known = "u8, i8, u16, i16, u32, i32, u64, i64, float, double, str, blob";
        PyValueError::new_err(format!("unknown NVS type {name:?}; known are {known}"))
    })
}

/// A blob's three kinds of entries have one name to the user.
fn type_name(kind: ItemType) -> &'static str {
    match kind {
        ItemType::Blob | ItemType::BlobData | ItemType::BlobIdx => "blob",
        scalar => scalar.name(),
    }
}

fn to_value(kind: ItemType, value: &Bound<'_, PyAny>) -> PyResult<Value> {
    Ok(match kind {
        ItemType::U8 => Value::U8(number(value)?),
        ItemType::I8 => Value::I8(number(value)?),
        ItemType::U16 => Value::U16(number(value)?),
        ItemType::I16 => Value::I16(number(value)?),
        ItemType::U32 => Value::U32(number(value)?),
        ItemType::I32 => Value::I32(number(value)?),
        ItemType::U64 => Value::U64(number(value)?),
        ItemType::I64 => Value::I64(number(value)?),
        ItemType::Float => Value::Float(value.extract()?),
        ItemType::Double => Value::Double(value.extract()?),
        ItemType::Str => match value.extract::<&[u8]>() {
            Ok(bytes) => Value::Str(bytes.to_vec()),
            Err(_) => Value::Str(c_string("text", value.extract()?)?.to_vec()),
        },
        _ => match value.extract::<&[u8]>() {
            Ok(bytes) => Value::Blob(bytes.to_vec()),
            Err(_) => return Err(PyTypeError::new_err("a blob is bytes")),
        },
    })
}

fn from_value(py: Python<'_>, value: Value) -> PyResult<Bound<'_, PyAny>> {
    Ok(match value {
        Value::U8(value) => value.into_pyobject(py)?.into_any(),
        Value::I8(value) => value.into_pyobject(py)?.into_any(),
        Value::U16(value) => value.into_pyobject(py)?.into_any(),
        Value::I16(value) => value.into_pyobject(py)?.into_any(),
        Value::U32(value) => value.into_pyobject(py)?.into_any(),
        Value::I32(value) => value.into_pyobject(py)?.into_any(),
        Value::U64(value) => value.into_pyobject(py)?.into_any(),
        Value::I64(value) => value.into_pyobject(py)?.into_any(),
        Value::Float(value) => value.into_pyobject(py)?.into_any(),
        Value::Double(value) => value.into_pyobject(py)?.into_any(),
        Value::Str(text) => String::from_utf8_lossy(&text).into_owned().into_pyobject(py)?.into_any(),
        Value::Blob(data) => PyBytes::new(py, &data).into_any(),
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// One value in the order of the iterator (`nvs_entry_info_t`).
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash, get_all)]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct NvsEntry {
    /// `namespace_name`.
    namespace: String,
    /// `key`: the name within the namespace.
    key: String,
    /// `type` in a word: `"u8"` to `"i64"`, `"float"`, `"double"`, `"str"` or `"blob"`.
    r#type: &'static str,
}

#[pymethods]
impl NvsEntry {
    fn __repr__(&self) -> String {
        format!("NvsEntry({:?}, {:?}, {:?})", self.namespace, self.key, self.r#type)
    }
}

/// `nvs_stats_t`.
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash, get_all)]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct NvsStats {
    /// Written entries of 32 bytes, headers and data.
    used_entries: usize,
    /// All others, erased ones too.
    free_entries: usize,
    /// Free ones without the page that is kept for moving.
    available_entries: usize,
    /// 126 for each page.
    total_entries: usize,
    /// Namespaces in the directory.
    namespace_count: usize,
}

#[pymethods]
impl NvsStats {
    fn __repr__(&self) -> String {
        let Self { used_entries, free_entries, available_entries, total_entries, namespace_count } = self;
        format!(
            "NvsStats(used_entries={used_entries}, free_entries={free_entries}, \
             available_entries={available_entries}, total_entries={total_entries}, namespace_count={namespace_count})"
        )
    }
}

/// One page as RAM knows it.
#[pyclass(module = "py_esp_ota._core", frozen, eq, hash, get_all)]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct NvsPage {
    /// Bytes from the start of the partition.
    offset: u32,
    /// `PageState` by its name, `"ACTIVE"`.
    state: &'static str,
    /// Its sequence number; `None` for a page that is not in use.
    seq: Option<u32>,
    /// 0xFE, or 0xFF for a page of format version 1.
    version: u8,
    /// Written entries of 32 bytes.
    used: usize,
    /// Erased entries of 32 bytes.
    erased: usize,
}

#[pymethods]
impl NvsPage {
    fn __repr__(&self) -> String {
        let Self { offset, state, used, erased, .. } = self;
        format!("<NvsPage 0x{offset:x} {state}, {used} used, {erased} erased>")
    }
}

/// An initialised NVS partition: what an app holds in RAM. A reset loses it; build a new one over the same flash.
#[pyclass(module = "py_esp_ota._core", frozen)]
pub(crate) struct NvsPartition {
    flash: Py<Flash>,
    state: Mutex<core::NvsPartition>,
}

impl NvsPartition {
    /// The flash is locked first, then the partition: always in this order, and never with the GIL needed.
    fn run<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut core::NvsPartition, &mut chip::Flash) -> Result<T, Failure> + Send,
    ) -> PyResult<T> {
        let done = self.flash.get().brief(py, |chip| work(&mut lock(&self.state), chip));
        done.map_err(|failure| raised(py, &failure))
    }
}

#[pymethods]
impl NvsPartition {
    /// `nvs_flash_init_partition_ptr`.
    #[new]
    #[pyo3(signature = (
        flash, partition, *, idf_version=None, keys=None, legacy_dup_keys_compatibility=false, repaired=false
    ))]
    fn new(
        py: Python<'_>,
        flash: Py<Flash>,
        partition: &Partition,
        idf_version: Option<(u32, u32, u32)>,
        keys: Option<[u8; 64]>,
        legacy_dup_keys_compatibility: bool,
        repaired: bool,
    ) -> PyResult<Self> {
        let mut rules = core::Rules { repaired, ..idf_version.map_or_else(core::Rules::default, core::Rules::of) };
        rules.replace_type &= !legacy_dup_keys_compatibility;
        let keys = keys.map(|keys| core::Keys::from_bytes(&keys));
        let row = &partition.0;
        let done = flash.get().with(py, |chip| core::NvsPartition::init(chip, row, rules, keys.as_ref()));
        let state = Mutex::new(done.map_err(|failure| raised(py, &failure))?);
        Ok(Self { flash, state })
    }

    /// `nvs_open_from_partition`.
    #[pyo3(signature = (namespace, mode="readonly"))]
    fn open(slf: &Bound<'_, Self>, namespace: &str, mode: &str) -> PyResult<NvsHandle> {
        let mode = match mode {
            "readonly" => core::Mode::ReadOnly,
            "readwrite" => core::Mode::ReadWrite,
            "readwrite_purge" => core::Mode::Purge,
            _ => {
                let known = "readonly, readwrite, readwrite_purge";
                return Err(PyValueError::new_err(format!("unknown mode {mode:?}; known are {known}")));
            }
        };
        let name = c_string("namespace", namespace)?;
        let handle = slf.get().run(slf.py(), |nvs, chip| nvs.open(chip, name, mode))?;
        Ok(NvsHandle { partition: slf.clone().unbind(), handle })
    }

    /// `nvs_entry_find` and `nvs_entry_next`.
    #[pyo3(signature = (namespace=None))]
    fn entries(&self, py: Python<'_>, namespace: Option<&str>) -> PyResult<Vec<NvsEntry>> {
        let name = namespace.map(|name| c_string("namespace", name)).transpose()?;
        let found = self.run(py, |nvs, chip| nvs.entries(chip, name))?;
        let entries = found.iter().map(|info| NvsEntry {
            namespace: text(&info.namespace),
            key: text(&info.key),
            r#type: type_name(info.kind),
        });
        Ok(entries.collect())
    }

    /// `nvs_get_stats`.
    fn stats(&self, py: Python<'_>) -> PyResult<NvsStats> {
        let core::Stats { used, free, available, total, namespaces } = self.run(py, core::NvsPartition::stats)?;
        Ok(NvsStats {
            used_entries: used,
            free_entries: free,
            available_entries: available,
            total_entries: total,
            namespace_count: namespaces,
        })
    }

    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        let entries = self.entries(py, None)?;
        let row = |entry: &NvsEntry| vec![entry.namespace.clone(), entry.key.clone(), entry.r#type.to_string()];
        let rows: Vec<Vec<String>> = entries.iter().map(row).collect();
        notebook::table(py, "NVS", &["Namespace", "Key", "Type"], &rows)
    }

    /// The namespaces and their numbers.
    fn namespaces(&self, py: Python<'_>) -> Vec<(String, u8)> {
        let all = brief(py, &self.state, |nvs| {
            nvs.namespaces().map(|(name, index)| (name.to_vec(), index)).collect::<Vec<_>>()
        });
        all.into_iter().map(|(name, index)| (text(&name), index)).collect()
    }

    /// The pages by address.
    fn pages(&self, py: Python<'_>) -> Vec<NvsPage> {
        let pages = brief(py, &self.state, |nvs| nvs.pages());
        let page = |info: core::PageInfo| NvsPage {
            offset: info.offset,
            state: info.state.name(),
            seq: info.seq,
            version: info.version,
            used: info.used,
            erased: info.erased,
        };
        pages.into_iter().map(page).collect()
    }
}

/// An open namespace.
#[pyclass(module = "py_esp_ota._core", frozen)]
pub(crate) struct NvsHandle {
    partition: Py<NvsPartition>,
    handle: core::Handle,
}

impl NvsHandle {
    fn run<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut core::NvsPartition, &mut chip::Flash, core::Handle) -> Result<T, Failure> + Send,
    ) -> PyResult<T> {
        let handle = self.handle;
        self.partition.get().run(py, |nvs, chip| work(nvs, chip, handle))
    }
}

#[pymethods]
impl NvsHandle {
    /// `nvs_get_*`.
    fn get<'py>(&self, py: Python<'py>, key: &str, r#type: &str) -> PyResult<Bound<'py, PyAny>> {
        let (key, kind) = (c_string("key", key)?, item_type(r#type)?);
        let value = self.run(py, |nvs, chip, handle| nvs.get(chip, handle, key, kind))?;
        from_value(py, value)
    }

    /// `nvs_set_*`.
    fn set(&self, py: Python<'_>, key: &str, r#type: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let (key, value) = (c_string("key", key)?, to_value(item_type(r#type)?, value)?);
        self.run(py, |nvs, chip, handle| nvs.set(chip, handle, key, &value))
    }

    /// `nvs_find_key`.
    fn find_key(&self, py: Python<'_>, key: &str) -> PyResult<&'static str> {
        let key = c_string("key", key)?;
        self.run(py, |nvs, chip, handle| nvs.find_key(chip, handle, key)).map(type_name)
    }

    /// `nvs_erase_key`.
    fn erase_key(&self, py: Python<'_>, key: &str) -> PyResult<()> {
        let key = c_string("key", key)?;
        self.run(py, |nvs, chip, handle| nvs.erase_key(chip, handle, key))
    }

    /// `nvs_erase_all`.
    fn erase_all(&self, py: Python<'_>) -> PyResult<()> {
        self.run(py, core::NvsPartition::erase_all)
    }

    /// `nvs_purge_all`.
    fn purge_all(&self, py: Python<'_>) -> PyResult<()> {
        self.run(py, core::NvsPartition::purge_all)
    }

    /// `nvs_get_used_entry_count`.
    fn used_entry_count(&self, py: Python<'_>) -> PyResult<usize> {
        self.run(py, core::NvsPartition::used_entries)
    }
}

/// `nvs_flash_read_security_cfg`: the 64 bytes of both keys.
#[pyfunction]
fn read_nvs_keys<'py>(py: Python<'py>, flash: &Flash, partition: &Partition) -> PyResult<Bound<'py, PyBytes>> {
    let keys = flash.brief(py, |chip| core::read_keys(chip, &partition.0)).map_err(|failure| raised(py, &failure))?;
    Ok(both(py, &keys))
}

/// `nvs_flash_generate_keys`.
#[pyfunction]
fn generate_nvs_keys<'py>(py: Python<'py>, flash: &Flash, partition: &Partition) -> PyResult<Bound<'py, PyBytes>> {
    let made = flash.brief(py, |chip| core::generate_keys(chip, &partition.0));
    Ok(both(py, &made.map_err(|failure| raised(py, &failure))?))
}

/// `compute_nvs_keys_with_hmac`.
#[pyfunction]
fn derive_nvs_keys<'py>(py: Python<'py>, hmac_key: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    Ok(both(py, &core::Keys::of_hmac(&crate::efuse::hmac_key(hmac_key)?)))
}

fn both<'py>(py: Python<'py>, keys: &core::Keys) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &[keys.eky, keys.tky].concat())
}

/// A key partition with keys that are given.
#[pyfunction]
fn write_nvs_keys(py: Python<'_>, flash: &Flash, partition: &Partition, keys: [u8; 64]) -> PyResult<()> {
    let keys = core::Keys::from_bytes(&keys);
    let done = flash.brief(py, |chip| core::write_keys(chip, &partition.0, &keys));
    done.map_err(|failure| raised(py, &failure))
}
