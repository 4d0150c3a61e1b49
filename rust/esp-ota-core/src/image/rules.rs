//! What the verifier asks of each part of an image: pure questions, each answered with a refusal or nothing.
//!
//! The walks that put them in order are in [`super::verify`] (stops at the first) and [`super::inspect`] (collects all).

use super::header::{HEADER_SIZE, ImageHeader, SegmentHeader, SegmentKind};
use super::load;
use super::options::{Features, HEAD, read_past_a_word};
use crate::app_desc::{APP_DESC_MAGIC_WORD, APP_DESC_SIZE, AppDesc, DESC_OFFSET};
use crate::err::{EspErr, Fault, Level, LogLine};
use crate::target::{Ram, Span, Target};

/// `ESP_IMAGE_HEADER_MAGIC`.
pub const IMAGE_MAGIC: u8 = 0xE9;
/// `ESP_IMAGE_MAX_SEGMENTS`.
pub const MAX_SEGMENTS: u8 = 16;

/// Bytes of the descriptor that `process_esp_app_desc_data` takes: magic word and secure version.
const DESC_WORDS: u32 = 8;

const TAG: &str = "esp_image";
pub(super) const TAG_COMM: &str = "boot_comm";

/// A broken rule: the fact, and what the chip prints.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) fault: Fault,
    pub(super) log: Vec<LogLine>,
    /// Printed in `ESP_IMAGE_VERIFY_SILENT` as well.
    pub(super) always: bool,
}

impl Refusal {
    /// A refusal that prints nothing.
    pub(super) fn mute(fault: Fault) -> Self {
        Self { fault, log: Vec::new(), always: false }
    }

    fn quiet(fault: Fault, text: String) -> Self {
        Self { fault, log: vec![line(Level::Error, TAG, text)], always: false }
    }

    fn loud(fault: Fault, tag: &'static str, text: String) -> Self {
        Self { fault, log: vec![line(Level::Error, tag, text)], always: true }
    }
}

pub(super) fn line(level: Level, tag: &'static str, text: String) -> LogLine {
    LogLine { level, tag, text }
}

fn invalid(field: impl Into<String>, at: u64, found: String, expected: String) -> Fault {
    Fault::new(EspErr::ImageInvalid, field, at, found, expected)
}

/// `v%d.%d` of a revision.
pub(super) fn v(revision: u16) -> String {
    format!("v{}.{}", revision / 100, revision % 100)
}

/// `IS_FIELD_SET`: 0 and 0xFFFF mean that an upper bound was not given.
const fn is_set(revision: u16) -> bool {
    revision != 0 && revision != u16::MAX
}

/// What all questions about one image share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// The chip whose rules apply; `None` when the image's chip id is unknown.
    pub(super) target: Option<&'static Target>,
    /// Where the image starts: a flash address, or 0 in a file.
    pub(super) base: u64,
    /// Whether it is a second-stage bootloader.
    pub(super) bootloader: bool,
    /// `MMU_PAGE_SIZE` of the build that looks.
    pub(super) build_page: u32,
    /// What the release of the build that looks knows of.
    pub(super) features: Features,
    /// Where the bootloader that looks has its own code, when that is known.
    pub(super) loader_text: Option<Span>,
    pub(super) loader_data: Option<Span>,
    /// Where the release takes the bootloader's stack to end.
    pub(super) stack_end: u32,
}

impl Rules {
    /// The questions as the newest default build asks them.
    pub(super) fn new(target: Option<&'static Target>, base: u64, bootloader: bool) -> Self {
        let build_page = target.map_or(0x1_0000, |target| target.mmu_page_size(u64::MAX));
        Self {
            target,
            base,
            bootloader,
            build_page,
            features: Features::of(HEAD),
            loader_text: None,
            loader_data: None,
            stack_end: target.map_or(0, |target| target.ram.stack_start),
        }
    }

    fn size_limit(&self) -> u32 {
        self.target.map_or(u32::MAX, |target| target.size_limit(self.knows_wide(target)))
    }

