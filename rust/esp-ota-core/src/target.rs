//! What each chip of the family fixes in silicon, ROM and linker scripts.
//!
//! Sources, per chip: `soc/soc.h` and `soc/ext_mem_defs.h` (components/soc), `esp_rom_caps.h` (components/esp_rom),
//! `Kconfig.hw_support` (components/esp_hw_support) and `bootloader.memory.ld.in` (components/bootloader). The figures are
//! those of a default build: 64 KiB MMU pages, both cores in use, ESP32-P4 built for revision 3.

/// Addresses `[low, high)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first address.
    pub low: u32,
    /// One past the last address.
    pub high: u32,
}

impl Span {
    /// Whether `address` lies inside.
    pub const fn contains(self, address: u32) -> bool {
        self.low <= address && address < self.high
    }

    /// `bootloader_util_regions_overlap`: whether the two share an address.
    pub const fn overlaps(self, other: Self) -> bool {
        self.low < other.high && other.low < self.high
    }

    /// Bytes inside.
    pub const fn len(self) -> u32 {
        self.high.saturating_sub(self.low)
    }

    /// Whether there is no address inside.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

const fn span(low: u32, high: u32) -> Span {
    Span { low, high }
}

/// Internal RAM as the bootloader sees it when it copies segments into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ram {
    /// Instruction side.
    pub iram: Span,
    /// Data side; the same span as `iram` on chips with one address for both.
    pub dram: Span,
    /// RTC fast, RTC slow and scratchpad memory: loaded to, never used by the bootloader.
    pub others: &'static [Span],
    /// The part of RAM that has an address on both sides (`SOC_DIRAM_*`), instruction side first.
    pub alias: (Span, Span),
    /// ESP32: the two sides of the alias count in opposite directions.
    pub alias_inverted: bool,
    /// `SOC_ROM_STACK_START`: the stack the bootloader runs on grows down from here.
    pub stack_start: u32,
    /// The bootloader's loader section, which must survive the copying.
    pub loader_text: Span,
    /// The bootloader's static data.
    pub loader_data: Span,
}

impl Ram {
    /// A chip whose RAM has one address for code and data.
    const fn unified(ram: Span, others: &'static [Span], stack_start: u32, text: Span, data: Span) -> Self {
        Self {
            iram: ram,
            dram: ram,
            others,
            alias: (ram, ram),
            alias_inverted: false,
            stack_start,
            loader_text: text,
            loader_data: data,
        }
    }
}

/// One chip (`CONFIG_IDF_TARGET`).
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// ESP-IDF's name, `esp32c3`.
    pub name: &'static str,
    /// `esp_chip_id_t`, byte 12 of an image header.
    pub chip_id: u16,
    /// Where the ROM looks for the second-stage bootloader.
    pub bootloader_offset: u32,
    /// Whether the MMU page size is a build option, which makes the verifier read it from the app descriptor.
    pub mmu_configurable: bool,
    /// Whether the cache can map flash beyond 16 MiB.
    pub map_32bit: bool,
    /// What a default build writes to `min_chip_rev_full`.
    pub min_revision: u16,
    /// What a default build writes to `max_chip_rev_full`.
    pub max_revision: u16,
    /// A revision, sold today, that default builds accept.
    pub default_chip_revision: u16,
    /// CPU cores.
    pub cores: u8,
    /// Flash mapped as data.
    pub drom: Span,
    /// Flash mapped as code.
    pub irom: Span,
    /// External RAM, on chips whose MMU maps it like flash.
    pub ext_ram: Option<Span>,
    /// Internal RAM.
    pub ram: Ram,
}

const MMU_PAGE_SIZE: u32 = 0x1_0000;
const SIXTEEN_MB: u32 = 0x100_0000;

