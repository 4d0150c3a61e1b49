//! otadata: two 32-byte entries in two sectors that say which slot boots, and in which state its app is.

use crate::err::{EspErr, Failure, Fault};
use crate::flash::{Flash, SECTOR};

/// `ota_seq` of an erased entry.
pub const BLANK_SEQ: u32 = 0xFFFF_FFFF;
/// `ESP_OTA_IMG_INVALID`: the app rejected itself.
pub const STATE_INVALID: u32 = 3;
/// `ESP_OTA_IMG_ABORTED`: the app never confirmed itself.
pub const STATE_ABORTED: u32 = 4;

/// The name of a state as `esp_ota_img_states_t` has it, without its prefix; `None` for any other word.
pub fn state_name(ota_state: u32) -> Option<&'static str> {
    match ota_state {
        0 => Some("NEW"),
        1 => Some("PENDING_VERIFY"),
        2 => Some("VALID"),
        STATE_INVALID => Some("INVALID"),
        STATE_ABORTED => Some("ABORTED"),
        0xFFFF_FFFF => Some("UNDEFINED"),
        _ => None,
    }
}

/// `bootloader_common_ota_select_crc` (components/bootloader_support/src/bootloader_common_loader.c): over the four bytes
/// of `ota_seq`, as the ROM's CRC-32 with start value 0xFFFFFFFF computes it.
pub fn ota_select_crc(ota_seq: u32) -> u32 {
    let mut crc = crc32fast::Hasher::new_with_initial(0xFFFF_FFFF);
    crc.update(&ota_seq.to_le_bytes());
    crc.finalize()
}

/// `esp_ota_select_entry_t`, 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are ESP-IDF's own")]
pub struct OtaSelectEntry {
    pub ota_seq: u32,
    pub seq_label: [u8; 20],
    pub ota_state: u32,
    pub crc: u32,
}

impl OtaSelectEntry {
    /// Bytes of an entry in flash.
    pub const SIZE: usize = 32;
    /// The label of every entry that ESP-IDF makes.
    pub const NO_LABEL: [u8; 20] = [0xFF; 20];

    /// An entry with the right CRC.
    pub fn new(ota_seq: u32, ota_state: u32) -> Self {
        Self { ota_seq, seq_label: Self::NO_LABEL, ota_state, crc: ota_select_crc(ota_seq) }
    }

    /// Decode; any bytes are an entry.
    pub fn from_bytes(data: &[u8; Self::SIZE]) -> Self {
        let word = |at: usize| {
            let bytes = data.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
            u32::from_le_bytes(bytes)
        };
        let seq_label = data.get(4..).and_then(|rest| rest.first_chunk()).copied().unwrap_or(Self::NO_LABEL);
        Self { ota_seq: word(0), seq_label, ota_state: word(24), crc: word(28) }
    }

    /// The 32 bytes in flash.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut data = [0; Self::SIZE];
        let parts =
            [&self.ota_seq.to_le_bytes()[..], &self.seq_label, &self.ota_state.to_le_bytes(), &self.crc.to_le_bytes()];
        data.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
        data
    }

    /// Whether the CRC fits `ota_seq`.
    pub fn crc_ok(&self) -> bool {
        self.crc == ota_select_crc(self.ota_seq)
    }

    /// `bootloader_common_ota_select_invalid`: blank, INVALID or ABORTED. The CRC is not looked at.
    pub fn invalid(&self) -> bool {
        self.ota_seq == BLANK_SEQ || self.ota_state == STATE_INVALID || self.ota_state == STATE_ABORTED
    }

    /// `bootloader_common_ota_select_valid`: not invalid, and the CRC matches.
    pub fn valid(&self) -> bool {
        !self.invalid() && self.crc_ok()
    }
}

/// The two entries in flash order.
pub type Entries = [OtaSelectEntry; 2];

/// `bootloader_common_get_active_otadata`: the valid entry with the larger `ota_seq`, the first on a tie.
pub fn active_otadata([first, second]: &Entries) -> Option<usize> {
    match (first.valid(), second.valid()) {
        (true, true) => Some(usize::from(second.ota_seq > first.ota_seq)),
        (true, false) => Some(0),
        (false, true) => Some(1),
        (false, false) => None,
    }
}

/// The slot that a sequence number names: `(ota_seq - 1) % app_count` in 32 bits. `None` without slots.
pub fn ota_slot(ota_seq: u32, app_count: u32) -> Option<u32> {
    ota_seq.wrapping_sub(1).checked_rem(app_count)
}

