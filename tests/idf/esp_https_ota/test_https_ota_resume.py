"""``esp_https_ota`` that goes on where an earlier download stopped."""

from __future__ import annotations

import pytest
from file_server import FileServer
from https_ota_bench import IN_PROGRESS, NEW, OLD, URL, Bench

from py_esp_ota._core import EFuse
from py_esp_ota.adapters.memory import run_virtual
from py_esp_ota.device import Device
from py_esp_ota.errors import EspErr, HttpsOtaError
from py_esp_ota.firmware import Firmware
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.esp_https_ota import https_ota
from py_esp_ota.idf.esp_https_ota.https_ota import Event, HttpClientConfig, HttpsOta, HttpsOtaConfig, State
from py_esp_ota.sdkconfig import Sdkconfig

OTHER = Firmware("lamp", "2.0").to_bytes()


class Resume(Bench):
    """A bench whose server knows ranges."""

    def __init__(self, image: bytes = NEW, **options: object) -> None:
        super().__init__({}, options=options)
        self.fetch = FileServer({"/lamp.bin": image})
        self.ops.log._debug = True

    async def start(self, written: int | None = None, **config: object) -> HttpsOta:
        """``begin``; resumable when ``written`` says how much is there."""
        asked = {} if written is None else {"ota_resumption": True, "ota_image_bytes_written": written}
        made = HttpsOtaConfig(http_config=HttpClientConfig(url=URL), **asked, **config)
        return await https_ota.begin(made, ops=self.ops, fetch=self.fetch, on_event=self.on_event)

    async def half(self, stop: int) -> int:
        """A download that is left at ``stop`` bytes at least; how many it wrote."""
        handle = await self.start(0)
        while handle.get_image_len_read() < stop:
            await handle.perform()
        written = handle.get_image_len_read()
        await handle.abort()
        self.fetch.requests.clear()
        self.events.clear()
        return written

    async def whole(self, handle: HttpsOta) -> None:
        while await handle.perform() is IN_PROGRESS:
            pass
        await handle.finish()

    def slot(self, length: int) -> bytes:
        slot = self.ops.table.find(label="ota_1")
        return self.ops.partitions.read(slot, 0, length)


def use_encrypted(bench: Resume, **options: object) -> None:
    """The same on a device whose flash is encrypted."""
    config = Sdkconfig(**options)
    device = Device(firmware=OLD, efuse=EFuse(flash_crypt_cnt=1, flash_encryption_key=bytes(32)), config=config)
    bench.ops = OtaOps(device.chip, device.power_on().partition, config, bench.log)
    bench.chip = device.chip


