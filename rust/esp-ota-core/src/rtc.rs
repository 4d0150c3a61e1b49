//! `rtc_retain_mem_t`: what the bootloader keeps in RTC memory over resets and deep sleep
//! (components/bootloader_support/include/esp_image_format.h).

/// Bytes of the record without a custom area.
pub const RTC_RETAIN_SIZE: usize = 16;

const FACTORY_RESET_STATE: u8 = 1;

/// The record, without a custom area.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RtcRetain {
    /// Where the app that runs lies in flash; 0 when it was not stored.
    pub offset: u32,
    /// Bytes of its partition.
    pub size: u32,
    /// Boots since power came; stays at 65535.
    pub reboot_counter: u16,
    /// A factory reset happened at this boot.
    pub factory_reset_state: bool,
}

impl RtcRetain {
    /// The record in some bytes; nothing when its CRC is wrong, or right for memory that is all zero.
    pub fn parse(bytes: &[u8; RTC_RETAIN_SIZE]) -> Option<Self> {
        let [o0, o1, o2, o3, s0, s1, s2, s3, c0, c1, flags, _, crc @ ..] = *bytes;
        let crc = u32::from_le_bytes(crc);
        if crc != checksum(bytes) || crc == u32::MAX {
            return None;
        }
        Some(Self {
            offset: u32::from_le_bytes([o0, o1, o2, o3]),
            size: u32::from_le_bytes([s0, s1, s2, s3]),
            reboot_counter: u16::from_le_bytes([c0, c1]),
            factory_reset_state: flags & FACTORY_RESET_STATE != 0,
        })
    }

    /// The record with its CRC.
    pub fn to_bytes(self) -> [u8; RTC_RETAIN_SIZE] {
        let mut bytes = [0; RTC_RETAIN_SIZE];
        let flags = if self.factory_reset_state { FACTORY_RESET_STATE } else { 0 };
        let fields = self.offset.to_le_bytes().into_iter().chain(self.size.to_le_bytes());
        let fields = fields.chain(self.reboot_counter.to_le_bytes()).chain([flags, 0]);
        bytes.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        let crc = checksum(&bytes).to_le_bytes();
        bytes.iter_mut().skip(12).zip(crc).for_each(|(to, from)| *to = from);
        bytes
    }
}

/// The same variant as otadata's: the register starts at 0.
fn checksum(bytes: &[u8; RTC_RETAIN_SIZE]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(u32::MAX);
    hasher.update(bytes.first_chunk::<12>().map_or(&[], |fields| &fields[..]));
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: u32, size: u32, reboot_counter: u16, factory_reset_state: bool) -> [u8; RTC_RETAIN_SIZE] {
        RtcRetain { offset, size, reboot_counter, factory_reset_state }.to_bytes()
    }

    #[test]
    fn records_have_the_bytes_the_chip_writes() {
        let bytes = [0, 0, 3, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0x3c, 0xf0, 0x28, 0x67];
        assert_eq!(record(0x3_0000, 0x1_0000, 1, false), bytes);
        assert_eq!(record(0x3_0000, 0x1_0000, 2, false).last_chunk(), Some(&[0xd2, 0x5f, 0x9d, 0x75]));
        let bytes = [0, 0, 2, 0, 0, 0, 1, 0, 7, 0, 1, 0, 0x9f, 0xf5, 0x9a, 0xb4];
        assert_eq!(record(0x2_0000, 0x1_0000, 7, true), bytes);
        assert_eq!(record(0x1_0000, 0x10_0000, 1, false).last_chunk(), Some(&0xAB57_F13F_u32.to_le_bytes()));
    }

    #[test]
    fn a_record_comes_back_and_zeros_are_none() {
        let whole = RtcRetain { offset: 0x2_0000, size: 0x1_0000, reboot_counter: 7, factory_reset_state: true };
        assert_eq!(RtcRetain::parse(&whole.to_bytes()), Some(whole));
        assert_eq!(RtcRetain::parse(&[0; RTC_RETAIN_SIZE]), None);
        let zeros = RtcRetain::default().to_bytes();
        assert_eq!(zeros.last_chunk(), Some(&[0xFF; 4]));
        assert_eq!(RtcRetain::parse(&zeros), None);
    }
}
