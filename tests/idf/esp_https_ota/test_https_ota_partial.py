"""``esp_https_ota``, partial download: the length first, then one range after the other."""

from __future__ import annotations

import pytest
from file_server import FileServer
from https_ota_bench import IN_PROGRESS, NEW, URL, Bench

from py_esp_ota.adapters.memory import run_virtual
from py_esp_ota.errors import EspErr, FetchError, HttpsOtaError
from py_esp_ota.firmware import Firmware
from py_esp_ota.idf.esp_https_ota import https_ota
from py_esp_ota.idf.esp_https_ota.https_ota import HttpClientConfig, HttpsOta, HttpsOtaConfig, State
from py_esp_ota.idf.esp_https_ota.partial import first_range, next_range, restart_range

SIZE = len(NEW)
QUARTER = SIZE // 4


class Partial(Bench):
    """A bench whose app downloads in ranges."""

    def __init__(self, image: bytes = NEW, **options: object) -> None:
        super().__init__({}, options={"esp_https_ota_enable_partial_download": True, **options})
        self.fetch = FileServer({"/lamp.bin": image})
        self.ops.log._debug = True

    async def start(self, size: int = QUARTER, **config: object) -> HttpsOta:
        made = HttpsOtaConfig(
            http_config=HttpClientConfig(url=URL),
            partial_http_download=True,
            max_http_request_size=size,
            **config,
        )
        return await https_ota.begin(made, ops=self.ops, fetch=self.fetch, on_event=self.on_event)

    async def whole(self, handle: HttpsOta) -> None:
        while await handle.perform() is IN_PROGRESS:
            pass
        await handle.finish()

    def slot(self, length: int = SIZE) -> bytes:
        return self.ops.partitions.read(self.ops.table.find(label="ota_1"), 0, length)


@pytest.mark.parametrize(
    ("start", "length", "size", "asked"),
    [
        (0, 100, 40, "bytes=0-39"),
        (0, 100, 99, "bytes=0-98"),
        (0, 100, 100, None),  # all of it: no Range at all
        (0, 100, 101, None),
        (20, 100, 40, "bytes=20-59"),
        (20, 100, 79, "bytes=20-98"),
        (20, 100, 80, "bytes=20-100"),  # one past the last byte
        (99, 100, 40, "bytes=99-100"),
        (100, 100, 40, "bytes=100-100"),
        (120, 100, 40, "bytes=120-100"),
    ],
)
def test_the_first_range(start, length, size, asked):
    assert first_range(start, length, size) == asked


@pytest.mark.parametrize(
    ("position", "length", "size", "header", "asked"),
    [
        (40, 100, 40, 0, "bytes=40-79"),
        (60, 100, 40, 0, "bytes=60-"),
        (59, 100, 40, 0, "bytes=59-98"),
        (99, 100, 40, 0, "bytes=99-"),
        (40, 100, 40, 512, "bytes=552-591"),
    ],
)
def test_the_next_range(position, length, size, header, asked):
    assert next_range(position, length, size, header) == asked


def test_the_range_of_a_restart():
    assert restart_range(100, 40) == "bytes=0-39"
    assert restart_range(40, 40) is None


@pytest.mark.parametrize("keep_alive", [True, False])
@pytest.mark.parametrize("version", [(6, 2, 0), (6, 0, 0), (5, 5, 0), (4, 4, 8)])
def test_a_whole_update_in_four_ranges(version, keep_alive):
    bench = Partial(idf_version=version)
    bench.fetch.keep_alive = keep_alive

    async def main() -> int:
        handle = await bench.start()
        assert (await handle.get_img_desc()).version == "1.1"
        assert handle.get_image_size() == SIZE
        while await handle.perform() is IN_PROGRESS:
            assert handle.is_complete_data_received() is (handle.get_image_len_read() == SIZE)
        await handle.finish()
        return handle._client.connections

    connections = run_virtual(main())
    ranges = ["0-4095", "4096-8191", "8192-12287", "12288-"]
    assert QUARTER == 4096
    assert bench.fetch.asked == ["HEAD", *[f"GET bytes={part}" for part in ranges]]
    assert bench.slot() == NEW
    assert bench.next_boot == "ota_1"
    # The connection of the HEAD is closed in any case.
    assert connections == (2 if keep_alive and version >= (6, 0, 0) else 5)


