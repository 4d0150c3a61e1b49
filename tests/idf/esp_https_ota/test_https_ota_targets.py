"""``esp_https_ota`` beyond the next update slot: staging and final partitions, pre-encrypted images, a hook."""

from __future__ import annotations

import pytest
from board import table
from file_server import FileServer
from https_ota_bench import IN_PROGRESS, NEW, URL, Bench

from py_esp_ota._core import Partition
from py_esp_ota.adapters.memory import run_virtual
from py_esp_ota.errors import EspErr, HttpsOtaError, OtaError
from py_esp_ota.firmware import Firmware, bootloader
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.esp_http_client.client import HttpClient
from py_esp_ota.idf.esp_https_ota import https_ota
from py_esp_ota.idf.esp_https_ota.https_ota import Event, HttpClientConfig, HttpsOta, HttpsOtaConfig

TABLE = table(
    ("nvs", 1, 0x02, 0x9000, 0x4000),
    ("otadata", 1, 0x00, 0xD000, 0x2000),
    ("factory", 0, 0x00, 0x20000, 0x20000),
    ("ota_0", 0, 0x10, 0x40000, 0x20000),
    ("ota_1", 0, 0x11, 0x60000, 0x20000),
    ("storage", 1, 0x81, 0x80000, 0x20000),
    ("boot", 2, 0x01, 0xA0000, 0x8000),
)


class Targets(Bench):
    """A bench with a factory app and partitions of other types."""

    def __init__(self, image: bytes = NEW, **options: object) -> None:
        super().__init__({}, table=TABLE, options=options)
        self.fetch = FileServer({"/lamp.bin": image})

    def row(self, label: str) -> Partition:
        return self.ops.table.find(label=label)

    async def start(self, **config: object) -> HttpsOta:
        made = HttpsOtaConfig(http_config=HttpClientConfig(url=URL), **config)
        return await https_ota.begin(made, ops=self.ops, fetch=self.fetch, on_event=self.on_event)

    async def whole(self, **config: object) -> HttpsOta:
        handle = await self.start(**config)
        while await handle.perform() is IN_PROGRESS:
            pass
        await handle.finish()
        return handle

    def holds(self, label: str, data: bytes) -> bool:
        return self.ops.partitions.read(self.row(label), 0, len(data)) == data


# --------------------------------------------------------------------------------------------------------- partitions


def test_the_image_goes_where_it_is_told():
    bench = Targets()
    run_virtual(bench.whole(staging=bench.row("ota_1")))
    assert bench.holds("ota_1", NEW)
    assert bench.next_boot == "ota_1"
    assert bench.logged("Writing to <ota_1> partition at offset 0x60000")


def test_data_needs_no_header_and_changes_no_boot_slot():
    data = bytes(range(256)) * 40
    bench = Targets(data)
    handle = run_virtual(bench.whole(staging=bench.row("storage")))
    assert handle.final.label == "storage"
    assert bench.holds("storage", data)
    assert bench.next_boot == "factory"
    writes = [Event.WRITE_FLASH] * 10
    assert bench.events == [Event.START, Event.CONNECTED, *writes, Event.FINISH]


def test_data_is_written_from_its_first_byte_in_steps_of_the_buffer():
    bench = Targets(b"x" * 3000)

    async def main() -> list[int]:
        handle = await bench.start(staging=bench.row("storage"))
        seen = [handle.get_image_len_read()]
        while await handle.perform() is IN_PROGRESS:
            seen.append(handle.get_image_len_read())
        return seen

    assert run_virtual(main()) == [-1, 0, 1024, 2048, 3000]


def test_an_app_for_factory_is_staged_in_a_slot_and_copied():
    bench = Targets()
    bench.ops = OtaOps(bench.chip, bench.row("ota_0"), bench.config, bench.log)  # the app does not run from there
    run_virtual(bench.whole(staging=bench.row("ota_1"), final=bench.row("factory"), finalize_with_copy=True))
    assert bench.holds("factory", NEW)
    assert bench.logged("Staging partition - <ota_1>. Final partition - <factory>.")
    assert bench.next_boot == "factory"
    assert (Event.UPDATE_BOOT_PARTITION, 0) in bench.data  # posted, although nothing was chosen


def test_without_the_copy_it_stays_staged():
    bench = Targets()
    run_virtual(bench.whole(staging=bench.row("ota_1"), final=bench.row("ota_0")))
    assert bench.holds("ota_1", NEW)
    assert not bench.holds("ota_0", NEW)
    assert bench.next_boot == "ota_1"  # the staging partition is chosen
    assert (Event.UPDATE_BOOT_PARTITION, 0x10) in bench.data


