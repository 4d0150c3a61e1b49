//! gen_esp32part.py's keywords (components/partition_table/gen_esp32part.py `TYPES`, `SUBTYPES`).

use super::{TYPE_APP, TYPE_BOOTLOADER, TYPE_DATA, TYPE_PARTITION_TABLE};

/// The subtype of a row whose subtype field is empty (`undefined`), whatever its type is.
pub const SUBTYPE_UNDEFINED: u8 = 0x06;
/// data/ota: otadata.
pub const DATA_OTA: u8 = 0x00;
/// data/nvs.
pub const DATA_NVS: u8 = 0x02;
/// data/coredump.
pub const DATA_COREDUMP: u8 = 0x03;
/// data/tee_ota.
pub const DATA_TEE_OTA: u8 = 0x90;
/// bootloader/primary and partition_table/primary.
pub const PRIMARY: u8 = 0x00;
/// bootloader/recovery.
pub const BOOTLOADER_RECOVERY: u8 = 0x02;

/// Words and their numbers.
pub type Keywords = &'static [(&'static str, u8)];

/// The types.
pub const TYPES: Keywords = &[
    ("app", TYPE_APP),
    ("data", TYPE_DATA),
    ("bootloader", TYPE_BOOTLOADER),
    ("partition_table", TYPE_PARTITION_TABLE),
];

const APP: Keywords = &[
    ("factory", 0x00),
    ("ota_0", 0x10),
    ("ota_1", 0x11),
    ("ota_2", 0x12),
    ("ota_3", 0x13),
    ("ota_4", 0x14),
    ("ota_5", 0x15),
    ("ota_6", 0x16),
    ("ota_7", 0x17),
    ("ota_8", 0x18),
    ("ota_9", 0x19),
    ("ota_10", 0x1A),
    ("ota_11", 0x1B),
    ("ota_12", 0x1C),
    ("ota_13", 0x1D),
    ("ota_14", 0x1E),
    ("ota_15", 0x1F),
    ("test", 0x20),
    ("tee_0", 0x30),
    ("tee_1", 0x31),
];

const DATA: Keywords = &[
    ("ota", DATA_OTA),
    ("phy", 0x01),
    ("nvs", DATA_NVS),
    ("coredump", DATA_COREDUMP),
    ("nvs_keys", 0x04),
    ("efuse", 0x05),
    ("undefined", SUBTYPE_UNDEFINED),
    ("esphttpd", 0x80),
    ("fat", 0x81),
    ("spiffs", 0x82),
    ("littlefs", 0x83),
    ("tee_ota", DATA_TEE_OTA),
];

const BOOTLOADER: Keywords = &[("primary", PRIMARY), ("ota", 0x01), ("recovery", BOOTLOADER_RECOVERY)];

const PARTITION_TABLE: Keywords = &[("primary", PRIMARY), ("ota", 0x01)];

/// The words for the subtypes of a type; only the first four types have any.
pub fn subtypes(ptype: u8) -> Keywords {
    match ptype {
        TYPE_APP => APP,
        TYPE_DATA => DATA,
        TYPE_BOOTLOADER => BOOTLOADER,
        TYPE_PARTITION_TABLE => PARTITION_TABLE,
        _ => &[],
    }
}

/// The number of a word.
pub fn value(keywords: Keywords, word: &str) -> Option<u8> {
    keywords.iter().find(|(name, _)| *name == word).map(|&(_, value)| value)
}

/// The word for a number, or the number in decimal.
fn word(keywords: Keywords, value: u8) -> String {
    let found = keywords.iter().find(|&&(_, number)| number == value);
    found.map_or_else(|| value.to_string(), |(name, _)| (*name).to_owned())
}

/// The type as the CSV output has it.
pub fn type_name(ptype: u8) -> String {
    word(TYPES, ptype)
}

/// The subtype as the CSV output has it.
pub fn subtype_name(ptype: u8, subtype: u8) -> String {
    word(subtypes(ptype), subtype)
}
