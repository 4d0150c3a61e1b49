//! The core in a web page: it keeps flashes, wears power cuts and judges images there.
//!
//! A handful of C functions over numbers. What is longer than a number goes through two buffers: the page asks for [`input`]
//! and writes there, calls, and reads at [`output`]. A call returns 0 for done, 1 for refused (the output says why), 2 for a
//! power cut. No pointer is ever followed here; the page alone looks into the memory.

mod boot;
mod image;
mod json;
mod otadata;

use std::sync::{Mutex, MutexGuard, PoisonError};

use esp_ota_core::crypt::FlashCrypt;
use esp_ota_core::err::Failure;
use esp_ota_core::fault::FaultPlan;
use esp_ota_core::flash::Flash;

const DONE: u32 = 0;
const REFUSED: u32 = 1;
const CUT: u32 = 2;

/// All that lives between two calls.
struct Desk {
    input: Vec<u8>,
    output: Vec<u8>,
    /// A flash by its handle; the place of one that was dropped is taken again.
    flashes: Vec<Option<Flash>>,
}

static DESK: Mutex<Desk> = Mutex::new(Desk { input: Vec::new(), output: Vec::new(), flashes: Vec::new() });

impl Desk {
    fn keep(&mut self, flash: Flash) -> u32 {
        let free = self.flashes.iter().position(Option::is_none).unwrap_or(self.flashes.len());
        match self.flashes.get_mut(free) {
            Some(place) => *place = Some(flash),
            None => self.flashes.push(Some(flash)),
        }
        free as u32
    }

    /// What `work` returns becomes the output; input and output change hands so that nothing is copied.
    fn on(&mut self, handle: u32, work: impl FnOnce(&mut Flash, &[u8]) -> Result<Vec<u8>, Failure>) -> u32 {
        let input = std::mem::take(&mut self.input);
        let (code, output) = match self.flashes.get_mut(handle as usize).and_then(Option::as_mut) {
            None => (REFUSED, format!("there is no flash {handle}").into_bytes()),
            Some(flash) => match work(flash, &input) {
                Ok(output) => (DONE, output),
                Err(Failure::Fault(fault)) => (REFUSED, fault.to_string().into_bytes()),
                Err(lost @ Failure::PowerLost(_)) => (CUT, lost.to_string().into_bytes()),
            },
        };
        self.output = output;
        code
    }

    fn refuse(&mut self, why: &impl ToString) -> u32 {
        self.output = why.to_string().into_bytes();
        REFUSED
    }
}

fn desk() -> MutexGuard<'static, Desk> {
    DESK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Room for `length` bytes of input, and where it is.
#[unsafe(no_mangle)]
pub extern "C" fn input(length: usize) -> *const u8 {
    let mut desk = desk();
    desk.input.clear();
    desk.input.resize(length, 0);
    desk.input.as_ptr()
}

/// Where the output of the last call is.
#[unsafe(no_mangle)]
pub extern "C" fn output() -> *const u8 {
    desk().output.as_ptr()
}

/// Its bytes.
#[unsafe(no_mangle)]
pub extern "C" fn output_length() -> usize {
    desk().output.len()
}

/// Judge the image in the input; the output is JSON as `esp-ota image-info --json` has it, codes as numbers.
#[unsafe(no_mangle)]
pub extern "C" fn inspect() -> u32 {
    let mut desk = desk();
    desk.output = image::inspected(&desk.input).into_bytes();
    DONE
}

/// A flash of `size` bytes that holds the input; its handle comes as four bytes of output.
#[unsafe(no_mangle)]
pub extern "C" fn flash_new(size: u32, strict: u32) -> u32 {
    let mut desk = desk();
    match Flash::from_bytes(&desk.input, Some(size.into()), strict != 0) {
        Ok(flash) => {
            let handle = desk.keep(flash);
            desk.output = handle.to_le_bytes().to_vec();
            DONE
        }
        Err(fault) => desk.refuse(&fault),
    }
}

/// A copy that shares what neither changes; its handle comes as four bytes of output.
#[unsafe(no_mangle)]
pub extern "C" fn flash_fork(handle: u32) -> u32 {
    let mut desk = desk();
    match desk.flashes.get(handle as usize).and_then(Option::as_ref).map(Flash::fork) {
        Some(fork) => {
            let made = desk.keep(fork);
            desk.output = made.to_le_bytes().to_vec();
            DONE
        }
        None => desk.refuse(&format!("there is no flash {handle}")),
    }
}

