//! The CPU cores of the ESP32 family: they run machine code over one arena of memory, block by decoded block.
//!
//! Pure: no I/O, no clock, no randomness. The same code on the same memory does the same, with the same count of
//! instructions, whatever the host does. Any bytes may be run as code: a core never panics, and what it keeps is bounded.
#![forbid(unsafe_code)]

pub mod blocks;
pub mod bus;
pub mod riscv;
pub mod space;
pub mod stop;
mod word;
pub mod xtensa;

pub use blocks::Blocks;
pub use bus::Bus;
pub use space::{Rights, Snapshot, Space};
pub use stop::{Access, Fault, Ran, Stop};