    /// Whether the release knows that the cache of this chip reaches further than 16 MiB, if it does.
    fn knows_wide(&self, target: &Target) -> bool {
        self.features.beyond_16mb && (target.name != "esp32c61" || self.features.c61_beyond_16mb)
    }

    /// What becomes of a segment for `load_addr` at boot.
    pub(super) fn kind(&self, load_addr: u32) -> SegmentKind {
        SegmentKind::of(load_addr, self.target, self.build_page)
    }

    pub(super) fn at(&self, offset: u64) -> u64 {
        self.base + offset
    }

    /// `verify_image_header`: the first byte.
    pub(super) fn magic(&self, header: &ImageHeader) -> Option<Refusal> {
        if header.magic == IMAGE_MAGIC {
            return None;
        }
        let fault = invalid("magic", self.base, format!("0x{:02x}", header.magic), format!("0x{IMAGE_MAGIC:02x}"));
        let text = format!("image at 0x{:x} has invalid magic byte (nothing flashed here?)", self.base);
        Some(Refusal::quiet(fault, text))
    }

    /// `bootloader_common_check_chip_validity`: the chip id.
    pub(super) fn chip_id(&self, header: &ImageHeader) -> Option<Refusal> {
        let found = header.chip_id;
        let named = match Target::by_chip_id(found) {
            Some(target) => format!("{found} ({})", target.name),
            None => found.to_string(),
        };
        let Some(target) = self.target else {
            let fault = Fault::new(EspErr::Fail, "chip_id", self.at(12), named, "the id of a known chip");
            return Some(Refusal::mute(fault));
        };
        if found == target.chip_id {
            return None;
        }
        let expected = format!("{} ({})", target.chip_id, target.name);
        let fault = Fault::new(EspErr::Fail, "chip_id", self.at(12), named, expected);
        let text = format!("mismatch chip ID, expected {}, found {found}", target.chip_id);
        Some(Refusal::loud(fault, TAG_COMM, text))
    }

    /// `bootloader_common_check_chip_revision_validity`: the lower bound, then, for an app, the upper one. Older releases
    /// ask a bootloader image for both.
    ///
    /// `no_max`: the eFuse that makes the chip ignore upper bounds is burnt.
    pub(super) fn chip_revision(&self, header: &ImageHeader, revision: u16, no_max: bool) -> Option<Refusal> {
        if !self.features.full_revisions {
            return self.one_number(header, revision);
        }
        let (min, max) = (header.min_chip_rev_full, header.max_chip_rev_full);
        let unbound = self.bootloader && self.features.revision_check;
        let above = !unbound && !no_max && is_set(max) && revision > max;
        let bounds = [
            ("min_chip_rev_full", 15, min, ">=", "at most", revision < min),
            ("max_chip_rev_full", 17, max, "<=", "at least", above),
        ];
        let broken = bounds.into_iter().filter(|&(.., broken)| broken);
        let mut refusals = broken.map(|(field, at, bound, sign, side, _)| {
            let expected = format!("{side} {}, the chip's revision", v(revision));
            let fault = Fault::new(EspErr::Fail, field, self.at(at), v(bound), expected);
            let text = if self.features.revision_check {
                format!("chip revision check failed. Required {sign} {}, found {}.", v(bound), v(revision))
            } else {
                format!("Image requires chip rev {sign} {}, but chip is {}", v(bound), v(revision))
            };
            (fault, line(Level::Error, TAG_COMM, text))
        });
        let (fault, first) = refusals.next()?;
        // Older releases look at both bounds before they give up.
        let rest = refusals.map(|(_, line)| line).filter(|_| !self.features.revision_check);
        let log = std::iter::once(first).chain(rest).collect();
        Some(Refusal { fault, log, always: true })
    }

