"""``esp_https_ota`` on a real flash, against a scripted server: the download and its ends."""

import asyncio

import pytest
from https_ota_bench import IN_PROGRESS, NEW, URL, Bench
from scripted_fetch import Answer, ScriptedFetch

from py_esp_ota._core import EFuse, PartitionTable
from py_esp_ota.adapters.memory import run_virtual
from py_esp_ota.errors import EspErr, HttpsOtaError, OtaError, PowerLoss
from py_esp_ota.firmware import Firmware
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.app_update.otadata import OtaData
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.idf.esp_https_ota import https_ota
from py_esp_ota.idf.esp_https_ota.https_ota import (
    Event,
    HttpClientConfig,
    HttpsOta,
    HttpsOtaConfig,
    State,
)
from py_esp_ota.idf.partition import Partitions

# -------------------------------------------------------------------------------------------------------- whole updates


@pytest.mark.parametrize(
    "headers", [None, {}, {"transfer-encoding": "chunked"}], ids=["length", "until close", "chunked"]
)
def test_a_good_image_becomes_the_boot_partition(headers):
    bench = Bench(Answer(NEW, headers=headers))

    async def main() -> HttpsOta:
        handle = await bench.begin()
        assert (await handle.get_img_desc()).version == "1.1"
        assert handle.get_image_len_read() == -1
        while await handle.perform() is IN_PROGRESS:
            pass
        assert handle.is_complete_data_received()
        assert handle.get_image_len_read() == len(NEW)
        assert handle.get_image_size() == (len(NEW) if headers is None else -1)
        await handle.finish()
        return handle

    handle = run_virtual(main())
    assert bench.next_boot == "ota_1"
    assert bench.fetch.open == 0
    assert bench.chip.flash.read(handle.partition.offset, len(NEW)) == NEW
    steps = len(NEW) // 1024
    expected = [0, 1, 2, 3, 4, *[6] * steps, 7, 8]
    assert bench.events == [Event(number) for number in expected]
    assert (Event.VERIFY_CHIP_ID, 5) in bench.data
    assert (Event.UPDATE_BOOT_PARTITION, 0x11) in bench.data
    assert [data for event, data in bench.data if event is Event.WRITE_FLASH] == [1024 * n for n in range(1, steps + 1)]
    assert bench.logged("Starting OTA...")
    assert bench.logged(f"Writing to <ota_1> partition at offset 0x{handle.partition.offset:x}")


def test_the_descriptor_need_not_be_asked_for():
    bench = Bench(Answer(NEW))

    async def main() -> None:
        await (await bench.update()).finish()

    run_virtual(main())
    assert bench.next_boot == "ota_1"


def test_esp_https_ota_in_one_call():
    bench = Bench(Answer(NEW))
    config = HttpsOtaConfig(http_config=HttpClientConfig(url=URL))
    run_virtual(https_ota.https_ota(config, ops=bench.ops, fetch=bench.fetch))
    assert bench.next_boot == "ota_1"

    failing = Bench(Answer(NEW, breaks_at=5000))
    assert (
        failing.refused(lambda: https_ota.https_ota(config, ops=failing.ops, fetch=failing.fetch)).err
        is EspErr.ESP_FAIL
    )
    assert failing.next_boot == "ota_0"
    assert failing.fetch.open == 0
    run_virtual(
        https_ota.https_ota(config, ops=failing.ops, fetch=ScriptedFetch({URL: Answer(NEW)}))
    )  # nothing is left open
    assert failing.next_boot == "ota_1"


@pytest.mark.parametrize(("buffer_size", "sizes"), [(512, 1024), (1024, 1024), (4096, 4096)])
def test_writes_are_as_long_as_the_buffer_and_the_header_always_1024(buffer_size, sizes):
    bench = Bench(Answer(NEW))

    async def main() -> None:
        handle = await bench.begin(buffer_size=buffer_size)
        while await handle.perform() is IN_PROGRESS:
            pass
        await handle.abort()

    run_virtual(main())
    totals = [data for event, data in bench.data if event is Event.WRITE_FLASH]
    assert totals[0] == 1024
    assert totals[1] == 1024 + sizes


