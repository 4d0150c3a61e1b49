//! Values as the API takes and gives them.

use super::entry::ItemType;

/// One typed value.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    U64(u64),
    I64(i64),
    Float(f32),
    Double(f64),
    /// Text without its terminator.
    Str(Vec<u8>),
    Blob(Vec<u8>),
}

impl Value {
    /// The type it is stored under; a blob's is [`ItemType::Blob`].
    pub fn kind(&self) -> ItemType {
        match self {
            Self::U8(_) => ItemType::U8,
            Self::I8(_) => ItemType::I8,
            Self::U16(_) => ItemType::U16,
            Self::I16(_) => ItemType::I16,
            Self::U32(_) => ItemType::U32,
            Self::I32(_) => ItemType::I32,
            Self::U64(_) => ItemType::U64,
            Self::I64(_) => ItemType::I64,
            Self::Float(_) => ItemType::Float,
            Self::Double(_) => ItemType::Double,
            Self::Str(_) => ItemType::Str,
            Self::Blob(_) => ItemType::Blob,
        }
    }

    /// Whether the setter refuses it (ESP_ERR_INVALID_ARG).
    pub(super) fn is_nan(&self) -> bool {
        match self {
            Self::Float(value) => value.is_nan(),
            Self::Double(value) => value.is_nan(),
            _ => false,
        }
    }

    /// What is stored: a text with its terminator, and only up to its first one.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::U8(value) => value.to_le_bytes().to_vec(),
            Self::I8(value) => value.to_le_bytes().to_vec(),
            Self::U16(value) => value.to_le_bytes().to_vec(),
            Self::I16(value) => value.to_le_bytes().to_vec(),
            Self::U32(value) => value.to_le_bytes().to_vec(),
            Self::I32(value) => value.to_le_bytes().to_vec(),
            Self::U64(value) => value.to_le_bytes().to_vec(),
            Self::I64(value) => value.to_le_bytes().to_vec(),
            Self::Float(value) => value.to_le_bytes().to_vec(),
            Self::Double(value) => value.to_le_bytes().to_vec(),
            Self::Str(text) => text.iter().copied().take_while(|&byte| byte != 0).chain([0]).collect(),
            Self::Blob(data) => data.clone(),
        }
    }

    /// A scalar from the eight bytes of its entry; `None` for the other types.
    pub(super) fn scalar(kind: ItemType, data: [u8; 8]) -> Option<Self> {
        let [a, b, c, d, ..] = data;
        Some(match kind {
            ItemType::U8 => Self::U8(a),
            ItemType::I8 => Self::I8(i8::from_le_bytes([a])),
            ItemType::U16 => Self::U16(u16::from_le_bytes([a, b])),
            ItemType::I16 => Self::I16(i16::from_le_bytes([a, b])),
            ItemType::U32 => Self::U32(u32::from_le_bytes([a, b, c, d])),
            ItemType::I32 => Self::I32(i32::from_le_bytes([a, b, c, d])),
            ItemType::U64 => Self::U64(u64::from_le_bytes(data)),
            ItemType::I64 => Self::I64(i64::from_le_bytes(data)),
            ItemType::Float => Self::Float(f32::from_le_bytes([a, b, c, d])),
            ItemType::Double => Self::Double(f64::from_le_bytes(data)),
            _ => return None,
        })
    }

    /// A text from its stored bytes: as far as a C string goes.
    pub(super) fn text(mut data: Vec<u8>) -> Self {
        if let Some(end) = data.iter().position(|&byte| byte == 0) {
            data.truncate(end);
        }
        Self::Str(data)
    }
}
