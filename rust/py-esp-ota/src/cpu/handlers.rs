//! The devices that answer for registers, by address: functions of Python, or devices that do most of it here.

use std::sync::Mutex;

use pyo3::exceptions::PyKeyError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::devices::{Compression, Kept, Switch};
use super::printed::Console;
use super::registers::ByAddress;
use crate::lock::lock;

/// One device.
enum Handler {
    Python(Py<PyAny>),
    Kept(Py<Kept>),
    Switch(Py<Switch>),
    Console(Py<Console>),
    Compression(Py<Compression>),
}

/// What a device has to say to a load.
pub(super) enum Answer {
    Word(u32),
    /// This is to be asked.
    Ask(Py<PyAny>),
}

/// What became of a store.
pub(super) enum Taken {
    /// No device is there.
    Nowhere,
    Done,
    /// This is to be called with the word, or without one.
    Tell(Py<PyAny>, Option<u32>),
}

impl Handler {
    fn new(object: &Bound<'_, PyAny>) -> Self {
        if let Ok(device) = object.cast::<Kept>() {
            Self::Kept(device.clone().unbind())
        } else if let Ok(device) = object.cast::<Switch>() {
            Self::Switch(device.clone().unbind())
        } else if let Ok(device) = object.cast::<Console>() {
            Self::Console(device.clone().unbind())
        } else if let Ok(device) = object.cast::<Compression>() {
            Self::Compression(device.clone().unbind())
        } else {
            Self::Python(object.clone().unbind())
        }
    }

    fn object(&self, py: Python<'_>) -> Py<PyAny> {
        match self {
            Self::Python(device) => device.clone_ref(py),
            Self::Kept(device) => device.clone_ref(py).into_any(),
            Self::Switch(device) => device.clone_ref(py).into_any(),
            Self::Console(device) => device.clone_ref(py).into_any(),
            Self::Compression(device) => device.clone_ref(py).into_any(),
        }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Python(device) => visit.call(device),
            Self::Kept(device) => visit.call(device),
            Self::Switch(device) => visit.call(device),
            Self::Console(device) => visit.call(device),
            Self::Compression(device) => visit.call(device),
        }
    }
}

/// The devices that answer for registers, by address.
#[pyclass(module = "py_esp_ota._core", frozen, mapping)]
pub(crate) struct Handlers(Mutex<ByAddress<Handler>>);

impl Handlers {
    /// What the device at an address says to a load; `None` without one.
    pub(super) fn read(&self, py: Python<'_>, address: u32) -> Option<Answer> {
        Some(match lock(&self.0).get(&address)? {
            Handler::Kept(device) => Answer::Word(device.get().word()),
            other => Answer::Ask(other.object(py)),
        })
    }

    /// A store of a word.
    pub(super) fn write(&self, py: Python<'_>, address: u32, value: u32) -> Taken {
        let handlers = lock(&self.0);
        let told = match handlers.get(&address) {
            None => return Taken::Nowhere,
            Some(Handler::Switch(device)) => device.get().take(value),
            Some(Handler::Console(device)) => device.get().take(value),
            Some(Handler::Compression(device)) => {
                device.get().compress();
                None
            }
            Some(other) => return Taken::Tell(other.object(py), Some(value)),
        };
        told.map_or(Taken::Done, |told| Taken::Tell(told.clone_ref(py), None))
    }
}

#[pymethods]
impl Handlers {
    #[new]
    fn new() -> Self {
        Self(Mutex::default())
    }

    /// The device at an address, or `None`.
    #[pyo3(signature = (address, /))]
    fn get(&self, py: Python<'_>, address: u32) -> Option<Py<PyAny>> {
        lock(&self.0).get(&address).map(|handler| handler.object(py))
    }

    fn __getitem__(&self, py: Python<'_>, address: u32) -> PyResult<Py<PyAny>> {
        self.get(py, address).ok_or_else(|| PyKeyError::new_err(address))
    }

    fn __setitem__(&self, address: u32, handler: &Bound<'_, PyAny>) {
        let handler = Handler::new(handler);
        // What was there may run code of Python when it goes: not under the lock.
        let _before = lock(&self.0).insert(address, handler);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // Under the lock nobody else's code runs: who holds it is in the middle of a change, and all is in use.
        let Ok(handlers) = self.0.try_lock() else { return Ok(()) };
        handlers.values().try_for_each(|handler| handler.visit(&visit))
    }

    fn __clear__(&self) {
        let _gone = std::mem::take(&mut *lock(&self.0));
    }

    fn __delitem__(&self, address: u32) -> PyResult<()> {
        let removed = lock(&self.0).remove(&address);
        removed.map(drop).ok_or_else(|| PyKeyError::new_err(address))
    }

    fn __contains__(&self, address: u32) -> bool {
        lock(&self.0).contains_key(&address)
    }

    fn __len__(&self) -> usize {
        lock(&self.0).len()
    }
}