def test_a_bootloader_has_a_descriptor_of_its_own():
    image = bootloader(chip="esp32c3")
    bench = Targets(image)

    async def main() -> str:
        handle = await bench.start(staging=bench.row("ota_1"), final=bench.row("boot"))
        desc = await handle.get_bootloader_img_desc()
        with pytest.raises(HttpsOtaError, match="ESP_FAIL"):
            await handle.get_img_desc()
        while await handle.perform() is IN_PROGRESS:
            pass
        await handle.finish()
        return desc.idf_ver

    assert run_virtual(main()) == "v6.1"
    assert Event.VERIFY_CHIP_ID in bench.events
    assert bench.next_boot == "factory"


def test_an_app_is_no_bootloader():
    bench = Targets(NEW)

    async def main() -> None:
        await (await bench.start(final=bench.row("boot"))).get_bootloader_img_desc()

    assert bench.refused(main).err is EspErr.ESP_FAIL
    assert bench.logged("Incorrect bootloader descriptor magic")


def test_data_has_no_descriptor():
    bench = Targets()

    async def main() -> None:
        await (await bench.start(staging=bench.row("storage"))).get_img_desc()

    assert bench.refused(main).err is EspErr.ESP_FAIL
    assert bench.logged("This partition type (1) is not supported")


@pytest.mark.parametrize(
    ("which", "line"),
    [
        ("staging", "Given staging partition or another suitable Passive OTA partition could not be found"),
        ("final", "Given final partition not found"),
    ],
)
def test_partitions_that_are_not_in_the_table(which, line):
    bench = Targets()
    elsewhere = Partition("ota_1", 0, 0x11, 0x70000, 0x10000)
    assert bench.refused(lambda: bench.start(**{which: elsewhere})).err is EspErr.ESP_FAIL
    assert bench.logged(line)
    assert bench.events == [Event.START, Event.CONNECTED]


def test_the_running_app_is_no_staging_partition():
    bench = Targets()
    error = bench.refused(lambda: bench.whole(staging=bench.row("factory")))
    assert error.err is EspErr.ESP_ERR_INVALID_ARG


def test_before_v5_5_there_is_the_next_slot_alone():
    bench = Targets(idf_version=(5, 4, 0))
    error = bench.refused(lambda: bench.start(staging=bench.row("ota_1")))
    assert error.err is EspErr.ESP_ERR_NOT_SUPPORTED


# --------------------------------------------------------------------------------------------------------- decryption

KEY = 0x5A
HEADER = b"encrypted image, version 1".ljust(512, b"\0")


def locked(image: bytes) -> bytes:
    return HEADER + bytes(byte ^ KEY for byte in image)


class Decryptor:
    """What ``esp_encrypted_img`` is to upstream's example: a header, then one byte for each."""

    def __init__(self) -> None:
        self.skip = len(HEADER)
        self.calls: list[int] = []

    def __call__(self, data: bytes) -> bytes:
        self.calls.append(len(data))
        cut = min(self.skip, len(data))
        self.skip -= cut
        return bytes(byte ^ KEY for byte in data[cut:])


@pytest.mark.parametrize("partial", [False, True])
def test_a_pre_encrypted_image_is_decrypted_on_its_way(partial):
    bench = Targets(locked(NEW), esp_https_ota_decrypt_cb=True, esp_https_ota_enable_partial_download=partial)
    decrypt = Decryptor()
    options = {"partial_http_download": partial, "max_http_request_size": 4096}

    async def main() -> HttpsOta:
        handle = await bench.start(decrypt_cb=decrypt, enc_img_header_size=len(HEADER), **options)
        assert handle.get_image_size() == len(NEW)  # without the header
        with pytest.raises(HttpsOtaError) as refused:
            await handle.get_img_desc()
        assert refused.value.err is EspErr.ESP_ERR_NOT_SUPPORTED
        while await handle.perform() is IN_PROGRESS:
            pass
        await handle.finish()
        return handle

    run_virtual(main())
    assert bench.holds("ota_0", NEW)
    assert bench.next_boot == "ota_0"
    assert bench.events.count(Event.DECRYPT_CB) == len(decrypt.calls)
    assert bench.events.index(Event.DECRYPT_CB) < bench.events.index(Event.VERIFY_CHIP_ID)


