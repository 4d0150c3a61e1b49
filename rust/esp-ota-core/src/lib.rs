//! ESP32-family flash, partition tables, images, otadata and boot-slot selection, as pure functions over bytes.
//!
//! The crate has no I/O, no clock and no randomness, and takes any bytes without panicking. Each item that stands for an
//! ESP-IDF function names it first.
#![forbid(unsafe_code)]

pub mod app_desc;
pub mod boot;
pub mod crypt;
pub mod digest;
pub mod efuse;
pub mod err;
pub mod fault;
pub mod flash;
pub mod image;
pub mod nvs;
pub mod otadata;
pub mod partition;
pub mod rtc;
pub mod sha256;
pub mod signature;
pub mod source;
pub mod target;
pub mod writer;