@pytest.mark.parametrize(
    ("version", "header"),
    [((4, 4, 8), 289), ((5, 0, 5), 1024), ((5, 0, 6), 0), ((5, 1, 2), 1024), ((5, 1, 3), 0), ((5, 2, 0), 0)],
)
def test_a_header_that_no_app_has_looked_at_once_counted_twice(version, header):
    """The second range begins that much too far on, and the image has a hole."""
    bench = Partial(idf_version=version)

    async def main() -> None:
        await bench.whole(await bench.start())

    if header:
        assert bench.refused(main).err is EspErr.ESP_ERR_OTA_VALIDATE_FAILED
    else:
        run_virtual(main())
    assert bench.fetch.asked[1:3] == [f"GET bytes=0-{QUARTER - 1}", f"GET bytes={4096 + header}-{8191 + header}"]


@pytest.mark.parametrize("size", [1, 288, 1023, 1024, 1025, 4096, SIZE - 1, SIZE, SIZE + 1, 0])
def test_ranges_of_any_size(size):
    """Below 1024 bytes not even the header comes in one response, and none of the releases asks for the next one."""
    bench = Partial()

    async def main() -> None:
        await bench.whole(await bench.start(size))

    if 0 < size < 1024:
        assert bench.refused(main).err is EspErr.ESP_FAIL
        assert bench.logged("Complete headers were not received")
        return
    run_virtual(main())
    assert bench.slot() == NEW
    assert bench.next_boot == "ota_1"
    assert len(bench.fetch.requests) == 1 + (-(-SIZE // size) if size else 1)


@pytest.mark.parametrize("length", [0x4000, 0x4010, 0x43F0, 0x10010])
def test_images_of_any_length(length):
    image = Firmware("lamp", "1.1", size=length).to_bytes()
    bench = Partial(image)

    async def main() -> None:
        await bench.whole(await bench.start(0x1000))

    run_virtual(main())
    assert bench.slot(len(image)) == image
    assert bench.next_boot == "ota_1"


# ----------------------------------------------------------------------------------------------------------- its length


def no_head(status: int = 405) -> Partial:
    bench = Partial()
    bench.fetch.head = status
    return bench


def test_without_head_a_byte_tells_the_length():
    bench = no_head()

    async def main() -> None:
        await bench.whole(await bench.start())

    run_virtual(main())
    assert bench.fetch.asked[:3] == ["HEAD", "GET bytes=0-0", f"GET bytes=0-{QUARTER - 1}"]
    assert bench.next_boot == "ota_1"


def test_the_question_for_a_byte_is_no_range_of_the_download():
    bench = no_head()

    async def main() -> None:
        await bench.whole(await bench.start(0))

    run_virtual(main())
    assert bench.fetch.asked == ["HEAD", "GET bytes=0-0", "GET"]


def test_a_head_that_moves_on_one_server_keeps_the_connection():
    bench = Partial()
    bench.fetch.redirects = {URL: "https://cloud/other.bin"}
    bench.fetch.files["/other.bin"] = NEW

    async def main() -> int:
        return (await bench.start())._client.connections

    assert run_virtual(main()) == 2  # one for both HEADs, one for the ranges


def test_without_head_and_ranges_the_whole_file_tells_the_length_and_is_read():
    bench = no_head()
    bench.fetch.ranges = False
    read = []
    bench.fetch.spoil = lambda _request, reply: read.append(reply)

    async def main() -> int:
        return (await bench.start()).get_image_size()

    assert run_virtual(main()) == SIZE
    assert read[1].at == SIZE


_NO_TOTAL = "Failed to extract total size from Content-Range"


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("bytes 0-0/*", "Content-Range header has unknown total size (bytes A-B/*)"),
        ("bytes 0-0", "Invalid Content-Range format (missing '/')"),
        ("bytes 0-0/many", _NO_TOTAL),
        ("bytes 0-0/16384 or so", _NO_TOTAL),
        ("bytes 0-0/0", _NO_TOTAL),
        ("bytes 0-0/-5", _NO_TOTAL),
    ],
)
def test_a_length_that_is_not_said(said, line):
    bench = no_head()

    def spoil(_request: object, reply: object) -> None:
        if reply.status == 206:
            reply.headers["content-range"] = said

    bench.fetch.spoil = spoil
    assert bench.refused(bench.start).err is EspErr.ESP_FAIL
    assert bench.logged(f"E (0) HTTP_CLIENT: {line}")
    assert bench.logged("Failed to get image length from http response")
    assert bench.fetch.open == 0