    /// `verify_image_header`: the number of segments.
    pub(super) fn segment_count(&self, header: &ImageHeader) -> Option<Refusal> {
        let count = header.segment_count;
        if count <= MAX_SEGMENTS {
            return None;
        }
        let fault = invalid("segment_count", self.at(1), count.to_string(), format!("at most {MAX_SEGMENTS}"));
        let text = format!("image at 0x{:x} segment count {count} exceeds max {MAX_SEGMENTS}", self.base);
        Some(Refusal::quiet(fault, text))
    }

    /// `verify_segment_header`: the length; `at` is where the segment header stands in the image.
    pub(super) fn data_len(&self, index: u8, segment: SegmentHeader, at: u64) -> Option<Refusal> {
        let length = segment.data_len;
        let limit = self.size_limit();
        if length % 4 == 0 && length < limit {
            return None;
        }
        let expected = format!("a multiple of 4 below 0x{limit:x}");
        let fault = invalid(format!("segment {index} data_len"), self.at(at + 4), format!("0x{length:x}"), expected);
        Some(Refusal::quiet(fault, format!("invalid segment length 0x{length:x}")))
    }

    /// `verify_segment_header`: the first segment of an app has room for the app descriptor.
    pub(super) fn room_for_app_desc(&self, index: u8, segment: SegmentHeader, at: u64) -> Option<Refusal> {
        let length = segment.data_len;
        if index != 0 || self.bootloader || !self.features.newest || length >= APP_DESC_SIZE as u32 {
            return None;
        }
        let expected = format!("at least 0x{APP_DESC_SIZE:x}, the size of the app descriptor");
        let fault = invalid(format!("segment {index} data_len"), self.at(at + 4), format!("0x{length:x}"), expected);
        let text = format!("Segment {index}: length 0x{length:x} is too short for app description");
        Some(Refusal::loud(fault, TAG, text))
    }

    /// `process_segment_data`, in anti-rollback builds that do not ask for room: of `length` bytes two words are taken off,
    /// and what is left of one word is nearly 4 GiB.
    pub(super) fn read_past(&self, length: u32) -> Option<Fault> {
        if length >= DESC_WORDS || self.bootloader || self.features.newest {
            return None;
        }
        let expected = format!("at least 0x{DESC_WORDS:x}, what is read of the app descriptor");
        Some(invalid("segment 0 data_len", self.at(DESC_OFFSET - 4), format!("0x{length:x}"), expected))
    }

    /// What older releases make of an app's first segment: a sentence.
    pub(super) fn found_elsewhere(&self, index: u8, segment: SegmentHeader) -> Option<String> {
        let length = segment.data_len;
        if index != 0 || self.bootloader || !(1..DESC_WORDS).contains(&length) {
            return None;
        }
        let releases = read_past_a_word();
        let (who, what) = ("built with anti-rollback", "its verifier reads past that, and the chip resets");
        Some(format!("segment 0 has {length} bytes: ESP-IDF {releases}, {who}, does not refuse it; {what}"))
    }

    /// Whether the verifier reads the app descriptor of this image for its MMU page size.
    pub(super) fn needs_app_desc(&self, index: u8) -> bool {
        let configurable = self.target.is_some_and(|target| target.mmu_configurable);
        index == 0 && !self.bootloader && self.features.page_in_desc && configurable
    }

    /// `verify_segment_header`: the app descriptor is there. `magic_word` is `None` where the bytes end before it.
    pub(super) fn app_desc(&self, magic_word: Option<u32>) -> Option<Refusal> {
        if magic_word == Some(APP_DESC_MAGIC_WORD) {
            return None;
        }
        let found = magic_word.map_or_else(|| "nothing".to_owned(), |word| format!("0x{word:08x}"));
        let expected = format!("0x{APP_DESC_MAGIC_WORD:08x}");
        let fault = Fault::new(EspErr::Fail, "app_desc magic_word", self.at(DESC_OFFSET), found, expected);
        Some(Refusal::loud(fault, TAG, "Failed to fetch app description header!".to_owned()))
    }

