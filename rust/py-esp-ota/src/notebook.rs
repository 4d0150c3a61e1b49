//! What a notebook shows of a value: rows of text, of which `py_esp_ota.html` makes HTML.

use pyo3::prelude::*;

/// A caption, column heads and rows.
pub(crate) fn table(py: Python<'_>, caption: &str, heads: &[&str], rows: &[Vec<String>]) -> PyResult<String> {
    html(py)?.call_method1("table", (caption, heads, rows))?.extract()
}

/// A caption, and names with what they are; what is empty is left out.
pub(crate) fn facts(py: Python<'_>, caption: &str, rows: &[(&str, String)]) -> PyResult<String> {
    html(py)?.call_method1("facts", (caption, rows))?.extract()
}

/// A picture of sectors: written or erased.
pub(crate) fn sector_map(py: Python<'_>, caption: &str, written: &[bool]) -> PyResult<String> {
    html(py)?.call_method1("sector_map", (caption, written))?.extract()
}

fn html(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import("py_esp_ota.html")
}
