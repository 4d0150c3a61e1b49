"""One list of errors: each member can be provoked through the public code, and nothing outside the list is needed."""

from __future__ import annotations

import ast
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from board import PLAIN, ROLLBACK, Board, slots
from nvs_bench import BASE, Nvs, entry, page
from nvs_bench import header as page_header
from scripted_fetch import Answer, ScriptedFetch

from py_esp_ota._core import (
    AppDesc,
    EFuse,
    Flash,
    ImageHeader,
    NvsPartition,
    Partition,
    PartitionTable,
    check_image_validity,
    inspect_image,
    read_nvs_keys,
    verify_image,
)
from py_esp_ota.adapters.virtual_time import run_virtual
from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspErr, EspError, FetchError, FlashError, OtaError, PowerLoss
from py_esp_ota.firmware import Firmware
from py_esp_ota.idf.esp_https_ota import https_ota
from py_esp_ota.idf.nvs_sec_provider import read_security_cfg, security_cfg
from py_esp_ota.rainmaker.mqtt_blocks import Blocks
from py_esp_ota.sdkconfig import Sdkconfig

APP = Firmware("lamp", "1.0.0").to_bytes()
URL = "https://cloud.test/firmware.bin"


def raised(action, *words, **options):
    """The code of the ``EspError`` that ``action`` must raise."""
    with pytest.raises(EspError) as error:
        action(*words, **options)
    assert str(error.value).startswith(f"{error.value.err.name} (0x")
    return error.value.err


def header(data=APP):
    return ImageHeader.from_bytes(data[:24])


def described(**options):
    return AppDesc.from_bytes(Firmware("lamp", "1.0.0", **options).to_bytes()[0x20:0x120])


def other_flash_mode():
    data = bytearray(APP)
    running, found = bytearray(data[0x20:0x120]), bytearray(data[0x20:0x120])
    running[181], found[181] = 1, 3
    new, old = AppDesc.from_bytes(bytes(found)), AppDesc.from_bytes(bytes(running))
    return check_image_validity(header(), new, chip="esp32c3", running=old).err


def zero_to_one():
    flash = Flash(0x100000)
    flash.program(0, b"\x00")
    return raised(flash.program, 0, b"\x01")


def fetched(answer, url=URL, *, partial=False):
    """What ``esp_https_ota`` makes of one server."""

    async def story():
        board = Board(slots(2), "1/VALID", config=replace(ROLLBACK, esp_https_ota_enable_partial_download=partial))
        ops = board.ops("ota_0")
        http = https_ota.HttpClientConfig(url=url)
        config = https_ota.HttpsOtaConfig(http_config=http, partial_http_download=partial)
        handle = await https_ota.begin(config, ops=ops, fetch=ScriptedFetch({URL: answer}))
        return await handle.perform()

    try:
        return run_virtual(story())
    except EspError as error:
        return error.err


def ota(action, *, config=ROLLBACK, entries=("1/VALID", "-")):
    """The code that one ``esp_ota_*`` call raises on a board with two slots, ota_0 running."""
    board = Board(slots(2), *entries, config=config)
    ops = board.ops("ota_0")
    return raised(action, ops, ops.table.find(label="ota_0"), ops.table.find(label="ota_1"))


def a_stream_of_four_gigabytes():
    """A size that is negative: the bitmap of its blocks is larger than a chip's memory."""
    Blocks(-1, 4096, 16)


def begun_twice(ops, _running, free):
    ops.begin(free, 0)
    ops.begin(free, 0)


def written_noise(ops, _running, free):
    ops.write(ops.begin(free, 0), b"noise")


def chosen_too_old():
    board = Board(slots(2), "1/VALID", config=replace(ROLLBACK, bootloader_app_anti_rollback=True))
    board.chip.efuse.burn_secure_version(1)
    return raised(board.ops("ota_0").set_boot_partition, board["ota_1"])


def nvs(action, *, pages=3, image=b"", readonly=False, mode="readwrite", **options):
    """The code that one call raises on the namespace ``app``; without an action, the code of init."""
    bench = Nvs(pages, image, readonly=readonly)
    if action is None:
        return raised(bench.init)
    return raised(action, bench.init(**options).open("app", mode))


def nvs_full():
    """One page has no other to move to."""
    app = Nvs(1).open()
    for number in range(125):
        app.set(f"k{number}", "u8", 1)
    return app


def nvs_old_value_stays():
    """The new value is written, but the flash refuses to mark the old one."""
    bench = Nvs()
    app = bench.open()
    for number in range(20):
        app.set(f"k{number}", "u8", 1)
    bench.flash.program(BASE + 0x20, bytes(4))
    return raised(app.set, "k0", "u8", 2)


