//! The Xtensa core, instruction by instruction and as programs.

mod asm;
mod memory;
mod steps;
mod system;
mod windows;
