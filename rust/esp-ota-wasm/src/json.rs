//! Just enough JSON to be written.

use std::fmt::Write;

/// A value that is JSON already.
pub(crate) struct Json(pub(crate) String);

impl Json {
    /// `null` for nothing.
    pub(crate) fn maybe<T>(value: Option<T>, of: impl FnOnce(T) -> Self) -> Self {
        value.map_or_else(|| Self("null".to_owned()), of)
    }

    pub(crate) fn number(value: impl Copy + ToString) -> Self {
        Self(value.to_string())
    }

    pub(crate) fn flag(value: bool) -> Self {
        Self(value.to_string())
    }

    pub(crate) fn text(value: &str) -> Self {
        let mut text = String::with_capacity(value.len() + 2);
        text.push('"');
        for character in value.chars() {
            match character {
                '"' | '\\' => text.extend(['\\', character]),
                '\0'..='\u{1f}' => _ = write!(text, "\\u{:04x}", u32::from(character)),
                _ => text.push(character),
            }
        }
        text.push('"');
        Self(text)
    }

    pub(crate) fn list(values: impl Iterator<Item = Self>) -> Self {
        let values: Vec<String> = values.map(|value| value.0).collect();
        Self(format!("[{}]", values.join(",")))
    }

    pub(crate) fn object<const N: usize>(fields: [(&str, Self); N]) -> Self {
        let fields = fields.map(|(name, value)| format!("{}:{}", Self::text(name).0, value.0));
        Self(format!("{{{}}}", fields.join(",")))
    }
}
