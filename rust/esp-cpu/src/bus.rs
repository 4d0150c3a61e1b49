//! What answers where no memory is.

/// The registers of a chip, and what only its own cores have.
pub trait Bus {
    /// A load of `size` (1, 2, 4) bytes at `address`, zero-extended.
    fn read(&mut self, address: u32, size: u8) -> u32;

    /// A store of the lowest `size` (1, 2, 4) bytes of `value`.
    fn write(&mut self, address: u32, size: u8, value: u32);

    /// Whether the run shall end behind the instruction that was just done; asked after reads, writes and CSRs only.
    fn asks(&self) -> bool {
        false
    }

    /// The value of a CSR (RISC-V) that the core itself does not have; `None`: an illegal instruction.
    fn csr(&mut self, number: u16) -> Option<u32> {
        let _ = number;
        None
    }
}

/// No registers at all: they read zero and take everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silence;

impl Bus for Silence {
    fn read(&mut self, _address: u32, _size: u8) -> u32 {
        0
    }

    fn write(&mut self, _address: u32, _size: u8, _value: u32) {}
}