class Late(Decryptor):
    """Nothing comes out of every second call; the next one brings it."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[bytes] = []

    def __call__(self, data: bytes) -> bytes:
        self.kept.append(super().__call__(data))
        if len(self.kept) % 2 and 1 < len(self.calls) < 16:
            return b""
        out = b"".join(self.kept)
        self.kept.clear()
        return out


def test_of_a_callback_that_keeps_data_back_perform_says_a_state():
    """``ESP_HTTPS_OTA_IN_PROGRESS``, 2, no ``ESP_ERR_HTTPS_OTA_IN_PROGRESS``; an app that knows it may go on."""
    bench = Targets(locked(NEW), esp_https_ota_decrypt_cb=True)

    async def main() -> list[int]:
        handle = await bench.start(decrypt_cb=Late(), enc_img_header_size=len(HEADER))
        codes: list[int] = []
        while True:
            try:
                if await handle.perform() is not IN_PROGRESS:
                    break
            except HttpsOtaError as error:
                codes.append(error.fact["code"])
        await handle.finish()
        return codes

    assert run_virtual(main()) == [2] * 7
    assert bench.holds("ota_0", NEW)
    assert bench.next_boot == "ota_0"


def test_a_callback_that_keeps_data_back_ends_the_one_call():
    bench = Targets(locked(NEW), esp_https_ota_decrypt_cb=True)
    config = HttpsOtaConfig(http_config=HttpClientConfig(url=URL), decrypt_cb=Late(), enc_img_header_size=len(HEADER))
    error = bench.refused(
        lambda: https_ota.https_ota(config, ops=bench.ops, fetch=bench.fetch, on_event=bench.on_event)
    )
    assert error.fact["code"] == 2
    assert https_ota.esp_err_to_name(error) == "ERROR"
    assert bench.events[-2:] == [Event.DECRYPT_CB, Event.ABORT]
    assert bench.next_boot == "factory"


def test_a_header_of_which_nothing_comes_out():
    bench = Targets(locked(NEW), esp_https_ota_decrypt_cb=True)
    assert bench.refused(lambda: bench.whole(decrypt_cb=lambda _data: b"")).err is EspErr.ESP_FAIL
    assert bench.logged("Decryption of image header failed")


@pytest.mark.parametrize(("at", "err"), [(1, EspErr.ESP_FAIL), (3, EspErr.ESP_ERR_INVALID_SIZE)])
def test_a_callback_that_fails(at, err):
    bench = Targets(locked(NEW), esp_https_ota_decrypt_cb=True)
    decrypt = Decryptor()

    def failing(data: bytes) -> bytes:
        out = decrypt(data)
        if len(decrypt.calls) == at:
            raise OtaError(EspErr.ESP_ERR_INVALID_SIZE, "the tag is wrong")
        return out

    assert bench.refused(lambda: bench.whole(decrypt_cb=failing, enc_img_header_size=512)).err is err
    assert bench.logged("Decrypt callback failed 260")
    assert bench.next_boot == "factory"


@pytest.mark.parametrize(
    ("option", "config", "err"),
    [
        (True, {}, EspErr.ESP_ERR_INVALID_ARG),
        (True, {"decrypt_cb": bytes, "ota_resumption": True}, EspErr.ESP_ERR_NOT_SUPPORTED),
        (False, {"decrypt_cb": bytes}, EspErr.ESP_ERR_NOT_SUPPORTED),
        (False, {"enc_img_header_size": 512}, EspErr.ESP_ERR_NOT_SUPPORTED),
    ],
)
def test_what_a_build_that_decrypts_wants(option, config, err):
    bench = Targets(esp_https_ota_decrypt_cb=option)
    assert bench.refused(lambda: bench.start(**config)).err is err
    assert bench.fetch.requests == []


# --------------------------------------------------------------------------------------------------------------- hook


def test_the_client_may_be_given_headers():
    bench = Targets()

    def init(client: HttpClient) -> None:
        client.set_header("Authorization", "Bearer 123")

    run_virtual(bench.whole(http_client_init_cb=init))
    assert [request.headers["Authorization"] for request in bench.fetch.requests] == ["Bearer 123"]


def test_a_hook_that_refuses_ends_it():
    bench = Targets()

    def init(_client: HttpClient) -> None:
        raise OtaError(EspErr.ESP_ERR_INVALID_STATE, "no token yet")

    assert bench.refused(lambda: bench.start(http_client_init_cb=init)).err is EspErr.ESP_ERR_INVALID_STATE
    assert bench.logged("http_client_init_cb returned 0x103")
    assert bench.fetch.requests == []


def test_an_image_for_another_chip_is_refused_before_it_is_written():
    bench = Targets(Firmware("lamp", "1.1", chip="esp32s3").to_bytes())
    before = bench.chip.flash.stats.programs
    assert bench.refused(bench.whole).err is EspErr.ESP_ERR_INVALID_VERSION
    assert bench.chip.flash.stats.programs == before
