"""``esp_https_ota`` in older releases of ESP-IDF: what changed, at the releases on both sides of the change."""

from __future__ import annotations

from collections.abc import Awaitable
from itertools import pairwise

import pytest
from board import table
from file_server import FileServer
from https_ota_bench import IN_PROGRESS, NEW, URL, Bench, wrap
from scripted_fetch import Answer

from py_esp_ota._core import EFuse
from py_esp_ota.adapters.memory import run_virtual
from py_esp_ota.errors import EspErr, FetchError, HttpsOtaError, OtaError
from py_esp_ota.firmware import Firmware
from py_esp_ota.idf.esp_http_client import features as http_client
from py_esp_ota.idf.esp_http_client.client import HttpClient
from py_esp_ota.idf.esp_http_client.config import HttpClientConfig
from py_esp_ota.idf.esp_http_client.url import redirection
from py_esp_ota.idf.esp_https_ota import https_ota
from py_esp_ota.idf.esp_https_ota.features import SINCE, https_ota_features
from py_esp_ota.idf.esp_https_ota.https_ota import Event, HttpsOta, HttpsOtaConfig, handle_response_code
from py_esp_ota.sdkconfig import Sdkconfig

FAIL = EspErr.ESP_FAIL
TABLE = table(
    ("factory", 0, 0x00, 0x10000, 0x10000),
    ("ota_0", 0, 0x10, 0x20000, 0x10000),
    ("storage", 1, 0x82, 0x30000, 0x10000),
)


def release(text: str) -> tuple[int, int, int]:
    major, minor, patch = (int(part) for part in text.split("."))
    return major, minor, patch


def old(answer: Answer, version: str, **options: object) -> Bench:
    return Bench(answer, options={"idf_version": release(version), **options})


async def whole(bench: Bench) -> HttpsOta:
    handle = await bench.update()
    await handle.finish()
    return handle


@pytest.mark.parametrize("version", ["4.3.0", "4.4.8", "5.0.0", "5.4.2", "5.5.0", "5.5.5", "6.0.2", "6.1.0", "6.2.0"])
def test_every_release_installs_a_good_image(version):
    bench = old(Answer(NEW), version)
    run_virtual(whole(bench))
    assert bench.next_boot == "ota_1"


@pytest.mark.parametrize(
    ("version", "status", "err"),
    [
        ("4.3.0", 403, FAIL),
        ("4.3.0", 404, FAIL),
        ("4.3.0", 500, FAIL),
        ("4.3.0", 400, EspErr.ESP_OK),  # its body is an image
        ("4.3.0", 503, EspErr.ESP_OK),
        ("4.4.0", 400, FAIL),
        ("4.4.0", 503, FAIL),
        ("5.4.2", 304, EspErr.ESP_OK),
        ("5.5.0", 304, EspErr.ESP_ERR_HTTP_NOT_MODIFIED),
        ("5.4.2", 416, FAIL),
        ("5.5.0", 416, EspErr.ESP_ERR_HTTP_RANGE_NOT_SATISFIABLE),
        ("4.3.1", 400, FAIL),
        ("4.3.1", 503, FAIL),
    ],
)
def test_statuses(version, status, err):
    assert handle_response_code(status, features=https_ota_features(release(version))).err is err


@pytest.mark.parametrize(
    ("version", "redirects"),
    [
        ("4.3.0", {301, 302, 307}),
        ("4.3.2", {301, 302, 307}),
        ("4.3.3", {301, 302, 303, 307, 308}),
        ("4.4.1", {301, 302, 307}),
        ("4.4.2", {301, 302, 303, 307, 308}),
        ("5.0.0", {301, 302, 303, 307, 308}),
    ],
)
def test_which_statuses_redirect(version, redirects):
    features = https_ota_features(release(version))
    assert {
        status for status in range(100, 600) if handle_response_code(status, features=features).redirect
    } == redirects


def test_no_authorization_is_tried_when_there_are_no_retries():
    bench = Bench(Answer(status=401))
    error = bench.refused(lambda: bench.begin(max_authorization_retries=-1))
    assert error.err is FAIL
    assert bench.logged("Reached max_authorization_retries (401)")