/// `esp_rewrite_ota_data` (components/app_update/esp_ota_ops.c) before it writes: which entry, and its new `ota_seq`.
///
/// ESP_ERR_INVALID_ARG for a slot that the app does not have. ESP_FAIL where upstream's search for a sequence number runs
/// for ever: near 2^32, when no number left (nor any after the wrap) belongs to the slot.
pub fn rewrite_target(entries: &Entries, slot: u8, app_count: u8) -> Result<(usize, u32), Fault> {
    if slot >= app_count {
        let expected = format!("one of {app_count} slots");
        return Err(Fault::new(EspErr::InvalidArg, "slot", 0, slot.to_string(), expected));
    }
    let active = active_otadata(entries).and_then(|index| Some((index, entries.get(index)?.ota_seq)));
    let Some((index, ota_seq)) = active else {
        return Ok((0, u32::from(slot) + 1));
    };
    if ota_slot(ota_seq, app_count.into()) == Some(slot.into()) {
        return Ok((index, ota_seq));
    }
    match compute_ota_seq_for_target_slot(ota_seq, slot, app_count) {
        Some(ota_seq) => Ok((1 - index, ota_seq)),
        None => Err(Fault::new(
            EspErr::Fail,
            "ota_seq",
            0,
            format!("0x{ota_seq:08x}"),
            format!("a larger number of slot {slot} of {app_count} below 2^32"),
        )),
    }
}

/// `compute_ota_seq_for_target_slot` (components/app_update/esp_ota_ops.c): the first of `base + i * app_count`,
/// i = 0, 1, ..., in 32-bit arithmetic, that is not smaller than `current_seq`.
fn compute_ota_seq_for_target_slot(current_seq: u32, slot: u8, app_count: u8) -> Option<u32> {
    let (current, step) = (u64::from(current_seq), u64::from(app_count));
    let mut base = (u64::from(slot) + 1).checked_rem(step)?;
    // Each wrap at 2^32 goes on in another residue class; after app_count of them the classes repeat.
    for _ in 0..app_count {
        let found = base + current.saturating_sub(base).div_ceil(step) * step;
        match u32::try_from(found) {
            Ok(ota_seq) => return Some(ota_seq),
            Err(_) => base = found - (1 << 32),
        }
    }
    None
}

/// The entries at `offset` and one sector further.
pub fn read_otadata(flash: &mut Flash, offset: u64) -> Result<Entries, Failure> {
    let mut entry = |index: usize| {
        let mut data = [0; OtaSelectEntry::SIZE];
        flash.read_cached(address(offset, index), &mut data).map(|()| OtaSelectEntry::from_bytes(&data))
    };
    Ok([entry(0)?, entry(1)?])
}

/// Erase the sector of entry `index`, then program its 32 bytes: two operations, as in every otadata update.
pub fn write_otadata(flash: &mut Flash, offset: u64, index: usize, entry: &OtaSelectEntry) -> Result<(), Failure> {
    // The sector is counted, not addressed: an otadata partition may begin in the middle of one.
    let (at, sector) = (address(offset, index), SECTOR as u64);
    flash.erase(at - at % sector, sector)?;
    flash.program_encrypted(at, &entry.to_bytes())
}

