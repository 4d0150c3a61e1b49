//! How the code that looks was built and what it finds around it: everything a verdict depends on besides bytes and fuses.

use crate::signature::Scheme;

/// A release of ESP-IDF: major, minor, patch.
pub type IdfVersion = (u16, u16, u16);

/// The release whose behaviour is the default: the newest.
pub const HEAD: IdfVersion = (6, 2, 0);

/// Options of a build (`CONFIG_*`) and the state of the chip at that moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::struct_excessive_bools, reason = "each is one option of the build")]
pub struct Options {
    /// Whose behaviour, where it changed.
    pub idf_version: IdfVersion,
    /// `MMU_PAGE_SIZE` in bytes; `None`: what the chip's builds get for this flash size.
    pub mmu_page_size: Option<u32>,
    /// The signature scheme of the build, if apps are signed at all.
    pub scheme: Option<Scheme>,
    /// `SECURE_SIGNED_ON_BOOT` or `SECURE_SIGNED_ON_UPDATE`: this build looks at signatures.
    pub check_signature: bool,
    /// `SECURE_BOOT_V2_ENABLED`.
    pub secure_boot_v2: bool,
    /// `BOOTLOADER_APP_ANTI_ROLLBACK`.
    pub anti_rollback: bool,
    /// `BOOTLOADER_APP_SEC_VER_SIZE_EFUSE_FIELD` in bits; `None`: all that the chip has.
    pub secure_version_size: Option<u32>,
    /// `IDF_ENV_BRINGUP`: a chip that is new to the release; a wrong hash is told and forgiven.
    pub bringup: bool,
    /// A debugger is attached.
    pub debugger_attached: bool,
    /// The chip wakes from deep sleep: what RTC memory holds stays.
    pub deep_sleep_wake: bool,
    /// An earlier look left its mapping behind, and the cache shows nothing more.
    pub mapping_kept: bool,
    /// `COMPILER_OPTIMIZATION_ASSERTIONS_DISABLE`: what is asserted is not looked at.
    pub assertions_disabled: bool,
    /// `esp_image_bootloader_offset_set`: one more address whose image is a bootloader.
    pub bootloader_offset: Option<u32>,
    /// Where the code lies that the bootloader needs until it jumps, from its first byte to behind its last; `None`: all
    /// the room that the chip's linker script has for it.
    pub loader_text: Option<(u32, u32)>,
    /// Where its data lies; `None`: all the room for that.
    pub loader_data: Option<(u32, u32)>,
    /// SHA-256 of the keys of the running app: what an app trusts without hardware secure boot.
    pub trusted_digests: Vec<[u8; 32]>,
    /// The public key of version 1 signatures, X then Y, built into app and bootloader.
    pub v1_public_key: Option<[u8; 64]>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            idf_version: HEAD,
            mmu_page_size: None,
            scheme: None,
            check_signature: false,
            secure_boot_v2: false,
            anti_rollback: false,
            secure_version_size: None,
            bringup: false,
            debugger_attached: false,
            deep_sleep_wake: false,
            mapping_kept: false,
            assertions_disabled: false,
            bootloader_offset: None,
            loader_text: None,
            loader_data: None,
            trusted_digests: Vec::new(),
            v1_public_key: None,
        }
    }
}

/// Whether `version` has what came with these releases: one per maintained line, the newest line last.
pub fn since(version: IdfVersion, releases: &[IdfVersion]) -> bool {
    let (major, minor, _) = version;
    releases.last().is_some_and(|newest| version >= *newest)
        || releases.iter().any(|&release| (release.0, release.1) == (major, minor) && version >= release)
}

/// What changed in the verifier, by release.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is one change")]
pub(super) struct Features {
    /// The first segment must hold an app descriptor (before, anti-rollback builds read past one of a single word); magic and segment count are judged in every mode; a page size in
    /// the descriptor that no chip has counts as absent.
    pub(super) newest: bool,
    /// The MMU page size is read from the descriptor.
    pub(super) page_in_desc: bool,
    /// The revision of the eFuse blocks is compared.
    pub(super) efuse_blocks: bool,
    /// Chips with a wide cache map may have images above 16 MiB.
    pub(super) beyond_16mb: bool,
    /// ESP32-C61 is one of them.
    pub(super) c61_beyond_16mb: bool,
    /// Room for the signature is asked of the partition.
    pub(super) signature_room: bool,
    /// Anti-rollback builds take the secure version while they hash, and compare it after loading.
    pub(super) version_in_walk: bool,
    /// The chip's revision is compared with both bounds of the header, not one number of it with the older byte.
    pub(super) full_revisions: bool,
    /// Which of its two numbers that is: where it has no meaning for the chip, a zero until then.
    pub(super) revisions_from_hal: bool,
    /// How a wrong revision is told, one bound at a time; and a bootloader image has no upper one.
    pub(super) revision_check: bool,
    /// Bootloader images may lie at other places than the ROM's.
    pub(super) bootloader_elsewhere: bool,
    /// A crooked read is told with all its numbers.
    pub(super) reads_tell_all: bool,
    /// The descriptor is looked for where the first segment begins. Before, at each piece of it that the cache can show.
    pub(super) desc_once: bool,
}

/// From where on anti-rollback builds take the secure version while they hash.
const VERSION_IN_WALK: [IdfVersion; 5] = [(4, 4, 7), (5, 0, 7), (5, 1, 4), (5, 2, 1), (5, 3, 0)];
/// Until when they do so without a look at the length of the segment.
const NEWEST: IdfVersion = (6, 2, 0);

/// The releases whose anti-rollback builds read past a first segment of one word, in words.
pub(super) fn read_past_a_word() -> String {
    let [lines @ .., last] = VERSION_IN_WALK.map(|(major, minor, patch)| format!("v{major}.{minor}.{patch}"));
    let (major, minor, patch) = NEWEST;
    format!("{} and {last} on, until v{major}.{minor}.{patch}", lines.join(", "))
}

impl Features {
    pub(super) fn of(version: IdfVersion) -> Self {
        Self {
            newest: since(version, &[NEWEST]),
            page_in_desc: since(version, &[(5, 4, 0)]),
            efuse_blocks: since(version, &[(5, 1, 7), (5, 2, 3), (5, 3, 2), (5, 4, 0)]),
            beyond_16mb: since(version, &[(5, 3, 4), (5, 4, 2), (5, 5, 0)]),
            c61_beyond_16mb: since(version, &[(6, 0, 0)]),
            signature_room: since(version, &[(4, 4, 3), (5, 0, 0)]),
            version_in_walk: since(version, &VERSION_IN_WALK),
            full_revisions: since(version, &[(4, 3, 5), (4, 4, 5), (5, 0, 1)]),
            revisions_from_hal: since(version, &[(4, 4, 4)]),
            revision_check: since(version, &[(5, 5, 0)]),
            bootloader_elsewhere: since(version, &[(5, 5, 0)]),
            reads_tell_all: since(version, &[(5, 5, 3), (6, 0, 0)]),
            desc_once: since(version, &[(5, 5, 5), (6, 0, 2), (6, 1, 0)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_in_its_own_line_and_in_all_newer_ones() {
        let releases = [(5, 1, 7), (5, 2, 3), (5, 4, 0)];
        for (version, has) in [
            ((5, 1, 6), false),
            ((5, 1, 7), true),
            ((5, 2, 2), false),
            ((5, 2, 9), true),
            ((5, 3, 9), false),
            ((5, 4, 0), true),
            ((6, 0, 0), true),
            ((4, 4, 8), false),
        ] {
            assert_eq!(since(version, &releases), has, "{version:?}");
        }
    }
}