    /// `bootloader_mmap`: what it says, and the one who asked, while the mapping of an earlier look is left.
    pub(super) fn mapped_twice(&self, kept: bool) -> Option<Refusal> {
        let refusal = self.app_desc(None).filter(|_| kept)?;
        let twice = line(Level::Error, "bootloader_flash", "tried to bootloader_mmap twice".to_owned());
        Some(Refusal { log: std::iter::once(twice).chain(refusal.log).collect(), ..refusal })
    }

    /// `verify_segment_header`: the page size that mapped segments are judged by, and what is printed about it.
    ///
    /// `exponent` is the descriptor's `mmu_page_size`; what is no page size of any chip counts as not given.
    pub(super) fn page_size(&self, exponent: u8) -> (u32, Option<LogLine>) {
        let configured = self.build_page;
        let page = match exponent {
            13..=18 => 1 << exponent,
            0 => configured,
            // Older releases shift by whatever stands there; the machine looks at five bits of it.
            _ if !self.features.newest => 1u32.wrapping_shl(exponent.into()),
            _ => configured,
        };
        let text = || format!("MMU page size mismatch, configured: 0x{configured:x}, found: 0x{page:x}");
        // The comparison is compiled into one of exponents: what differs only above five bits is told as well.
        let told = page != configured || (!self.features.newest && exponent > 31);
        (page, told.then(|| line(Level::Info, TAG, text())))
    }

    /// `verify_segment_header`: a mapped segment lies at the same place within an MMU page in flash as in memory.
    ///
    /// `at` is where the segment header stands in the image.
    pub(super) fn congruence(&self, index: u8, segment: SegmentHeader, at: u64, page: u32) -> Option<Refusal> {
        let SegmentHeader { load_addr, .. } = segment;
        let data = self.at(at + 8) as u32;
        if self.kind(load_addr) != SegmentKind::Map || data % page == load_addr % page {
            return None;
        }
        let expected = format!("0x{:x} modulo the MMU page size 0x{page:x}, as its data in flash", data % page);
        let fault = invalid(format!("segment {index} load_addr"), self.at(at), format!("0x{load_addr:08x}"), expected);
        Some(Refusal::quiet(
            fault,
            format!("Segment {index} load address 0x{load_addr:08x}, doesn't match data 0x{data:08x}"),
        ))
    }

    /// `process_segment`: the bootloader may copy the segment where it wants to go.
    pub(super) fn load_range(&self, index: u8, segment: SegmentHeader, at: u64) -> Option<Refusal> {
        let end = segment.load_addr.wrapping_add(segment.data_len);
        let ram = self.target?.ram;
        let ram = Ram {
            loader_text: self.loader_text.unwrap_or(ram.loader_text),
            loader_data: self.loader_data.unwrap_or(ram.loader_data),
            ..ram
        };
        let clash = load::verify_load_addresses(&ram, self.stack_end, segment.load_addr, end).err()?;
        let found = format!("0x{:08x}-0x{:08x}", clash.low, clash.high);
        let field = format!("segment {index} load_addr");
        let fault = invalid(field, self.at(at), format!("{found} {}", clash.reason), "free RAM".to_owned());
        Some(Refusal::loud(fault, TAG, format!("Segment {index} {found} invalid: {}", clash.reason)))
    }

    /// `verify_load_addresses`, its assertion: the segment ends above its start, both taken for signed numbers.
    pub(super) fn load_end(&self, index: u8, segment: SegmentHeader, at: u64) -> Option<Fault> {
        let SegmentHeader { load_addr, data_len } = segment;
        let end = load_addr.wrapping_add(data_len);
        let signed = |address: u32| address ^ 0x8000_0000; // in the order of signed numbers
        if signed(end) > signed(load_addr) {
            return None;
        }
        let found = format!("0x{load_addr:08x}-0x{end:08x}");
        let expected = "a range that wraps neither at 0 nor at 0x80000000".to_owned();
        Some(invalid(format!("segment {index} load_addr"), self.at(at), found, expected))
    }