@pytest.mark.parametrize(
    ("version", "origin", "location", "target"),
    [
        ("5.5.4", "https://a/x", "/y", "https://a/y"),
        ("5.5.5", "https://a/x", "/y", EspErr.ESP_ERR_HTTP_REDIRECT_DOWNGRADE),
        ("6.0.0", "https://a/x", "/y", "https://a/y"),
        ("6.0.2", "https://a/x", "/y", "https://a/y"),
        ("6.1.0", "https://a/x", "/y", EspErr.ESP_ERR_HTTP_REDIRECT_DOWNGRADE),
        ("5.5.4", "https://a/x", "http://b/y", "http://b/y"),
        ("5.5.5", "http://a/x", "https://b/y", "https://b/y"),
        ("6.0.1", "http://a/x", "https://b/y", "https://b/y"),
        ("6.0.2", "http://a/x", "https://b/y", "http://b:443/y"),
        ("6.0.2", "https://a/x", "http://b/y", "https://b:80/y"),  # TLS to a server that knows none
        ("6.1.0", "http://a/x", "https://b/y", "http://b:443/y"),
    ],
)
def test_where_a_redirect_leads(version, origin, location, target):
    features = http_client.http_client_features(release(version))
    rules = {"refuses_downgrade": features.refuses_downgrade, "one_transport": features.one_transport}
    if isinstance(target, str):
        assert redirection(origin, location, **rules) == target
        return
    with pytest.raises(HttpsOtaError) as refused:
        redirection(origin, location, **rules)
    assert refused.value.err is target


# ---------------------------------------------------------------------------------------------------- the first bytes


@pytest.mark.parametrize(("version", "header"), [("5.0.6", 1024), ("5.0.0", 1024), ("4.4.8", 289)])
def test_how_much_is_read_first(version, header):
    short = old(Answer(NEW[: header - 1]), version)
    assert short.refused(short.update).err is FAIL
    enough = old(Answer(NEW[:header]), version)

    async def main() -> int:
        return (await enough.update()).get_image_len_read()

    twice = 1 if version == "5.0.6" else 2  # it was counted
    assert run_virtual(main()) == header * twice


@pytest.mark.parametrize(("version", "known"), [("5.0.0", True), ("4.4.8", False)])
def test_a_page_that_says_sorry(version, known):
    """Before v5.0 it has a name and a version, which the app then finds wrong."""
    bench = old(Answer(b"<html>Sorry, this page has moved.</html>" * 50), version)

    async def main() -> str:
        return (await (await bench.begin()).get_img_desc()).project_name

    if known:
        assert bench.refused(main).err is FAIL
        assert bench.logged("Incorrect app descriptor magic")
    else:
        assert "moved" in run_virtual(main())


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ("6.1.0", "boot_comm: mismatch chip ID, expected 5, found 9"),
        ("6.0.0", "esp_https_ota: Mismatch chip id, expected 5, found 9"),
        ("4.4.1", "esp_https_ota: Mismatch chip id, expected 5, found 9"),
        ("4.4.0", None),
        ("4.3.3", "esp_https_ota: Mismatch chip id, expected 5, found 9"),
        ("4.3.2", None),
    ],
)
def test_an_image_for_another_chip(version, line):
    bench = old(Answer(Firmware("lamp", "1.1", chip="esp32s3").to_bytes()), version)
    error = bench.refused(lambda: whole(bench))
    if line is None:  # it is written, and the verification finds out
        assert error.err is EspErr.ESP_ERR_OTA_VALIDATE_FAILED
    else:
        assert error.err is EspErr.ESP_ERR_INVALID_VERSION
        assert bench.logged(line)
        assert not bench.ops.partitions.read(bench.ops.table.find(label="ota_1"), 0, 16).strip(b"\xff")


@pytest.mark.parametrize(
    ("version", "err", "said"),
    [
        ("5.5.0", EspErr.ESP_ERR_INVALID_VERSION, "chip revision check failed."),
        ("5.4.2", EspErr.ESP_ERR_OTA_VALIDATE_FAILED, "Image requires chip rev >= v0.3, but chip is v0.2"),
    ],
)
def test_an_image_for_newer_silicon(version, err, said):
    bench = old(Answer(NEW), version)
    bench.chip.efuse = EFuse(chip_revision=2)
    assert bench.refused(lambda: whole(bench)).err is err
    assert bench.logged(said)


