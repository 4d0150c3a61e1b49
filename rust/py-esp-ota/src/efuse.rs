//! `EFuse`: the core's eFuses behind a lock, for they are burnt in place.

mod fields;

use std::fmt::Write as _;
use std::sync::Mutex;

use esp_ota_core::efuse as core;
use esp_ota_core::err::Fault;
use esp_ota_core::image::hex;
use esp_ota_core::target::Target;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

pub(crate) use self::fields::hmac_key;
use self::fields::{bytes, field, key_blocks, key_digest, misfit};
use crate::err::{OtaError, fault_to_err, number};
use crate::lock::lock;
use crate::target::by_name;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<EFuse>()
}

/// The eFuses of one chip that the update path reads and burns.
#[pyclass(module = "py_esp_ota._core", frozen)]
pub(crate) struct EFuse {
    target: &'static Target,
    bits: Mutex<core::EFuse>,
    /// Told of each burn.
    listener: Mutex<Option<Py<PyAny>>>,
}

impl EFuse {
    /// The bits as they are now.
    pub(crate) fn value(&self) -> core::EFuse {
        lock(&self.bits).clone()
    }

    /// Fuses burnt by somebody who saw them all at once.
    pub(crate) fn replace(&self, py: Python<'_>, burnt: core::EFuse) -> PyResult<()> {
        self.burn(py, |bits| {
            *bits = burnt;
            Ok(())
        })
    }

    fn read<T>(&self, look: impl FnOnce(&core::EFuse) -> T) -> T {
        look(&lock(&self.bits))
    }

    fn burn(&self, py: Python<'_>, act: impl FnOnce(&mut core::EFuse) -> Result<(), Fault>) -> PyResult<()> {
        act(&mut lock(&self.bits)).map_err(|fault| fault_to_err::<OtaError>(py, &fault))?;
        let listener = lock(&self.listener).as_ref().map(|listener| listener.clone_ref(py));
        listener.map_or(Ok(()), |listener| listener.call0(py).map(drop))
    }
}

impl From<core::EFuse> for EFuse {
    fn from(bits: core::EFuse) -> Self {
        Self { target: bits.target, bits: Mutex::new(bits), listener: Mutex::default() }
    }
}