def test_a_download_goes_on_where_it_stopped():
    bench = Resume()

    async def main() -> None:
        written = await bench.half(6000)
        assert written == 6144
        handle = await bench.start(written)
        assert handle.state is State.RESUME
        assert handle.get_status_code() == 206
        assert handle.get_image_len_read() == written  # not -1, as in BEGIN
        assert handle.get_image_size() == len(NEW) - written  # what is left, not the image
        assert (await handle.get_img_desc()).version == "1.1"  # out of the slot
        await bench.whole(handle)

    run_virtual(main())
    assert bench.fetch.asked == ["GET bytes=6144-"]
    assert bench.next_boot == "ota_1"
    assert bench.slot(len(NEW)) == NEW
    # The chip was looked at in the first download.
    written = [Event.WRITE_FLASH] * (len(NEW) // 1024 - 6)
    assert bench.events == [
        Event.START, Event.CONNECTED, Event.GET_IMG_DESC, *written, Event.UPDATE_BOOT_PARTITION, Event.FINISH,
    ]  # fmt: skip
    assert bench.logged("Resuming OTA from offset: 6144")


@pytest.mark.parametrize("step", [1, 15, 16, 17, 100, 255, 256, 257, 4095, 4096, 4097])
def test_the_image_is_whole_wherever_it_stopped(step):
    """Every edge of page and sector: what is written twice is the same, what is erased was not counted."""
    bench = Resume()

    async def main() -> None:
        written = await bench.half(9000)
        for resumed in (written - step, min(written, 1024 + step)):
            handle = await bench.start(resumed)
            await handle.perform()
            await handle.abort()
        await bench.whole(await bench.start(1024 + step))

    run_virtual(main())
    assert bench.slot(len(NEW)) == NEW
    assert bench.next_boot == "ota_1"


@pytest.mark.parametrize(
    ("written", "version", "asked", "state"),
    [
        (None, (6, 2, 0), "GET", State.BEGIN),
        (0, (6, 2, 0), "GET bytes=0-", State.BEGIN),
        (1023, (6, 2, 0), "GET bytes=0-", State.BEGIN),
        (1024, (6, 2, 0), "GET bytes=1024-", State.RESUME),
        (0, (6, 0, 0), "GET bytes=0-", State.BEGIN),
        (0, (5, 5, 4), "GET bytes=0-", State.BEGIN),
        (0, (5, 5, 3), "GET", State.BEGIN),
        (1023, (5, 5, 0), "GET", State.BEGIN),
        (2000, (5, 5, 0), "GET bytes=2000-", State.RESUME),
    ],
)
def test_when_a_range_is_asked_for(written, version, asked, state):
    bench = Resume(idf_version=version)

    async def main() -> None:
        assert (await bench.start(written)).state is state

    run_virtual(main())
    assert bench.fetch.asked == [asked]


@pytest.mark.parametrize(
    ("written", "encrypted", "version", "offset"),
    [
        (1040, True, (6, 2, 0), 1040),
        (1039, True, (6, 2, 0), 1024),
        (1039, False, (6, 2, 0), 1039),
        (1039, True, (5, 5, 3), 1024),
        (1039, True, (5, 5, 2), 1039),
        (1023, True, (6, 2, 0), 0),
    ],
)
def test_an_encrypted_download_goes_on_at_a_whole_block(written, encrypted, version, offset):
    bench = Resume(idf_version=version)
    if encrypted:
        bench.chip.efuse = EFuse(flash_crypt_cnt=1, flash_encryption_key=bytes(32))

    async def main() -> HttpsOta:
        return await bench.start(written)

    assert run_virtual(main())._binary_file_len == offset
    assert bench.fetch.asked == [f"GET bytes={offset}-"]


EDGES = sorted({edge + step for edge in (1024, 2048, 4096, 8192, len(NEW)) for step in (-16, -1, 0, 1, 15, 16, 17)})


@pytest.mark.parametrize("encrypted", [False, True])
def test_wherever_the_line_breaks_what_was_counted_is_there(encrypted):
    """Resumed at the very byte that was counted last: in the middle of a page, of a sector, of a cipher block."""
    for edge in EDGES:
        bench = Resume()
        if encrypted:
            use_encrypted(bench)
        bench.fetch.breaks = [edge]

        async def main(bench: Resume = bench) -> None:
            handle = await bench.start(0)
            try:
                await bench.whole(handle)
            except HttpsOtaError:
                written = max(handle.get_image_len_read(), 0)
                await handle.abort()
                await bench.whole(await bench.start(written))

        run_virtual(main())
        assert bench.slot(len(NEW)) == NEW, edge
        assert bench.next_boot == "ota_1", edge
        assert len(bench.fetch.requests) == (2 if edge < len(NEW) else 1), edge


@pytest.mark.parametrize(
    ("version", "written", "whole"),
    [((6, 2, 0), 5000, True), ((5, 5, 3), 5000, True), ((5, 5, 2), 5000, False), ((5, 5, 2), 4992, True)],
)
def test_a_cipher_block_cannot_be_begun_in_its_middle(version, written, whole):
    """Before v5.5.3 the offset was taken as it came: an app that did not count in blocks could not resume."""
    bench = Resume()
    use_encrypted(bench, idf_version=version)

    async def main() -> None:
        await bench.half(6000)
        await bench.whole(await bench.start(written))

    if whole:
        run_virtual(main())
        assert bench.slot(len(NEW)) == NEW
    else:
        assert bench.refused(main).err is EspErr.ESP_ERR_INVALID_ARG
        assert bench.logged("esp_ota_write failed! err=0x102")


@pytest.mark.parametrize(
    ("status", "version", "restarts"),
    [
        (200, (6, 2, 0), True),
        (204, (6, 2, 0), True),
        (300, (6, 2, 0), True),
        (416, (6, 2, 0), True),
        (206, (6, 2, 0), False),
        (200, (6, 0, 0), True),
        (200, (5, 5, 4), True),
        (200, (5, 5, 3), False),
        (416, (5, 5, 3), True),
    ],
)
def test_a_server_that_cannot_resume_is_asked_again_from_the_beginning(status, version, restarts):
    bench = Resume(idf_version=version)
    bench.fetch.spoil = lambda request, reply: setattr(reply, "status", status if request.range else reply.status)

    async def main() -> HttpsOta:
        handle = await bench.start(4096)
        assert bench.fetch.open == 1
        assert handle._client.connections == (2 if restarts and version >= (5, 5, 4) else 1)  # a fresh one
        return handle

    handle = run_virtual(main())
    assert bench.fetch.asked == (["GET bytes=4096-", "GET"] if restarts else ["GET bytes=4096-"])
    assert handle.state is (State.BEGIN if restarts else State.RESUME)
    old = version < (5, 5, 4)
    again = "Restarting download from beginning" if old else "Falling back to OTA without resumption and restarting"
    assert any(line.endswith(f"failed with err: 28682{'' if old else '.'}") for line in bench.log.lines) is restarts
    assert bench.logged(again) is restarts
    assert bench.logged("Server ignored the requested Range header") is (restarts and status != 416)


def test_the_second_answer_is_final():
    bench = Resume()
    bench.fetch.spoil = lambda _request, reply: setattr(reply, "status", 416)
    assert bench.refused(lambda: bench.start(4096)).err is EspErr.ESP_ERR_HTTP_RANGE_NOT_SATISFIABLE
    assert bench.fetch.asked == ["GET bytes=4096-", "GET"]
    assert bench.fetch.open == 0


def test_without_ranges_the_download_starts_over_and_is_good():
    bench = Resume()
    bench.fetch.ranges = False

    async def main() -> None:
        written = await bench.half(6000)
        await bench.whole(await bench.start(written))

    run_virtual(main())
    assert bench.slot(len(NEW)) == NEW
    assert bench.next_boot == "ota_1"


def test_older_releases_append_the_whole_file_and_find_out_at_the_end():
    bench = Resume(idf_version=(5, 5, 3))
    bench.fetch.ranges = False

    async def main() -> None:
        written = await bench.half(6000)
        handle = await bench.start(written)
        while await handle.perform() is IN_PROGRESS:
            pass
        assert handle.get_image_len_read() == written + len(NEW)
        await handle.finish()

    assert bench.refused(main).err is EspErr.ESP_ERR_OTA_VALIDATE_FAILED
    assert bench.next_boot == "ota_0"


def test_a_content_range_that_is_wrong_is_not_looked_at():
    bench = Resume()
    bench.fetch.spoil = lambda _request, reply: reply.headers.update({"content-range": "bytes 0-1/2"})

    async def main() -> None:
        await bench.whole(await bench.start(await bench.half(6000)))

    run_virtual(main())
    assert bench.slot(len(NEW)) == NEW


def test_a_server_that_sends_another_part_than_asked_for_is_found_out_at_the_end():
    bench = Resume()
    bench.fetch.spoil = lambda request, reply: setattr(reply, "body", NEW[-len(reply.body) :][::-1])

    async def main() -> None:
        bench.fetch.spoil, spoil = None, bench.fetch.spoil
        written = await bench.half(6000)
        bench.fetch.spoil = spoil
        await bench.whole(await bench.start(written))

    assert bench.refused(main).err is EspErr.ESP_ERR_OTA_VALIDATE_FAILED
    assert bench.next_boot == "ota_0"


@pytest.mark.parametrize(
    ("slot", "err"),
    [("blank", EspErr.ESP_FAIL), ("another image", None)],
)
def test_what_lies_in_the_slot_is_believed(slot, err):
    """The descriptor comes from flash, whatever is there: nobody checks that it is the beginning of this file."""
    bench = Resume()

    async def main() -> str:
        if slot == "another image":
            bench.fetch.files["/lamp.bin"] = OTHER
            await bench.half(6000)
            bench.fetch.files["/lamp.bin"] = NEW
        return (await (await bench.start(6144)).get_img_desc()).version

    if err is None:
        assert run_virtual(main()) == "2.0"
    else:
        assert bench.refused(main).err is err
        assert bench.logged("Incorrect app descriptor magic")


def test_a_mix_of_two_images_is_found_out_at_the_end():
    bench = Resume()

    async def main() -> None:
        written = await bench.half(6000)
        bench.fetch.files["/lamp.bin"] = OTHER
        await bench.whole(await bench.start(written))

    assert bench.refused(main).err is EspErr.ESP_ERR_OTA_VALIDATE_FAILED


@pytest.mark.parametrize("end", ["finish", "abort"])
def test_a_handle_that_never_performed_ends_without_a_trace(end):
    bench = Resume()

    async def main() -> None:
        handle = await bench.start(4096)
        before = bench.chip.flash.operations
        await getattr(handle, end)()
        assert bench.chip.flash.operations == before

    run_virtual(main())
    assert bench.next_boot == "ota_0"


def test_bytes_written_beyond_the_slot_are_no_place_to_resume():
    bench = Resume(Firmware("lamp", "1.1", size=0x300000).to_bytes())

    async def main() -> None:
        await (await bench.start(0x200000)).perform()

    assert bench.refused(main).err is EspErr.ESP_ERR_INVALID_ARG
    assert bench.logged("esp_ota_resume failed (ESP_ERR_INVALID_ARG)")


def test_resuming_touches_no_otadata_and_erases_nothing_it_has_counted():
    bench = Resume()

    async def main() -> None:
        written = await bench.half(6000)
        slot = bench.ops.table.find(label="ota_1").offset // 4096
        counts = bench.chip.flash.erase_counts()
        await bench.whole(await bench.start(written))
        erased = [now - then for now, then in zip(bench.chip.flash.erase_counts(), counts, strict=True)]
        assert erased[slot : slot + 4] == [0, 0, 1, 1]  # 6144 bytes lie in the first two sectors

    run_virtual(main())


def test_bulk_erase_and_resumption_do_not_go_together():
    """``esp_ota_resume`` erases nothing at once, and with a size given not as the data comes either."""
    bench = Resume()

    async def main() -> None:
        written = await bench.half(6000)
        await bench.whole(await bench.start(written, bulk_flash_erase=True))

    run_virtual(main())  # the rest of the slot was blank
    assert bench.next_boot == "ota_1"


def test_the_one_call_cannot_resume():
    bench = Resume()
    config = HttpsOtaConfig(http_config=HttpClientConfig(url=URL), ota_resumption=True)
    error = bench.refused(lambda: https_ota.https_ota(config, ops=bench.ops, fetch=bench.fetch))
    assert error.err is EspErr.ESP_ERR_NOT_SUPPORTED
    assert bench.logged("OTA resumption is not supported in esp_https_ota API")
    assert bench.fetch.requests == []


def test_a_range_survives_a_redirect():
    bench = Resume()
    bench.fetch.redirects[URL] = "https://other/lamp.bin"

    async def main() -> None:
        written = await bench.half(6000)
        await bench.whole(await bench.start(written))

    run_virtual(main())
    assert bench.fetch.asked == ["GET bytes=6144-", "GET bytes=6144-"]
    assert bench.slot(len(NEW)) == NEW


def test_a_release_without_resumption_refuses_it():
    bench = Resume(idf_version=(5, 4, 2))
    with pytest.raises(HttpsOtaError, match=r"ota_resumption is not in this build with ESP-IDF v5\.4\.2") as refused:
        run_virtual(bench.start(0))
    assert refused.value.err is EspErr.ESP_ERR_NOT_SUPPORTED