def test_a_range_that_nothing_is_said_of_has_no_length_which_is_zero():
    """Nobody sets the length then, nor looks for it: the file is downloaded as a whole, and the boot slot stays."""
    bench = no_head()

    def spoil(_request: object, reply: object) -> None:
        reply.headers.pop("content-range", None)

    bench.fetch.spoil = spoil
    config = HttpsOtaConfig(http_config=HttpClientConfig(url=URL), partial_http_download=True)
    run_virtual(https_ota.https_ota(config, ops=bench.ops, fetch=bench.fetch, on_event=bench.on_event))
    assert bench.fetch.asked == ["HEAD", "GET bytes=0-0", "GET"]
    assert bench.slot() == NEW
    assert bench.next_boot == "ota_0"


@pytest.mark.parametrize("said", ["bytes 0-0/ 16384", "0-0/16384", "octets/16384"])
def test_a_length_that_is_said_somehow(said):
    bench = no_head()

    def spoil(_request: object, reply: object) -> None:
        if reply.status == 206:
            reply.headers["content-range"] = said

    bench.fetch.spoil = spoil

    async def main() -> int:
        return (await bench.start()).get_image_size()

    assert run_virtual(main()) == 16384


def test_a_chunked_head_has_no_length():
    bench = Partial()
    bench.fetch.chunked = True
    assert bench.refused(bench.start).err is EspErr.ESP_FAIL
    assert bench.logged("Failed to get image length from http response")


def says(status: int, method: str = "", **options: object) -> Partial:
    """A server that gives one status to all requests, or to those with one method."""
    bench = Partial(**options)
    bench.fetch.head = 405

    def spoil(request: object, reply: object) -> None:
        if method in {"", request.method}:
            reply.status = status

    bench.fetch.spoil = spoil
    return bench


@pytest.mark.parametrize(
    ("status", "err", "line"),
    [
        (304, EspErr.ESP_ERR_HTTP_NOT_MODIFIED, "I (0) esp_https_ota: OTA image not modified since last request"),
        (403, EspErr.ESP_FAIL, "E (0) esp_https_ota: File not found(403)"),
        (404, EspErr.ESP_FAIL, "E (0) esp_https_ota: File not found(404)"),
        (416, EspErr.ESP_ERR_HTTP_RANGE_NOT_SATISFIABLE, "I (0) esp_https_ota: Requested range is incorrect"),
        (418, EspErr.ESP_FAIL, "E (0) esp_https_ota: Client error (418)"),
        (500, EspErr.ESP_FAIL, "E (0) esp_https_ota: Server error (500)"),
        (503, EspErr.ESP_FAIL, "E (0) esp_https_ota: Server error (503)"),
        (204, EspErr.ESP_FAIL, "E (0) esp_https_ota: Received incorrect http status 204"),
        (300, EspErr.ESP_FAIL, "E (0) esp_https_ota: Received incorrect http status 300"),
    ],
)
def test_the_get_of_one_byte_has_the_statuses_of_any_request(status, err, line):
    bench = says(status, "GET")
    assert bench.refused(bench.start).err is err
    assert bench.fetch.asked == ["HEAD", "GET bytes=0-0"]
    assert bench.log.lines[-2:][0].startswith("D (0) esp_https_ota: HEAD request returned status 405")
    assert bench.log.lines[-1].startswith(line)


@pytest.mark.parametrize("status", [304, 403, 404, 416, 500, 503])
def test_before_june_2026_it_had_one_answer_to_all_of_them(status):
    bench = says(status, "GET", idf_version=(6, 1, 0))
    assert bench.refused(bench.start).err is EspErr.ESP_FAIL
    assert bench.log.lines == [f"E (0) esp_https_ota: Received incorrect http status {status}"]


@pytest.mark.parametrize(
    ("version", "method", "asked"),
    [
        ((6, 2, 0), "", ["HEAD"]),
        ((6, 2, 0), "GET", ["HEAD", "GET bytes=0-0"]),
        ((6, 1, 0), "GET", ["HEAD", "GET bytes=0-0"]),
        ((5, 5, 0), "", ["HEAD"]),
    ],
)
def test_a_401_ends_the_search_for_the_length(version, method, asked):
    """``esp_http_client_perform`` asks ``add_auth``, which has no answer."""
    bench = says(401, method, idf_version=version)
    assert bench.refused(bench.start).err is EspErr.ESP_ERR_NOT_SUPPORTED
    assert bench.fetch.asked == asked
    assert bench.log.lines[-3:] == [
        "W (0) HTTP_CLIENT: This request requires authentication, but does not provide header information for that",
        "E (0) HTTP_CLIENT: Error response",
        "E (0) esp_https_ota: ESP HTTP client perform failed: 262",
    ]


