//! What a chip prints, letter by letter, on one or more consoles.

use std::sync::Mutex;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::registers::low_word;
use crate::lock::lock;

/// How many letters back the words are looked for by which code says that it stops.
const LOOKED_BACK: usize = 128;

/// The text so far, and for each console the letter that it has yet to say after another.
#[derive(Clone, Default)]
struct Paper {
    text: String,
    echo: Vec<Option<char>>,
}

/// What was printed. ROM prints every letter on all consoles there are: what one says after another is there once.
#[pyclass(module = "py_esp_ota._core", frozen)]
pub(crate) struct Printed {
    paper: Mutex<Paper>,
    last_words: Vec<String>,
}

impl Printed {
    /// A letter on one console; whether it ends a line that holds last words.
    fn take(&self, console: usize, letter: char) -> bool {
        let mut paper = lock(&self.paper);
        let Some(expected) = paper.echo.get_mut(console) else { return false };
        if expected.take_if(|expected| *expected == letter).is_some() {
            return false;
        }
        for (other, echo) in paper.echo.iter_mut().enumerate() {
            if other != console {
                *echo = Some(letter);
            }
        }
        paper.text.push(letter);
        if letter != '\n' {
            return false;
        }
        let begin = paper.text.char_indices().nth_back(LOOKED_BACK - 1).map_or(0, |(at, _)| at);
        let line = paper.text.get(begin..).unwrap_or_default();
        self.last_words.iter().any(|words| line.contains(words))
    }
}

#[pymethods]
impl Printed {
    #[new]
    fn new(last_words: Vec<String>) -> Self {
        Self { paper: Mutex::default(), last_words }
    }

    /// One console more; `told` hears when a line with last words ends on it.
    fn console(this: Py<Self>, py: Python<'_>, told: Py<PyAny>) -> PyResult<Py<Console>> {
        let number = {
            let mut paper = lock(&this.get().paper);
            paper.echo.push(None);
            paper.echo.len() - 1
        };
        Py::new(py, Console { printed: this, number, told })
    }

    /// Print text, on whatever console.
    fn add(&self, text: &str) {
        lock(&self.paper).text.push_str(text);
    }

    fn __str__(&self) -> String {
        lock(&self.paper).text.clone()
    }

    /// What was printed is gone; what a console has yet to say is not.
    fn clear(&self) {
        lock(&self.paper).text.clear();
    }

    /// Nothing was printed.
    fn reset(&self) {
        let mut paper = lock(&self.paper);
        paper.text.clear();
        paper.echo.iter_mut().for_each(|echo| *echo = None);
    }

    /// The same text once more.
    fn copy(&self) -> Self {
        Self { paper: Mutex::new(lock(&self.paper).clone()), last_words: self.last_words.clone() }
    }

    /// This text and no other from now on, and its consoles.
    fn become_copy_of(&self, other: &Bound<'_, Self>) {
        let theirs = lock(&other.get().paper).clone();
        *lock(&self.paper) = theirs;
    }
}

/// A register into which code stores letters: the lowest byte of each word.
#[pyclass(module = "py_esp_ota._core", frozen)]
pub(crate) struct Console {
    printed: Py<Printed>,
    number: usize,
    told: Py<PyAny>,
}

impl Console {
    /// Take a letter; whom to tell that it ended a line with last words.
    pub(super) fn take(&self, value: u32) -> Option<&Py<PyAny>> {
        self.printed.get().take(self.number, char::from(value as u8)).then_some(&self.told)
    }
}

#[pymethods]
impl Console {
    fn __call__(&self, py: Python<'_>, #[pyo3(from_py_with = low_word)] value: u32) -> PyResult<()> {
        self.take(value).map_or(Ok(()), |told| told.call0(py).map(drop))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.told)
    }
}
