//! `esp_image_verify` (components/bootloader_support/src/esp_image_format.c): in upstream's order, to the first fault.

use super::digest::Sums;
use super::header::{HEADER_SIZE, ImageHeader, SEGMENT_HEADER_SIZE, Segment, SegmentHeader, SegmentKind};
use super::request::{Build, Mode, Request, Verdict};
use super::rules::{Refusal, line};
use super::signed;
use super::walk::{Stop, Walk, ask, with_line};
use super::{CHECKSUM_BLOCK, HASH_LEN};
use crate::app_desc::MMU_PAGE_SIZE_AT;
use crate::err::{Failure, Level};
use crate::source::Source;

/// `esp_image_verify`, `bootloader_load_image`, `esp_image_get_metadata`. Fails only when the flash has no power.
pub fn verify<S: Source + ?Sized>(flash: &S, request: &Request) -> Result<Verdict, Failure> {
    judge(flash, request).map(|(verdict, _)| verdict)
}

/// The verdict, and the bytes it was made of: everything that was read lies in this range of flash addresses.
pub(super) fn judge<S: Source + ?Sized>(flash: &S, request: &Request) -> Result<(Verdict, (u64, u64)), Failure> {
    let mut walk = Walk::new(flash, request);
    let end = walk.image_load();
    let seen = walk.seen.get();
    let verdict = match end {
        Ok(()) => walk.data,
        Err(Stop::Refused(refusal)) => {
            if refusal.always || !request.silent() {
                walk.data.log.extend(refusal.log);
            }
            let refused = Verdict::refused(refusal.fault, std::mem::take(&mut walk.data.log));
            // Only a failed look at the metadata leaves what it had found.
            if request.mode == Mode::Metadata {
                Verdict { err: refused.err, fault: refused.fault, log: refused.log, ..walk.data }
            } else {
                refused
            }
        }
        Err(Stop::Assertion(text, fault)) => {
            Verdict { assertion: Some(text), ..Verdict::refused(fault, walk.data.log) }
        }
        Err(Stop::Crash(text, fault)) => Verdict { crash: Some(text), ..Verdict::refused(fault, walk.data.log) },
        Err(Stop::PowerLost(operation)) => return Err(Failure::PowerLost(operation)),
    };
    Ok((verdict, seen))
}

