//! Finding items in a page (`Page::findItem`), and reading what was found.

use super::bitmap::Code;
use super::entry::{Entry, ItemType, Key, hash};
use super::medium::Medium;
use super::page::Page;
use super::{CHUNK_ANY, ENTRY, ENTRY_COUNT, crc32};
use crate::err::Failure;

/// What is looked for; what is `None` matches everything.
#[derive(Clone, Copy)]
pub(super) struct Query<'a> {
    pub(super) ns: Option<u8>,
    pub(super) kind: Option<ItemType>,
    pub(super) key: Option<&'a Key>,
    pub(super) chunk: u8,
    /// The version of a blob's index.
    pub(super) start: Option<u8>,
}

impl<'a> Query<'a> {
    pub(super) const ALL: Query<'static> = Query { ns: None, kind: None, key: None, chunk: CHUNK_ANY, start: None };

    /// A value of a user.
    pub(super) fn of(ns: u8, key: &'a Key) -> Self {
        Self { ns: Some(ns), kind: None, key: Some(key), chunk: CHUNK_ANY, start: None }
    }

    pub(super) fn kind(self, kind: ItemType) -> Self {
        Self { kind: Some(kind), ..self }
    }

    pub(super) fn chunk(self, chunk: u8) -> Self {
        Self { kind: Some(ItemType::BlobData), chunk, ..self }
    }

    fn is_brute_force(&self) -> bool {
        self.key.is_none() && self.ns.is_none() && self.chunk == CHUNK_ANY
    }
}

/// What the walk does with one entry.
enum Step {
    Skip,
    Hit,
    /// An item of another type: the search ends here (ESP_ERR_NVS_TYPE_MISMATCH).
    Mismatch,
}

impl Query<'_> {
    fn judge(&self, entry: &Entry, found: ItemType) -> Step {
        if self.ns.is_some_and(|ns| ns != entry.ns()) || self.key.is_some_and(|key| !key.is(&entry.key())) {
            return Step::Skip;
        }
        let any = self.chunk == CHUNK_ANY;
        match self.kind {
            Some(ItemType::BlobData) if any && found != ItemType::BlobData => return Step::Skip,
            Some(ItemType::BlobData) if !any && entry.chunk() != self.chunk => return Step::Skip,
            // A brute-force search meets all kinds; a search for a value of version 1 ends at its successor.
            Some(ItemType::Blob) if any && found == ItemType::BlobIdx => return Step::Mismatch,
            Some(ItemType::Blob) if any && found == ItemType::BlobData => return Step::Skip,
            Some(ItemType::BlobIdx) if entry.chunk() != CHUNK_ANY => return Step::Skip,
            Some(ItemType::BlobIdx) if self.start.is_some_and(|start| start != entry.chunk_start()) => {
                return Step::Skip;
            }
            _ => {}
        }
        match self.kind {
            Some(kind) if kind != found && self.is_brute_force() => Step::Skip,
            Some(kind) if kind != found => Step::Mismatch,
            _ => Step::Hit,
        }
    }
}

impl Page {
    /// `Page::findItem` from entry `from` on. `None`: not found, or found with another type.
    ///
    /// An entry on the way that should be a header and is none is erased.
    pub(super) fn find(
        &mut self,
        medium: &mut Medium<'_>,
        from: usize,
        query: &Query<'_>,
    ) -> Result<Option<(usize, Entry)>, Failure> {
        if !self.is_live() || from >= ENTRY_COUNT {
            return Ok(None);
        }
        let mut index = self.first_used.max(from);
        if let (Some(ns), Some(key)) = (query.ns, query.key) {
            if query.kind != Some(ItemType::BlobData) || query.chunk != CHUNK_ANY {
                let hash = hash(ns, &key.field, query.chunk);
                match self.hashes.iter().find(|&&(node, at)| node == hash && at >= index) {
                    Some(&(_, at)) => index = at,
                    None => return Ok(None),
                }
            }
        }
        while index < self.end() {
            if self.codes.get(index) != Code::Written {
                index += 1;
                continue;
            }
            let read = self.read_entry(medium, index);
            let entry = self.watch(read)?;
            let kind = entry.kind().filter(|_| entry.is_header(index, medium.rules().floats));
            let Some(kind) = kind else {
                let erased = self.erase_entry(medium, index, true);
                self.watch(erased)?;
                index += 1;
                continue;
            };
            match query.judge(&entry, kind) {
                Step::Hit => return Ok(Some((index, entry))),
                Step::Mismatch => return Ok(None),
                Step::Skip => index += if kind.is_variable() { entry.span() } else { 1 },
            }
        }
        Ok(None)
    }

    /// `Page::eraseItem`: whether there was one.
    pub(super) fn erase_item(
        &mut self,
        medium: &mut Medium<'_>,
        query: &Query<'_>,
        purge: bool,
    ) -> Result<bool, Failure> {
        match self.find(medium, 0, query)? {
            Some((index, _)) => self.erase_entry(medium, index, purge).map(|()| true),
            None => Ok(false),
        }
    }

    /// The data of a variable item, whatever its CRC says.
    pub(super) fn read_data(&self, medium: &mut Medium<'_>, index: usize, header: &Entry) -> Result<Vec<u8>, Failure> {
        let mut data = Vec::with_capacity(header.span() * ENTRY);
        for at in index + 1..index + header.span() {
            data.extend_from_slice(&self.read_entry(medium, at)?.0);
        }
        data.truncate(header.size());
        Ok(data)
    }

    /// `Page::readVariableLengthItemData`: the data, or `None` where its CRC is wrong, and then the item is erased.
    pub(super) fn take_data(
        &mut self,
        medium: &mut Medium<'_>,
        index: usize,
        header: &Entry,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let data = self.read_data(medium, index, header)?;
        if crc32(&[&data]) == header.data_crc() {
            return Ok(Some(data));
        }
        self.erase_entry(medium, index, true)?;
        Ok(None)
    }

    /// `Page::cmpItem`: whether an item holds this; of data it compares as many bytes as are stored.
    pub(super) fn holds(
        &self,
        medium: &mut Medium<'_>,
        index: usize,
        header: &Entry,
        data: &[u8],
    ) -> Result<bool, Failure> {
        if !header.kind().is_some_and(ItemType::is_variable) {
            return Ok(header.data().starts_with(data));
        }
        let stored = self.read_data(medium, index, header)?;
        if stored.is_empty() && medium.rules().rewrite_blobs {
            return Ok(false);
        }
        Ok(data.starts_with(&stored) && crc32(&[&stored]) == header.data_crc())
    }
}
