//! One walk over an image: what it has read, found and printed so far.

use super::header::SegmentHeader;
use super::request::{Build, Request, Verdict};
use super::rules::{Refusal, Rules, line};
use crate::app_desc::{APP_DESC_SIZE, AppDesc};
use crate::err::{EspErr, Failure, Fault, Level};
use crate::source::Source;

/// Why the walk ended early.
pub(super) enum Stop {
    Refused(Box<Refusal>),
    Assertion(&'static str, Fault),
    Crash(&'static str, Fault),
    PowerLost(u64),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Fault(fault) => Self::Refused(Box::new(Refusal::mute(fault))),
            Failure::PowerLost(operation) => Self::PowerLost(operation),
        }
    }
}

/// A broken rule ends the walk.
pub(super) fn ask(refusal: Option<Refusal>) -> Result<(), Stop> {
    refusal.map_or(Ok(()), |refusal| Err(Stop::Refused(Box::new(refusal))))
}

/// One walk over an image. All sums of addresses and lengths are 32 bits wide, as on the chip.
pub(super) struct Walk<'a, S: Source + ?Sized> {
    pub(super) flash: &'a S,
    pub(super) request: &'a Request,
    pub(super) rules: Rules,
    /// The metadata and the console so far.
    pub(super) data: Verdict,
    /// The flash addresses `[low, high)` that were looked at.
    pub(super) seen: std::cell::Cell<(u64, u64)>,
}

impl<'a, S: Source + ?Sized> Walk<'a, S> {
    pub(super) fn new(flash: &'a S, request: &'a Request) -> Self {
        let rules = request.rules(flash.len());
        let start = u64::from(request.offset);
        let data = Verdict::accepted(Vec::new());
        Self { flash, request, rules, data, seen: std::cell::Cell::new((start, start)) }
    }

    /// An anti-rollback build of a release that takes the version from the bytes it hashes.
    pub(super) fn watches_rollback(&self) -> bool {
        self.request.options.anti_rollback && self.rules.features.version_in_walk
    }

    /// Whether this build looks at what it asserts.
    pub(super) fn asserts(&self) -> bool {
        !self.request.options.assertions_disabled
    }

    /// Whether a debugger makes this build overlook what it found.
    pub(super) fn overlooks(&self) -> bool {
        self.request.options.debugger_attached
    }

    pub(super) fn info(&mut self, index: u8, segment: SegmentHeader, data: u32, word: &str) {
        if self.request.silent() {
            return;
        }
        let SegmentHeader { load_addr, data_len } = segment;
        let paddr = self.request.offset.wrapping_add(data);
        let text = format!(
            "segment {index}: paddr={paddr:08x} vaddr={load_addr:08x} size={data_len:05x}h ({data_len:6}) {word}"
        );
        self.data.log.push(line(Level::Info, "esp_image", text));
    }

    /// What stands where the descriptor belongs, whatever it is; zeros, which ask for nothing, where the flash ends.
    pub(super) fn app_desc_at(&self, at: u32) -> Result<AppDesc, Stop> {
        let mut bytes = [0; APP_DESC_SIZE];
        self.fill(at, &mut bytes)?;
        Ok(AppDesc::of(bytes))
    }

    pub(super) fn read<const N: usize>(&self, at: u32, what: &str) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        self.read_into(at, what, &mut bytes)?;
        Ok(bytes)
    }

    /// `bootloader_flash_read`: `at` counts from the start of the image.
    ///
    /// Beyond the chip the app's driver refuses; the bootloader's cache would show some other bytes, and here it refuses too.
    pub(super) fn read_into(&self, at: u32, what: &str, out: &mut [u8]) -> Result<(), Stop> {
        let count = self.fill(at, out)?;
        if count == out.len() {
            return Ok(());
        }
        let err = match self.request.build {
            Build::App => EspErr::InvalidArg,
            Build::Bootloader => EspErr::FlashOpFail,
        };
        let address = self.request.offset.wrapping_add(at);
        let (found, expected) = (format!("{count} bytes"), format!("{} bytes inside the flash", out.len()));
        ask(Some(Refusal::mute(Fault::new(err, what, u64::from(address), found, expected))))
    }

    /// The number of bytes there were before the flash ended.
    pub(super) fn fill(&self, at: u32, out: &mut [u8]) -> Result<usize, Stop> {
        let address = u64::from(self.request.offset.wrapping_add(at));
        self.see(address, out.len() as u64);
        Ok(self.flash.read(address, out)?)
    }

    /// Remember that the verdict depends on these bytes.
    pub(super) fn see(&self, address: u64, length: u64) {
        let (low, high) = self.seen.get();
        self.seen.set((low.min(address), high.max(address.saturating_add(length))));
    }
}

/// A failed read that prints a line, in silent mode as well.
pub(super) fn with_line(stop: Stop, text: String) -> Stop {
    if let Stop::Refused(mut refusal) = stop {
        refusal.log.push(line(Level::Error, "esp_image", text));
        refusal.always = true;
        return Stop::Refused(refusal);
    }
    stop
}
