//! What each fuzz target does with some bytes. Everything here must return, whatever the bytes are.

pub mod cpu;
pub mod xtensa;

use std::hint::black_box;

use esp_ota_core::boot::{BootTable, boot_order, select};
use esp_ota_core::efuse::EFuse;
use esp_ota_core::flash::Flash;
use esp_ota_core::image::{Build, ImageKind, Mode, Options, Request, check_image_validity, inspect, verify_on};
use esp_ota_core::nvs::{ItemType, Keys as NvsKeys, Mode as NvsMode, NvsPartition, Rules, Value};
use esp_ota_core::otadata::{OtaSelectEntry, active_otadata, ota_slot, rewrite_target};
use esp_ota_core::partition::csv::{Placement, from_csv, to_csv};
use esp_ota_core::partition::{FLAG_READONLY, Partition, binary, device, rules};
use esp_ota_core::signature::{Block, Keys, Scheme, verify_v1, verify_v2};
use esp_ota_core::target::TARGETS;

/// The next byte that steers what is done; 0 when there is none.
fn steer(data: &mut &[u8]) -> usize {
    let Some((&first, rest)) = data.split_first() else { return 0 };
    *data = rest;
    first.into()
}

/// The verifier in every build and mode of every chip, and the inspector.
pub fn image(mut data: &[u8]) {
    let choice = steer(&mut data);
    let how = steer(&mut data);
    let target = &TARGETS[choice % TARGETS.len()];
    let kind = [None, Some(ImageKind::App), Some(ImageKind::Bootloader)][choice % 3];
    black_box(inspect(data, (how & 1 == 1).then_some(target), kind));
    let Ok(mut flash) = Flash::new(1 << 20, false) else { return };
    let offset: u32 = match how % 4 {
        0 => target.bootloader_offset,
        1 => 0xF_FF00,
        _ => 0x1_0000,
    };
    let room = ((1u64 << 20) - u64::from(offset)) as usize;
    let _ = flash.program(offset.into(), &data[..data.len().min(room)]);
    let build = if how & 4 == 0 { Build::App } else { Build::Bootloader };
    let mode = [Mode::Verify, Mode::VerifySilent, Mode::Load, Mode::LoadNoValidate, Mode::Metadata][how / 8 % 5];
    let scheme = Scheme::NAMES.get(how / 40 % 8).map(|&(_, scheme)| scheme);
    let options = Options {
        scheme,
        check_signature: scheme.is_some() && choice & 64 != 0,
        secure_boot_v2: scheme.is_some() && choice & 128 != 0,
        anti_rollback: choice & 32 != 0,
        idf_version: if choice & 16 == 0 { (6, 2, 0) } else { (5, 1, 0) },
        deep_sleep_wake: how & 2 != 0,
        ..Options::default()
    };
    let request = Request { offset, size: room as u32, build, mode, efuse: EFuse::new(target), options };
    let first = verify_on(&flash, &request);
    assert_eq!(first, verify_on(&flash, &request), "the same bytes, the same verdict");
    if let Some(info) = inspect(data, None, None).header {
        black_box(check_image_validity(&info, None, target, target.default_chip_revision, None, false));
    }
}

/// The three readers of a binary table, the generator's rules, and the CSV reader.
pub fn partition_table(data: &[u8]) {
    for with_md5 in [true, false] {
        if let Ok(rows) = binary::from_bytes(data, with_md5) {
            if let Ok(bytes) = binary::to_bytes(&rows, with_md5) {
                // Flag bits without a meaning are dropped on the way out, once.
                let again = binary::from_bytes(&bytes, with_md5).and_then(|rows| binary::to_bytes(&rows, with_md5));
                assert_eq!(again, Ok(bytes), "there and back");
            }
            black_box(rules::verify(&rows, rules::Origin::Table, 0x8000, with_md5).is_ok());
            black_box(rules::warnings(&rows));
            black_box(to_csv(&rows));
        }
        black_box(device::load(data, with_md5, !with_md5).is_ok());
    }
    let table = BootTable::new(&device::verify(data, 4 << 20, false, true).rows);
    black_box(table.usages());
    for index in -3..18 {
        black_box(table.partition(index));
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let placement = Placement { primary_bootloader_offset: Some(0), ..Placement::default() };
        if let Ok(rows) = from_csv(text, &placement) {
            black_box(to_csv(&rows));
        }
    }
}

/// Two entries: which counts, which slot, what would be written, what is tried in which order.
pub fn otadata(mut data: &[u8]) {
    let count = steer(&mut data);
    let slot = steer(&mut data);
    let entry = |bytes: &[u8]| {
        let mut whole = [0xFF; OtaSelectEntry::SIZE];
        whole.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        OtaSelectEntry::from_bytes(&whole)
    };
    let entries = [entry(data), entry(data.get(OtaSelectEntry::SIZE..).unwrap_or_default())];
    for one in &entries {
        assert_eq!(OtaSelectEntry::from_bytes(&one.to_bytes()), *one, "there and back");
        black_box(ota_slot(one.ota_seq, count as u32));
    }
    black_box(active_otadata(&entries));
    black_box(rewrite_target(&entries, slot as u8, count as u8).is_ok());
    black_box(boot_order(slot as i32 - 3, count as u32));
    let table = BootTable::new(&device::verify(data.get(64..).unwrap_or_default(), 4 << 20, true, false).rows);
    let selection = select(&table, &entries);
    black_box(boot_order(selection.index, table.app_count()));
}

