//! Blobs of format version 2: chunks over as many pages as it takes, and an index that makes them count.

use super::entry::{Entry, ItemType, Key};
use super::lookup::Query;
use super::medium::Medium;
use super::page::NewItem;
use super::pages::{Hit, no_space};
use super::storage::Storage;
use super::{CHUNK_ANY, CHUNK_MAX, ENTRY, broken, crc32, found, refused};
use crate::err::{EspErr, Failure};

/// Most pages a blob may fill: the chunk numbers of one version.
const MAX_CHUNKS: usize = 127;

impl Storage {
    /// `Storage::writeMultiPageBlob`. What is written of a version that cannot be completed is erased again.
    pub(super) fn write_blob(
        &mut self,
        medium: &mut Medium<'_>,
        ns: u8,
        key: &Key,
        data: &[u8],
        start: u8,
        purge: bool,
    ) -> Result<(), Failure> {
        let most = self.pages.count().saturating_sub(1).min(MAX_CHUNKS) * CHUNK_MAX;
        if data.len() > most {
            let (found, expected) = (format!("{} bytes", data.len()), format!("at most {most} bytes"));
            return Err(refused(EspErr::NvsValueTooLong, "NVS blob", medium.address(0), found, expected));
        }
        let mut written = 0;
        let done = self.write_chunks(medium, ns, key, data, start, &mut written);
        if let Err(Failure::Fault(_)) = done {
            for chunk in (start..).take(written) {
                if let Some(hit) = self.pages.find(medium, &Query::of(ns, key).chunk(chunk))? {
                    found(self.pages.erase(medium, &hit, purge).map(Some))?;
                }
            }
        }
        done
    }