impl Target {
    /// The chip with ESP-IDF's name `name`.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// The chip whose images carry `chip_id`.
    pub fn by_chip_id(chip_id: u16) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.chip_id == chip_id)
    }

    /// `CONFIG_MMU_PAGE_SIZE` of a default build for a flash of `flash_size` bytes.
    ///
    /// Where the size is a build option, small flashes get small pages.
    pub fn mmu_page_size(&self, flash_size: u64) -> u32 {
        match (self.mmu_configurable, flash_size >> 20) {
            (true, 0 | 1) => 0x4000,
            (true, 2) => 0x8000,
            _ => MMU_PAGE_SIZE,
        }
    }

    /// The first segment length, and the last partition size, that the verifier calls too large or large enough.
    ///
    /// `wide`: the release knows that some caches reach further than 16 MiB.
    pub const fn size_limit(&self, wide: bool) -> u32 {
        if self.map_32bit && wide { u32::MAX } else { SIXTEEN_MB }
    }

    /// Whether `address` is in RTC memory, which keeps its content in deep sleep.
    pub fn is_rtc(&self, address: u32) -> bool {
        const SPM: u32 = 0x3010_0000; // ESP32-P4's scratchpad is in the list too, and is no RTC memory
        self.ram.others.iter().any(|span| span.low != SPM && span.contains(address))
    }

    /// Whether the bootloader can be asked by eFuse to look for a second copy of itself (`SOC_RECOVERY_BOOTLOADER_SUPPORTED`).
    pub fn has_recovery_bootloader(&self) -> bool {
        matches!(self.name, "esp32c5" | "esp32c61" | "esp32p4" | "esp32s31")
    }

    /// Whether an eFuse key can make HMACs that software reads (`SOC_HMAC_SUPPORTED`).
    pub fn has_hmac(&self) -> bool {
        !matches!(self.name, "esp32" | "esp32c2" | "esp32c61")
    }

    /// The part of mapped flash that a build with MMU pages of `page` bytes reaches: three chips have 256 pages,
    /// however large those are.
    fn shown(&self, flash: Span, page: u32) -> Span {
        if !matches!(self.name, "esp32c6" | "esp32h2" | "esp32h21") {
            return flash;
        }
        Span { high: flash.low.saturating_add(page.saturating_mul(256)), ..flash }
    }

    /// Bytes that one `bootloader_mmap` can show: ESP32 keeps part of its data window back.
    pub fn mmap_window(&self, page: u32) -> u32 {
        if self.chip_id == 0 { 0x32_0000 } else { self.shown(self.drom, page).len() }
    }

    /// `should_map`: whether a segment for `load_addr` stays in flash and is reached through the cache.
    pub fn should_map(&self, load_addr: u32, page: u32) -> bool {
        self.shown(self.irom, page).contains(load_addr)
            || self.shown(self.drom, page).contains(load_addr)
            || self.ext_ram.is_some_and(|ram| ram.contains(load_addr))
    }
}

const C6_FLASH: Span = span(0x4200_0000, 0x4300_0000);
const H2_RAM: Span = span(0x4080_0000, 0x4085_0000);
const RTC_FAST_H2: Span = span(0x5000_0000, 0x5000_1000);
const RTC_SLOW_8K: Span = span(0x5000_0000, 0x5000_2000);