    /// `bootloader_common_check_efuse_blk_validity`. ESP32 has no eFuse block revision to compare.
    pub(super) fn efuse_block_revision(&self, desc: &AppDesc, revision: u16, no_max: bool) -> Option<Refusal> {
        if !self.features.efuse_blocks || self.target.is_some_and(|target| target.chip_id == 0) {
            return None;
        }
        let (min, max) = (desc.min_efuse_blk_rev_full(), desc.max_efuse_blk_rev_full());
        let bounds = [
            ("min_efuse_blk_rev_full", 176, min, ">=", "at most", revision < min),
            ("max_efuse_blk_rev_full", 178, max, "<=", "at least", !no_max && revision > max),
        ];
        let broken = bounds.into_iter().filter(|&(.., bound, _, _, beyond)| is_set(bound) && beyond);
        let mut refusals = broken.map(|(field, at, bound, sign, side, _)| {
            let expected = format!("{side} {}, the chip's eFuse block revision", v(revision));
            let fault = Fault::new(EspErr::Fail, field, self.at(DESC_OFFSET + at), v(bound), expected);
            let text = format!("Image requires efuse blk rev {sign} {}, but chip is {}", v(bound), v(revision));
            (fault, line(Level::Error, TAG_COMM, text))
        });
        let (fault, first) = refusals.next()?;
        let log = std::iter::once(first).chain(refusals.map(|(_, line)| line)).collect();
        Some(Refusal { fault, log, always: true })
    }

    /// `process_segments`: the image does not end before it starts, all sums being 32 bits wide.
    pub(super) fn wrapped(&self, end: u32) -> Option<Refusal> {
        if u64::from(end) >= self.base {
            return None;
        }
        let fault = invalid("image end", self.base, format!("0x{end:x}"), format!("at least 0x{:x}", self.base));
        Some(Refusal::quiet(fault, "image offset has wrapped".to_owned()))
    }

    /// `process_checksum`; `at` is where the checksum byte stands in the image.
    pub(super) fn checksum(&self, calculated: u8, stored: u8, at: u64) -> Option<Refusal> {
        if calculated == stored {
            return None;
        }
        let fault = invalid("checksum", self.at(at), format!("0x{stored:02x}"), format!("0x{calculated:02x}"));
        Some(Refusal::quiet(fault, format!("Checksum failed. Calculated 0x{calculated:x} read 0x{stored:x}")))
    }

    /// `process_appended_hash_and_sig`: the image ends inside its partition, `room` bytes of signature included.
    pub(super) fn fits(&self, image_len: u32, room: u32, size: u32) -> Option<Refusal> {
        let image_len = image_len.wrapping_add(room);
        if image_len <= size {
            return None;
        }
        let fault = invalid("image_len", self.base, image_len.to_string(), format!("at most the partition's {size}"));
        Some(Refusal::quiet(fault, format!("Image length {image_len} doesn't fit in partition length {size}")))
    }

    /// `process_appended_hash_and_sig`: what is said about a signature that does not hold.
    ///
    /// `corrupt`: the simple hash does not hold either. `log`: what the check itself printed.
    pub(super) fn signature(&self, at: u64, detail: String, corrupt: bool, log: Vec<LogLine>) -> Refusal {
        let fault = invalid("signature", self.at(at), detail, "a valid signature of a trusted key".to_owned());
        let told = if corrupt { "image corrupted on flash" } else { "image valid, signature bad" };
        let said = [
            line(Level::Error, TAG, "Secure boot signature verification failed".to_owned()),
            line(Level::Info, TAG, "Calculating simple hash to check for corruption...".to_owned()),
            line(Level::Warning, TAG, told.to_owned()),
        ];
        Refusal { fault, log: log.into_iter().chain(said).collect(), always: true }
    }

    /// `image_load`: an anti-rollback build starts nothing older than its eFuse says. Prints nothing.
    pub(super) fn secure_version(&self, found: u32, burnt: u32) -> Option<Refusal> {
        if found >= burnt {
            return None;
        }
        let (at, expected) = (self.at(DESC_OFFSET + 4), format!("at least {burnt}, as the eFuse says"));
        Some(Refusal::mute(Fault::new(EspErr::Fail, "secure_version", at, found.to_string(), expected)))
    }