def nvs_key_page(data):
    return raised(read_nvs_keys, Flash.from_bytes(data), Partition("nvs_key", 1, 4, 0, 0x1000))


NAMESPACE = entry(0, 1, 1, b"app", b"\x01")
LONGER_THAN_ITS_INDEX = [
    NAMESPACE,
    entry(1, 0x42, 2, b"b", b"\x05\x00\xff\xff", chunk=0),
    b"12345".ljust(32, b"\xff"),
    entry(1, 0x48, 1, b"b", b"\x00\x00\x00\x00\x01\x00"),
]

HMAC = Sdkconfig(nvs_encryption=True, nvs_sec_key_protect_using_hmac=True, nvs_sec_hmac_efuse_key_id=0)

PROVOKE = {
    EspErr.ESP_OK: lambda: inspect_image(APP).err,
    EspErr.ESP_ERR_NO_MEM: lambda: raised(a_stream_of_four_gigabytes),
    EspErr.ESP_FAIL: lambda: inspect_image(APP, chip="esp32s3").err,
    EspErr.ESP_ERR_INVALID_ARG: lambda: raised(Flash(0x100000).read, 0x100000, 1),
    EspErr.ESP_ERR_INVALID_STATE: lambda: raised(PartitionTable.from_bytes, b"\x00" * 32),
    EspErr.ESP_ERR_INVALID_SIZE: lambda: raised(AppDesc.from_bytes, b"\x00" * 255),
    EspErr.ESP_ERR_NOT_FOUND: lambda: raised(AppDesc.from_bytes, b"\x00" * 256),
    EspErr.ESP_ERR_NOT_SUPPORTED: lambda: ota(
        lambda ops, _running, _free: ops.get_partition_description(ops.table.find(label="nvs"))
    ),
    EspErr.ESP_ERR_INVALID_VERSION: lambda: check_image_validity(header(), None, chip="esp32s3").err,
    EspErr.ESP_ERR_NOT_ALLOWED: lambda: raised(
        Partition("cal", 1, 6, 0x1000, 0x1000, readonly=True).write, Flash(0x100000), 0, b"x"
    ),
    EspErr.ESP_ERR_NVS_NOT_FOUND: lambda: nvs(lambda app: app.get("k", "u8")),
    EspErr.ESP_ERR_NVS_READ_ONLY: lambda: nvs(
        lambda app: app.set("k", "u8", 1), image=page([NAMESPACE]), mode="readonly"
    ),
    EspErr.ESP_ERR_NVS_NOT_ENOUGH_SPACE: lambda: raised(Nvs(0).init),
    EspErr.ESP_ERR_NVS_REMOVE_FAILED: nvs_old_value_stays,
    EspErr.ESP_ERR_NVS_KEY_TOO_LONG: lambda: nvs(lambda app: app.set("k" * 16, "u8", 1)),
    EspErr.ESP_ERR_NVS_INVALID_STATE: lambda: raised(nvs_full().set, "k", "u8", 1),
    EspErr.ESP_ERR_NVS_INVALID_LENGTH: lambda: nvs(
        lambda app: app.get("b", "blob"), image=page(LONGER_THAN_ITS_INDEX), idf_version=(5, 2, 0)
    ),
    EspErr.ESP_ERR_NVS_NO_FREE_PAGES: lambda: nvs(None, pages=1, image=page([NAMESPACE])),
    EspErr.ESP_ERR_NVS_VALUE_TOO_LONG: lambda: nvs(lambda app: app.set("k", "str", "x" * 4000)),
    EspErr.ESP_ERR_NVS_NEW_VERSION_FOUND: lambda: nvs(None, image=page_header(version=0xFD)),
    EspErr.ESP_ERR_NVS_KEYS_NOT_INITIALIZED: lambda: nvs_key_page(b"\xff" * 0x1000),
    EspErr.ESP_ERR_NVS_CORRUPT_KEY_PART: lambda: nvs_key_page(bytes(0x1000)),
    EspErr.ESP_ERR_NVS_WRONG_ENCRYPTION: lambda: raised(
        NvsPartition, Flash(0x100000), Partition("nvs", 1, 2, 0x9000, 0x3000, encrypted=True)
    ),
    EspErr.ESP_ERR_OTA_PARTITION_CONFLICT: lambda: ota(lambda ops, running, _free: ops.begin(running, 0)),
    EspErr.ESP_ERR_OTA_VALIDATE_FAILED: lambda: ota(written_noise),
    EspErr.ESP_ERR_OTA_SMALL_SEC_VER: chosen_too_old,
    EspErr.ESP_ERR_OTA_ROLLBACK_FAILED: lambda: ota(lambda ops, _running, _free: ops.mark_app_invalid_rollback()),
    EspErr.ESP_ERR_OTA_ROLLBACK_INVALID_STATE: lambda: ota(
        lambda ops, _running, free: ops.begin(free, 0), entries=("1/PENDING_VERIFY", "-")
    ),
    EspErr.ESP_ERR_OTA_ALREADY_IN_PROGRESS: lambda: ota(begun_twice, config=PLAIN),
    EspErr.ESP_ERR_OTA_SPI_MODE_MISMATCH: other_flash_mode,
    EspErr.ESP_ERR_EFUSE_CNT_IS_FULL: lambda: raised(EFuse(flash_crypt_cnt=7).burn_flash_crypt_cnt),
    EspErr.ESP_ERR_NOT_ENOUGH_UNUSED_KEY_BLOCKS: lambda: raised(
        EFuse(key_purposes=[8] * 6).burn_flash_encryption_key, bytes(32)
    ),
    EspErr.ESP_ERR_IMAGE_INVALID: lambda: verify_image(Flash(0x100000), 0x10000, 0x10000, chip="esp32c3").err,
    EspErr.ESP_ERR_FLASH_OP_FAIL: zero_to_one,
    EspErr.ESP_ERR_HTTP_CONNECT: lambda: fetched(Answer(fails=FetchError("connect", "no route", 113))),
    EspErr.ESP_ERR_HTTP_MAX_REDIRECT: lambda: fetched(Answer(status=302, headers={"location": URL}), partial=True),
    EspErr.ESP_ERR_HTTP_WRITE_DATA: lambda: fetched(
        Answer(b"moved", status=302, headers={"location": URL}, breaks_at=2)
    ),
    EspErr.ESP_ERR_HTTP_FETCH_HEADER: lambda: fetched(Answer(fails=FetchError("closed", "gone", 104)), partial=True),
    EspErr.ESP_ERR_HTTP_INVALID_TRANSPORT: lambda: fetched(Answer(APP), "ftp://h/x"),
    EspErr.ESP_ERR_HTTP_INCOMPLETE_DATA: lambda: fetched([Answer(status=405), Answer(APP, breaks_at=9)], partial=True),
    EspErr.ESP_ERR_HTTP_EAGAIN: lambda: fetched(Answer(fails=FetchError("timeout", "silence")), partial=True),
    EspErr.ESP_ERR_HTTP_HEADER_TOO_LONG: lambda: fetched(Answer(APP), URL + "?" + "x" * 970),
    EspErr.ESP_ERR_HTTP_NOT_MODIFIED: lambda: fetched(Answer(status=304)),
    EspErr.ESP_ERR_HTTP_RANGE_NOT_SATISFIABLE: lambda: fetched(Answer(status=416)),
    EspErr.ESP_ERR_HTTP_REDIRECT_DOWNGRADE: lambda: fetched(
        Answer(status=302, headers={"location": "http://cloud.test/firmware.bin", "content-length": "0"})
    ),
    EspErr.ESP_ERR_HTTPS_OTA_IN_PROGRESS: lambda: fetched(Answer(APP)),
    EspErr.ESP_ERR_NVS_SEC_HMAC_KEY_NOT_FOUND: lambda: raised(read_security_cfg, Chip(), HMAC),
    EspErr.ESP_ERR_NVS_SEC_HMAC_KEY_GENERATION_FAILED: lambda: raised(security_cfg, Chip("esp32"), HMAC),
}