/// Signature sectors and version 1 blocks, judged by both builds.
pub fn signature(mut data: &[u8]) {
    let choice = steer(&mut data);
    let (_, scheme) = Scheme::NAMES[choice % Scheme::NAMES.len()];
    let target = &TARGETS[choice / 8 % TARGETS.len()];
    let digest = [0x5A; 48];
    let digest = &digest[..if scheme.sha384() { 48 } else { 32 }];
    let build = if choice & 1 == 0 { Build::App } else { Build::Bootloader };
    let mut sector = vec![0xFF; 4096];
    sector.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
    // Most bytes would end at the CRC; half of them get a right one.
    if choice & 128 != 0 {
        let crc = crc32(&sector[..1196]);
        sector[1196..1200].copy_from_slice(&crc.to_le_bytes());
        sector[0] = 0xE7;
    }
    let mut efuse = EFuse::new(target);
    let blocks: Vec<Block<'_>> = Block::all(&sector).collect();
    for block in &blocks {
        black_box(block.key_digest(scheme));
    }
    if let Some(block) = blocks.first() {
        let _ = efuse.burn_key_digest(0, block.key_digest(scheme));
    }
    black_box(verify_v2(&sector, digest, scheme, &Keys::of_efuse(&efuse), build));
    black_box(verify_v1(data, &[0; 32], &[7; 64], build));
}

/// CRC-32 as zlib has it, bit by bit: the target shares no code with what it tests.
fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 })
    })
}

/// Init of two pages of any content and a blank one, then every call, then init again.
pub fn nvs(mut data: &[u8]) {
    let how = steer(&mut data);
    let mut pages = vec![0xFF; 2 * 4096];
    pages.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
    if how & 1 == 0 {
        heal(&mut pages);
    }
    let Ok(mut flash) = Flash::new(1 << 20, false) else { return };
    let _ = flash.program(0x1000, &pages);
    let flags = if how & 8 == 0 { 0 } else { FLAG_READONLY };
    let partition = Partition { label: b"nvs".to_vec(), offset: 0x1000, size: 0x3000, flags, ..Partition::default() };
    let rules = if how & 4 == 0 { Rules::default() } else { Rules::of((5, 0, 0)) };
    let keys = (how & 2 != 0).then(|| NvsKeys::from_bytes(&[7; 64]));
    for _ in 0..2 {
        let Ok(mut nvs) = NvsPartition::init(&mut flash, &partition, rules, keys.as_ref()) else { return };
        let names: Vec<Vec<u8>> = nvs.namespaces().map(|(name, _)| name.to_vec()).collect();
        let entries = nvs.entries(&mut flash, None).unwrap_or_default();
        black_box((nvs.stats(&mut flash).is_ok(), nvs.pages()));
        for name in names.iter().take(3) {
            let Ok(handle) = nvs.open(&mut flash, name, NvsMode::Purge) else { continue };
            for entry in entries.iter().take(8) {
                let kind = if entry.kind == ItemType::BlobData { ItemType::Blob } else { entry.kind };
                black_box(nvs.get(&mut flash, handle, &entry.key, kind).is_ok());
                black_box(nvs.set(&mut flash, handle, &entry.key, &Value::Blob(vec![how as u8; 700])).is_ok());
                black_box(nvs.set(&mut flash, handle, &entry.key, &Value::U32(how as u32)).is_ok());
                black_box(nvs.find_key(&mut flash, handle, &entry.key).is_ok());
                black_box(nvs.erase_key(&mut flash, handle, &entry.key).is_ok());
            }
            black_box((nvs.purge_all(&mut flash, handle).is_ok(), nvs.used_entries(&mut flash, handle).is_ok()));
            black_box(nvs.erase_all(&mut flash, handle).is_ok());
        }
    }
}

/// Make the CRCs of page headers and entries good, or no change would ever get past them.
fn heal(pages: &mut [u8]) {
    // What is blank stays blank.
    for page in pages.chunks_exact_mut(4096).filter(|page| page[..4] != [0xFF; 4]) {
        let crc = nvs_crc(&page[4..28]).to_le_bytes();
        page[28..32].copy_from_slice(&crc);
        for entry in page[64..].chunks_exact_mut(32).filter(|entry| entry[..4] != [0xFF; 4]) {
            let crc = nvs_crc(&[&entry[..4], &entry[8..]].concat()).to_le_bytes();
            entry[4..8].copy_from_slice(&crc);
        }
    }
}

/// CRC-32 as NVS uses it.
fn nvs_crc(data: &[u8]) -> u32 {
    !data.iter().fold(0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ if crc & 1 == 0 { 0 } else { 0xEDB8_8320 })
    })
}
