//! `Recording`: one run, and the flash as a power cut at any of its operations leaves it.

use std::sync::Mutex;

use esp_ota_core::err::Failure;
use esp_ota_core::fault::{FaultPlan, NotAPlan, Part};
use esp_ota_core::flash as core;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::err::{FlashError, failure_to_err, number};
use crate::flash::Flash;
use crate::journal::{FlashOp, Sectors};
use crate::lock::lock;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Recording>()
}

/// The operations of a run over the flash that it began with.
#[pyclass(module = "py_esp_ota._core", frozen)]
pub(crate) struct Recording(Mutex<core::Recording>);

impl Recording {
    pub(crate) fn wrap(recording: core::Recording) -> Self {
        Self(Mutex::new(recording))
    }

    fn flash(
        &self,
        py: Python<'_>,
        build: impl FnOnce(&mut core::Recording) -> Result<core::Flash, Failure> + Send,
    ) -> PyResult<Flash> {
        let made = py.detach(|| build(&mut lock(&self.0)));
        made.map(Flash::wrap).map_err(|failure| failure_to_err::<FlashError>(py, &failure))
    }
}

#[pymethods]
impl Recording {
    /// What was done to `flash` since it began to record; nothing when it does not.
    #[staticmethod]
    fn of(py: Python<'_>, flash: &Bound<'_, Flash>) -> Option<Self> {
        flash.get().brief(py, |chip| chip.recording()).map(Self::wrap)
    }

    fn __len__(&self) -> usize {
        lock(&self.0).ops().len()
    }

    /// The operations, in order.
    fn ops(&self) -> Vec<FlashOp> {
        lock(&self.0).ops().map(FlashOp::from).collect()
    }

    /// The flash after `count` of the operations, with power.
    fn flash_after(&self, py: Python<'_>, #[pyo3(from_py_with = number)] count: u64) -> PyResult<Flash> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.flash(py, |recording| recording.flash_after(count))
    }

    /// The flash as the one cut of `plan` leaves it, without power.
    fn cut(&self, py: Python<'_>, plan: &str) -> PyResult<Flash> {
        let plan: FaultPlan = plan.parse().map_err(|refused: NotAPlan| PyValueError::new_err(refused.to_string()))?;
        let [Part::Cut(cut)] = plan.0[..] else {
            return Err(PyValueError::new_err(format!("{plan} is not one power cut")));
        };
        self.flash(py, |recording| recording.cut(cut))
    }

    /// The same operations over another flash, which must lead to the same.
    fn over(&self, py: Python<'_>, flash: &Bound<'_, Flash>) -> Self {
        let base = flash.get().brief(py, |chip| chip.fork());
        Self::wrap(lock(&self.0).over(&base))
    }

    /// The first operation from number `start` on that works on one of these sectors.
    fn next_in(&self, sectors: &Bound<'_, Sectors>, #[pyo3(from_py_with = number)] start: u64) -> Option<u64> {
        let sectors = &sectors.get().0;
        let found = lock(&self.0).ops().skip(start as usize).find(|op| sectors.contains(op.address));
        found.map(|op| op.index)
    }
}