fn address(offset: u64, index: usize) -> u64 {
    offset.saturating_add(index as u64 * SECTOR as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{FaultPlan, Tear};

    const VALID: u32 = 2;
    const UNDEFINED: u32 = 0xFFFF_FFFF;

    fn blank() -> OtaSelectEntry {
        OtaSelectEntry::from_bytes(&[0xFF; 32])
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).filter_map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
    }

    #[test]
    fn the_crc_covers_the_sequence_number() {
        for (ota_seq, crc) in [
            (0, 0xFFFF_FFFF),
            (1, 0x4743_989A),
            (2, 0x55F6_3774),
            (3, 0xED4A_5011),
            (4, 0x709D_68A8),
            (5, 0xC821_0FCD),
            (6, 0xDA94_A023),
            (7, 0x6228_C746),
            (8, 0x3A4B_D710),
            (0x10, 0xAFE6_A860),
            (0x11, 0x175A_CF05),
            (0x100, 0xFE3D_95C8),
            (0x1234_5678, 0x71D6_A731),
            (0x7FFF_FFFF, 0xCCFC_5C3C),
            (0xFFFF_FFFD, 0x8B4D_1797),
            (0xFFFF_FFFE, 0x99F8_B879),
            (0xFFFF_FFFF, 0x2144_DF1C),
        ] {
            assert_eq!(ota_select_crc(ota_seq), crc, "{ota_seq:#x}");
        }
    }

    #[test]
    fn entries_have_their_bytes() {
        let ff = "ff".repeat(20);
        for (ota_seq, state, bytes) in [
            (1, VALID, format!("01000000{ff}020000009a984347")),
            (1, UNDEFINED, format!("01000000{ff}ffffffff9a984347")),
            (2, 0, format!("02000000{ff}000000007437f655")),
            (2, 1, format!("02000000{ff}010000007437f655")),
            (2, STATE_ABORTED, format!("02000000{ff}040000007437f655")),
            (3, STATE_INVALID, format!("03000000{ff}0300000011504aed")),
        ] {
            let entry = OtaSelectEntry::new(ota_seq, state);
            assert_eq!(entry.to_bytes().to_vec(), hex(&bytes));
            assert_eq!(OtaSelectEntry::from_bytes(&entry.to_bytes()), entry);
        }
    }

    #[test]
    fn predicates() {
        let broken = |state| OtaSelectEntry { crc: 0, ..OtaSelectEntry::new(1, state) };
        for (entry, invalid, valid) in [
            (blank(), true, false),
            (OtaSelectEntry::new(BLANK_SEQ, VALID), true, false),
            (OtaSelectEntry::new(0, UNDEFINED), false, true),
            (OtaSelectEntry::new(1, 0), false, true),
            (OtaSelectEntry::new(1, 1), false, true),
            (OtaSelectEntry::new(1, VALID), false, true),
            (OtaSelectEntry::new(1, STATE_INVALID), true, false),
            (OtaSelectEntry::new(1, STATE_ABORTED), true, false),
            (OtaSelectEntry::new(1, 0x77), false, true),
            (broken(VALID), false, false),
            (broken(STATE_INVALID), true, false),
        ] {
            assert_eq!((entry.invalid(), entry.valid()), (invalid, valid), "{entry:?}");
        }
    }

    #[test]
    fn the_larger_valid_entry_is_active_and_the_first_wins_a_tie() {
        let entry = |ota_seq| OtaSelectEntry::new(ota_seq, VALID);
        for (first, second, active) in [
            (entry(1), entry(2), Some(1)),
            (entry(3), entry(2), Some(0)),
            (entry(2), entry(2), Some(0)),
            (entry(0x7FFF_FFFF), entry(0x8000_0000), Some(1)),
            (entry(0xFFFF_FFFE), entry(1), Some(0)),
            (blank(), entry(1), Some(1)),
            (entry(1), blank(), Some(0)),
            (blank(), blank(), None),
            (OtaSelectEntry::new(9, STATE_INVALID), entry(1), Some(1)),
        ] {
            assert_eq!(active_otadata(&[first, second]), active);
        }
    }

    #[test]
    fn slots_count_from_one_in_32_bits() {
        for (ota_seq, app_count, slot) in [
            (1, 2, Some(0)),
            (2, 2, Some(1)),
            (3, 2, Some(0)),
            (0, 2, Some(1)),
            (0, 3, Some(0)),
            (0, 4, Some(3)),
            (0, 5, Some(0)),
            (0xFFFF_FFFF, 2, Some(0)),
            (7, 0, None),
        ] {
            assert_eq!(ota_slot(ota_seq, app_count), slot);
        }
    }

    #[test]
    fn next_sequence_numbers() {
        for (app_count, ota_seq, slot, index, next) in [
            (2, 1, 1, 1, 2),
            (2, 2, 0, 1, 3),
            (2, 5, 1, 1, 6),
            (2, 0, 0, 1, 1),
            (3, 1, 2, 1, 3),
            (3, 3, 0, 1, 4),
            (3, 6, 1, 1, 8),
            (3, 8, 2, 1, 9),
            (5, 7, 0, 1, 0x0B),
            (4, 2, 0, 1, 5),
            (4, 2, 2, 1, 3),
            (4, 2, 3, 1, 4),
            (8, 5, 7, 1, 8),
            (8, 8, 0, 1, 9),
            (16, 0x10, 0, 1, 0x11),
            (2, 0xFFFF_FFFD, 1, 1, 0xFFFF_FFFE),
            (2, 0xFFFF_FFFE, 0, 1, 0xFFFF_FFFF),
            (3, 0, 2, 1, 0),
            (1, 7, 0, 0, 7),
            (2, 5, 0, 0, 5),
        ] {
            let entries = [OtaSelectEntry::new(ota_seq, VALID), blank()];
            assert_eq!(rewrite_target(&entries, slot, app_count), Ok((index, next)), "{app_count} {ota_seq} {slot}");
            let swapped = [blank(), OtaSelectEntry::new(ota_seq, VALID)];
            assert_eq!(rewrite_target(&swapped, slot, app_count), Ok((1 - index, next)));
        }
        assert_eq!(rewrite_target(&[blank(), blank()], 2, 3), Ok((0, 3)));
        assert_eq!(rewrite_target(&[blank(), blank()], 2, 2).map_err(|fault| fault.err), Err(EspErr::InvalidArg));
        assert_eq!(rewrite_target(&[blank(), blank()], 0, 0).map_err(|fault| fault.err), Err(EspErr::InvalidArg));
    }

    #[test]
    fn the_search_near_the_end_wraps_like_the_c_loop() {
        // From a run of the loop in C with 32-bit unsigned arithmetic; None where it does not end.
        for (app_count, current, slot, next) in [
            (3, 0xFFFF_FFFD, 2, Some(0xFFFF_FFFF)),
            (3, 0xFFFF_FFFE, 0, Some(0xFFFF_FFFF)),
            (5, 0xFFFF_FFFC, 2, Some(0xFFFF_FFFD)),
            (5, 0xFFFF_FFFC, 0, Some(0xFFFF_FFFF)),
            (5, 0xFFFF_FFFE, 1, Some(0xFFFF_FFFF)),
            (6, 0xFFFF_FFFC, 3, Some(0xFFFF_FFFC)),
            (6, 0xFFFF_FFFD, 4, Some(0xFFFF_FFFD)),
            (6, 0xFFFF_FFFE, 5, Some(0xFFFF_FFFE)),
            (7, 0xFFFF_FFFC, 5, Some(0xFFFF_FFFE)),
            (7, 0xFFFF_FFFD, 6, Some(0xFFFF_FFFF)),
            (12, 0xFFFF_FFFD, 10, Some(0xFFFF_FFFF)),
            (12, 0xFFFF_FFFD, 11, None),
            (12, 0xFFFF_FFFE, 0, None),
            (4, 0xFFFF_FFFE, 2, Some(0xFFFF_FFFF)),
            (4, 0xFFFF_FFFD, 3, None),
            (16, 0xFFFF_FFFE, 14, Some(0xFFFF_FFFF)),
            (16, 0xFFFF_FFFE, 15, None),
        ] {
            let found = compute_ota_seq_for_target_slot(current, slot, app_count);
            assert_eq!(found, next, "{app_count} {current:#x} {slot}");
        }
        let entries = [OtaSelectEntry::new(0xFFFF_FFFE, VALID), blank()];
        assert_eq!(rewrite_target(&entries, 3, 4).map_err(|fault| fault.err), Err(EspErr::Fail));
    }

    #[test]
    fn a_write_is_an_erase_and_a_program() -> Result<(), Failure> {
        let mut flash = Flash::new(1 << 20, true)?;
        for index in [0, 1] {
            write_otadata(&mut flash, 0xD000, index, &OtaSelectEntry::new(index as u32 + 4, VALID))?;
        }
        let entries = read_otadata(&mut flash, 0xD000)?;
        assert_eq!(entries.map(|entry| entry.ota_seq), [4, 5]);
        assert_eq!(flash.operations(), 4);
        flash.set_fault(Some(FaultPlan::cut(1, Tear::Clean)));
        let cut = write_otadata(&mut flash, 0xD000, 1, &OtaSelectEntry::new(6, VALID));
        assert_eq!(cut, Err(Failure::PowerLost(1)));
        flash.power_on();
        assert_eq!(read_otadata(&mut flash, 0xD000)?.map(|entry| entry.ota_seq), [4, BLANK_SEQ]);
        Ok(())
    }

    #[test]
    fn entries_outside_the_flash_are_refused() -> Result<(), Failure> {
        let mut flash = Flash::new(1 << 20, true)?;
        for offset in [0xF_F000, 0x10_0000, u64::MAX] {
            assert!(matches!(
                read_otadata(&mut flash, offset),
                Err(Failure::Fault(Fault { err: EspErr::InvalidArg, .. }))
            ));
            assert!(write_otadata(&mut flash, offset, 1, &blank()).is_err());
        }
        Ok(())
    }
}