impl<S: Source + ?Sized> Walk<'_, S> {
    /// `image_load`.
    fn image_load(&mut self) -> Result<(), Stop> {
        ask(self.rules.partition_size(self.request.size))?;
        ask(self.rules.whole_words(self.request.offset).filter(|_| self.request.build == Build::Bootloader))?;
        let (header, mut sums) = self.process_image_header()?;
        self.process_segments(header, &mut sums)?;
        self.process_checksum(&mut sums)?;
        self.process_appended_hash_and_sig(header, sums)?;
        if self.request.loads() && self.watches_rollback() {
            let burnt = self.request.efuse.read_secure_version(self.request.options.secure_version_size);
            ask(self.rules.secure_version(self.data.secure_version, burnt))?;
        }
        Ok(())
    }

    fn process_image_header(&mut self) -> Result<(ImageHeader, Sums), Stop> {
        let bytes: [u8; HEADER_SIZE] = self.read(0, "image header")?;
        let header = ImageHeader::decode(&bytes);
        // esptool rewrites a bootloader's header when it flashes, so its hash is nobody's promise without secure boot.
        let options = &self.request.options;
        let of_sums = self.request.verifies() && (options.secure_boot_v2 || !self.rules.bootloader);
        let mut sums = Sums::new(of_sums && (options.check_signature || header.hash_appended != 0));
        sums.hash(&bytes);
        self.verify_image_header(header)?;
        Ok((header, sums))
    }

    fn verify_image_header(&mut self, header: ImageHeader) -> Result<(), Stop> {
        let verifies = self.request.verifies();
        let shape = verifies || self.rules.features.newest;
        ask(self.rules.magic(&header).filter(|_| shape))?;
        if verifies {
            let efuse = &self.request.efuse;
            ask(self.rules.chip_id(&header))?;
            ask(self.rules.chip_revision(&header, efuse.chip_revision, efuse.disable_wafer_version_major))?;
            let told = self.rules.other_number(&header, efuse.chip_revision);
            self.data.log.extend(told.filter(|_| self.request.build == Build::Bootloader));
        }
        ask(self.rules.segment_count(&header).filter(|_| shape))
    }

    fn process_segments(&mut self, header: ImageHeader, sums: &mut Sums) -> Result<(), Stop> {
        let mut next = HEADER_SIZE as u32;
        for index in 0..header.segment_count {
            next = self.process_segment(index, next, sums)?;
            self.data.image_len = next;
        }
        self.data.image_len = next;
        ask(self.rules.wrapped(self.request.offset.wrapping_add(next)))
    }

    /// Returns where the segment after this one starts in the image.
    fn process_segment(&mut self, index: u8, at: u32, sums: &mut Sums) -> Result<u32, Stop> {
        let bytes: [u8; SEGMENT_HEADER_SIZE] = self.read(at, &format!("segment {index} header")).map_err(|stop| {
            let flash_address = self.request.offset.wrapping_add(at);
            with_line(stop, format!("bootloader_flash_read failed at 0x{flash_address:08x}"))
        })?;
        sums.hash(&bytes);
        let segment = SegmentHeader::decode(bytes);
        self.verify_segment_header(index, segment, at)?;

        let data = at.wrapping_add(SEGMENT_HEADER_SIZE as u32);
        let kind = self.rules.kind(segment.load_addr);
        let kept = self.request.options.deep_sleep_wake && self.request.target().is_rtc(segment.load_addr);
        let load = self.request.loads() && kind == SegmentKind::Load && !kept;
        self.info(index, segment, data, if load { "load" } else { word(kind) });
        if load && segment.data_len > 0 {
            if let Some(fault) = self.rules.load_end(index, segment, u64::from(at)).filter(|_| self.asserts()) {
                return Err(Stop::Assertion("load_end > load_addr", fault));
            }
            ask(self.rules.load_range(index, segment, u64::from(at)))?;
        }
        if load || self.request.verifies() {
            self.process_segment_data(index, data, segment.data_len, sums)?;
        }
        let SegmentHeader { load_addr, data_len: length } = segment;
        self.data.segments.push(Segment { index, load_addr, length, offset: data, kind });
        Ok(data.wrapping_add(length))
    }

    fn verify_segment_header(&mut self, index: u8, segment: SegmentHeader, at: u32) -> Result<(), Stop> {
        ask(self.rules.data_len(index, segment, u64::from(at)))?;
        ask(self.rules.room_for_app_desc(index, segment, u64::from(at)))?;
        if index == 0 {
            self.data.mmu_page_size = self.rules.build_page;
        }
        if self.rules.needs_app_desc(index) {
            let desc = at.wrapping_add(SEGMENT_HEADER_SIZE as u32);
            ask(self.rules.mapped_twice(self.request.options.mapping_kept))?;
            let magic_word: [u8; 4] = self.read(desc, "app_desc magic_word")?;
            let [exponent, ..]: [u8; 4] = self.read(desc.wrapping_add(MMU_PAGE_SIZE_AT), "app_desc mmu_page_size")?;
            ask(self.rules.app_desc(Some(u32::from_le_bytes(magic_word))))?;
            let (size, told) = self.rules.page_size(exponent);
            self.data.mmu_page_size = size;
            self.data.log.extend(told);
        }
        ask(self.rules.congruence(index, segment, u64::from(at), self.data.mmu_page_size))
    }

    /// Both sums over the data, in pieces as large as the cache can show at a time.
    fn process_segment_data(&mut self, index: u8, data: u32, length: u32, sums: &mut Sums) -> Result<(), Stop> {
        let (target, rules, page) = (self.request.target(), self.rules, self.rules.build_page);
        let (mut at, mut remain) = (self.request.offset.wrapping_add(data), length);
        while remain > 0 {
            let pages_lost = if at % page != 0 { page } else { 0 };
            let piece = remain.min(target.mmap_window(page) - pages_lost);
            ask(rules.mapped(index, at, piece, self.flash.len()))?;
            let begins = remain == length || !rules.features.desc_once;
            if index == 0 && begins && !rules.bootloader && self.request.verifies() {
                self.first_piece(at.wrapping_sub(self.request.offset), piece)?;
            }
            self.see(u64::from(at), u64::from(piece));
            if self.request.verifies() {
                sums.data(self.flash, u64::from(at), u64::from(piece))?;
            }
            at = at.wrapping_add(piece);
            remain -= piece;
        }
        Ok(())
    }

    /// The first piece of an app holds its descriptor: its eFuse blocks, and for anti-rollback its version.
    fn first_piece(&mut self, at: u32, length: u32) -> Result<(), Stop> {
        let desc = self.app_desc_at(at)?;
        let efuse = &self.request.efuse;
        ask(self.rules.efuse_block_revision(&desc, efuse.block_revision, efuse.disable_blk_version_major))?;
        if self.watches_rollback() {
            let refusal = self.rules.app_desc(Some(desc.magic_word()));
            if let Some(Refusal { fault, .. }) = refusal.filter(|_| self.asserts()) {
                return Err(Stop::Assertion("app_desc magic word", fault));
            }
            if let Some(fault) = self.rules.read_past(length) {
                return Err(Stop::Crash("data_len of segment 0 wraps below 0", fault));
            }
            self.data.secure_version = desc.secure_version();
        }
        Ok(())
    }

    fn process_checksum(&mut self, sums: &mut Sums) -> Result<(), Stop> {
        let start = self.data.image_len;
        let length = CHECKSUM_BLOCK - (start % CHECKSUM_BLOCK);
        if self.request.verifies() {
            let mut buffer = [0; CHECKSUM_BLOCK as usize];
            let (block, _) = buffer.split_at_mut_checked(length as usize).unwrap_or_default();
            self.read_into(start, "checksum", block)?;
            let stored = block.last().copied().unwrap_or_default();
            let at = start.wrapping_add(length - 1);
            if !self.overlooks() {
                ask(self.rules.checksum(sums.checksum(), stored, u64::from(at)))?;
            }
            sums.hash(block);
        }
        self.data.image_len = start.wrapping_add(length);
        Ok(())
    }

    fn process_appended_hash_and_sig(&mut self, header: ImageHeader, sums: Sums) -> Result<(), Stop> {
        if header.hash_appended != 0 {
            let reads = self.request.verifies() || self.request.mode == Mode::Metadata;
            let zeros = Ok([0; HASH_LEN]);
            self.data.digest = Some(if reads { self.read(self.data.image_len, "hash") } else { zeros }?);
            self.data.image_len = self.data.image_len.wrapping_add(HASH_LEN as u32);
        }
        let room = signed::room(&self.request.options, &self.rules, self.data.image_len);
        ask(self.rules.fits(self.data.image_len, room, self.request.size))?;
        if !sums.hashes() {
            return Ok(());
        }
        let hardware = self.request.efuse.secure_boot_en;
        let overlooked = self.overlooks() && self.request.build == Build::Bootloader && !hardware;
        if self.request.options.check_signature && !overlooked {
            return signed::verify_secure_boot_signature(self, sums);
        }
        if let (Some(stored), Some(calculated), false) = (self.data.digest, sums.digest(), self.overlooks()) {
            let at = self.data.image_len.wrapping_sub(HASH_LEN as u32);
            let refusal = self.rules.simple_hash(&calculated, &stored, u64::from(at));
            if !self.request.options.bringup {
                return ask(refusal);
            }
            if let Some(refusal) = refusal {
                let text = "Ignoring invalid SHA-256 as running on FPGA / doing bringup";
                self.data.log.extend(refusal.log);
                self.data.log.push(line(Level::Warning, "esp_image", text.to_owned()));
            }
        }
        Ok(())
    }
}

fn word(kind: SegmentKind) -> &'static str {
    if kind == SegmentKind::Map { "map" } else { "" }
}
