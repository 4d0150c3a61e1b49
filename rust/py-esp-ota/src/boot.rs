//! Boot-slot selection.

use esp_ota_core::boot as core;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::err::{LogLine, log_lines, number};
use crate::otadata::{OtaSelectEntry, entries, entry_number};
use crate::partition::Partition;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<BootTable>()?;
    module.add_class::<Selection>()?;
    module.add_function(wrap_pyfunction!(select_boot_partition, module)?)?;
    module.add_function(wrap_pyfunction!(boot_order, module)?)
}

/// `bootloader_state_t`: the partition table as the bootloader remembers it (the last duplicate wins).
#[pyclass(module = "py_esp_ota._core", frozen)]
pub(crate) struct BootTable(core::BootTable);

#[pymethods]
impl BootTable {
    #[new]
    fn new(rows: Vec<Partition>) -> Self {
        let rows: Vec<_> = rows.into_iter().map(|row| row.0).collect();
        Self(core::BootTable::new(&rows))
    }

    /// The row app/factory; `None` when there is none.
    #[getter]
    fn factory(&self) -> Option<Partition> {
        self.0.factory().cloned().map(Partition)
    }

    /// The row app/test; `None` when there is none.
    #[getter]
    fn test(&self) -> Option<Partition> {
        self.0.test().cloned().map(Partition)
    }

    /// The row data/ota, which holds the otadata; `None` when there is none.
    #[getter]
    fn ota_info(&self) -> Option<Partition> {
        self.0.ota_info().cloned().map(Partition)
    }

    /// Rows of type app/ota_x: gaps and duplicates are counted as they stand.
    #[getter]
    fn app_count(&self) -> u32 {
        self.0.app_count()
    }

    /// `index_to_partition`: -1 factory, -2 test, 0 to 15 an OTA slot below `app_count`.
    fn partition(&self, #[pyo3(from_py_with = number)] index: i32) -> Option<Partition> {
        self.0.partition(index).cloned().map(Partition)
    }

    /// The Usage column of the boot log, row by row.
    fn usages(&self) -> Vec<&'static str> {
        self.0.usages().to_vec()
    }
}

/// Which slot the bootloader tries first, and what made it so.
#[pyclass(module = "py_esp_ota._core", frozen)]
pub(crate) struct Selection(core::Selection);

#[pymethods]
impl Selection {
    /// The boot index: -1 factory, -2 test, 0 to 15 an OTA slot.
    #[getter]
    fn index(&self) -> i32 {
        self.0.index
    }

    /// The otadata entry that decided: 0, 1, or -1.
    #[getter]
    fn active(&self) -> i32 {
        entry_number(self.0.active)
    }

    /// Whether a successful boot from an OTA slot writes otadata entry 0.
    #[getter]
    fn self_heal(&self) -> bool {
        self.0.self_heal
    }

    /// What the bootloader prints about it.
    #[getter]
    fn log(&self) -> Vec<LogLine> {
        log_lines(&self.0.log)
    }

    fn __repr__(&self) -> String {
        let Self(core::Selection { index, self_heal, .. }) = self;
        let self_heal = if *self_heal { ", self_heal" } else { "" };
        format!("<Selection {index}, otadata entry {}{self_heal}>", self.active())
    }
}

/// `bootloader_utility_get_selected_boot_partition`, the choice alone.
#[pyfunction]
fn select_boot_partition(table: &BootTable, first: &OtaSelectEntry, second: &OtaSelectEntry) -> Selection {
    Selection(core::select(&table.0, &entries(first, second)))
}

/// `bootloader_utility_load_boot_image`: the indices tried, in order, the test app (-2) last.
#[pyfunction]
fn boot_order(
    #[pyo3(from_py_with = number)] start: i32,
    #[pyo3(from_py_with = number)] app_count: u32,
) -> PyResult<Vec<i32>> {
    core::boot_order(start, app_count)
        .ok_or_else(|| PyValueError::new_err(format!("no table with {app_count} OTA slots starts at index {start}")))
}
