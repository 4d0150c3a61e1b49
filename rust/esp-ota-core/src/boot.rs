//! Boot-slot selection: the partition table as the bootloader remembers it, the slot otadata chooses, and the walk from it.
//!
//! Upstream: components/bootloader_support/src/bootloader_utility.c, without anti-rollback.

use crate::err::{Level, LogLine};
use crate::otadata::{BLANK_SEQ, Entries, OtaSelectEntry, active_otadata, ota_slot};
use crate::partition::{MAX_ROWS, Partition, TYPE_APP, TYPE_BOOTLOADER, TYPE_DATA, TYPE_PARTITION_TABLE};

/// `FACTORY_INDEX`: the factory app.
pub const FACTORY_INDEX: i32 = -1;
/// `TEST_APP_INDEX`: the test app.
pub const TEST_APP_INDEX: i32 = -2;
/// `MAX_OTA_SLOTS`.
pub const MAX_OTA_SLOTS: usize = 16;

/// `bootloader_state_t`: of several rows with the same meaning the last one counts.
#[derive(Clone, Debug, Default)]
pub struct BootTable {
    factory: Option<Partition>,
    test: Option<Partition>,
    ota_info: Option<Partition>,
    ota: [Option<Partition>; MAX_OTA_SLOTS],
    app_count: u32,
    usages: Vec<&'static str>,
}

impl BootTable {
    /// `bootloader_utility_load_partition_table`: the walk over the verified rows.
    pub fn new(rows: &[Partition]) -> Self {
        let mut table = Self::default();
        for row in rows {
            table.usages.push(usage(row.ptype, row.subtype));
            match (row.ptype, row.subtype) {
                (TYPE_APP, 0x00) => table.factory = Some(row.clone()),
                (TYPE_APP, 0x20) => table.test = Some(row.clone()),
                (TYPE_APP, subtype @ 0x10..=0x1F) => {
                    if let Some(slot) = table.ota.get_mut(usize::from(subtype & 0x0F)) {
                        *slot = Some(row.clone());
                    }
                    table.app_count = table.app_count.saturating_add(1);
                }
                (TYPE_DATA, 0x00) => table.ota_info = Some(row.clone()),
                _ => {}
            }
        }
        table
    }

    /// The factory app; one at address 0 counts as absent, as in the bootloader.
    pub fn factory(&self) -> Option<&Partition> {
        present(self.factory.as_ref())
    }

    /// The test app, likewise.
    pub fn test(&self) -> Option<&Partition> {
        present(self.test.as_ref())
    }

    /// otadata, likewise.
    pub fn ota_info(&self) -> Option<&Partition> {
        present(self.ota_info.as_ref())
    }

    /// Rows of type app/ota_x: gaps and duplicates are counted as they stand.
    pub fn app_count(&self) -> u32 {
        self.app_count
    }

    /// `index_to_partition`: what a boot index names. Slots from `app_count` on cannot be reached.
    pub fn partition(&self, index: i32) -> Option<&Partition> {
        match index {
            FACTORY_INDEX => self.factory.as_ref(),
            TEST_APP_INDEX => self.test.as_ref(),
            _ => {
                let slot = u32::try_from(index).ok().filter(|&slot| slot < self.app_count)?;
                self.ota.get(slot as usize)?.as_ref()
            }
        }
    }

    /// The Usage column of the boot log, row by row.
    pub fn usages(&self) -> &[&'static str] {
        &self.usages
    }
}

/// The bootloader takes address 0 for "no such row".
fn present(row: Option<&Partition>) -> Option<&Partition> {
    row.filter(|row| row.offset != 0)
}

/// The Usage column for one row (a bootloader without TEE).
fn usage(ptype: u8, subtype: u8) -> &'static str {
    match (ptype, subtype) {
        (TYPE_APP, 0x00) => "factory app",
        (TYPE_APP, 0x20) => "test app",
        (TYPE_APP, 0x10..=0x1F) => "OTA app",
        (TYPE_APP, _) => "Unknown app",
        (TYPE_DATA, 0x00) => "OTA data",
        (TYPE_DATA, 0x01) => "RF data",
        (TYPE_DATA, 0x02) => "WiFi data",
        (TYPE_DATA, 0x04) => "NVS keys",
        (TYPE_DATA, 0x05) => "efuse",
        (TYPE_DATA, _) => "Unknown data",
        (TYPE_BOOTLOADER, 0x00) => "primary bootloader",
        (TYPE_BOOTLOADER, 0x01) => "ota bootloader",
        (TYPE_BOOTLOADER, 0x02) => "recovery bootloader",
        (TYPE_PARTITION_TABLE, 0x00) => "primary partition_table",
        (TYPE_PARTITION_TABLE, 0x01) => "ota partition_table",
        _ => "unknown",
    }
}