@pytest.mark.parametrize("err", EspErr, ids=lambda err: err.name)
def test_every_error_we_name_can_be_provoked(err):
    assert PROVOKE[err]() == err


def test_the_rust_core_has_no_error_of_its_own():
    source = (Path(__file__).parents[2] / "rust" / "esp-ota-core" / "src" / "err.rs").read_text()
    body = source.split("pub enum EspErr {")[1].split("}")[0]
    numbers = {ast.literal_eval(line.split("=")[1].strip(" ,")) for line in body.splitlines() if "=" in line}
    assert numbers <= {int(member) for member in EspErr}


def test_an_error_keeps_its_facts_and_survives_a_process_border():
    error = OtaError(EspErr.ESP_ERR_OTA_VALIDATE_FAILED, "{field} at 0x{offset:x}", field="hash", offset=32)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.err, again.fact, str(again)) == (OtaError, error.err, error.fact, str(error))
    assert str(error) == "ESP_ERR_OTA_VALIDATE_FAILED (0x1503): hash at 0x20"


def test_the_flash_names_the_place():
    flash = Flash(0x100000)
    flash.program(0x1234, b"\x0f")
    with pytest.raises(FlashError, match="0x1234"):
        flash.program(0x1230, b"\xff\xff\xff\xff\xf0")


def test_a_power_loss_is_no_exception():
    assert not issubclass(PowerLoss, Exception)
