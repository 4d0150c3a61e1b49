//! The Xtensa core, instruction by instruction and as programs.
#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    reason = "instructions are put together from small numbers"
)]

mod asm;
mod memory;
mod numbers;
mod steps;
mod system;
mod windows;