/// Which slot the bootloader tries first, and what made it so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The boot index.
    pub index: i32,
    /// The otadata entry that decided.
    pub active: Option<usize>,
    /// Whether a successful boot from an OTA slot writes entry 0 (`set_actual_ota_seq`).
    pub self_heal: bool,
    /// What the bootloader prints about it.
    pub log: Vec<LogLine>,
}

impl Selection {
    fn default_to(index: i32, self_heal: bool, level: Level, text: &str) -> Self {
        let line = LogLine { level, tag: "boot", text: text.to_owned() };
        Self { index, active: None, self_heal, log: vec![line] }
    }
}

/// `bootloader_utility_get_selected_boot_partition`, the choice alone, for a table with otadata.
///
/// `entries` are those after PENDING_VERIFY became ABORTED; turning NEW into PENDING_VERIFY is the caller's too.
pub fn select(table: &BootTable, entries: &Entries) -> Selection {
    if entries.iter().all(OtaSelectEntry::invalid) || table.app_count == 0 {
        if table.factory().is_some() {
            return Selection::default_to(FACTORY_INDEX, false, Level::Info, "Defaulting to factory image");
        }
        let self_heal = entries.iter().all(|entry| entry.ota_seq == BLANK_SEQ || !entry.crc_ok());
        return Selection::default_to(0, self_heal, Level::Info, "No factory image, trying OTA 0");
    }
    let chosen = active_otadata(entries).and_then(|active| {
        let index = ota_slot(entries.get(active)?.ota_seq, table.app_count)?;
        Some((active, i32::try_from(index).ok()?))
    });
    if let Some((active, index)) = chosen {
        return Selection { index, active: Some(active), self_heal: false, log: Vec::new() };
    }
    let text = match table.factory() {
        Some(_) => "ota data partition invalid, falling back to factory",
        None => "ota data partition invalid and no factory, will try all partitions",
    };
    Selection::default_to(FACTORY_INDEX, false, Level::Error, text)
}