@pytest.mark.parametrize("size", [0x4000, 0x4010, 0x43F0])
def test_a_last_piece_of_any_length(size):
    image = Firmware("lamp", "1.1", size=size).to_bytes()
    bench = Bench(Answer(image))

    async def main() -> None:
        await (await bench.update()).finish()

    run_virtual(main())
    assert bench.next_boot == "ota_1"


def test_bulk_erase_clears_the_whole_slot_first():
    bench = Bench(Answer(NEW, headers={}))

    async def main() -> int:
        handle = await bench.begin(bulk=True)
        await handle.perform()
        erased = sum(
            bench.chip.flash.erase_counts()[handle.partition.offset // 4096 :][: handle.partition.size // 4096]
        )
        await handle.abort()
        return erased

    assert run_virtual(main()) == 0x1A9000 // 4096


def test_bulk_erase_of_a_known_length_clears_no_more_than_that():
    bench = Bench(Answer(NEW))

    async def main() -> int:
        handle = await bench.begin(bulk=True)
        await handle.perform()
        first = handle.partition.offset // 4096
        erased = bench.chip.flash.erase_counts()[first : first + handle.partition.size // 4096]
        await handle.abort()
        return sum(erased)

    assert run_virtual(main()) == len(NEW) // 4096


def test_a_content_encoding_is_not_interpreted():
    length = {"content-length": str(len(NEW)), "content-encoding": "gzip"}
    bench = Bench(Answer(NEW, headers=length))

    async def main() -> None:
        await (await bench.update()).finish()

    run_virtual(main())
    assert bench.next_boot == "ota_1"


# ----------------------------------------------------------------------------------------------------- descriptions


@pytest.mark.parametrize(
    ("answer", "log"),
    [
        (Answer(b""), "Complete headers were not received"),
        (Answer(NEW[:1023]), "Complete headers were not received"),
        (Answer(NEW, headers={"content-length": "1023"}), "Complete headers were not received"),
        (Answer(status=204), "Complete headers were not received"),
        (Answer(NEW, breaks_at=1000), "Complete headers were not received"),
        (Answer(b"<html>" * 1000), "Incorrect app descriptor magic"),
    ],
)
def test_no_description(answer, log):
    bench = Bench(answer)

    async def main() -> None:
        handle = await bench.begin()
        try:
            await handle.get_img_desc()
        finally:
            await handle.abort()

    assert bench.refused(main).err is EspErr.ESP_FAIL
    assert bench.logged(log)
    assert bench.events == [Event.START, Event.CONNECTED, Event.GET_IMG_DESC, Event.ABORT]
    assert bench.fetch.open == 0


def test_a_slot_that_cannot_be_read(monkeypatch):
    bench = Bench(Answer(NEW))

    def refuse(*_args: object) -> bytes:
        raise OtaError(EspErr.ESP_ERR_FLASH_OP_FAIL, "no")

    async def main() -> None:
        handle = await bench.begin()
        await handle.get_img_desc()
        monkeypatch.setattr(bench.ops.partitions, "read", refuse)
        await handle.get_img_desc()

    assert bench.refused(main).err is EspErr.ESP_ERR_FLASH_OP_FAIL
    line = "get_description_from_image(668): partition read failed 24577"
    assert bench.log.lines[-1] == f"E (0) esp_https_ota: {line}"


def test_waiting_for_the_header_is_told():
    bench = Bench(Answer(NEW, stalls_at=500))
    bench.log._debug = True

    async def main() -> None:
        async with asyncio.timeout(11):
            await (await bench.begin()).get_img_desc()

    with pytest.raises(TimeoutError):
        run_virtual(main())
    text = "ESP_ERR_HTTP_EAGAIN invoked: Call timed out before data was ready"
    assert bench.log.lines[-2:] == [f"D (0) esp_https_ota: {text}"] * 2


def test_a_second_description_is_read_from_the_slot():
    bench = Bench(Answer(NEW))

    async def main() -> str:
        handle = await bench.begin()
        await handle.get_img_desc()
        with pytest.raises(HttpsOtaError):
            await handle.get_img_desc()  # nothing is in the slot yet
        await handle.perform()
        return (await handle.get_img_desc()).version

    assert run_virtual(main()) == "1.1"


# ---------------------------------------------------------------------------------------------------------- perform


def test_a_stalled_server_is_waited_for():
    bench = Bench(Answer(NEW, stalls_at=4096))

    async def main() -> set[EspErr]:
        loop = asyncio.get_running_loop()
        handle = await bench.begin()
        results = set()
        while loop.time() < 24 * 3600:
            results.add(await handle.perform())
        await handle.abort()
        return results

    assert run_virtual(main()) == {IN_PROGRESS}


def test_a_stalled_header_is_waited_for():
    bench = Bench(Answer(NEW, stalls_at=512))

    async def main() -> None:
        async with asyncio.timeout(3600):
            await (await bench.begin()).get_img_desc()

    with pytest.raises(TimeoutError):
        run_virtual(main())


@pytest.mark.parametrize(
    ("answer", "errno"),
    [(Answer(NEW, breaks_at=9000), 104), (Answer(NEW[:9000], headers={"content-length": str(len(NEW))}), 0)],
    ids=["reset", "clean close before Content-Length"],
)
def test_a_body_that_ends_early(answer, errno):
    bench = Bench(answer)
    error = bench.refused(bench.update)
    assert error.err is EspErr.ESP_FAIL
    assert error.fact.get("errno", 0) == errno
    assert bench.next_boot == "ota_0"


@pytest.mark.parametrize(
    ("image", "efuse", "err"),
    [
        (Firmware("lamp", "1.1", chip="esp32s3").to_bytes(), None, EspErr.ESP_ERR_INVALID_VERSION),
        (NEW, EFuse(chip_revision=2), EspErr.ESP_ERR_INVALID_VERSION),
        (
            Firmware("lamp", "1.1", max_chip_rev_full=50).to_bytes(),
            EFuse(chip_revision=101),
            EspErr.ESP_ERR_INVALID_VERSION,
        ),
        (b"\xe8" + NEW[1:], None, EspErr.ESP_ERR_OTA_VALIDATE_FAILED),
        (Firmware("lamp", "1.1", spi_flash_mode=1).to_bytes(), None, EspErr.ESP_ERR_OTA_SPI_MODE_MISMATCH),
        (Firmware("lamp", "1.1", size=0x1A9000 + 0x10000).to_bytes(), None, EspErr.ESP_ERR_INVALID_SIZE),
    ],
    ids=["chip id", "too old silicon", "too new silicon", "first byte", "SPI mode", "too large"],
)
def test_images_that_cannot_be_written(image, efuse, err):
    bench = Bench(Answer(image))
    if efuse:
        bench.chip.efuse = efuse

    async def main() -> None:
        handle = await bench.begin()
        try:
            while await handle.perform() is IN_PROGRESS:
                pass
        finally:
            await handle.abort()

    assert bench.refused(main).err is err
    assert bench.fetch.open == 0
    assert bench.next_boot == "ota_0"


def test_chip_events_come_before_the_chip_is_refused_and_nothing_is_written():
    bench = Bench(Answer(Firmware("lamp", "1.1", chip="esp32s3").to_bytes()))
    bench.refused(bench.update)
    assert bench.events == [Event.START, Event.CONNECTED, Event.VERIFY_CHIP_ID, Event.VERIFY_CHIP_REVISION]
    assert bench.data[2] == (Event.VERIFY_CHIP_ID, 9)


def test_a_write_that_fails_still_posts_its_event():
    bench = Bench(Answer(b"\xe8" + NEW[1:]))
    bench.refused(bench.update)
    assert bench.data[-1] == (Event.WRITE_FLASH, 0)


def test_performing_after_the_end_fails():
    bench = Bench(Answer(NEW))

    async def main() -> None:
        handle = await bench.update()
        assert handle.state is State.SUCCESS
        await handle.perform()

    assert bench.refused(main).err is EspErr.ESP_FAIL
    assert bench.logged("Invalid ESP HTTPS OTA State")


# -------------------------------------------------------------------------------------------------------- finish, abort


@pytest.mark.parametrize("at", [40, 300, 5000, len(NEW) - 40, len(NEW) - 1])
def test_a_flipped_byte_is_found_at_finish(at):
    image = bytearray(NEW)
    image[at] ^= 1
    bench = Bench(Answer(bytes(image)))

    async def main() -> None:
        await (await bench.update()).finish()

    assert bench.refused(main).err is EspErr.ESP_ERR_OTA_VALIDATE_FAILED
    assert bench.next_boot == "ota_0"
    assert bench.events[-1] is Event.FINISH
    assert bench.fetch.open == 0


def test_finish_before_the_last_byte_never_switches():
    whole = Bench(Answer(NEW + bytes(8192)))  # the image is complete, the body is not

    async def main() -> None:
        handle = await whole.begin()
        while handle.get_image_len_read() < len(NEW):
            await handle.perform()
        await handle.finish()

    run_virtual(main())
    assert whole.next_boot == "ota_0"


def test_finish_without_any_data():
    bench = Bench(Answer(NEW))

    async def main() -> None:
        await (await bench.begin()).finish()

    run_virtual(main())
    assert bench.events == [Event.START, Event.CONNECTED, Event.FINISH]
    assert bench.fetch.open == 0


@pytest.mark.parametrize("end", ["finish", "abort"])
def test_a_handle_ends_once(end):
    bench = Bench(Answer(NEW))

    async def main() -> None:
        handle = await bench.update()
        await getattr(handle, end)()
        assert handle.get_image_len_read() == -1
        for act in (handle.finish, handle.abort, handle.perform, handle.get_img_desc):
            with pytest.raises(HttpsOtaError):
                await act()

    run_virtual(main())


def test_an_aborted_update_leaves_room_for_the_next():
    bench = Bench(Answer(NEW))

    async def main() -> None:
        await (await bench.update()).abort()
        await (await bench.update()).finish()

    run_virtual(main())
    assert bench.next_boot == "ota_1"


def test_a_power_cut_goes_through_as_itself():
    bench = Bench(Answer(NEW))
    bench.chip.flash.fault = "cut@5"
    config = HttpsOtaConfig(http_config=HttpClientConfig(url=URL))
    with pytest.raises(PowerLoss):
        run_virtual(https_ota.https_ota(config, ops=bench.ops, fetch=bench.fetch))
    assert bench.fetch.open == 0


def test_nothing_is_written_while_the_running_app_is_unconfirmed():
    bench = Bench(Answer(NEW))

    async def main() -> None:
        await (await bench.update()).finish()
        booted = boot(bench.chip, bench.config)
        assert booted.state == "PENDING_VERIFY"
        bench.ops = OtaOps(bench.chip, booted.partition, bench.config, bench.log)
        await bench.update()

    assert bench.refused(main).err is EspErr.ESP_ERR_OTA_ROLLBACK_INVALID_STATE
    assert bench.logged("esp_ota_begin failed (ESP_ERR_OTA_ROLLBACK_INVALID_STATE)")


def test_a_boot_slot_that_cannot_be_set():
    bench = Bench(Answer(NEW))

    async def main() -> None:
        handle = await bench.update()
        table = PartitionTable([row for row in bench.ops.table if row.label != "otadata"])
        partitions = Partitions(bench.chip, bench.config, table, bench.ops.flash, bench.log)
        bench.ops._otadata = OtaData(bench.chip.flash, partitions, bench.log)
        await handle.finish()

    assert bench.refused(main).err is EspErr.ESP_ERR_NOT_FOUND
    assert bench.logged("esp_ota_set_boot_partition failed! err=0x105")
    assert bench.events[-1] is Event.FINISH
    assert Event.UPDATE_BOOT_PARTITION not in bench.events
