//! The flash half of `esp_ota_write`: sequential, with erase as it goes.

use crate::crypt::BLOCK;
use crate::err::{EspErr, Failure, Fault};
use crate::flash::{Flash, SECTOR};
use crate::partition::Partition;

/// What `esp_ota_write` (components/app_update/esp_ota_ops.c) remembers between two calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtaWriter {
    partition: Partition,
    need_erase: bool,
    magic: Vec<u8>,
    wrote_size: u64,
    partial: Partial,
}

/// `partial_data`: with flash encryption on, bytes that do not fill a block yet. Zeros at first, 0xFF after the first block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Partial {
    bytes: [u8; BLOCK],
    count: usize,
}

impl Partial {
    /// Take what fits; returns the rest, and the block when it is full.
    fn take<'a>(&mut self, data: &'a [u8]) -> (&'a [u8], Option<[u8; BLOCK]>) {
        let (head, rest) = data.split_at_checked(BLOCK - self.count).unwrap_or((data, &[]));
        self.bytes.iter_mut().skip(self.count).zip(head).for_each(|(to, from)| *to = *from);
        self.count += head.len();
        (rest, (self.count == BLOCK).then_some(self.bytes))
    }
}

impl OtaWriter {
    /// A writer that goes on at `wrote_size` of `partition`. `need_erase`: opened with OTA_WITH_SEQUENTIAL_WRITES. `magic`:
    /// what the very first data must begin with, empty for anything.
    pub fn new(partition: Partition, need_erase: bool, magic: &[u8], wrote_size: u64) -> Self {
        Self { partition, need_erase, magic: magic.to_vec(), wrote_size, partial: Partial::default() }
    }

    /// `esp_ota_set_final_partition`: the type of another partition decides what the data must begin with.
    pub fn set_magic(&mut self, magic: &[u8]) {
        self.magic = magic.to_vec();
    }

    /// Bytes programmed so far.
    pub fn wrote_size(&self) -> u64 {
        self.wrote_size
    }

    /// `esp_ota_write`: erase the sectors this data begins, look at the first bytes of all, program.
    ///
    /// The erase comes first, so a wrong beginning (ESP_ERR_OTA_VALIDATE_FAILED) leaves an erased sector behind; the
    /// writer can still be used. Nothing is counted unless everything was programmed.
    pub fn write(&mut self, flash: &mut Flash, data: &[u8]) -> Result<(), Failure> {
        if data.is_empty() {
            return Ok(());
        }
        // A dead flash is dead before any argument is looked at.
        flash.check_read(0, 0)?;
        if self.need_erase {
            let sector = SECTOR as u64;
            let from = self.wrote_size.next_multiple_of(sector);
            let to = (self.wrote_size + data.len() as u64).next_multiple_of(sector);
            if to > from {
                self.partition.erase_range(flash, from, to - from)?;
            }
        }
        if self.wrote_size == 0 && self.partial.count == 0 {
            self.check_magic(data)?;
        }
        if flash.encryption().is_some() {
            return self.write_blocks(flash, data);
        }
        self.program(flash, data)
    }

    fn program(&mut self, flash: &mut Flash, data: &[u8]) -> Result<(), Failure> {
        self.partition.write(flash, self.wrote_size, data)?;
        let begun = self.begun();
        self.wrote_size += data.len() as u64;
        flash.share(begun, self.begun()); // these are complete, and those of every device that takes the same image
        Ok(())
    }

    /// Where the sector that is written next begins.
    fn begun(&self) -> u64 {
        let at = u64::from(self.partition.offset) + self.wrote_size;
        at - at % SECTOR as u64
    }

