//! `esp_image_verify` (components/bootloader_support/src/esp_image_format.c): in upstream's order, to the first fault.

use super::digest::Sums;
use super::header::{HEADER_SIZE, ImageHeader, SEGMENT_HEADER_SIZE, Segment, SegmentHeader, SegmentKind};
use super::rules::{Refusal, Rules, line};
use super::{CHECKSUM_BLOCK, HASH_LEN};
use crate::app_desc::{APP_DESC_SIZE, AppDesc};
use crate::err::{EspErr, Failure, Fault, Level, LogLine};
use crate::source::Source;
use crate::target::Target;

/// Whose code looks: the same file of ESP-IDF is part of the app and of the bootloader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// A running app, in `esp_ota_end` or `esp_ota_set_boot_partition`.
    App,
    /// The second-stage bootloader.
    Bootloader,
}

/// `esp_image_load_mode_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `ESP_IMAGE_VERIFY`.
    Verify,
    /// `ESP_IMAGE_VERIFY_SILENT`: the ordinary lines are not printed.
    VerifySilent,
    /// `ESP_IMAGE_LOAD`: as the bootloader before a start; the app build has no such mode and verifies.
    Load,
}

/// One request to judge an image.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Where the partition starts in flash.
    pub offset: u32,
    /// Bytes in the partition.
    pub size: u32,
    /// The chip that judges.
    pub target: &'static Target,
    /// Whose code judges.
    pub build: Build,
    /// How.
    pub mode: Mode,
    /// The chip's revision, major * 100 + minor, as its eFuses say.
    pub chip_revision: u16,
    /// The revision of its eFuse blocks, likewise.
    pub efuse_block_revision: u16,
}

/// What the verifier said: `esp_err_t`, what it printed, and `esp_image_metadata_t`, which is empty after a failure.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// The code returned.
    pub err: EspErr,
    /// The rule that was broken first.
    pub fault: Option<Fault>,
    /// The console.
    pub log: Vec<LogLine>,
    /// Bytes of the image with checksum and hash.
    pub image_len: u32,
    /// The appended SHA-256.
    pub digest: Option<[u8; HASH_LEN]>,
    /// The segment table.
    pub segments: Vec<Segment>,
}

impl Verdict {
    pub(super) fn refused(fault: Fault, log: Vec<LogLine>) -> Self {
        Self { err: fault.err, fault: Some(fault), log, image_len: 0, digest: None, segments: Vec::new() }
    }
}

/// `esp_image_verify`, `bootloader_load_image`. Fails only when the flash has no power.
pub fn verify<S: Source + ?Sized>(flash: &S, request: &Request) -> Result<Verdict, Failure> {
    let bootloader = request.offset == request.target.bootloader_offset;
    let rules = Rules { target: Some(request.target), base: u64::from(request.offset), bootloader };
    let mut walk = Walk { flash, request, rules, log: Vec::new(), segments: Vec::new() };
    match walk.image_load() {
        Ok((image_len, digest)) => {
            let (log, segments) = (walk.log, walk.segments);
            Ok(Verdict { err: EspErr::Ok, fault: None, log, image_len, digest, segments })
        }
        Err(Stop::Refused(refusal)) => {
            if refusal.always || request.mode != Mode::VerifySilent {
                walk.log.extend(refusal.log);
            }
            Ok(Verdict::refused(refusal.fault, walk.log))
        }
        Err(Stop::PowerLost(operation)) => Err(Failure::PowerLost(operation)),
    }
}

/// Why the walk ended early.
enum Stop {
    Refused(Box<Refusal>),
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
fn ask(refusal: Option<Refusal>) -> Result<(), Stop> {
    refusal.map_or(Ok(()), |refusal| Err(Stop::Refused(Box::new(refusal))))
}

/// One walk over an image. All sums of addresses and lengths are 32 bits wide, as on the chip.
struct Walk<'a, S: Source + ?Sized> {
    flash: &'a S,
    request: &'a Request,
    rules: Rules,
    log: Vec<LogLine>,
    segments: Vec<Segment>,
}

