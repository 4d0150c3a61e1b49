//! Snapshots: what changed since the last one is copied, everything else is shared.

use std::sync::{Arc, LazyLock};

use super::{PAGE, Rights, Space};

const PAGES_PER_CHUNK: usize = 64;

type Page = Arc<[u8; PAGE]>;
type Chunk = Arc<Vec<Page>>;

static ZEROS: LazyLock<Page> = LazyLock::new(|| Arc::new([0; PAGE]));

/// The content of all pages of an arena.
#[derive(Clone, Default)]
pub(super) struct Pages {
    chunks: Vec<Chunk>,
    count: usize,
}

impl Pages {
    pub(super) fn grow(&mut self, count: usize) {
        let chunk = LazyLock::new(|| Arc::new(vec![ZEROS.clone(); PAGES_PER_CHUNK]));
        self.chunks.resize_with(count.div_ceil(PAGES_PER_CHUNK), || chunk.clone());
        self.count = count;
    }

    pub(super) fn is_zero(&self, frame: usize) -> bool {
        self.page(frame).is_some_and(|page| Arc::ptr_eq(page, &ZEROS))
    }

    fn page(&self, frame: usize) -> Option<&Page> {
        self.chunks.get(frame / PAGES_PER_CHUNK)?.get(frame % PAGES_PER_CHUNK)
    }

    fn set(&mut self, frame: usize, page: Page) {
        let chunk = self.chunks.get_mut(frame / PAGES_PER_CHUNK).map(Arc::make_mut);
        if let Some(slot) = chunk.and_then(|chunk| chunk.get_mut(frame % PAGES_PER_CHUNK)) {
            *slot = page;
        }
    }

    /// The frames whose content may differ.
    fn differing(&self, other: &Self) -> Vec<usize> {
        let mut frames = Vec::new();
        for (number, (mine, theirs)) in self.chunks.iter().zip(&other.chunks).enumerate() {
            if !Arc::ptr_eq(mine, theirs) {
                let pairs = mine.iter().zip(theirs.iter()).enumerate();
                let differ = pairs.filter(|(_, (mine, theirs))| !Arc::ptr_eq(mine, theirs));
                frames.extend(differ.map(|(at, _)| number * PAGES_PER_CHUNK + at));
            }
        }
        frames
    }
}

/// All memory of a space as it was once. It shares what did not change with the space and with other snapshots.
#[derive(Clone)]
pub struct Snapshot(Pages);

impl Space {
    /// The content of all memory. It costs what was changed since the last snapshot or restore.
    pub fn snapshot(&mut self) -> Snapshot {
        for frame in std::mem::take(&mut self.dirty) {
            let bytes = self.arena.get(frame * PAGE..).and_then(|rest| rest.first_chunk::<PAGE>());
            if let Some(bytes) = bytes {
                let page = if *bytes == [0; PAGE] { ZEROS.clone() } else { Arc::new(*bytes) };
                self.base.set(frame, page);
            }
            self.clean(frame);
        }
        Snapshot(self.base.clone())
    }

    /// All memory as it was; it costs what differs. False for a snapshot of another space's memory, which is let be.
    pub fn restore(&mut self, snapshot: &Snapshot) -> bool {
        if snapshot.0.count != self.frames.len() {
            return false;
        }
        let mut frames = self.base.differing(&snapshot.0);
        frames.append(&mut std::mem::take(&mut self.dirty));
        for frame in frames {
            if let Some(page) = snapshot.0.page(frame) {
                self.write(frame * PAGE, page.as_slice());
            }
            self.clean(frame);
        }
        self.dirty.clear();
        self.base = snapshot.0.clone();
        true
    }

    fn clean(&mut self, frame: usize) {
        if let Some(known) = self.frames.get_mut(frame) {
            known.dirty = false;
        }
        self.close_frame(frame, Rights::WRITE);
    }
}