    /// With flash encryption on, whatever the partition: whole blocks only, what is left over waits.
    fn write_blocks(&mut self, flash: &mut Flash, data: &[u8]) -> Result<(), Failure> {
        let mut data = data;
        if self.partial.count > 0 {
            let (rest, full) = self.partial.take(data);
            let Some(block) = full else { return Ok(()) };
            self.program(flash, &block)?;
            self.partial = Partial { bytes: [0xFF; BLOCK], count: 0 };
            data = rest;
        }
        let (whole, rest) = data.split_at_checked(data.len() - data.len() % BLOCK).unwrap_or((data, &[]));
        if !whole.is_empty() {
            self.program(flash, whole)?;
        }
        self.partial.take(rest);
        Ok(())
    }

    /// `esp_ota_end`: the block that waits is programmed as it is. Nothing waits without flash encryption.
    pub fn flush(&mut self, flash: &mut Flash) -> Result<(), Failure> {
        if self.partial.count > 0 {
            let block = std::mem::take(&mut self.partial).bytes;
            self.program(flash, &block)?;
        }
        flash.share(self.begun(), self.begun() + SECTOR as u64); // the last one is as complete as it gets
        Ok(())
    }

    /// `esp_ota_write_with_offset`: program at `offset`, without erase and without a look at the first bytes.
    pub fn write_with_offset(&mut self, flash: &mut Flash, offset: u64, data: &[u8]) -> Result<(), Failure> {
        if flash.encryption().is_some() && data.len() % BLOCK != 0 {
            let found = format!("{} bytes", data.len());
            return Err(Fault::new(EspErr::InvalidArg, "data", offset, found, "a multiple of 16").into());
        }
        self.partition.write(flash, offset, data)?;
        self.wrote_size += data.len() as u64;
        Ok(())
    }