impl<S: Source + ?Sized> Walk<'_, S> {
    /// `image_load`. The steps of builds with signatures and anti-rollback have their place between these.
    fn image_load(&mut self) -> Result<(u32, Option<[u8; HASH_LEN]>), Stop> {
        ask(self.rules.partition_size(self.request.size))?;
        let (header, mut sums) = self.process_image_header()?;
        let mut image_len = self.process_segments(header, &mut sums)?;
        self.process_checksum(&mut image_len, &mut sums)?;
        let stored = self.process_appended_hash(header, &mut image_len)?;
        if let (Some(stored), Some(calculated)) = (stored, sums.digest()) {
            let at = image_len.wrapping_sub(HASH_LEN as u32);
            ask(self.rules.simple_hash(&calculated, &stored, u64::from(at)))?;
        }
        Ok((image_len, stored))
    }

    fn process_image_header(&mut self) -> Result<(ImageHeader, Sums), Stop> {
        let bytes: [u8; HEADER_SIZE] = self.read(0, "image header")?;
        let header = ImageHeader::decode(&bytes);
        // esptool rewrites a bootloader's header when it flashes, so its hash is nobody's promise.
        let mut sums = Sums::new(header.hash_appended != 0 && !self.rules.bootloader);
        sums.hash(&bytes);
        self.verify_image_header(header)?;
        Ok((header, sums))
    }

    fn verify_image_header(&self, header: ImageHeader) -> Result<(), Stop> {
        ask(self.rules.magic(&header))?;
        ask(self.rules.chip_id(&header))?;
        ask(self.rules.chip_revision(&header, self.request.chip_revision))?;
        ask(self.rules.segment_count(&header))
    }

    /// Returns `image_len` so far.
    fn process_segments(&mut self, header: ImageHeader, sums: &mut Sums) -> Result<u32, Stop> {
        let mut next = HEADER_SIZE as u32;
        let mut page = self.rules.page_size(0).0;
        for index in 0..header.segment_count {
            next = self.process_segment(index, next, &mut page, sums)?;
        }
        ask(self.rules.wrapped(self.request.offset.wrapping_add(next)))?;
        Ok(next)
    }

    /// Returns where the segment after this one starts in the image.
    fn process_segment(&mut self, index: u8, at: u32, page: &mut u32, sums: &mut Sums) -> Result<u32, Stop> {
        let bytes: [u8; SEGMENT_HEADER_SIZE] = self.read(at, &format!("segment {index} header")).map_err(|stop| {
            let flash_address = self.request.offset.wrapping_add(at);
            with_line(stop, format!("bootloader_flash_read failed at 0x{flash_address:08x}"))
        })?;
        sums.hash(&bytes);
        let segment = SegmentHeader::decode(bytes);
        self.verify_segment_header(index, segment, at, page)?;

        let data = at.wrapping_add(SEGMENT_HEADER_SIZE as u32);
        let kind = SegmentKind::of(segment.load_addr, Some(self.request.target));
        let load = self.loads() && kind == SegmentKind::Load;
        self.info(segment, data, if load { "load" } else { word(kind) });
        if load && segment.data_len > 0 {
            ask(self.rules.load_range(index, segment, u64::from(at)))?;
        }
        self.process_segment_data(index, data, segment.data_len, sums)?;

        let SegmentHeader { load_addr, data_len: length } = segment;
        self.segments.push(Segment { index, load_addr, length, offset: data, kind });
        Ok(data.wrapping_add(length))
    }

    fn verify_segment_header(
        &mut self,
        index: u8,
        segment: SegmentHeader,
        at: u32,
        page: &mut u32,
    ) -> Result<(), Stop> {
        ask(self.rules.data_len(index, segment, u64::from(at)))?;
        ask(self.rules.room_for_app_desc(index, segment, u64::from(at)))?;
        if self.rules.needs_app_desc(index) {
            let desc = self.app_desc_at(at)?;
            ask(self.rules.app_desc(desc.as_ref().map(AppDesc::magic_word)))?;
            let (size, told) = self.rules.page_size(desc.map_or(0, |desc| desc.mmu_page_size()));
            *page = size;
            self.log.extend(told);
        }
        ask(self.rules.congruence(index, segment, u64::from(at), *page))
    }

    /// Both sums over the data, in pieces as large as the cache can show at a time.
    fn process_segment_data(&mut self, index: u8, data: u32, length: u32, sums: &mut Sums) -> Result<(), Stop> {
        let (target, rules) = (self.request.target, self.rules);
        let (mut at, mut remain) = (self.request.offset.wrapping_add(data), length);
        while remain > 0 {
            let misaligned = at % target.mmu_page_size() != 0;
            let pages_lost = if misaligned { target.mmu_page_size() } else { 0 };
            let piece = remain.min(target.mmap_window() - pages_lost);
            ask(rules.mapped(index, at, piece, self.flash.len()))?;
            // The first piece of an app holds its descriptor; an anti-rollback build reads secure_version here as well.
            if index == 0 && remain == length && !rules.bootloader {
                let desc = self.app_desc_at(data.wrapping_sub(SEGMENT_HEADER_SIZE as u32))?;
                ask(desc.and_then(|desc| rules.efuse_block_revision(&desc, self.request.efuse_block_revision)))?;
            }
            sums.data(self.flash, u64::from(at), u64::from(piece))?;
            at = at.wrapping_add(piece);
            remain -= piece;
        }
        Ok(())
    }

    fn process_checksum(&self, image_len: &mut u32, sums: &mut Sums) -> Result<(), Stop> {
        let length = CHECKSUM_BLOCK - (*image_len % CHECKSUM_BLOCK);
        let mut buffer = [0; CHECKSUM_BLOCK as usize];
        let (block, _) = buffer.split_at_mut_checked(length as usize).unwrap_or_default();
        self.read_into(*image_len, "checksum", block)?;
        let stored = block.last().copied().unwrap_or_default();
        let at = image_len.wrapping_add(length - 1);
        ask(self.rules.checksum(sums.checksum(), stored, u64::from(at)))?;
        sums.hash(block);
        *image_len = image_len.wrapping_add(length);
        Ok(())
    }

    /// `process_appended_hash_and_sig`: a signature would be asked for room here.
    fn process_appended_hash(&self, header: ImageHeader, image_len: &mut u32) -> Result<Option<[u8; HASH_LEN]>, Stop> {
        let mut stored = None;
        if header.hash_appended != 0 {
            stored = Some(self.read(*image_len, "hash")?);
            *image_len = image_len.wrapping_add(HASH_LEN as u32);
        }
        ask(self.rules.fits(*image_len, self.request.size))?;
        Ok(stored)
    }

    fn loads(&self) -> bool {
        self.request.build == Build::Bootloader && self.request.mode == Mode::Load
    }

    fn info(&mut self, segment: SegmentHeader, data: u32, word: &str) {
        if self.request.mode == Mode::VerifySilent {
            return;
        }
        let (index, SegmentHeader { load_addr, data_len }) = (self.segments.len(), segment);
        let paddr = self.request.offset.wrapping_add(data);
        let text = format!(
            "segment {index}: paddr={paddr:08x} vaddr={load_addr:08x} size={data_len:05x}h ({data_len:6}) {word}"
        );
        self.log.push(line(Level::Info, "esp_image", text));
    }

    /// What stands where the descriptor belongs, whatever it is; nothing where the flash ends.
    fn app_desc_at(&self, segment_header: u32) -> Result<Option<AppDesc>, Stop> {
        let mut bytes = [0; APP_DESC_SIZE];
        let at = segment_header.wrapping_add(SEGMENT_HEADER_SIZE as u32);
        let count = self.fill(at, &mut bytes)?;
        Ok((count == APP_DESC_SIZE).then_some(AppDesc::of(bytes)))
    }

    fn read<const N: usize>(&self, at: u32, what: &str) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        self.read_into(at, what, &mut bytes)?;
        Ok(bytes)
    }

    /// `bootloader_flash_read`: `at` counts from the start of the image.
    ///
    /// Beyond the chip the app's driver refuses; the bootloader's cache would show some other bytes, and here it refuses too.
    fn read_into(&self, at: u32, what: &str, out: &mut [u8]) -> Result<(), Stop> {
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
    fn fill(&self, at: u32, out: &mut [u8]) -> Result<usize, Stop> {
        Ok(self.flash.read(u64::from(self.request.offset.wrapping_add(at)), out)?)
    }
}

fn word(kind: SegmentKind) -> &'static str {
    if kind == SegmentKind::Map { "map" } else { "" }
}

/// A failed read that prints a line, in silent mode as well.
fn with_line(stop: Stop, text: String) -> Stop {
    if let Stop::Refused(mut refusal) = stop {
        refusal.log.push(line(Level::Error, "esp_image", text));
        refusal.always = true;
        return Stop::Refused(refusal);
    }
    stop
}