def test_before_v5_5_a_401_was_a_status_like_others():
    bench = says(401, idf_version=(5, 4, 0))
    assert bench.refused(bench.start).err is EspErr.ESP_FAIL
    assert bench.log.lines[-1] == "E (0) esp_https_ota: Received incorrect http status 401"


def test_before_v6_there_is_no_second_way():
    bench = Partial(idf_version=(5, 5, 5))
    bench.fetch.head = 405
    assert bench.refused(bench.start).err is EspErr.ESP_FAIL
    assert bench.fetch.asked == ["HEAD"]
    assert bench.logged("Received incorrect http status 405")


@pytest.mark.parametrize(("version", "modified"), [((6, 2, 0), False), ((6, 1, 0), True)])
def test_a_head_that_says_not_modified(version, modified):
    bench = Partial(idf_version=version)
    bench.fetch.head = 304
    if modified:  # the next question gets an answer
        run_virtual(bench.start())
    else:
        assert bench.refused(bench.start).err is EspErr.ESP_ERR_HTTP_NOT_MODIFIED
        assert bench.fetch.asked == ["HEAD"]
        assert bench.log.lines == []


@pytest.mark.parametrize("version", [(6, 2, 0), (6, 0, 0)])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_byte_that_does_not_come_ends_it(version, chunked):
    bench = Partial(idf_version=version)
    bench.fetch.head = 405
    bench.fetch.ranges = False
    bench.fetch.chunked = chunked
    bench.fetch.breaks = [5000]
    assert bench.refused(bench.start).err is EspErr.ESP_ERR_HTTP_INCOMPLETE_DATA
    said = "Incomplete chunked data received -2" if chunked else f"Incomlete data received, ret=-2, 5000/{SIZE} bytes"
    assert bench.logged(f"E (0) HTTP_CLIENT: {said}")
    assert bench.logged("ESP HTTP client perform failed: 28684")


@pytest.mark.parametrize("status", [200, 206, 500])
def test_a_byte_that_nothing_ends_but_the_connection_is_incomplete(status):
    """``perform`` does not ask the parser then; ``esp_http_client_read`` does."""
    bench = says(status, "GET")
    spoil = bench.fetch.spoil

    def endless(request: object, reply: object) -> None:
        spoil(request, reply)
        if request.method == "GET":
            del reply.headers["content-length"]

    bench.fetch.spoil = endless
    assert bench.refused(bench.start).err is EspErr.ESP_ERR_HTTP_INCOMPLETE_DATA
    assert bench.logged("E (0) HTTP_CLIENT: Incomplete chunked data received -1")


@pytest.mark.parametrize(
    ("version", "err"),
    [
        ((6, 2, 0), EspErr.ESP_ERR_HTTP_REDIRECT_DOWNGRADE),
        ((5, 5, 5), EspErr.ESP_ERR_HTTP_REDIRECT_DOWNGRADE),
        ((5, 0, 1), EspErr.ESP_ERR_HTTP_MAX_REDIRECT),  # the same URL is asked again
    ],
)
def test_a_head_that_is_led_out_of_tls(version, err):
    bench = Partial(idf_version=version)
    bench.fetch.redirects = {URL: "http://two/lamp.bin" if version >= (5, 5, 5) else "nowhere"}
    assert bench.refused(bench.start).err is err
    assert bench.logged("E (0) HTTP_CLIENT: Error response")


def test_a_head_that_is_led_nowhere():
    """Only since v6.1, and v5.5.5 in its line, ``perform`` says what is wrong with the redirect."""
    for version, err in (((6, 0, 2), EspErr.ESP_FAIL), ((5, 0, 2), EspErr.ESP_FAIL)):
        bench = Partial(idf_version=version)
        bench.fetch.redirects = {URL: "nowhere"}
        assert bench.refused(bench.start).err is err