/// Forget a flash.
#[unsafe(no_mangle)]
pub extern "C" fn flash_drop(handle: u32) {
    if let Some(place) = desk().flashes.get_mut(handle as usize) {
        *place = None;
    }
}

/// `esp_flash_write` of the input.
#[unsafe(no_mangle)]
pub extern "C" fn flash_program(handle: u32, address: u32) -> u32 {
    desk().on(handle, |flash, data| flash.program(address.into(), data).map(|()| Vec::new()))
}

/// `esp_flash_erase_region`.
#[unsafe(no_mangle)]
pub extern "C" fn flash_erase(handle: u32, address: u32, length: u32) -> u32 {
    desk().on(handle, |flash, _| flash.erase(address.into(), length.into()).map(|()| Vec::new()))
}

/// `esp_flash_read`.
#[unsafe(no_mangle)]
pub extern "C" fn flash_read(handle: u32, address: u32, length: u32) -> u32 {
    desk().on(handle, |flash, _| {
        flash.check_read(address.into(), length.into())?;
        let mut out = vec![0; length as usize];
        flash.read(address.into(), &mut out).map(|()| out)
    })
}

/// How full each sector is, a byte for each.
#[unsafe(no_mangle)]
pub extern "C" fn flash_fill(handle: u32) -> u32 {
    desk().on(handle, |flash, _| Ok(flash.fill().collect()))
}

/// Arm the fault plan in the input.
#[unsafe(no_mangle)]
pub extern "C" fn flash_arm(handle: u32) -> u32 {
    let mut desk = desk();
    match String::from_utf8_lossy(&desk.input).parse::<FaultPlan>() {
        Ok(plan) => desk.on(handle, |flash, _| {
            flash.set_fault(Some(plan));
            Ok(Vec::new())
        }),
        Err(refused) => desk.refuse(&refused),
    }
}

/// Power comes, or goes.
#[unsafe(no_mangle)]
pub extern "C" fn flash_power(handle: u32, on: u32) -> u32 {
    desk().on(handle, |flash, _| {
        if on == 0 {
            flash.power_off();
        } else {
            flash.power_on();
        }
        Ok(Vec::new())
    })
}

/// Encrypt: the input is a chip's name, NUL, `FLASH_CRYPT_CONFIG` in a byte, the key.
#[unsafe(no_mangle)]
pub extern "C" fn flash_encrypt(handle: u32) -> u32 {
    desk().on(handle, |flash, input| {
        let mut parts = input.splitn(2, |&byte| byte == 0);
        let chip = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
        let (config, key) = parts.next().and_then(<[u8]>::split_first).unwrap_or((&0, &[]));
        flash.set_encryption(Some(FlashCrypt::new(&chip, key, *config)?));
        Ok(Vec::new())
    })
}

/// Both otadata entries at `offset`, as JSON.
#[unsafe(no_mangle)]
pub extern "C" fn flash_otadata(handle: u32, offset: u32) -> u32 {
    desk().on(handle, |flash, _| otadata::read(flash, offset.into()).map(String::into_bytes))
}

/// Judge the image at `address`, as [`inspect`] does; `length` are the bytes that a slot has.
#[unsafe(no_mangle)]
pub extern "C" fn flash_inspect(handle: u32, address: u32, length: u32) -> u32 {
    desk().on(handle, |flash, _| {
        flash.check_read(address.into(), length.into())?;
        let mut slot = vec![0; length as usize];
        flash.read_cached(address.into(), &mut slot)?;
        Ok(image::inspected(&slot).into_bytes())
    })
}

/// Who would boot on the chip that the input names, as JSON. `anti`: the build looks at `secure_version`, which the fuses
/// have; an entry in state `before` counts as one in `after`.
#[unsafe(no_mangle)]
pub extern "C" fn flash_boot(
    handle: u32,
    table_at: u32,
    anti: u32,
    secure_version: u32,
    before: u32,
    after: u32,
) -> u32 {
    let secure_version = (anti != 0).then_some(secure_version);
    let loader = boot::Loader { table_at, secure_version, unconfirmed: (before, after) };
    desk().on(handle, |flash, chip| boot::look(flash, &String::from_utf8_lossy(chip), &loader).map(String::into_bytes))
}

/// The partition table in the input, CSV, as JSON; or why it is none.
#[unsafe(no_mangle)]
pub extern "C" fn table() -> u32 {
    let mut desk = desk();
    match boot::table(&String::from_utf8_lossy(&desk.input)) {
        Ok(rows) => {
            desk.output = rows.into_bytes();
            DONE
        }
        Err(fault) => desk.refuse(&fault),
    }
}