@pytest.mark.parametrize(
    ("version", "option", "err"),
    [("6.1.0", True, EspErr.ESP_ERR_OTA_SPI_MODE_MISMATCH), ("6.1.0", False, None), ("6.0.0", True, None)],
)
def test_another_spi_mode(version, option, err):
    image = Firmware("lamp", "1.1", spi_flash_mode=1).to_bytes()
    bench = old(Answer(image), version, esp_https_ota_verify_spi_mode=option)
    if err is None:
        run_virtual(whole(bench))
    else:
        assert bench.refused(lambda: whole(bench)).err is err


# ------------------------------------------------------------------------------------------------------------- events


@pytest.mark.parametrize(
    ("version", "first"),
    [
        ("5.0.0", []),
        ("5.0.1", [Event.START, Event.CONNECTED, Event.VERIFY_CHIP_ID, Event.WRITE_FLASH]),
        (
            "5.5.0",
            [Event.START, Event.CONNECTED, Event.VERIFY_CHIP_ID, Event.VERIFY_CHIP_REVISION, Event.WRITE_FLASH],
        ),
    ],
)
def test_events(version, first):
    bench = old(Answer(NEW), version)
    run_virtual(whole(bench))
    assert bench.events[: len(first)] == first
    assert bool(bench.events) is bool(first)


@pytest.mark.parametrize(
    ("version", "there"),
    [
        ("5.4.0", True),
        ("5.3.2", True),
        ("5.3.1", False),
        ("5.2.4", True),
        ("5.2.3", False),
        ("5.1.5", True),
        ("5.1.4", False),
        ("5.0.8", True),
        ("5.0.7", False),
    ],
)
def test_asking_for_the_status(version, there):
    bench = old(Answer(NEW), version)

    async def main() -> int:
        return (await bench.begin()).get_status_code()

    if there:
        assert run_virtual(main()) == 200
    else:
        assert bench.refused(main).err is EspErr.ESP_ERR_NOT_SUPPORTED


# -------------------------------------------------------------------------------------------------------------- texts


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ("5.4.0", "Writing to <ota_1> partition at offset 0x1d0000"),
        ("5.3.0", "Writing to partition subtype 17 at offset 0x1d0000"),
    ],
)
def test_where_it_writes(version, line):
    bench = old(Answer(NEW), version)
    run_virtual(wrap(bench.begin()))
    assert bench.logged(line)


@pytest.mark.parametrize(
    ("version", "line"), [("5.5.0", "Given staging partition or another"), ("5.4.0", "Passive OTA partition not found")]
)
def test_nowhere_to_write(version, line):
    bench = Bench(Answer(NEW), table="singleapp", options={"idf_version": release(version)})
    assert bench.refused(bench.begin).err is FAIL
    assert bench.logged(line)


@pytest.mark.parametrize(("version", "said"), [("5.0.0", True), ("4.4.8", True), ("4.3.2", True), ("4.3.1", False)])
def test_a_lost_connection(version, said):
    bench = old(Answer(NEW, breaks_at=9000), version)
    assert bench.refused(bench.update).err is FAIL
    assert bench.logged("E (0) esp_https_ota: data read -1, errno 104") is said
    assert bench.logged("Connection closed") is False


@pytest.mark.parametrize(("version", "again"), [("5.4.4", True), ("5.5.0", False)])
def test_a_second_look_at_the_descriptor(version, again):
    """Before v5.5 it takes the next 1024 bytes, and the image has lost its first."""
    bench = old(Answer(NEW), version)

    async def main() -> int:
        handle = await bench.begin()
        await handle.get_img_desc()
        with pytest.raises(HttpsOtaError):
            await handle.get_img_desc()
        read = handle._client.received
        if again:
            with pytest.raises(HttpsOtaError, match="ESP_ERR_INVALID_VERSION"):
                await handle.perform()
        else:
            await handle.perform()
        return read

    assert run_virtual(main()) == (2048 if again else 1024)