/// Every supported chip, in the order of ESP-IDF's own list.
pub static TARGETS: [Target; 13] = [
    Target {
        name: "esp32",
        chip_id: 0,
        bootloader_offset: 0x1000,
        mmu_configurable: false,
        map_32bit: false,
        min_revision: 0,
        max_revision: 399,
        default_chip_revision: 301,
        cores: 2,
        drom: span(0x3F40_0000, 0x3F80_0000),
        irom: span(0x400D_0000, 0x4040_0000),
        ext_ram: None,
        ram: Ram {
            iram: span(0x4008_0000, 0x400A_A000),
            dram: span(0x3FFA_E000, 0x4000_0000),
            others: &[span(0x400C_0000, 0x400C_2000), span(0x3FF8_0000, 0x3FF8_2000), RTC_SLOW_8K],
            alias: (span(0x400A_0000, 0x400C_0000), span(0x3FFE_0000, 0x4000_0000)),
            alias_inverted: true,
            stack_start: 0x3FFE_3F20,
            loader_text: span(0x4007_8000, 0x4008_0000),
            loader_data: span(0x3FFF_0000, 0x3FFF_6000),
        },
    },
    Target {
        name: "esp32s2",
        chip_id: 2,
        bootloader_offset: 0x1000,
        mmu_configurable: false,
        map_32bit: false,
        min_revision: 0,
        max_revision: 199,
        default_chip_revision: 100,
        cores: 1,
        drom: span(0x3F00_0000, 0x3FF8_0000),
        irom: span(0x4008_0000, 0x4080_0000),
        ext_ram: None,
        ram: Ram {
            iram: span(0x4002_0000, 0x4007_0000),
            dram: span(0x3FFB_0000, 0x4000_0000),
            others: &[span(0x4007_0000, 0x4007_2000), span(0x3FF9_E000, 0x3FFA_0000), RTC_SLOW_8K],
            alias: (span(0x4002_0000, 0x4007_0000), span(0x3FFB_0000, 0x4000_0000)),
            alias_inverted: false,
            stack_start: 0x3FFF_E70C,
            loader_text: span(0x4004_E000, 0x4005_5000),
            loader_data: span(0x3FFE_5000, 0x3FFE_AB00),
        },
    },
    Target {
        name: "esp32c3",
        chip_id: 5,
        bootloader_offset: 0x0,
        mmu_configurable: false,
        map_32bit: false,
        min_revision: 3,
        max_revision: 199,
        default_chip_revision: 4,
        cores: 1,
        drom: span(0x3C00_0000, 0x3C80_0000),
        irom: span(0x4200_0000, 0x4280_0000),
        ext_ram: None,
        ram: Ram {
            iram: span(0x4037_C000, 0x403E_0000),
            dram: span(0x3FC8_0000, 0x3FCE_0000),
            others: &[RTC_SLOW_8K],
            alias: (span(0x4038_0000, 0x403E_0000), span(0x3FC8_0000, 0x3FCE_0000)),
            alias_inverted: false,
            stack_start: 0x3FCD_E710,
            loader_text: span(0x403C_E710, 0x403D_5710),
            loader_data: span(0x3FCD_5710, 0x3FCD_A710),
        },
    },
    Target {
        name: "esp32s3",
        chip_id: 9,
        bootloader_offset: 0x0,
        mmu_configurable: false,
        map_32bit: true,
        min_revision: 0,
        max_revision: 99,
        default_chip_revision: 2,
        cores: 2,
        drom: span(0x3C00_0000, 0x3E00_0000),
        irom: span(0x4200_0000, 0x4400_0000),
        ext_ram: None,
        ram: Ram {
            iram: span(0x4037_0000, 0x403E_0000),
            dram: span(0x3FC8_8000, 0x3FD0_0000),
            others: &[span(0x600F_E000, 0x6010_0000), RTC_SLOW_8K],
            alias: (span(0x4037_8000, 0x403E_0000), span(0x3FC8_8000, 0x3FCF_0000)),
            alias_inverted: false,
            stack_start: 0x3FCE_B710,
            loader_text: span(0x403C_B700, 0x403D_2700),
            loader_data: span(0x3FCE_2700, 0x3FCE_7700),
        },
    },
    Target {
        name: "esp32c2",
        chip_id: 12,
        bootloader_offset: 0x0,
        mmu_configurable: true,
        map_32bit: false,
        min_revision: 100,
        max_revision: 299,
        default_chip_revision: 200,
        cores: 1,
        drom: span(0x3C00_0000, 0x3C40_0000),
        irom: span(0x4200_0000, 0x4240_0000),
        ext_ram: None,
        ram: Ram {
            iram: span(0x4037_C000, 0x403C_0000),
            dram: span(0x3FCA_0000, 0x3FCE_0000),
            others: &[],
            alias: (span(0x4038_0000, 0x403C_0000), span(0x3FCA_0000, 0x3FCE_0000)),
            alias_inverted: false,
            stack_start: 0x3FCD_EB70,
            loader_text: span(0x403A_EB70, 0x403B_5B70),
            loader_data: span(0x3FCD_5B70, 0x3FCD_AB70),
        },
    },
    Target {
        name: "esp32c6",
        chip_id: 13,
        bootloader_offset: 0x0,
        mmu_configurable: true,
        map_32bit: false,
        min_revision: 0,
        max_revision: 99,
        default_chip_revision: 2,
        cores: 1,
        drom: C6_FLASH,
        irom: C6_FLASH,
        ext_ram: None,
        ram: Ram::unified(
            span(0x4080_0000, 0x4088_0000),
            &[span(0x5000_0000, 0x5000_4000)],
            0x4087_E610,
            span(0x4086_E610, 0x4087_5610),
            span(0x4087_5610, 0x4087_A610),
        ),
    },
    Target {
        name: "esp32h2",
        chip_id: 16,
        bootloader_offset: 0x0,
        mmu_configurable: true,
        map_32bit: false,
        min_revision: 0,
        max_revision: 199,
        default_chip_revision: 102,
        cores: 1,
        drom: C6_FLASH,
        irom: C6_FLASH,
        ext_ram: None,
        ram: Ram::unified(
            H2_RAM,
            &[RTC_FAST_H2],
            0x4084_F380,
            span(0x4083_EFD0, 0x4084_5FD0),
            span(0x4084_5FD0, 0x4084_AFD0),
        ),
    },
    Target {
        name: "esp32p4",
        chip_id: 18,
        bootloader_offset: 0x2000,
        mmu_configurable: false,
        map_32bit: true,
        min_revision: 301,
        max_revision: 399,
        default_chip_revision: 301,
        cores: 2,
        drom: span(0x4000_0000, 0x4400_0000),
        irom: span(0x4000_0000, 0x4400_0000),
        ext_ram: Some(span(0x4800_0000, 0x4C00_0000)),
        ram: Ram::unified(
            span(0x4FF0_0000, 0x4FFC_0000),
            &[span(0x5010_8000, 0x5011_0000), span(0x3010_0000, 0x3010_2000)],
            0x4FFB_CFC0,
            span(0x4FFA_DFC0, 0x4FFB_5FC0),
            span(0x4FFB_5FC0, 0x4FFB_AFC0),
        ),
    },
    Target {
        name: "esp32c61",
        chip_id: 20,
        bootloader_offset: 0x0,
        mmu_configurable: true,
        map_32bit: true,
        min_revision: 100,
        max_revision: 199,
        default_chip_revision: 100,
        cores: 1,
        drom: span(0x4200_0000, 0x4400_0000),
        irom: span(0x4200_0000, 0x4400_0000),
        ext_ram: None,
        ram: Ram::unified(H2_RAM, &[], 0x4084_E670, span(0x4083_E670, 0x4084_5670), span(0x4084_5670, 0x4084_A670)),
    },
    Target {
        name: "esp32c5",
        chip_id: 23,
        bootloader_offset: 0x2000,
        mmu_configurable: false,
        map_32bit: true,
        min_revision: 100,
        max_revision: 199,
        default_chip_revision: 100,
        cores: 1,
        drom: span(0x4200_0000, 0x4400_0000),
        irom: span(0x4200_0000, 0x4400_0000),
        ext_ram: None,
        ram: Ram::unified(
            span(0x4080_0000, 0x4086_0000),
            &[span(0x5000_0000, 0x5000_4000)],
            0x4085_E5A0,
            span(0x4084_E5A0, 0x4085_55A0),
            span(0x4085_55A0, 0x4085_A5A0),
        ),
    },
    Target {
        name: "esp32h21",
        chip_id: 25,
        bootloader_offset: 0x0,
        mmu_configurable: true,
        map_32bit: false,
        min_revision: 0,
        max_revision: 99,
        default_chip_revision: 0,
        cores: 1,
        drom: C6_FLASH,
        irom: C6_FLASH,
        ext_ram: None,
        ram: Ram::unified(
            H2_RAM,
            &[RTC_FAST_H2],
            0x4084_F380,
            span(0x4083_BA78, 0x4084_2A78),
            span(0x4084_2A78, 0x4084_7A78),
        ),
    },
    Target {
        name: "esp32h4",
        chip_id: 28,
        bootloader_offset: 0x2000,
        mmu_configurable: true,
        map_32bit: true,
        min_revision: 0,
        max_revision: 99,
        default_chip_revision: 0,
        cores: 2,
        drom: span(0x4200_0000, 0x4400_0000),
        irom: span(0x4200_0000, 0x4400_0000),
        ext_ram: None,
        ram: Ram::unified(
            span(0x4081_0000, 0x4086_0000),
            &[],
            0x4085_D350,
            span(0x4084_F350, 0x4085_6350),
            span(0x4085_6350, 0x4085_B350),
        ),
    },
    Target {
        name: "esp32s31",
        chip_id: 32,
        bootloader_offset: 0x2000,
        mmu_configurable: true,
        map_32bit: true,
        min_revision: 0,
        max_revision: 99,
        default_chip_revision: 0,
        cores: 2,
        drom: span(0x4000_0000, 0x4400_0000),
        irom: span(0x4000_0000, 0x4400_0000),
        ext_ram: Some(span(0x5000_0000, 0x5400_0000)),
        ram: Ram::unified(
            span(0x2F00_0000, 0x2F08_0000),
            &[span(0x2E00_0000, 0x2E00_8000)],
            0x2F07_CFB0,
            span(0x2F06_CFB0, 0x2F07_3FB0),
            span(0x2F07_3FB0, 0x2F07_8FB0),
        ),
    },
];