    /// The chunks, each as long as its page has room, then the index; `written` counts chunks.
    fn write_chunks(
        &mut self,
        medium: &mut Medium<'_>,
        ns: u8,
        key: &Key,
        data: &[u8],
        start: u8,
        written: &mut usize,
    ) -> Result<(), Failure> {
        let mut rest = data;
        loop {
            let page = self.pages.current(medium)?;
            let room = page.tailroom();
            let cramped = room < CHUNK_MAX / 10 && (room < data.len() || room == 0 && data.is_empty());
            if *written == 0 && cramped {
                self.next_page(medium)?;
                if self.pages.current(medium)?.tailroom() == room {
                    return Err(no_space(medium, "a page moved together without more room"));
                }
                continue;
            }
            if room == 0 {
                return Err(no_space(medium, "a page moved together without room"));
            }
            let (piece, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            let chunk = start.wrapping_add(*written as u8);
            let item = NewItem { ns, kind: ItemType::BlobData, key, chunk, data: piece };
            let fits = page.write_item(medium, &item)?;
            if !fits {
                return Err(no_space(medium, "a page without the room it had"));
            }
            *written += 1;
            rest = later;
            if !rest.is_empty() || room - piece.len() < ENTRY {
                self.next_page(medium)?;
            }
            if rest.is_empty() {
                break;
            }
        }
        let mut index = [0xFF; 8];
        index[..4].copy_from_slice(&(data.len() as u32).to_le_bytes());
        index[4] = *written as u8;
        index[5] = start;
        let item = NewItem { ns, kind: ItemType::BlobIdx, key, chunk: CHUNK_ANY, data: &index };
        if self.pages.current(medium)?.write_item(medium, &item)? {
            return Ok(());
        }
        Err(no_space(medium, "a page without room for the index"))
    }

    /// `Storage::cmpMultiPageBlob`: whether the blob of an index is exactly this.
    pub(super) fn is_blob(
        &mut self,
        medium: &mut Medium<'_>,
        ns: u8,
        key: &Key,
        index: &Hit,
        data: &[u8],
    ) -> Result<bool, Failure> {
        if index.entry.blob_size() as usize != data.len() {
            return Ok(false);
        }
        let mut rest = data;
        for chunk in chunks(&index.entry) {
            let Some(hit) = self.pages.find(medium, &Query::of(ns, key).chunk(chunk))? else {
                return Ok(false);
            };
            let Some((piece, later)) = rest.split_at_checked(hit.entry.size()) else {
                return Ok(false);
            };
            // Upstream computes this CRC over the start of all data, so a second chunk never matches.
            let compared = if medium.rules().rewrite_blobs { data } else { piece };
            if crc32(&[compared.get(..piece.len()).unwrap_or_default()]) != hit.entry.data_crc() {
                return Ok(false);
            }
            let same = self.pages.live.get(hit.place).map(|page| page.holds(medium, hit.index, &hit.entry, piece));
            if !found(same.transpose())?.unwrap_or(false) {
                return Ok(false);
            }
            rest = later;
        }
        Ok(rest.is_empty())
    }

    /// `Storage::readMultiPageBlob`. `None`: no index, or a chunk whose CRC is wrong, which is erased.
    pub(super) fn read_blob(&mut self, medium: &mut Medium<'_>, ns: u8, key: &Key) -> Result<Option<Vec<u8>>, Failure> {
        let query = Query::of(ns, key);
        let Some(index) = self.pages.find(medium, &query.kind(ItemType::BlobIdx))? else {
            return Ok(None);
        };
        let size = index.entry.blob_size() as usize;
        let (mut data, mut whole, mut too_long) = (Vec::new(), true, false);
        for chunk in chunks(&index.entry) {
            let Some(hit) = self.pages.find(medium, &query.chunk(chunk))? else {
                whole = false;
                break;
            };
            if hit.entry.size() > size - data.len() {
                too_long = true;
                break;
            }
            let Some(page) = self.pages.live.get_mut(hit.place) else {
                return Ok(None);
            };
            match page.take_data(medium, hit.index, &hit.entry)? {
                Some(piece) => data.extend(piece),
                None => return Ok(None),
            }
        }
        if !whole || too_long {
            found(self.erase_blob(medium, ns, key, None, true).map(Some))?;
        }
        if data.len() != size {
            let found = format!("{} bytes in its chunks", data.len());
            return Err(broken(medium, 0, "NVS blob", found, "as many as its index says"));
        }
        if too_long {
            let expected = "chunks as long as the index says";
            return Err(refused(EspErr::NvsInvalidLength, "NVS blob", medium.address(0), "more", expected));
        }
        Ok(Some(data).filter(|_| whole))
    }

    /// `Storage::eraseMultiPageBlob`: the index first, then its chunks in order; without `start` every chunk of the key.
    pub(super) fn erase_blob(
        &mut self,
        medium: &mut Medium<'_>,
        ns: u8,
        key: &Key,
        start: Option<u8>,
        purge: bool,
    ) -> Result<(), Failure> {
        let index = Query { start, ..Query::of(ns, key).kind(ItemType::BlobIdx) };
        let Some(hit) = self.pages.find(medium, &index)? else {
            return Err(super::storage::not_found(medium, "NVS blob", &key.field));
        };
        self.pages.erase(medium, &hit, purge)?;
        if start.is_some() {
            for chunk in chunks(&hit.entry) {
                let Some(hit) = self.pages.find(medium, &Query::of(ns, key).chunk(chunk))? else {
                    return Err(super::storage::not_found(medium, "NVS blob chunk", &key.field));
                };
                self.pages.erase(medium, &hit, purge)?;
            }
            return Ok(());
        }
        if let Some(second) = self.pages.find(medium, &index)? {
            self.pages.erase(medium, &second, purge)?;
        }
        let any = Query::of(ns, key).chunk(CHUNK_ANY);
        for page in &mut self.pages.live {
            while page.erase_item(medium, &any, purge)? {}
        }
        Ok(())
    }
}

/// The chunk numbers of an index. One that would run into the next version, or out of numbers, has none there.
fn chunks(index: &Entry) -> impl Iterator<Item = u8> {
    (index.chunk_start()..CHUNK_ANY).take(index.chunk_count().into())
}