@pytest.mark.parametrize(
    ("version", "looks", "length"),
    [
        ("4.3.2", True, 289 * 2),
        ("4.3.3", True, 289),
        ("4.4.0", True, 289),
        ("4.4.0", False, 1024),
        ("4.4.1", False, 289 * 2),
    ],
)
def test_the_first_step_of_the_first_releases(version, looks, length):
    bench = old(Answer(NEW), version)

    async def main() -> int:
        handle = await bench.begin()
        if looks:
            await handle.get_img_desc()
        await handle.perform()
        return handle.get_image_len_read()

    assert run_virtual(main()) == length


@pytest.mark.parametrize(("version", "erased"), [("5.2.7", True), ("5.3.0", False)])
def test_what_a_bulk_erase_erases(version, erased):
    bench = old(Answer(NEW), version)
    slot = bench.ops.table.find(label="ota_1")
    bench.ops.partitions.write(slot, 0x10000, b"old")

    async def main() -> None:
        handle = await bench.begin(bulk=True)
        await handle.perform()

    run_virtual(main())
    assert (bench.ops.partitions.read(slot, 0x10000, 3) == b"\xff" * 3) is erased


@pytest.mark.parametrize(
    ("version", "told"),
    [("4.4.6", False), ("4.4.7", True), ("5.0.4", False), ("5.0.5", True), ("5.1.2", False), ("5.1.3", True)],
)
def test_a_boot_slot_that_cannot_be_chosen(version, told, monkeypatch):
    bench = old(Answer(NEW), version)

    def refuse(_partition: object) -> None:
        raise OtaError(EspErr.ESP_ERR_OTA_VALIDATE_FAILED, "no")

    monkeypatch.setattr(bench.ops, "set_boot_partition", refuse)
    if told:
        assert bench.refused(lambda: whole(bench)).err is EspErr.ESP_ERR_OTA_VALIDATE_FAILED
    else:
        run_virtual(whole(bench))
    assert bench.log.lines[-1] == "E (0) esp_https_ota: esp_ota_set_boot_partition failed! err=0x1503"


@pytest.mark.parametrize(
    ("version", "line"),
    [("4.3.0", "Server error occurred(500)"), ("4.3.1", "Server error (500)"), ("6.2.0", "Server error (500)")],
)
def test_a_server_error(version, line):
    bench = old(Answer(status=500), version)
    assert bench.refused(bench.begin).err is FAIL
    assert bench.log.lines[0] == f"E (0) esp_https_ota: {line}"


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ("4.3.3", None),
        ("4.3.4", "W (0) esp_https_ota: Continuing with insecure option because CONFIG_OTA_ALLOW_HTTP is set."),
        ("4.4.8", "W (0) esp_https_ota: Continuing with insecure option because CONFIG_OTA_ALLOW_HTTP is set."),
        (
            "5.0.0",
            "W (0) esp_https_ota: Continuing with insecure option because CONFIG_ESP_HTTPS_OTA_ALLOW_HTTP is set.",
        ),
    ],
)
def test_an_insecure_download(version, line):
    bench = old(Answer(NEW), version, esp_https_ota_allow_http=True)
    run_virtual(wrap(bench.begin(crt_bundle_attach=False, cert_pem=None)))
    assert bench.log.lines[:-2] == ([line] if line else [])


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ("4.3.3", "Server certificate not found in esp_http_client config"),
        ("4.3.4", "No option for server verification is enabled in esp_http_client config."),
    ],
)
def test_whom_the_first_releases_trust(version, line):
    bench = old(Answer(NEW), version)
    without = {"crt_bundle_attach": version == "4.3.3", "cert_pem": None}
    assert bench.refused(lambda: bench.begin(**without)).err is EspErr.ESP_ERR_INVALID_ARG
    assert bench.log.lines == [f"E (0) esp_https_ota: {line}"]


@pytest.mark.parametrize(("version", "said"), [("4.3.7", True), ("4.4.0", False)])
def test_the_end_of_a_download_was_once_told(version, said):
    bench = old(Answer(NEW), version)
    run_virtual(whole(bench))
    assert ("I (0) esp_https_ota: Connection closed" in bench.log.lines) is said