def test_a_head_that_is_redirected_comes_back_on_a_new_connection_where_the_server_closes():
    bench = Partial()
    bench.fetch.keep_alive = False
    bench.fetch.redirects = {URL: "https://cloud:443/lamp.bin"}

    async def main() -> None:
        await bench.whole(await bench.start())

    run_virtual(main())
    assert bench.next_boot == "ota_1"


def test_the_head_follows_redirects_and_the_ranges_go_where_it_ended():
    bench = Partial()
    bench.fetch.redirects = {URL: "https://two/", "https://two/": "https://three/lamp.bin"}

    async def main() -> None:
        await bench.whole(await bench.start())

    run_virtual(main())
    assert [request.url for request in bench.fetch.requests] == [URL, "https://two/"] + ["https://three/lamp.bin"] * 5
    assert bench.next_boot == "ota_1"


def chain(length: int) -> Partial:
    bench = Partial()
    bench.fetch.redirects = {f"https://h{k}/lamp.bin": f"https://h{k + 1}/lamp.bin" for k in range(1, length)}
    bench.fetch.redirects[URL] = "https://h1/lamp.bin"
    return bench


def test_the_head_takes_ten_redirects():
    bench = chain(10)
    run_virtual(bench.start())
    assert [request.method for request in bench.fetch.requests].count("HEAD") == 11

    bench = chain(11)
    assert bench.refused(bench.start).err is EspErr.ESP_ERR_HTTP_MAX_REDIRECT
    assert bench.logged("ESP HTTP client perform failed: 28673")
    assert bench.fetch.open == 0


@pytest.mark.parametrize(
    ("fails", "err"),
    [
        (FetchError("connect", "refused", 111), EspErr.ESP_ERR_HTTP_CONNECT),
        (FetchError("timeout"), EspErr.ESP_ERR_HTTP_EAGAIN),
        (FetchError("closed", "", 104), EspErr.ESP_ERR_HTTP_FETCH_HEADER),
    ],
)
def test_a_head_that_fails(fails, err):
    bench = Partial()

    def spoil(_request: object, _reply: object) -> None:
        raise fails

    bench.fetch.spoil = spoil
    assert bench.refused(bench.start).err is err
    assert bench.logged(f"ESP HTTP client perform failed: {int(err)}")


# ----------------------------------------------------------------------------------------------------------- its ranges


@pytest.mark.parametrize(
    ("version", "follows"), [((6, 2, 0), False), ((6, 0, 0), False), ((5, 5, 5), True), ((5, 4, 0), True)]
)
@pytest.mark.parametrize("keep_alive", [True, False])
def test_a_range_that_is_redirected_to_another_host(version, follows, keep_alive):
    """Since v6.0 a kept connection is not made again, although the redirect has closed it."""
    bench = Partial(idf_version=version)
    bench.fetch.keep_alive = keep_alive
    bench.ops.log._debug = False

    async def main() -> None:
        handle = await bench.start()
        bench.fetch.redirects = {URL: "https://other/lamp.bin"}
        await bench.whole(handle)

    if follows or not keep_alive:
        run_virtual(main())
        assert bench.slot() == NEW
        return
    assert bench.refused(main).err is EspErr.ESP_FAIL
    assert bench.log.lines[-3:] == [
        "E (0) HTTP_CLIENT: Error write request",
        "E (0) esp_https_ota: Failed to open HTTP connection: ESP_ERR_HTTP_WRITE_DATA",
        "E (0) esp_https_ota: Failed to establish HTTP connection",
    ]


def test_a_server_that_ignores_ranges_and_sends_everything_is_as_good():
    bench = Partial()
    bench.fetch.ranges = False

    async def main() -> None:
        await bench.whole(await bench.start())

    run_virtual(main())
    assert bench.fetch.asked == ["HEAD", f"GET bytes=0-{QUARTER - 1}"]
    assert bench.next_boot == "ota_1"