    /// `verify_simple_hash`; `at` is where the stored digest stands in the image.
    pub(super) fn simple_hash(&self, calculated: &[u8; 32], stored: &[u8; 32], at: u64) -> Option<Refusal> {
        if calculated == stored {
            return None;
        }
        let fault = invalid("hash", self.at(at), hex(stored), hex(calculated));
        Some(Refusal::loud(fault, TAG, "Image hash failed - image is corrupt".to_owned()))
    }

    /// `image_load`: the partition is not larger than the cache can map.
    pub(super) fn partition_size(&self, size: u32) -> Option<Refusal> {
        let limit = self.size_limit();
        if size <= limit {
            return None;
        }
        let (found, expected) = (format!("0x{size:x}"), format!("at most 0x{limit:x}"));
        let fault = Fault::new(EspErr::InvalidArg, "partition size", self.base, found, expected);
        Some(Refusal::quiet(fault, format!("partition size 0x{size:x} invalid, larger than 16MB")))
    }

    /// `bootloader_flash_read`: an image begins at a whole word, for the bootloader reads no other.
    pub(super) fn whole_words(&self, offset: u32) -> Option<Refusal> {
        if offset % 4 == 0 {
            return None;
        }
        let fault = Fault::new(EspErr::Fail, "partition offset", self.base, format!("0x{offset:x}"), "a multiple of 4");
        let numbers = if self.features.reads_tell_all {
            let stack = self.target.map_or(0, |target| target.ram.stack_start);
            format!(", size 0x{HEADER_SIZE:x} or dest 0x{:x}", stack.wrapping_sub(load::HEADER_ON_STACK))
        } else {
            String::new()
        };
        let text = format!("bootloader_flash_read src_addr 0x{offset:x}{numbers} not 4-byte aligned");
        Some(Refusal::loud(fault, "bootloader_flash", text))
    }

    /// `process_segment_data`: the flash has the bytes that are to be mapped, and the cache can reach them.
    pub(super) fn mapped(&self, index: u8, at: u32, length: u32, flash_size: u64) -> Option<Refusal> {
        let wide = self.target.is_some_and(|target| target.map_32bit && self.knows_wide(target));
        let reach = if wide { u64::MAX } else { 0x100_0000 };
        let limit = flash_size.min(reach);
        if u64::from(at) + u64::from(length) <= limit {
            return None;
        }
        let (found, expected) = (format!("0x{at:x} and 0x{length:x} bytes on"), format!("flash below 0x{limit:x}"));
        let fault = Fault::new(EspErr::Fail, format!("segment {index} data"), u64::from(at), found, expected);
        Some(Refusal::loud(fault, TAG, format!("bootloader_mmap(0x{at:x}, 0x{length:x}) failed")))
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_ends_before_it_starts_has_wrapped() {
        // No flash is large enough to walk there, so the rule is asked alone.
        let rules = Rules::new(Target::by_name("esp32p4"), 0x1_0000, false);
        assert!(rules.wrapped(0x1_0000).is_none());
        let refusal = rules.wrapped(0xFFFC);
        assert_eq!(refusal.map(|refusal| refusal.fault.err), Some(EspErr::ImageInvalid));
    }

    #[test]
    fn addresses_near_the_top_of_the_address_space_do_not_overflow() {
        let rules = Rules::new(Target::by_name("esp32p4"), u64::from(u32::MAX), false);
        let segment = SegmentHeader { load_addr: 0x4000_0020, data_len: u32::MAX };
        let at = u64::from(u32::MAX);
        assert!(rules.data_len(1, segment, at).is_some());
        assert!(rules.congruence(1, segment, at, 0x1_0000).is_some());
        assert!(rules.load_range(1, SegmentHeader { load_addr: u32::MAX, ..segment }, at).is_some());
        assert!(rules.mapped(1, u32::MAX, u32::MAX, u64::MAX).is_none());
    }
}
