//! Everything that can be read in some bytes, and everything that is wrong with them.
//!
//! The same rules as [`super::verify`], asked to the end. What only a device knows (its revision, its eFuses, the size and
//! place of a partition) is left out; the image is taken to lie on a boundary of its MMU page.

use super::digest::Sums;
use super::header::{HEADER_SIZE, ImageHeader, SEGMENT_HEADER_SIZE, Segment, SegmentHeader, SegmentKind};
use super::rules::{IMAGE_MAGIC, Refusal, Rules};
use super::{CHECKSUM_BLOCK, HASH_LEN};
use crate::app_desc::{AppDesc, BootloaderDesc, DESC_OFFSET};
use crate::err::{EspErr, Fault};
use crate::flash::SECTOR;
use crate::signature::Block;
use crate::target::Target;

/// What an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImageKind {
    /// An application, with a descriptor or (older than ESP-IDF 3.1) without.
    App,
    /// A second-stage bootloader, with a descriptor or (older than ESP-IDF 5) without.
    Bootloader,
    /// Not an image.
    Unknown,
}

/// Everything readable, and all faults in the verifier's order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageInfo {
    /// What it is.
    pub kind: ImageKind,
    /// The chip that the header names.
    pub chip: Option<&'static Target>,
    /// The header.
    pub header: Option<ImageHeader>,
    /// The segments whose headers could be reached.
    pub segments: Vec<Segment>,
    /// The checksum byte.
    pub checksum_stored: Option<u8>,
    /// The checksum over the segments, when all of them are there.
    pub checksum_calculated: Option<u8>,
    /// The appended SHA-256.
    pub hash_stored: Option<[u8; HASH_LEN]>,
    /// The SHA-256 of what stands before it.
    pub hash_calculated: Option<[u8; HASH_LEN]>,
    /// The app descriptor.
    pub app_desc: Option<AppDesc>,
    /// The bootloader descriptor.
    pub bootloader_desc: Option<BootloaderDesc>,
    /// Bytes the image says it has, hash included; what could be followed of a broken one.
    pub length: u64,
    /// Bytes behind the image.
    pub trailing: u64,
    /// Where the signature sector of Secure Boot V2 starts, when one follows.
    pub signature_at: Option<u64>,
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// What older releases make of it, where that is worse than to refuse it.
    pub findings: Vec<String>,
}

impl ImageInfo {
    /// Whether nothing is wrong.
    pub fn valid(&self) -> bool {
        self.faults.is_empty()
    }

    /// What the verifier would return.
    pub fn err(&self) -> EspErr {
        self.faults.first().map_or(EspErr::Ok, |fault| fault.err)
    }

    /// Whether the header promises a hash.
    pub fn hash_appended(&self) -> bool {
        self.header.is_some_and(|header| header.hash_appended != 0)
    }

    fn ask(&mut self, refusal: Option<Refusal>) {
        self.faults.extend(refusal.map(|refusal| refusal.fault));
    }

    /// The bytes end too early.
    fn truncated(&mut self, what: String, at: u64, found: u64, expected: u64) {
        let fault = Fault::new(EspErr::ImageInvalid, what, at, format!("{found} bytes"), expected.to_string());
        self.faults.push(fault);
    }
}

/// Whether bytes without any descriptor are a second-stage bootloader's: it is all in RAM, while an app has its constants
/// and most of its code in mapped flash.
fn looks_like_bootloader(data: &[u8], target: Option<&'static Target>) -> bool {
    let rules = Rules::new(target, 0, true);
    let count = data.get(1).copied().unwrap_or_default();
    let (mut at, mut loaded) = (HEADER_SIZE as u64, false);
    for _ in 0..count {
        let Some(bytes) = tail(data, at).first_chunk() else {
            return false;
        };
        let SegmentHeader { load_addr, data_len } = SegmentHeader::decode(*bytes);
        match rules.kind(load_addr) {
            SegmentKind::Map => return false,
            SegmentKind::Load => loaded = true,
            SegmentKind::Padding => {}
        }
        at += SEGMENT_HEADER_SIZE as u64 + u64::from(data_len);
    }
    target.is_some() && loaded
}

/// Read all there is and name every fault.
///
/// With `chip`, an image for another chip is a fault too. Without `kind` the bytes tell whether it is a bootloader's.
pub fn inspect(data: &[u8], chip: Option<&'static Target>, kind: Option<ImageKind>) -> ImageInfo {
    let desc = data.get(DESC_OFFSET as usize..).unwrap_or_default();
    let app_desc = AppDesc::parse(desc).ok();
    let bootloader_desc = BootloaderDesc::parse(desc).ok().filter(BootloaderDesc::is_plausible);
    let header = ImageHeader::parse(data).ok();
    let named = header.and_then(|header| Target::by_chip_id(header.chip_id));
    let is_bootloader =
        || bootloader_desc.is_some() || (app_desc.is_none() && looks_like_bootloader(data, chip.or(named)));
    let kind = match data.first() {
        Some(&IMAGE_MAGIC) if kind.is_some() => kind.unwrap_or(ImageKind::App),
        Some(&IMAGE_MAGIC) if is_bootloader() => ImageKind::Bootloader,
        Some(&IMAGE_MAGIC) => ImageKind::App,
        _ => ImageKind::Unknown,
    };
    let mut info = ImageInfo {
        kind,
        chip: named.filter(|_| kind != ImageKind::Unknown),
        header,
        segments: Vec::new(),
        checksum_stored: None,
        checksum_calculated: None,
        hash_stored: None,
        hash_calculated: None,
        app_desc,
        bootloader_desc,
        length: (data.len() as u64).min(HEADER_SIZE as u64),
        trailing: 0,
        signature_at: None,
        faults: Vec::new(),
        findings: Vec::new(),
    };
    let rules = Rules::new(chip.or(named), 0, kind == ImageKind::Bootloader);
    match header {
        None => info.truncated("image header".to_owned(), 0, data.len() as u64, HEADER_SIZE as u64),
        Some(header) => read_image(&mut info, data, header, &rules),
    }
    if info.kind != ImageKind::Unknown {
        info.trailing = (data.len() as u64).saturating_sub(info.length);
        info.signature_at = signature_sector(data, info.length);
    }
    info
}