#[pymethods]
impl EFuse {
    #[new]
    #[pyo3(signature = (
        chip="esp32c3", *, chip_revision=None, block_revision=0, secure_version=0,
        disable_wafer_version_major=false, disable_blk_version_major=false, secure_boot_en=false,
        aggressive_revoke=false, key_digests=vec![], revoked=vec![], flash_crypt_cnt=0, flash_crypt_config=0,
        flash_encryption_key=None, flash_encryption_key_open=false, hmac_keys=vec![], key_purposes=None,
        recovery_bootloader_sector=0, bootloader_secure_version=0, bootloader_anti_rollback_en=false,
        bootloader_anti_rollback_update_in_rom=false
    ))]
    #[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools, reason = "each keyword is one fuse")]
    fn new(
        chip: &str,
        #[pyo3(from_py_with = number)] chip_revision: Option<u16>,
        #[pyo3(from_py_with = number)] block_revision: u16,
        #[pyo3(from_py_with = number)] secure_version: u32,
        disable_wafer_version_major: bool,
        disable_blk_version_major: bool,
        secure_boot_en: bool,
        aggressive_revoke: bool,
        key_digests: Vec<Option<Vec<u8>>>,
        #[pyo3(from_py_with = number)] revoked: Vec<usize>,
        #[pyo3(from_py_with = number)] flash_crypt_cnt: u8,
        #[pyo3(from_py_with = number)] flash_crypt_config: u8,
        flash_encryption_key: Option<Vec<u8>>,
        flash_encryption_key_open: bool,
        hmac_keys: Vec<Option<Vec<u8>>>,
        key_purposes: Option<Vec<Option<u8>>>,
        #[pyo3(from_py_with = number)] recovery_bootloader_sector: u16,
        #[pyo3(from_py_with = number)] bootloader_secure_version: u8,
        bootloader_anti_rollback_en: bool,
        bootloader_anti_rollback_update_in_rom: bool,
    ) -> PyResult<Self> {
        let mut bits = core::EFuse::new(by_name(chip)?);
        bits.chip_revision = chip_revision.unwrap_or(bits.chip_revision);
        bits.block_revision = block_revision;
        bits.disable_wafer_version_major = disable_wafer_version_major;
        bits.disable_blk_version_major = disable_blk_version_major;
        bits.secure_boot_en = secure_boot_en;
        bits.aggressive_revoke = aggressive_revoke;
        bits.burn_secure_version(secure_version, u32::MAX).map_err(|fault| misfit(&fault))?;
        // Named by their blocks, and so before the keys that take what is left.
        for (block, key) in hmac_keys.into_iter().enumerate() {
            if let Some(key) = key {
                bits.burn_hmac_key(block, hmac_key(&key)?).map_err(|fault| misfit(&fault))?;
            }
        }
        for (slot, digest) in key_digests.into_iter().enumerate() {
            if let Some(digest) = digest {
                bits.burn_key_digest(slot, key_digest(&digest)?).map_err(|fault| misfit(&fault))?;
            }
        }
        for slot in revoked {
            bits.revoke_key(slot).map_err(|fault| misfit(&fault))?;
        }
        if let Some(key) = flash_encryption_key {
            bits.burn_flash_encryption_key(&key).map_err(|fault| misfit(&fault))?;
        }
        bits.flash_crypt_cnt = field("flash_crypt_cnt", flash_crypt_cnt.into(), bits.flash_crypt_cnt_size())? as u8;
        bits.flash_crypt_config = field("flash_crypt_config", flash_crypt_config.into(), 4)? as u8;
        bits.recovery_bootloader_sector =
            field("recovery_bootloader_sector", recovery_bootloader_sector.into(), 12)? as u16;
        if bootloader_secure_version != 0 {
            bits.burn_bootloader_secure_version(bootloader_secure_version).map_err(|fault| misfit(&fault))?;
        }
        bits.bootloader_anti_rollback_en = bootloader_anti_rollback_en;
        bits.bootloader_anti_rollback_update_in_rom = bootloader_anti_rollback_update_in_rom;
        bits.flash_encryption_key_open = flash_encryption_key_open;
        if let Some(purposes) = key_purposes {
            bits.key_purposes = key_blocks(&bits, &purposes)?;
        }
        Ok(bits.into())
    }

    /// ESP-IDF's name of the chip they are in, `"esp32c3"`.
    #[getter]
    fn chip(&self) -> &'static str {
        self.target.name
    }

    /// The wafer's revision, major * 100 + minor.
    #[getter]
    fn chip_revision(&self) -> u16 {
        self.read(|bits| bits.chip_revision)
    }

    /// The revision of the eFuse blocks, major * 100 + minor.
    #[getter]
    fn block_revision(&self) -> u16 {
        self.read(|bits| bits.block_revision)
    }

    /// `DISABLE_WAFER_VERSION_MAJOR`: an image's maximum chip revision is not looked at.
    #[getter]
    fn disable_wafer_version_major(&self) -> bool {
        self.read(|bits| bits.disable_wafer_version_major)
    }

    /// `DISABLE_BLK_VERSION_MAJOR`: an image's maximum eFuse block revision is not looked at.
    #[getter]
    fn disable_blk_version_major(&self) -> bool {
        self.read(|bits| bits.disable_blk_version_major)
    }

    /// The number of burnt bits of the anti-rollback field.
    #[getter]
    fn secure_version(&self) -> u32 {
        self.read(core::EFuse::secure_version)
    }

    /// `esp_efuse_read_secure_version`.
    #[pyo3(signature = (*, size=None))]
    fn read_secure_version(&self, #[pyo3(from_py_with = number)] size: Option<u32>) -> u32 {
        self.read(|bits| bits.read_secure_version(size))
    }

    /// Bits of the anti-rollback field.
    #[getter]
    fn secure_version_size(&self) -> u32 {
        self.read(core::EFuse::secure_version_size)
    }

    /// `SECURE_BOOT_EN` (ESP32: `ABS_DONE_1`).
    #[getter]
    fn secure_boot_en(&self) -> bool {
        self.read(|bits| bits.secure_boot_en)
    }

    /// `SECURE_BOOT_AGGRESSIVE_REVOKE`: a trusted key whose signature fails is revoked.
    #[getter]
    fn aggressive_revoke(&self) -> bool {
        self.read(|bits| bits.aggressive_revoke)
    }

    /// SHA-256 of the public key in each slot the chip has, 32 bytes; `None` for an empty slot.
    #[getter]
    fn key_digests(&self) -> Vec<Option<[u8; 32]>> {
        self.read(|bits| bits.key_digests.iter().take(bits.digest_slots()).copied().collect())
    }

    /// `SECURE_BOOT_KEY_REVOKEn`: the slots whose key was revoked.
    #[getter]
    fn revoked(&self) -> Vec<usize> {
        self.read(|bits| (0..).zip(bits.revoked).filter_map(|(slot, bit)| bit.then_some(slot)).collect())
    }

    /// `SPI_BOOT_CRYPT_CNT` (ESP32: `FLASH_CRYPT_CNT`), bit by bit: encryption is on while an odd number is burnt.
    #[getter]
    fn flash_crypt_cnt(&self) -> u8 {
        self.read(|bits| bits.flash_crypt_cnt)
    }

    /// `FLASH_CRYPT_CONFIG`: ESP32 only, 4 bits.
    #[getter]
    fn flash_crypt_config(&self) -> u8 {
        self.read(|bits| bits.flash_crypt_config)
    }

    /// As espsecure's key file has it: 16, 24, 32 or 64 bytes; `None` while none is burnt.
    #[getter]
    fn flash_encryption_key(&self) -> Option<Vec<u8>> {
        self.read(|bits| bits.flash_encryption_key.clone())
    }

    /// Its block is not read- and write-protected, as `espefuse --no-protect-key` leaves it.
    #[getter]
    fn flash_encryption_key_open(&self) -> bool {
        self.read(|bits| bits.flash_encryption_key_open)
    }

    /// What each key block is burnt for, by the chip's own `esp_efuse_purpose_t`; `None` for an unused one.
    #[getter]
    fn key_purposes(&self) -> Vec<Option<u8>> {
        self.read(|bits| bits.key_purposes.iter().take(bits.key_block_count()).copied().collect())
    }

    /// `esp_efuse_key_block_unused`: the numbers of the unused key blocks.
    #[getter]
    fn free_key_blocks(&self) -> Vec<usize> {
        self.read(core::EFuse::free_key_blocks)
    }

    /// `efuse_hal_flash_encryption_enabled`: an odd number of counter bits is burnt.
    #[getter]
    fn flash_encryption_enabled(&self) -> bool {
        self.read(core::EFuse::flash_encryption_enabled)
    }

    /// The key of purpose HMAC_UP in each key block, 32 bytes, else `None`; empty on chips without the peripheral.
    #[getter]
    fn hmac_keys(&self) -> Vec<Option<[u8; 32]>> {
        self.read(|bits| bits.hmac_keys.iter().take(bits.hmac_blocks()).copied().collect())
    }

    /// `RECOVERY_BOOTLOADER_FLASH_SECTOR`, 12 bits: 0 never set, 0xFFF disabled for ever, else the sector's number.
    #[getter]
    fn recovery_bootloader_sector(&self) -> u16 {
        self.read(|bits| bits.recovery_bootloader_sector)
    }

    /// Whether the chip's ROM knows such a thing: ESP32-C5, C61, S31, and ESP32-P4 since v3.0.
    #[getter]
    fn has_recovery_bootloader(&self) -> bool {
        self.read(core::EFuse::has_recovery_bootloader)
    }

    /// `efuse_hal_get_recovery_bootloader_address`; `None` unless `efuse_hal_recovery_bootloader_enabled`.
    #[getter]
    fn recovery_bootloader_address(&self) -> Option<u32> {
        self.read(core::EFuse::recovery_bootloader_address)
    }

    /// The number of burnt bits of `BOOTLOADER_ANTI_ROLLBACK_SECURE_VERSION`, 0 to 4.
    #[getter]
    fn bootloader_secure_version(&self) -> u8 {
        self.read(|bits| bits.bootloader_secure_version)
    }

    /// `BOOTLOADER_ANTI_ROLLBACK_EN`: ROM starts no bootloader below that version.
    #[getter]
    fn bootloader_anti_rollback_en(&self) -> bool {
        self.read(|bits| bits.bootloader_anti_rollback_en)
    }

    /// `BOOTLOADER_ANTI_ROLLBACK_UPDATE_IN_ROM`: ROM raises that version itself.
    #[getter]
    fn bootloader_anti_rollback_update_in_rom(&self) -> bool {
        self.read(|bits| bits.bootloader_anti_rollback_update_in_rom)
    }

    /// `esp_efuse_update_secure_version`.
    #[pyo3(signature = (version, *, size=None))]
    fn burn_secure_version(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = number)] version: u32,
        #[pyo3(from_py_with = number)] size: Option<u32>,
    ) -> PyResult<()> {
        self.burn(py, |bits| bits.burn_secure_version(version, size.unwrap_or(u32::MAX)))
    }

    /// `SECURE_BOOT_EN`.
    fn burn_secure_boot_en(&self, py: Python<'_>) -> PyResult<()> {
        self.burn(py, |bits| {
            bits.secure_boot_en = true;
            Ok(())
        })
    }

    /// `esp_efuse_write_key` with purpose SECURE_BOOT_DIGESTn.
    fn burn_key_digest(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = number)] slot: usize,
        digest: &[u8],
    ) -> PyResult<()> {
        let digest = key_digest(digest)?;
        self.burn(py, |bits| bits.burn_key_digest(slot, digest))
    }

    /// `esp_efuse_set_digest_revoke`.
    fn revoke_key(&self, py: Python<'_>, #[pyo3(from_py_with = number)] slot: usize) -> PyResult<()> {
        self.burn(py, |bits| bits.revoke_key(slot))
    }

    /// `esp_efuse_write_key` with purpose XTS_AES_n_KEY.
    fn burn_flash_encryption_key(&self, py: Python<'_>, key: &[u8]) -> PyResult<()> {
        self.burn(py, |bits| bits.burn_flash_encryption_key(key))
    }

    /// `esp_efuse_write_key` with purpose HMAC_UP.
    fn burn_hmac_key(&self, py: Python<'_>, #[pyo3(from_py_with = number)] block: usize, key: &[u8]) -> PyResult<()> {
        let key = hmac_key(key)?;
        self.burn(py, |bits| bits.burn_hmac_key(block, key))
    }

    /// `esp_efuse_write_key` with any purpose.
    fn burn_key_block(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = number)] block: usize,
        #[pyo3(from_py_with = number)] purpose: u8,
    ) -> PyResult<()> {
        self.burn(py, |bits| bits.burn_key_block(block, purpose))
    }

    /// `RECOVERY_BOOTLOADER_FLASH_SECTOR`: the bits of `sector` too.
    fn burn_recovery_bootloader_sector(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = number)] sector: u16,
    ) -> PyResult<()> {
        self.burn(py, |bits| bits.burn_recovery_bootloader_sector(sector))
    }

    /// `BOOTLOADER_ANTI_ROLLBACK_SECURE_VERSION`.
    fn burn_bootloader_secure_version(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = number)] version: u8,
    ) -> PyResult<()> {
        self.burn(py, |bits| bits.burn_bootloader_secure_version(version))
    }

    /// One bit more of the flash encryption counter.
    fn burn_flash_crypt_cnt(&self, py: Python<'_>) -> PyResult<()> {
        self.burn(py, core::EFuse::burn_flash_crypt_cnt)
    }

    /// `FLASH_CRYPT_CONFIG` of ESP32: the bits of `config` too.
    fn burn_flash_crypt_config(&self, py: Python<'_>, #[pyo3(from_py_with = number)] config: u8) -> PyResult<()> {
        let config = field("flash_crypt_config", config.into(), 4)? as u8;
        self.burn(py, |bits| {
            bits.flash_crypt_config |= config;
            Ok(())
        })
    }

    /// All that `batch`, once a copy, has more; in one burn.
    fn burn_all(&self, py: Python<'_>, batch: &Bound<'_, Self>) -> PyResult<()> {
        self.replace(py, batch.get().value())
    }

    /// `listener()` is called after each burn from here on; `None` calls nobody.
    fn on_burn(&self, listener: Option<Py<PyAny>>) {
        *lock(&self.listener) = listener;
    }

    /// An independent copy.
    fn copy(&self) -> Self {
        self.value().into()
    }

    /// The fuses as the text of a file.
    fn to_json(&self) -> String {
        let bits = self.value();
        let text = |value: Option<&[u8]>| value.map_or("null".to_owned(), |bytes| format!("\"{}\"", hex(bytes)));
        let list = |keys: &[Option<[u8; 32]>]| {
            let all: Vec<_> = keys.iter().map(|one| text(one.as_ref().map(|key| &key[..]))).collect();
            format!("[{}]", all.join(", "))
        };
        let number = |purpose: &Option<u8>| purpose.map_or("null".to_owned(), |number| number.to_string());
        let purposes: Vec<_> = self.key_purposes().iter().map(number).collect();
        let rows = [
            ("chip", format!("{:?}", bits.target.name)),
            ("chip_revision", bits.chip_revision.to_string()),
            ("block_revision", bits.block_revision.to_string()),
            ("secure_version", bits.secure_version().to_string()),
            ("disable_wafer_version_major", bits.disable_wafer_version_major.to_string()),
            ("disable_blk_version_major", bits.disable_blk_version_major.to_string()),
            ("secure_boot_en", bits.secure_boot_en.to_string()),
            ("aggressive_revoke", bits.aggressive_revoke.to_string()),
            ("key_digests", list(bits.key_digests.get(..bits.digest_slots()).unwrap_or_default())),
            ("revoked", format!("{:?}", self.revoked())),
            ("flash_crypt_cnt", bits.flash_crypt_cnt.to_string()),
            ("flash_crypt_config", bits.flash_crypt_config.to_string()),
            ("flash_encryption_key", text(bits.flash_encryption_key.as_deref())),
            ("flash_encryption_key_open", bits.flash_encryption_key_open.to_string()),
            ("hmac_keys", list(bits.hmac_keys.get(..bits.hmac_blocks()).unwrap_or_default())),
            ("key_purposes", format!("[{}]", purposes.join(", "))),
            ("recovery_bootloader_sector", bits.recovery_bootloader_sector.to_string()),
            ("bootloader_secure_version", bits.bootloader_secure_version.to_string()),
            ("bootloader_anti_rollback_en", bits.bootloader_anti_rollback_en.to_string()),
            ("bootloader_anti_rollback_update_in_rom", bits.bootloader_anti_rollback_update_in_rom.to_string()),
        ];
        let mut json = String::new();
        for (key, value) in rows {
            let comma = if json.is_empty() { "{\n" } else { ",\n" };
            let _ = write!(json, "{comma}  \"{key}\": {value}");
        }
        json + "\n}\n"
    }

    /// The fuses in the text of a file.
    #[staticmethod]
    fn from_json<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
        let wrong = |why: String| PyValueError::new_err(format!("no eFuse file: {why}"));
        let loaded = py.import("json")?.call_method1("loads", (text,)).map_err(|error| wrong(error.to_string()))?;
        let fuses = loaded.cast_into::<PyDict>().map_err(|_| wrong("expected one JSON object".to_owned()))?;
        let chip = fuses.get_item("chip")?.ok_or_else(|| wrong("the key \"chip\" is missing".to_owned()))?;
        fuses.del_item("chip")?;
        for key in ["key_digests", "flash_encryption_key", "hmac_keys"] {
            if let Some(value) = fuses.get_item(key)? {
                fuses.set_item(key, bytes(py, &value)?)?;
            }
        }
        let class = py.get_type::<Self>();
        class.call((chip,), Some(&fuses)).map_err(|error| wrong(error.value(py).to_string()))
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.value() == other.value()
    }

    fn __repr__(&self) -> String {
        let bits = self.value();
        format!(
            "EFuse({:?}, chip_revision={}, block_revision={}, secure_version={})",
            bits.target.name,
            bits.chip_revision,
            bits.block_revision,
            bits.secure_version()
        )
    }
}