@pytest.mark.parametrize(("version", "before"), [("4.4.2", False), ("4.4.3", True), ("5.0.0", True)])
def test_when_the_client_is_shown_to_the_app(version, before):
    bench = Bench({}, options={"idf_version": release(version)})
    server = bench.fetch = FileServer({"/lamp.bin": NEW})
    config = HttpsOtaConfig(
        http_config=HttpClientConfig(url=URL),
        http_client_init_cb=lambda client: client.set_header("X-Device", "7"),
        partial_http_download=True,
    )
    run_virtual(wrap(https_ota.begin(config, ops=bench.ops, fetch=server)))
    assert ["X-Device" in request.headers for request in server.requests] == [before, True]


@pytest.mark.parametrize(
    ("version", "line"),
    [("4.4.0", "Failed to get image length"), ("4.4.1", "Received incorrect http status 405")],
)
def test_a_head_without_answer(version, line):
    bench = Bench({}, options={"idf_version": release(version)})
    server = bench.fetch = FileServer({"/lamp.bin": NEW}, head=405)
    config = HttpsOtaConfig(http_config=HttpClientConfig(url=URL), partial_http_download=True)
    assert bench.refused(lambda: https_ota.begin(config, ops=bench.ops, fetch=server)).err is FAIL
    assert bench.log.lines == [f"E (0) esp_https_ota: {line}"]


@pytest.mark.parametrize("version", ["5.5.0", "6.0.0"])
def test_a_head_without_length(version):
    """Before v6.0 nobody looked: the length is -1, and no range is asked for."""
    options = {"idf_version": release(version), "esp_https_ota_enable_partial_download": True}
    bench = Bench({}, options=options)
    server = bench.fetch = FileServer({"/lamp.bin": NEW}, chunked=True)
    config = HttpsOtaConfig(http_config=HttpClientConfig(url=URL), partial_http_download=True)

    def act() -> Awaitable[HttpsOta]:
        return https_ota.begin(config, ops=bench.ops, fetch=server)

    if version == "6.0.0":
        assert bench.refused(act).err is FAIL
        assert bench.log.lines == ["E (0) esp_https_ota: Failed to get image length from http response"]
        return
    handle = run_virtual(wrap(act()))
    assert handle.get_image_size() == -1
    assert server.asked == ["HEAD", "GET"]


@pytest.mark.parametrize(("version", "whole_header"), [("5.5.3", True), ("5.5.4", False), ("6.0.0", False)])
def test_data_that_is_no_image(version, whole_header):
    """Until v5.5.3 it had to be as long as an image's header."""
    bench = Bench({}, table=TABLE, options={"idf_version": release(version)})
    server = bench.fetch = FileServer({"/lamp.bin": b"x" * 1000})
    config = HttpsOtaConfig(http_config=HttpClientConfig(url=URL), staging=TABLE.find(label="storage"))

    def act() -> Awaitable[None]:
        return https_ota.https_ota(config, ops=bench.ops, fetch=server)

    if whole_header:
        assert bench.refused(act).err is FAIL
        assert bench.logged("Complete headers were not received")
        return
    run_virtual(wrap(act()))
    assert bench.ops.partitions.read(TABLE.find(label="storage"), 0, 1000) == b"x" * 1000


@pytest.mark.parametrize(
    ("version", "line"),
    [("5.5.2", "I (0) esp_https_ota: Valid OTA resumption case, offset 4096"), ("5.5.3", None), ("6.2.0", None)],
)
def test_that_it_resumes(version, line):
    bench = Bench({}, options={"idf_version": release(version)})
    server = bench.fetch = FileServer({"/lamp.bin": NEW})
    config = HttpsOtaConfig(http_config=HttpClientConfig(url=URL), ota_resumption=True, ota_image_bytes_written=4096)
    run_virtual(wrap(https_ota.begin(config, ops=bench.ops, fetch=server)))
    assert bench.log.lines[:-2] == ([line] if line else [])


@pytest.mark.parametrize(("version", "kept"), [("5.4.3", False), ("5.4.4", True), ("5.5.1", False), ("5.5.2", True)])
def test_which_releases_keep_the_connection_between_two_ranges(version, kept):
    bench = Bench({}, options={"idf_version": release(version)})
    server = bench.fetch = FileServer({"/lamp.bin": NEW})
    config = HttpsOtaConfig(
        http_config=HttpClientConfig(url=URL), partial_http_download=True, max_http_request_size=4096
    )

    async def main() -> int:
        handle = await https_ota.begin(config, ops=bench.ops, fetch=server)
        while await handle.perform() is IN_PROGRESS:
            pass
        return handle._client.connections

    assert run_virtual(main()) == (2 if kept else 5)


