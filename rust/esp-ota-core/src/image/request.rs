//! What the verifier is asked, and what it says.

use super::HASH_LEN;
use super::header::Segment;
use super::load;
use super::options::{Features, Options};
use super::rules::Rules;
use crate::efuse::EFuse;
use crate::err::{EspErr, Fault, LogLine};
use crate::flash::SECTOR;
use crate::target::{Span, Target};

/// Whose code looks: the same file of ESP-IDF is part of the app and of the bootloader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Build {
    /// A running app, in `esp_ota_end` or `esp_ota_set_boot_partition`.
    App,
    /// The second-stage bootloader.
    Bootloader,
}

/// `esp_image_load_mode_t`, and the walk of `esp_image_get_metadata`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// `ESP_IMAGE_VERIFY`.
    Verify,
    /// `ESP_IMAGE_VERIFY_SILENT`: the ordinary lines are not printed.
    VerifySilent,
    /// `ESP_IMAGE_LOAD`: as the bootloader before a start; the app build has no such mode and verifies.
    Load,
    /// `ESP_IMAGE_LOAD_NO_VALIDATE`: loads what it can follow, whatever the sums say.
    LoadNoValidate,
    /// `esp_image_get_metadata`: only follows the segments.
    Metadata,
}

/// One request to judge an image.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// Where the partition starts in flash.
    pub offset: u32,
    /// Bytes in the partition.
    pub size: u32,
    /// Whose code judges.
    pub build: Build,
    /// How.
    pub mode: Mode,
    /// The chip that judges, by its fuses.
    pub efuse: EFuse,
    /// How the judging code was built.
    pub options: Options,
}

impl Request {
    pub(super) fn target(&self) -> &'static Target {
        self.efuse.target
    }

    /// Loads segments to RAM, so where they go matters.
    pub(super) fn loads(&self) -> bool {
        self.build == Build::Bootloader && matches!(self.mode, Mode::Load | Mode::LoadNoValidate)
    }

    /// Compares sums, chip and revisions.
    pub(super) fn verifies(&self) -> bool {
        match self.mode {
            Mode::Metadata => false,
            Mode::LoadNoValidate => self.build == Build::App,
            Mode::Verify | Mode::VerifySilent | Mode::Load => true,
        }
    }

    pub(super) fn silent(&self) -> bool {
        matches!(self.mode, Mode::VerifySilent | Mode::Metadata)
    }

    /// `is_bootloader`: decided by the address alone.
    pub(super) fn of_bootloader(&self) -> bool {
        let sector = u32::from(self.efuse.recovery_bootloader_sector);
        let recovers = self.target().has_recovery_bootloader() && !matches!(sector, 0 | 0xFFF);
        let elsewhere = Features::of(self.options.idf_version).bootloader_elsewhere;
        self.offset == self.target().bootloader_offset
            || (elsewhere && self.options.bootloader_offset == Some(self.offset))
            || (elsewhere && recovers && self.offset == sector * SECTOR as u32)
    }

    pub(super) fn rules(&self, flash_size: u64) -> Rules {
        let target = self.target();
        Rules {
            build_page: self.options.mmu_page_size.unwrap_or_else(|| target.mmu_page_size(flash_size)),
            features: Features::of(self.options.idf_version),
            loader_text: self.options.loader_text.map(|(low, high)| Span { low, high }),
            loader_data: self.options.loader_data.map(|(low, high)| Span { low, high }),
            stack_end: load::stack_end(target, self.options.idf_version),
            ..Rules::new(Some(target), u64::from(self.offset), self.of_bootloader())
        }
    }
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
    /// Bytes of the image with checksum and hash, and with its signature when this build looked at it.
    pub image_len: u32,
    /// The appended SHA-256; zeros where nobody has read it.
    pub digest: Option<[u8; HASH_LEN]>,
    /// The segment table.
    pub segments: Vec<Segment>,
    /// The app's secure version, when an anti-rollback build read it.
    pub secure_version: u32,
    /// The MMU page size the app asks for.
    pub mmu_page_size: u32,
    /// An assertion that failed: the chip resets, and nothing is returned at all.
    pub assertion: Option<&'static str>,
    /// Where the code runs wild: the chip resets, and nothing is returned either.
    pub crash: Option<&'static str>,
}

impl Verdict {
    pub(super) fn accepted(log: Vec<LogLine>) -> Self {
        Self {
            err: EspErr::Ok,
            fault: None,
            log,
            image_len: 0,
            digest: None,
            segments: Vec::new(),
            secure_version: 0,
            mmu_page_size: 0,
            assertion: None,
            crash: None,
        }
    }

    pub(super) fn refused(fault: Fault, log: Vec<LogLine>) -> Self {
        Self { err: fault.err, fault: Some(fault), ..Self::accepted(log) }
    }
}