def test_more_than_the_image_is_no_failure_and_no_success():
    """The second range is answered with the whole file: it is appended, and the boot slot stays."""
    bench = Partial()

    async def main() -> HttpsOta:
        handle = await bench.start(SIZE // 2)
        while (step := await handle.perform()) is IN_PROGRESS:
            bench.fetch.ranges = False
        assert step is EspErr.ESP_OK
        assert handle.state is State.IN_PROGRESS
        assert handle.get_image_len_read() == SIZE // 2 + SIZE
        assert not handle.is_complete_data_received()
        with pytest.raises(HttpsOtaError):
            await handle.finish()
        return handle

    run_virtual(main())
    assert bench.next_boot == "ota_0"


def test_trailing_bytes_beyond_the_length_of_the_head_do_not_switch_the_slot_either():
    bench = Partial(NEW)
    bench.fetch.spoil = lambda request, reply: (
        reply.headers.update({"content-length": str(SIZE - 16)}) if request.method == "HEAD" else None
    )

    async def main() -> None:
        handle = await bench.start(0x1000)
        while await handle.perform() is IN_PROGRESS:
            pass
        assert handle.state is State.IN_PROGRESS
        await handle.finish()  # the image is good, and all the same

    run_virtual(main())
    assert bench.next_boot == "ota_0"


@pytest.mark.parametrize("status", [404, 416, 500, 304])
def test_an_error_on_a_later_range(status):
    bench = Partial()

    def spoil(request: object, reply: object) -> None:
        if request.range.startswith(f"bytes={2 * QUARTER}"):
            reply.status = status

    bench.fetch.spoil = spoil

    async def main() -> None:
        await bench.whole(await bench.start())

    assert bench.refused(main).err is EspErr.ESP_FAIL
    assert bench.logged("Failed to establish HTTP connection")
    assert bench.next_boot == "ota_0"


def test_a_range_that_breaks_off():
    bench = Partial()
    bench.fetch.breaks = [None, 2000]

    async def main() -> None:
        await bench.whole(await bench.start())

    assert bench.refused(main).err is EspErr.ESP_FAIL
    assert bench.logged("data read -1, errno 104")


# ----------------------------------------------------------------------------------------------------------- resumption


@pytest.mark.parametrize("written", [0, 1023, 1024, 5120, QUARTER, 3 * QUARTER, SIZE - 1024])
def test_a_partial_download_resumes(written):
    bench = Partial()

    async def main() -> None:
        handle = await bench.start()
        while handle.get_image_len_read() < written:
            await handle.perform()
        await handle.abort()
        bench.fetch.requests.clear()
        handle = await bench.start(ota_resumption=True, ota_image_bytes_written=written)
        assert handle.get_image_size() == SIZE
        await bench.whole(handle)

    run_virtual(main())
    offset = written if written >= 1024 else 0
    end = offset + QUARTER - 1 if QUARTER + offset < SIZE else SIZE
    assert bench.fetch.asked[:2] == ["HEAD", f"GET bytes={offset}-{end}"]
    assert bench.slot() == NEW
    assert bench.next_boot == "ota_1"


def test_a_range_beyond_the_file_starts_over():
    bench = Partial()

    async def main() -> None:
        await bench.whole(await bench.start(ota_resumption=True, ota_image_bytes_written=2 * SIZE))

    run_virtual(main())
    assert bench.fetch.asked[1:3] == [f"GET bytes={2 * SIZE}-{SIZE}", f"GET bytes=0-{QUARTER - 1}"]
    assert bench.logged("Falling back to OTA without resumption and restarting download from beginning")
    assert bench.next_boot == "ota_1"


def test_200_to_the_first_range_is_no_reason_to_start_over():
    """Only a single request is held to 206; here the whole file is appended where the download stopped."""
    bench = Partial()
    bench.fetch.ranges = False

    async def main() -> HttpsOta:
        handle = await bench.start(ota_resumption=True, ota_image_bytes_written=4096)
        assert handle.state is State.RESUME
        while await handle.perform() is IN_PROGRESS:
            pass
        return handle

    handle = run_virtual(main())
    assert handle.state is State.IN_PROGRESS
    assert handle.get_image_len_read() == 4096 + SIZE


# ---------------------------------------------------------------------------------------------------------------- build


@pytest.mark.parametrize(("version", "option", "there"), [
    ((6, 2, 0), False, False),
    ((6, 0, 0), False, False),
    ((6, 0, 0), True, True),
    ((5, 5, 0), False, True),
    ((4, 4, 0), False, True),
])  # fmt: skip
def test_since_v6_it_is_an_option(version, option, there):
    bench = Partial(idf_version=version, esp_https_ota_enable_partial_download=option)
    if there:
        run_virtual(bench.start())
        return
    error = bench.refused(bench.start)
    assert error.err is EspErr.ESP_ERR_NOT_SUPPORTED
    assert "ESP_HTTPS_OTA_ENABLE_PARTIAL_DOWNLOAD" in str(error)
