//! One entry of 32 bytes (`nvs::Item`): types, keys, the two CRCs and the check of a header.

use super::{CHUNK_ANY, CHUNK_MAX, ENTRY, ENTRY_COUNT, MAX_KEY, crc32};

/// The largest blob that an index may announce.
const MAX_BLOB: u32 = 127 * CHUNK_MAX as u32;

/// `nvs::ItemType`: what an entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ItemType {
    U8 = 0x01,
    I8 = 0x11,
    U16 = 0x02,
    I16 = 0x12,
    U32 = 0x04,
    I32 = 0x14,
    U64 = 0x08,
    I64 = 0x18,
    /// Terminated text.
    Str = 0x21,
    Float = 0x24,
    Double = 0x28,
    /// A blob of format version 1: in one piece, without an index.
    Blob = 0x41,
    /// A piece of a blob.
    BlobData = 0x42,
    /// What belongs to a blob.
    BlobIdx = 0x48,
}

impl ItemType {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::U64,
        Self::I64,
        Self::Str,
        Self::Float,
        Self::Double,
        Self::Blob,
        Self::BlobData,
        Self::BlobIdx,
    ];

    /// The type of a code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&kind| kind as u8 == code)
    }

    /// The type of a name in `nvs_type_t`'s words: `u8`, `str`, `blob`. A blob is named as its user names it.
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "blob" { Some(Self::Blob) } else { Self::ALL.into_iter().find(|kind| kind.name() == name) }
    }

    /// Its name; the three kinds of entries a blob has are told apart.
    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::Str => "str",
            Self::Float => "float",
            Self::Double => "double",
            Self::Blob => "blob_v1",
            Self::BlobData => "blob_data",
            Self::BlobIdx => "blob_index",
        }
    }

    /// Whether its data lies in entries of its own.
    pub fn is_variable(self) -> bool {
        matches!(self, Self::Str | Self::Blob | Self::BlobData)
    }

    fn is_float(self) -> bool {
        matches!(self, Self::Float | Self::Double)
    }
}

/// A key or namespace name as the caller gave it: the field it would fill, and its real length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) field: [u8; 16],
    pub(super) length: usize,
}

impl Key {
    /// A C string: it ends at its first NUL. Only 15 bytes fit the field.
    pub(super) fn new(name: &[u8]) -> Self {
        let length = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        let mut field = [0; 16];
        field.iter_mut().take(MAX_KEY).zip(name.iter().take(length)).for_each(|(to, from)| *to = *from);
        Self { field, length }
    }

    /// `strncmp(key, item.key, 15) == 0`.
    pub(super) fn is(&self, field: &[u8; 16]) -> bool {
        text(&self.field) == text(field)
    }
}

/// A key field up to its end, as text is compared: at most 15 bytes.
pub(super) fn text(field: &[u8; 16]) -> &[u8] {
    let field = field.get(..MAX_KEY).unwrap_or_default();
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Entries an item with so many bytes of data takes, its header included.
pub(super) fn span_of(size: usize) -> usize {
    1 + size.div_ceil(ENTRY)
}

/// One entry as it stands on flash, decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry(pub(super) [u8; ENTRY]);

impl Entry {
    /// A header; its CRC is set.
    pub(super) fn header(ns: u8, kind: ItemType, span: usize, chunk: u8, key: &Key, data: [u8; 8]) -> Self {
        let mut bytes = [0xFF; ENTRY];
        bytes[0] = ns;
        bytes[1] = kind as u8;
        bytes[2] = span as u8;
        bytes[3] = chunk;
        bytes[8..24].copy_from_slice(&key.field);
        bytes[24..].copy_from_slice(&data);
        let mut entry = Self(bytes);
        let crc = entry.computed_crc();
        entry.0[4..8].copy_from_slice(&crc.to_le_bytes());
        entry
    }

    pub(super) fn ns(&self) -> u8 {
        self.0[0]
    }

    /// The code of its type.
    pub(super) fn code(&self) -> u8 {
        self.0[1]
    }

    pub(super) fn kind(&self) -> Option<ItemType> {
        ItemType::from_code(self.code())
    }

    pub(super) fn span(&self) -> usize {
        self.0[2].into()
    }

    pub(super) fn chunk(&self) -> u8 {
        self.0[3]
    }

    pub(super) fn key(&self) -> [u8; 16] {
        let mut key = [0; 16];
        key.copy_from_slice(&self.0[8..24]);
        key
    }

    pub(super) fn data(&self) -> [u8; 8] {
        let mut data = [0; 8];
        data.copy_from_slice(&self.0[24..]);
        data
    }

    /// Bytes of a variable item's data.
    pub(super) fn size(&self) -> usize {
        u16::from_le_bytes([self.0[24], self.0[25]]).into()
    }

    /// The CRC over a variable item's data.
    pub(super) fn data_crc(&self) -> u32 {
        u32::from_le_bytes([self.0[28], self.0[29], self.0[30], self.0[31]])
    }

    /// Bytes of the whole blob, from its index.
    pub(super) fn blob_size(&self) -> u32 {
        u32::from_le_bytes([self.0[24], self.0[25], self.0[26], self.0[27]])
    }

    pub(super) fn chunk_count(&self) -> u8 {
        self.0[28]
    }

    /// The first chunk's index, from the blob's index.
    pub(super) fn chunk_start(&self) -> u8 {
        self.0[29]
    }

    fn crc(&self) -> u32 {
        u32::from_le_bytes([self.0[4], self.0[5], self.0[6], self.0[7]])
    }

    fn computed_crc(&self) -> u32 {
        crc32(&[&self.0[..4], &self.0[8..]])
    }

    /// What the hash lists know an item by: namespace, key and chunk, not its type.
    pub(super) fn hash(&self) -> u32 {
        hash(self.ns(), &self.key(), self.chunk())
    }

    /// `Item::checkHeaderConsistency`: whether this is the header of an item at place `index` of a page.
    pub(super) fn is_header(&self, index: usize, floats: bool) -> bool {
        let Some(kind) = self.kind().filter(|kind| floats || !kind.is_float()) else {
            return false;
        };
        if self.crc() != self.computed_crc() {
            return false;
        }
        if kind == ItemType::BlobIdx {
            return self.span() == 1 && self.chunk() == CHUNK_ANY && self.blob_size() <= MAX_BLOB;
        }
        if !kind.is_variable() {
            return self.span() == 1;
        }
        let room = ENTRY_COUNT.saturating_sub(index);
        let chunk = kind != ItemType::BlobData || self.chunk() != CHUNK_ANY;
        chunk && self.span() <= room && self.span() == span_of(self.size())
    }
}

/// The 24-bit hash of a hash list's node.
pub(super) fn hash(ns: u8, key: &[u8; 16], chunk: u8) -> u32 {
    crc32(&[&[ns], key, &[chunk]]) & 0x00FF_FFFF
}