    /// The first data of all; data shorter than the magic is not looked at.
    fn check_magic(&self, data: &[u8]) -> Result<(), Fault> {
        let Some(start) = data.get(..self.magic.len()).filter(|&start| start != self.magic) else {
            return Ok(());
        };
        let word = |bytes: &[u8]| bytes.iter().rev().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"));
        Err(Fault::new(EspErr::OtaValidateFailed, "magic", 0, word(start), word(&self.magic)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::FLAG_READONLY;

    const SIZE: u32 = 0x4000;

    fn writer(need_erase: bool) -> OtaWriter {
        let partition = Partition { ptype: 0, subtype: 0x10, offset: 0x1_0000, size: SIZE, ..Partition::default() };
        OtaWriter::new(partition, need_erase, &[0xE9], 0)
    }

    /// A flash with old data where the partition is.
    fn used() -> Result<Flash, Fault> {
        Flash::from_bytes(&vec![0x5A; 0x1_8000], None, true)
    }

    /// What one write of `length` bytes at `wrote_size` erases, as sector numbers of the partition.
    fn erased(wrote_size: u64, length: usize) -> Result<Vec<u64>, Failure> {
        let mut flash = Flash::new(1 << 20, false)?;
        let mut writer = writer(true);
        writer.wrote_size = wrote_size;
        flash.record(true);
        writer.write(&mut flash, &vec![0xE9; length])?;
        let erases = flash.journal().filter(|op| op.length == SECTOR as u64);
        Ok(erases.map(|op| (op.address - 0x1_0000) / SECTOR as u64).collect())
    }

    #[test]
    fn sectors_are_erased_when_the_data_reaches_them() -> Result<(), Failure> {
        for (wrote_size, length, sectors) in [
            (0, 1, vec![0]),
            (0, 4096, vec![0]),
            (0, 4097, vec![0, 1]),
            (0, 0x4000, vec![0, 1, 2, 3]),
            (1, 4095, vec![]),
            (1, 4096, vec![1]),
            (100, 3996, vec![]),
            (100, 3997, vec![1]),
            (100, 3996 + 4096, vec![1]),
            (100, 3997 + 4096, vec![1, 2]),
            (4096, 1, vec![1]),
            (4096, 4096, vec![1]),
            (4095, 1, vec![]),
            (4095, 2, vec![1]),
            (0, 0, vec![]),
        ] {
            assert_eq!(erased(wrote_size, length)?, sectors, "{length} bytes at {wrote_size}");
        }
        Ok(())
    }

    #[test]
    fn a_wrong_first_byte_is_seen_after_the_erase() -> Result<(), Failure> {
        let (mut flash, mut writer) = (used()?, writer(true));
        let refused = writer.write(&mut flash, &[0; 16]);
        assert_eq!(refused, Err(Fault::new(EspErr::OtaValidateFailed, "magic", 0, "0x00", "0xe9").into()));
        assert_eq!((writer.wrote_size(), flash.stats().erases, flash.stats().programs), (0, 1, 0));
        writer.write(&mut flash, &[0xE9; 16])?;
        assert_eq!((writer.wrote_size(), flash.stats().erases, flash.stats().programs), (16, 2, 1));
        writer.write(&mut flash, &[0; 16])?;
        Ok(())
    }

    #[test]
    fn without_a_magic_anything_may_come_first() -> Result<(), Failure> {
        let mut flash = used()?;
        let mut writer = writer(true);
        writer.set_magic(&[]);
        writer.write(&mut flash, &[0; 16])
    }

    #[test]
    fn two_bytes_of_magic_are_one_little_endian_word_and_a_single_byte_passes() -> Result<(), Failure> {
        let (mut flash, mut writer) = (used()?, writer(true));
        writer.set_magic(&[0xAA, 0x50]);
        let refused = writer.write(&mut flash, &[0xAA, 0x51]);
        assert_eq!(refused, Err(Fault::new(EspErr::OtaValidateFailed, "magic", 0, "0x51aa", "0x50aa").into()));
        writer.write(&mut flash, &[0])?;
        writer.write(&mut flash, &[0])
    }

    #[test]
    fn a_write_with_offset_adds_to_what_was_written() -> Result<(), Failure> {
        let (mut flash, mut writer) = (Flash::new(1 << 20, true)?, writer(false));
        writer.write_with_offset(&mut flash, 0x2000, &[0; 16])?;
        writer.write_with_offset(&mut flash, 0, &[1; 16])?;
        assert_eq!(writer.wrote_size(), 32);
        assert!(writer.write_with_offset(&mut flash, u64::from(SIZE), &[0]).is_err());
        assert_eq!(writer.wrote_size(), 32);
        Ok(())
    }

    #[test]
    fn past_the_end_nothing_of_the_call_is_written() -> Result<(), Failure> {
        for need_erase in [true, false] {
            let (mut flash, mut writer) = (Flash::new(1 << 20, true)?, writer(need_erase));
            writer.write(&mut flash, &vec![0xE9; 0x3FFF])?;
            let before = flash.operations();
            let refused = writer.write(&mut flash, &[1, 2]);
            assert!(matches!(refused, Err(Failure::Fault(Fault { err: EspErr::InvalidSize, .. }))));
            assert_eq!((writer.wrote_size(), flash.operations()), (0x3FFF, before));
            writer.write(&mut flash, &[1])?;
            assert_eq!(writer.wrote_size(), u64::from(SIZE));
        }
        Ok(())
    }

    #[test]
    fn a_readonly_partition_is_not_erased() -> Result<(), Failure> {
        let (mut flash, mut writer) = (used()?, writer(true));
        writer.partition.flags = FLAG_READONLY;
        let refused = writer.write(&mut flash, &[0xE9]);
        assert!(matches!(refused, Err(Failure::Fault(Fault { err: EspErr::NotAllowed, .. }))));
        assert_eq!(flash.operations(), 0);
        Ok(())
    }

    #[test]
    fn a_dead_flash_comes_first() -> Result<(), Failure> {
        let (mut flash, mut writer) = (used()?, writer(false));
        flash.power_off();
        assert_eq!(writer.write(&mut flash, &[0]), Err(Failure::PowerLost(0)));
        assert_eq!(writer.write(&mut flash, &[]), Ok(()), "nothing to write asks nobody");
        Ok(())
    }
}