/// `bootloader_utility_load_boot_image`: the indices tried, in order. From `start` down to factory, then up; the test app
/// last. A start at the test app tries nothing else. `None` for numbers that no table can lead to.
pub fn boot_order(start: i32, app_count: u32) -> Option<Vec<i32>> {
    let in_a_table = |number: i32| usize::try_from(number).is_ok_and(|number| number <= MAX_ROWS);
    let app_count = i32::try_from(app_count).ok().filter(|&count| in_a_table(count))?;
    let (down, up) = match start {
        TEST_APP_INDEX => (0..0, 0..0),
        _ if start == FACTORY_INDEX || in_a_table(start) => (FACTORY_INDEX..start + 1, start + 1..app_count),
        _ => return None,
    };
    Some(down.rev().chain(up).chain([TEST_APP_INDEX]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ptype: u8, subtype: u8, offset: u32) -> Partition {
        Partition { label: Vec::new(), ptype, subtype, offset, size: 0x10_0000, flags: 0 }
    }

    fn table(factory: bool, slots: u8) -> BootTable {
        let mut rows = vec![row(TYPE_DATA, 0, 0xD000)];
        if factory {
            rows.push(row(TYPE_APP, 0, 0x1_0000));
        }
        rows.extend((0..slots).map(|slot| row(TYPE_APP, 0x10 + slot, 0x11_0000 + 0x10_0000 * u32::from(slot))));
        BootTable::new(&rows)
    }

    /// An entry by the letter of its state.
    fn entry(letter: &str, ota_seq: u32) -> OtaSelectEntry {
        let state = match letter {
            "N" => 0,
            "P" => 1,
            "V" => 2,
            "I" => 3,
            "A" => 4,
            _ => 0xFFFF_FFFF,
        };
        match letter {
            "B" => OtaSelectEntry::from_bytes(&[0xFF; 32]),
            "C" => OtaSelectEntry { crc: 0, ..OtaSelectEntry::new(ota_seq, state) },
            _ => OtaSelectEntry::new(ota_seq, state),
        }
    }

    /// One boot with all images good, in the shorthand of the matrices: the app, then what is rewritten.
    fn boot(table: &BootTable, mut entries: Entries, rollback: bool) -> String {
        let mut writes = vec![];
        for (index, entry) in entries.iter_mut().enumerate() {
            if rollback && entry.ota_state == 1 {
                entry.ota_state = 4;
                writes.push(format!(" {index}>A"));
            }
        }
        let selection = select(table, &entries);
        if let Some((active, entry)) = selection.active.and_then(|active| Some((active, entries.get(active)?))) {
            if rollback && entry.ota_state == 0 {
                writes.push(format!(" {active}>P"));
            }
        }
        let order = boot_order(selection.index, table.app_count()).unwrap_or_default();
        let booted = order.into_iter().find(|&index| table.partition(index).is_some());
        let app = booted.map_or("-".into(), |index| if index < 0 { "F".into() } else { index.to_string() });
        let heal = if selection.self_heal { "*" } else { "" };
        format!("{app}{heal}{}", writes.concat())
    }

    const STATES: [&str; 8] = ["B", "C", "N", "P", "V", "U", "I", "A"];
    /// Entry 0 has seq 1, entry 1 has seq 2; rows are the state of entry 0, columns that of entry 1.
    const ROLLBACK_WITH_FACTORY: [&str; 8] = [
        "F|F|1 1>P|F 1>A|1|1|F|F",
        "F|F|1 1>P|F 1>A|1|1|F|F",
        "0 0>P|0 0>P|1 1>P|0 1>A 0>P|1|1|0 0>P|0 0>P",
        "F 0>A|F 0>A|1 0>A 1>P|F 0>A 1>A|1 0>A|1 0>A|F 0>A|F 0>A",
        "0|0|1 1>P|0 1>A|1|1|0|0",
        "0|0|1 1>P|0 1>A|1|1|0|0",
        "F|F|1 1>P|F 1>A|1|1|F|F",
        "F|F|1 1>P|F 1>A|1|1|F|F",
    ];

    fn cells() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
        STATES.iter().zip(ROLLBACK_WITH_FACTORY).flat_map(|(&first, row)| {
            STATES.iter().zip(row.split('|')).map(move |(&second, cell)| (first, second, cell))
        })
    }

    #[test]
    fn rollback_decision_matrices() {
        for (first, second, cell) in cells() {
            let entries = [entry(first, 1), entry(second, 2)];
            assert_eq!(boot(&table(true, 2), entries, true), cell, "factory {first}{second}");
            let blank = first == "B" && second == "B";
            let cell = if blank { "0*".into() } else { cell.replacen('F', "0", 1) };
            assert_eq!(boot(&table(false, 2), entries, true), cell, "no factory {first}{second}");
        }
    }

    #[test]
    fn decision_matrices_without_rollback() {
        let like_valid = |letter: &'static str| if "NPU".contains(letter) { "V" } else { letter };
        for (first, second, _) in cells() {
            let entries = [entry(first, 1), entry(second, 2)];
            let same = |(a, b, _): &(_, _, _)| *a == like_valid(first) && *b == like_valid(second);
            let cell = cells().find(same).map_or("", |(_, _, cell)| cell);
            assert_eq!(boot(&table(true, 2), entries, false), cell, "factory {first}{second}");
            let blank = first == "B" && second == "B";
            let cell = if blank { "0*".into() } else { cell.replacen('F', "0", 1) };
            assert_eq!(boot(&table(false, 2), entries, false), cell, "no factory {first}{second}");
        }
    }

    #[test]
    fn healing_needs_blank_or_broken_entries() {
        let broken = |letter| OtaSelectEntry { crc: 0, ..entry(letter, 1) };
        for (entries, index, self_heal) in [
            ([entry("B", 0), entry("B", 0)], 0, true),
            ([broken("I"), entry("B", 0)], 0, true),
            ([broken("A"), broken("I")], 0, true),
            ([entry("A", 1), entry("B", 0)], 0, false),
            ([entry("I", 1), entry("A", 2)], 0, false),
            ([entry("C", 1), entry("B", 0)], -1, false),
            ([OtaSelectEntry::new(BLANK_SEQ, 2), entry("B", 0)], 0, true),
        ] {
            let selection = select(&table(false, 2), &entries);
            assert_eq!((selection.index, selection.active, selection.self_heal), (index, None, self_heal));
            assert_eq!(select(&table(true, 2), &entries).index, FACTORY_INDEX);
        }
    }

    #[test]
    fn the_console_says_why_there_is_a_default() {
        let line = |table: &BootTable, first, second| {
            let log = select(table, &[entry(first, 1), entry(second, 2)]).log;
            log.into_iter().map(|line| (line.level, line.tag, line.text)).collect::<Vec<_>>()
        };
        let expect = |level, text: &str| vec![(level, "boot", text.to_owned())];
        let (with, without) = (table(true, 2), table(false, 2));
        assert_eq!(line(&with, "B", "B"), expect(Level::Info, "Defaulting to factory image"));
        assert_eq!(line(&without, "B", "B"), expect(Level::Info, "No factory image, trying OTA 0"));
        let text = "ota data partition invalid, falling back to factory";
        assert_eq!(line(&with, "C", "B"), expect(Level::Error, text));
        let text = "ota data partition invalid and no factory, will try all partitions";
        assert_eq!(line(&without, "C", "B"), expect(Level::Error, text));
        assert_eq!(line(&with, "V", "B"), vec![]);
    }

    #[test]
    fn without_slots_the_entries_do_not_matter() {
        let selection = select(&table(true, 0), &[entry("V", 1), entry("V", 2)]);
        assert_eq!((selection.index, selection.active, selection.self_heal), (FACTORY_INDEX, None, false));
        let selection = select(&table(false, 0), &[entry("V", 1), entry("B", 2)]);
        assert_eq!((selection.index, selection.active, selection.self_heal), (0, None, false));
    }

    #[test]
    fn rows_are_counted_as_they_stand() {
        let gap = BootTable::new(&[row(0, 0x10, 0x1_0000), row(0, 0x12, 0x2_0000)]);
        assert_eq!(gap.app_count(), 2);
        assert_eq!(gap.partition(0).map(|row| row.offset), Some(0x1_0000));
        assert!(gap.partition(1).is_none() && gap.partition(2).is_none());

        let twice = [
            row(0, 0x10, 0x1_0000),
            row(0, 0x11, 0x2_0000),
            row(0, 0x11, 0x3_0000),
            row(0, 0, 0x4_0000),
            row(0, 0, 0x5_0000),
        ];
        let twice = BootTable::new(&twice);
        assert_eq!(twice.app_count(), 3);
        assert_eq!(twice.partition(1).map(|row| row.offset), Some(0x3_0000));
        assert!(twice.partition(2).is_none());
        assert_eq!(twice.factory().map(|row| row.offset), Some(0x5_0000));

        let full = BootTable::new(&(0x10..=0x1F).map(|subtype| row(0, subtype, 0x1_0000)).collect::<Vec<_>>());
        assert_eq!(full.app_count(), 16);
        assert!(full.partition(15).is_some() && full.partition(16).is_none() && full.partition(i32::MAX).is_none());
        assert!(full.partition(-3).is_none() && full.partition(i32::MIN).is_none());
    }

    #[test]
    fn address_0_is_absent_but_still_a_candidate() {
        let table = BootTable::new(&[row(0, 0, 0), row(0, 0x20, 0), row(1, 0, 0)]);
        assert!(table.factory().is_none() && table.test().is_none() && table.ota_info().is_none());
        assert!(table.partition(FACTORY_INDEX).is_some() && table.partition(TEST_APP_INDEX).is_some());
    }

    #[test]
    fn usage_column() {
        for (ptype, subtype, text) in [
            (0x00, 0x00, "factory app"),
            (0x00, 0x10, "OTA app"),
            (0x00, 0x1F, "OTA app"),
            (0x00, 0x20, "test app"),
            (0x00, 0x30, "Unknown app"),
            (0x01, 0x00, "OTA data"),
            (0x01, 0x01, "RF data"),
            (0x01, 0x02, "WiFi data"),
            (0x01, 0x03, "Unknown data"),
            (0x01, 0x04, "NVS keys"),
            (0x01, 0x05, "efuse"),
            (0x01, 0x90, "Unknown data"),
            (0x02, 0x00, "primary bootloader"),
            (0x02, 0x01, "ota bootloader"),
            (0x02, 0x02, "recovery bootloader"),
            (0x02, 0x03, "unknown"),
            (0x03, 0x00, "primary partition_table"),
            (0x03, 0x01, "ota partition_table"),
            (0x03, 0x02, "unknown"),
            (0x40, 0x00, "unknown"),
            (0xFF, 0xFF, "unknown"),
        ] {
            assert_eq!(BootTable::new(&[row(ptype, subtype, 0x1_0000)]).usages(), [text], "{ptype:#x}/{subtype:#x}");
        }
    }

    #[test]
    fn the_walk_goes_down_then_up() {
        for (start, app_count, order) in [
            (0, 2, vec![0, -1, 1, -2]),
            (2, 4, vec![2, 1, 0, -1, 3, -2]),
            (-1, 3, vec![-1, 0, 1, 2, -2]),
            (-1, 0, vec![-1, -2]),
            (0, 0, vec![0, -1, -2]),
            (-2, 4, vec![-2]),
        ] {
            assert_eq!(boot_order(start, app_count), Some(order));
        }
        for (start, app_count) in [(-3, 2), (i32::MIN, 0), (i32::MAX, 0), (0, u32::MAX), (0, 97)] {
            assert_eq!(boot_order(start, app_count), None);
        }
    }
}
