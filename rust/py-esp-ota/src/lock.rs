//! Locks that never need the GIL while they are held, so they cannot deadlock with it.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use pyo3::prelude::*;

/// A panic of another thread leaves at worst half an operation behind, as a power cut does.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Work that needs no Python and is over soon: the GIL is released only to wait for another thread's work.
pub(crate) fn brief<S: Send, T: Send>(py: Python<'_>, mutex: &Mutex<S>, work: impl FnOnce(&mut S) -> T + Send) -> T {
    match mutex.try_lock() {
        Ok(mut state) => work(&mut state),
        Err(TryLockError::Poisoned(poisoned)) => work(&mut poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => py.detach(|| work(&mut lock(mutex))),
    }
}
