//! What an image says about itself: the app descriptor and the bootloader descriptor.
//!
//! Both stand at image offset 0x20, behind the image header and the first segment header.

use crate::err::{EspErr, Fault};

/// Where either descriptor stands in an image.
pub const DESC_OFFSET: u64 = 0x20;

/// `ESP_APP_DESC_MAGIC_WORD`.
pub const APP_DESC_MAGIC_WORD: u32 = 0xABCD_5432;

/// `ESP_BOOTLOADER_DESC_MAGIC_BYTE`.
pub const BOOTLOADER_DESC_MAGIC_BYTE: u8 = 0x50;

/// `sizeof(esp_app_desc_t)`.
pub const APP_DESC_SIZE: usize = 256;

/// Where `mmu_page_size` stands in it.
pub const MMU_PAGE_SIZE_AT: u32 = 180;

/// `sizeof(esp_bootloader_desc_t)`.
pub const BOOTLOADER_DESC_SIZE: usize = 80;

/// `esp_app_desc_t` (components/esp_app_format/include/esp_app_desc.h), bytes as they stand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AppDesc([u8; APP_DESC_SIZE]);

impl AppDesc {
    /// Take any 256 bytes for a descriptor, as the verifier does where it does not look at the magic word.
    pub fn of(bytes: [u8; APP_DESC_SIZE]) -> Self {
        Self(bytes)
    }

    /// Decode the first 256 bytes of `data`. Refuses fewer, and another magic word.
    pub fn parse(data: &[u8]) -> Result<Self, Fault> {
        let desc = Self(first(data, "app_desc")?);
        match desc.magic_word() {
            APP_DESC_MAGIC_WORD => Ok(desc),
            other => Err(Fault::new(
                EspErr::NotFound,
                "app_desc magic_word",
                0,
                format!("0x{other:08x}"),
                format!("0x{APP_DESC_MAGIC_WORD:08x}"),
            )),
        }
    }

    /// Always `APP_DESC_MAGIC_WORD`.
    pub fn magic_word(&self) -> u32 {
        u32::from_le_bytes(part(&self.0, 0))
    }

    /// The anti-rollback version.
    pub fn secure_version(&self) -> u32 {
        u32::from_le_bytes(part(&self.0, 4))
    }

    /// The application version with its padding: what the version check compares.
    pub fn version_bytes(&self) -> [u8; 32] {
        part(&self.0, 16)
    }

    /// The application version.
    pub fn version(&self) -> String {
        text(&self.version_bytes())
    }

    /// The project name with its padding.
    pub fn project_name_bytes(&self) -> [u8; 32] {
        part(&self.0, 48)
    }

    /// The project name.
    pub fn project_name(&self) -> String {
        text(&self.project_name_bytes())
    }

    /// The compiler's time; empty in a reproducible build.
    pub fn time(&self) -> String {
        text(&part::<16>(&self.0, 80))
    }

    /// The compiler's date; empty in a reproducible build.
    pub fn date(&self) -> String {
        text(&part::<16>(&self.0, 96))
    }

    /// The ESP-IDF version.
    pub fn idf_ver(&self) -> String {
        text(&part::<32>(&self.0, 112))
    }

    /// SHA-256 of the ELF file.
    pub fn app_elf_sha256(&self) -> [u8; 32] {
        part(&self.0, 144)
    }

    /// The lowest eFuse block revision the app runs on; 0 and 0xFFFF mean any.
    pub fn min_efuse_blk_rev_full(&self) -> u16 {
        u16::from_le_bytes(part(&self.0, 176))
    }

    /// The highest eFuse block revision the app runs on; 0 and 0xFFFF mean any.
    pub fn max_efuse_blk_rev_full(&self) -> u16 {
        u16::from_le_bytes(part(&self.0, 178))
    }

    /// log2 of the MMU page size; 0 in older images.
    pub fn mmu_page_size(&self) -> u8 {
        u8::from_le_bytes(part(&self.0, MMU_PAGE_SIZE_AT as usize))
    }

    /// The SPI flash mode the app was built for; 0 in older images.
    pub fn spi_flash_mode(&self) -> u8 {
        u8::from_le_bytes(part(&self.0, 181))
    }
}

/// `esp_bootloader_desc_t` (components/esp_bootloader_format/include/esp_bootloader_desc.h), bytes as they stand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BootloaderDesc([u8; BOOTLOADER_DESC_SIZE]);

impl BootloaderDesc {
    /// Decode the first 80 bytes of `data`. Refuses fewer, and another magic byte.
    pub fn parse(data: &[u8]) -> Result<Self, Fault> {
        let desc = Self(first(data, "bootloader_desc")?);
        match desc.magic_byte() {
            BOOTLOADER_DESC_MAGIC_BYTE => Ok(desc),
            other => Err(Fault::new(
                EspErr::NotFound,
                "bootloader_desc magic_byte",
                0,
                format!("0x{other:02x}"),
                format!("0x{BOOTLOADER_DESC_MAGIC_BYTE:02x}"),
            )),
        }
    }

    /// Whether the content reads like a descriptor too: one magic byte alone is found in one image of 256.
    pub fn is_plausible(&self) -> bool {
        let (reserved, idf_ver, date_time): ([u8; 2], [u8; 32], [u8; 24]) =
            (part(&self.0, 1), part(&self.0, 8), part(&self.0, 40));
        reserved == [0; 2] && idf_ver != [0; 32] && is_padded_text(&idf_ver) && is_padded_text(&date_time)
    }

    /// Always `BOOTLOADER_DESC_MAGIC_BYTE`.
    pub fn magic_byte(&self) -> u8 {
        u8::from_le_bytes(part(&self.0, 0))
    }

    /// The bootloader's anti-rollback version.
    pub fn secure_version(&self) -> u8 {
        u8::from_le_bytes(part(&self.0, 3))
    }

    /// `CONFIG_BOOTLOADER_PROJECT_VER`.
    pub fn version(&self) -> u32 {
        u32::from_le_bytes(part(&self.0, 4))
    }

    /// The ESP-IDF version.
    pub fn idf_ver(&self) -> String {
        text(&part::<32>(&self.0, 8))
    }

    /// The compiler's date and time.
    pub fn date_time(&self) -> String {
        text(&part::<24>(&self.0, 40))
    }
}

fn first<const N: usize>(data: &[u8], what: &str) -> Result<[u8; N], Fault> {
    data.first_chunk()
        .copied()
        .ok_or_else(|| Fault::new(EspErr::InvalidSize, what, 0, format!("{} bytes", data.len()), format!("{N} bytes")))
}

/// `N` bytes of a descriptor from `at`.
fn part<const N: usize>(desc: &[u8], at: usize) -> [u8; N] {
    desc.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}

/// The characters before the first NUL, what is not UTF-8 replaced.
fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field.split(|&byte| byte == 0).next().unwrap_or_default()).into_owned()
}

/// Printable characters, then nothing but NULs.
fn is_padded_text(field: &[u8]) -> bool {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    let (characters, padding) = field.split_at_checked(end).unwrap_or_default();
    characters.iter().all(|byte| (0x20..0x7F).contains(byte)) && padding.iter().all(|&byte| byte == 0)
}