# ---------------------------------------------------------------------------------------------------------- long URLs


@pytest.mark.parametrize(
    ("length", "version", "err", "code"),
    [
        (900, "6.2.0", None, None),
        (980, "6.2.0", EspErr.ESP_ERR_HTTP_HEADER_TOO_LONG, None),
        (980, "6.1.0", FAIL, -0x7007),  # the request never leaves, so no answer comes
        (1100, "6.2.0", FAIL, None),  # not even the request line fits
        (1100, "4.4.8", FAIL, None),
    ],
)
def test_an_url_too_long_for_the_buffer(length, version, err, code):
    url = f"{URL}?{'x' * (length - len('/lamp.bin?'))}"
    bench = Bench({url: Answer(NEW)}, options={"idf_version": release(version)})
    if err is None:
        run_virtual(wrap(bench.begin(url)))
        return
    error = bench.refused(lambda: bench.begin(url))
    assert error.err is err
    assert error.fact.get("code") == code
    assert bench.fetch.requests == []
    assert bench.logged("Failed to open HTTP connection") is (code is None)
    run_virtual(wrap(bench.begin(url, buffer_size_tx=2048)))


# --------------------------------------------------------------------------------------------------------- one client


def test_the_host_header_after_a_redirect():
    """Another host is named without its port; another port keeps the old name, port and all."""
    urls = ["https://a:8443/x", "https://a:9443/x", "https://b:8443/x", "https://b:9443/x", "https://b/x"]
    server = FileServer({"/x": NEW}, redirects=dict(pairwise(urls)))

    async def main() -> HttpClient:
        client = HttpClient(HttpClientConfig(url=urls[0]), server)
        await client.open()
        for _ in urls[1:]:
            await client.set_redirection()
            await client.pass_over()
            await client.open()
        await client.close()
        return client

    client = run_virtual(main())
    assert [request.headers.get("Host") for request in server.requests] == [None, "a:8443", "b", "b", "b"]
    assert client.connections == len(urls)
    assert client.status == 200


@pytest.mark.parametrize(("version", "last"), [("6.2.0", None), ("6.1.0", "Bearer 1")])
def test_what_an_app_adds_stays_but_for_the_permission(version, last):
    """Another host has no business with the first one's, and older releases tell it nevertheless."""
    server = FileServer({"/x": NEW}, redirects={"https://a/x": "https://a/z", "https://a/z": "https://b/x"})

    async def main() -> None:
        build = Sdkconfig(idf_version=release(version))
        client = HttpClient(HttpClientConfig(url="https://a/x"), server, build)
        client.set_header("Authorization", "Bearer 1")
        client.set_header("X-Device", "7")
        await client.open()
        for _ in range(2):
            await client.set_redirection()
            await client.pass_over()
            await client.open()
        await client.close()

    run_virtual(main())
    assert [request.headers.get("Authorization") for request in server.requests] == ["Bearer 1", "Bearer 1", last]
    assert [request.headers["X-Device"] for request in server.requests] == ["7"] * 3


def test_a_redirect_on_one_server_keeps_the_connection():
    server = FileServer({"/y": NEW}, redirects={"https://a/x": "https://a/y"})

    async def main() -> int:
        client = HttpClient(HttpClientConfig(url="https://a/x"), server)
        await client.open()
        await client.set_redirection()
        await client.pass_over()
        await client.open()
        return client.connections

    assert run_virtual(main()) == 1


def test_a_stall_loses_nothing():
    bench = Bench(Answer(NEW, stalls_at=9000, error=FetchError("timeout")))

    async def main() -> list[EspErr]:
        handle = await bench.begin()
        for _ in range(8):
            await handle.perform()
        steps = [await handle.perform() for _ in range(3)]
        await handle.abort()
        return steps

    assert set(run_virtual(main())) == {IN_PROGRESS}


def test_the_table_of_features_is_in_order():
    for releases in (*SINCE.values(), *http_client.SINCE.values()):
        assert list(releases) == sorted(releases)
        assert len({first[:2] for first in releases}) == len(releases)