fn read_image(info: &mut ImageInfo, data: &[u8], header: ImageHeader, rules: &Rules) {
    info.ask(rules.magic(&header));
    info.ask(rules.chip_id(&header));
    info.ask(rules.segment_count(&header));

    // Taken for bootloaders too, whose hash no verifier compares: whoever looks may want to know.
    let mut sums = Sums::new(header.hash_appended != 0);
    sums.hash(data.get(..HEADER_SIZE).unwrap_or_default());
    let mut page = rules.page_size(0).0;
    for index in 0..header.segment_count {
        if !read_segment(info, data, index, rules, &mut page, &mut sums) {
            return;
        }
    }
    let followed = read_checksum(info, data, rules, &mut sums);
    if header.hash_appended != 0 {
        let at = info.length;
        info.length += HASH_LEN as u64;
        if followed {
            read_hash(info, data, at, rules, sums);
        }
    }
}

/// Whether the image can be followed beyond this segment.
fn read_segment(info: &mut ImageInfo, data: &[u8], index: u8, rules: &Rules, page: &mut u32, sums: &mut Sums) -> bool {
    let at = info.length;
    let rest = tail(data, at);
    let Some(bytes) = rest.first_chunk() else {
        let what = format!("segment {index} header");
        info.truncated(what, at, rest.len() as u64, SEGMENT_HEADER_SIZE as u64);
        info.length = data.len() as u64;
        return false;
    };
    sums.hash(bytes);
    let segment = SegmentHeader::decode(*bytes);
    let SegmentHeader { load_addr, data_len } = segment;
    let start = at + SEGMENT_HEADER_SIZE as u64;
    let kind = rules.kind(load_addr);
    info.segments.push(Segment { index, load_addr, length: data_len, offset: start as u32, kind });

    let bad_length = rules.data_len(index, segment, at);
    let length_known = bad_length.is_none();
    info.ask(bad_length);
    info.ask(rules.room_for_app_desc(index, segment, at));
    info.findings.extend(rules.found_elsewhere(index, segment));
    if rules.needs_app_desc(index) {
        let desc = tail(data, start);
        info.ask(rules.app_desc(desc.first_chunk().copied().map(u32::from_le_bytes)));
        *page = rules.page_size(info.app_desc.as_ref().map_or(0, AppDesc::mmu_page_size)).0;
    }
    info.ask(rules.congruence(index, segment, at, *page));

    let found = sums.data(data, start, u64::from(data_len)).unwrap_or_default();
    info.length = start + found;
    if found == u64::from(data_len) {
        return true;
    }
    // A length that is no length is already named; that the bytes end before it says nothing more.
    if length_known {
        info.truncated(format!("segment {index} data"), start, found, u64::from(data_len));
    }
    false
}

/// Whether the bytes reach to the checksum.
fn read_checksum(info: &mut ImageInfo, data: &[u8], rules: &Rules, sums: &mut Sums) -> bool {
    info.checksum_calculated = Some(sums.checksum());
    let at = info.length;
    let length = u64::from(CHECKSUM_BLOCK) - at % u64::from(CHECKSUM_BLOCK);
    let rest = tail(data, at);
    info.length = at + length;
    let Some((block, _)) = rest.split_at_checked(length as usize) else {
        info.truncated("checksum".to_owned(), at, rest.len() as u64, length);
        return false;
    };
    sums.hash(block);
    info.checksum_stored = block.last().copied();
    if let Some(stored) = info.checksum_stored {
        info.ask(rules.checksum(sums.checksum(), stored, at + length - 1));
    }
    true
}

fn read_hash(info: &mut ImageInfo, data: &[u8], at: u64, rules: &Rules, sums: Sums) {
    info.hash_calculated = sums.digest();
    let rest = tail(data, at);
    let Some(stored) = rest.first_chunk().copied() else {
        return info.truncated("hash".to_owned(), at, rest.len() as u64, HASH_LEN as u64);
    };
    info.hash_stored = Some(stored);
    if let Some(calculated) = info.hash_calculated.filter(|_| !rules.bootloader) {
        info.ask(rules.simple_hash(&calculated, &stored, at));
    }
}

/// A whole sector behind the image that has at least one block with the right first byte.
fn signature_sector(data: &[u8], length: u64) -> Option<u64> {
    let at = length.next_multiple_of(SECTOR as u64);
    let sector = tail(data, at).get(..SECTOR)?;
    Block::all(sector).any(|block| block.has_magic()).then_some(at)
}

fn tail(data: &[u8], at: u64) -> &[u8] {
    usize::try_from(at).ok().and_then(|at| data.get(at..)).unwrap_or_default()
}
