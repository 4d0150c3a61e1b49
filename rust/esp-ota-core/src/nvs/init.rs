//! What init does with blobs (`Storage::init`): an index without its chunks goes, and so does a chunk without its index.

use super::entry::{Entry, ItemType, Key};
use super::lookup::Query;
use super::medium::Medium;
use super::pages::Pages;
use super::storage::Storage;
use super::{CHUNK_ANY, VER_1, found};
use crate::err::Failure;

/// An index of a blob, and what was found of it.
struct Index {
    ns: u8,
    key: Key,
    start: u8,
    count: u8,
    size: u32,
    seen_count: u32,
    seen_size: u32,
}

impl Index {
    fn is_of(&self, chunk: &Entry, end: u16) -> bool {
        let number = chunk.chunk();
        self.ns == chunk.ns() && self.key.is(&chunk.key()) && number >= self.start && u16::from(number) < end
    }

    /// Whether a chunk has a number of this index's version.
    fn is_version_of(&self, chunk: &Entry) -> bool {
        self.is_of(chunk, if self.start == 0 { VER_1.into() } else { CHUNK_ANY.into() })
    }

    fn owns(&self, chunk: &Entry) -> bool {
        self.is_of(chunk, u16::from(self.start) + u16::from(self.count))
    }
}

impl Storage {
    /// `Storage::init`: pages, the directory, blobs.
    pub(super) fn init(medium: &mut Medium<'_>, size: u32) -> Result<Self, Failure> {
        let pages = Pages::load(medium, size)?;
        let mut storage = Self { pages, namespaces: Vec::new() };
        storage.load_namespaces(medium)?;
        let mut indexes = storage.blob_indexes(medium)?;
        if medium.rules().check_index {
            storage.erase_mismatched(medium, &mut indexes)?;
        }
        storage.erase_orphans(medium, &indexes)?;
        Ok(storage)
    }

    /// `Storage::populateBlobIndices`.
    fn blob_indexes(&mut self, medium: &mut Medium<'_>) -> Result<Vec<Index>, Failure> {
        let mut indexes = Vec::new();
        self.each(medium, ItemType::BlobIdx, |entry| {
            indexes.push(Index {
                ns: entry.ns(),
                key: Key::new(&entry.key()),
                start: entry.chunk_start(),
                count: entry.chunk_count(),
                size: entry.blob_size(),
                seen_count: 0,
                seen_size: 0,
            });
            None
        })?;
        Ok(indexes)
    }

    /// `Storage::eraseMismatchedBlobIndexes`.
    fn erase_mismatched(&mut self, medium: &mut Medium<'_>, indexes: &mut Vec<Index>) -> Result<(), Failure> {
        self.each(medium, ItemType::BlobData, |chunk| {
            if let Some(index) = indexes.iter_mut().find(|index| index.is_version_of(chunk)) {
                index.seen_count += 1;
                index.seen_size += chunk.size() as u32;
            }
            None
        })?;
        let sound = |index: &Index| index.seen_size == index.size && index.seen_count == u32::from(index.count);
        for index in indexes.iter().filter(|index| !sound(index)) {
            let start = Some(index.start);
            let query = Query { start, ..Query::of(index.ns, &index.key).kind(ItemType::BlobIdx) };
            for page in &mut self.pages.live {
                if found(page.erase_item(medium, &query, true).map(|erased| erased.then_some(())))?.is_some() {
                    break;
                }
            }
        }
        indexes.retain(sound);
        Ok(())
    }

    /// `Storage::eraseOrphanDataBlobs`.
    fn erase_orphans(&mut self, medium: &mut Medium<'_>, indexes: &[Index]) -> Result<(), Failure> {
        self.each(medium, ItemType::BlobData, |chunk| {
            let owned = indexes.iter().any(|index| index.owns(chunk));
            (!owned).then(|| chunk.chunk())
        })
    }

    /// Walk all items of a type; where `look` answers with a chunk number, that chunk of the item's key is erased.
    fn each(
        &mut self,
        medium: &mut Medium<'_>,
        kind: ItemType,
        mut look: impl FnMut(&Entry) -> Option<u8>,
    ) -> Result<(), Failure> {
        for page in &mut self.pages.live {
            let mut from = 0;
            while let Some((index, entry)) = found(page.find(medium, from, &Query::ALL.kind(kind)))? {
                if let Some(chunk) = look(&entry) {
                    let key = Key::new(&entry.key());
                    let erased = page.erase_item(medium, &Query::of(entry.ns(), &key).chunk(chunk), true);
                    found(erased.map(Some))?;
                }
                from = index + entry.span().max(1);
            }
        }
        Ok(())
    }
}
