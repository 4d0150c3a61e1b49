"""Network faults: what a download meets."""

from __future__ import annotations

import asyncio
import errno

import pytest

from py_esp_ota.adapters.memory import AsgiFetch, run_virtual
from py_esp_ota.errors import FetchError
from py_esp_ota.faults import FaultyFetch

DATA = bytes(range(256)) * 16  # 4096 bytes


async def server(scope, _receive, send):
    headers = [(b"content-length", str(len(DATA)).encode()), (b"etag", b"x")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": DATA})


def download(plan, *, times=1, limit=1000):
    """Download ``times`` times through ``plan``: bytes that came, or the error's kind and errno behind them."""

    async def once(fetch):
        got: list[object] = [b""]
        try:
            async with fetch("https://cloud.lab/", {}) as response:
                got.append(response.status)
                while part := await response.read(limit):
                    got[0] += part
        except FetchError as error:
            got.append((error.kind, error.errno))
        return tuple(got)

    async def story():
        fetch = FaultyFetch(AsgiFetch(server), plan)
        return [await once(fetch) for _ in range(times)]

    results = run_virtual(story())
    return results if times > 1 else results[0]


def flipped(*places):
    spoiled = bytearray(DATA)
    for place in places:
        spoiled[place] ^= 1
    return bytes(spoiled)


# ------------------------------------------------------------------------------------------------------- what happens


@pytest.mark.parametrize("limit", [1, 7, 1000, 1024, 1 << 20])
@pytest.mark.parametrize("place", [0, 1, 1000, 1024, 4095])
def test_drop_gives_the_bytes_before_it_and_then_a_lost_connection(place, limit):
    assert download(f"drop@{place}", limit=limit) == (DATA[:place], 200, ("closed", errno.ECONNRESET))


def test_a_drop_behind_the_last_byte_comes_after_all_of_them():
    assert download("drop@4096") == (DATA, 200, ("closed", errno.ECONNRESET))
    assert download("drop@4097") == (DATA, 200)


@pytest.mark.parametrize("limit", [1, 7, 1000, 1 << 20])
@pytest.mark.parametrize("place", [0, 999, 1000, 4095])
def test_flip_spoils_one_bit_of_one_byte_however_it_is_read(place, limit):
    assert download(f"flip@{place}", limit=limit) == (flipped(place), 200)


def test_a_flip_behind_the_end_does_nothing_and_the_same_twice_is_the_same():
    assert download("flip@4096") == (DATA, 200)
    assert download("flip@5+flip@5") == download("flip@5")


def test_status_answers_in_the_servers_place():
    reached = []

    async def counted(scope, receive, send):
        reached.append(scope["path"])
        await server(scope, receive, send)

    async def story():
        fetch = FaultyFetch(AsgiFetch(counted), "status@503")
        async with fetch("https://cloud.lab/", {}) as response:
            return response.status, response.headers, await response.read(10)

    assert run_virtual(story()) == (503, {"content-length": "0"}, b"")
    assert reached == []


def test_connect_finds_nobody():
    assert download("connect@111") == (b"", ("connect", 111))


def test_stall_waits_and_times_out_for_ever():
    async def story():
        loop = asyncio.get_running_loop()
        async with FaultyFetch(AsgiFetch(server), "stall@1500", timeout=5)("https://cloud.lab/", {}) as response:
            first = await response.read(1000)
            for _ in range(3):
                with pytest.raises(FetchError) as caught:
                    await response.read(1000)
            rest = await response.read(500)
            with pytest.raises(FetchError):
                await response.read(1)
        return first, caught.value.kind, rest, loop.time()

    assert run_virtual(story()) == (DATA[:1000], "timeout", DATA[1000:1500], 20.0)


def test_status_and_headers_pass_through():
    async def story():
        async with FaultyFetch(AsgiFetch(server), "flip@0")("https://cloud.lab/", {}) as response:
            return response.status, response.headers

    assert run_virtual(story()) == (200, {"content-length": "4096", "etag": "x"})


def test_url_and_headers_reach_the_network_and_an_empty_plan_is_a_good_network():
    seen = []

    def network(url, headers):
        seen.append((url, headers))
        return AsgiFetch(server)(url, headers)

    async def story():
        fetch = FaultyFetch(network, "drop@5*1")
        for _ in range(2):
            async with fetch("https://cloud.lab/x", {"Range": "bytes=0-"}):
                pass

    run_virtual(story())
    assert seen == [("https://cloud.lab/x", {"Range": "bytes=0-"})] * 2
    assert download("") == (DATA, 200)


def test_faults_compose():
    assert download("flip@3+drop@2000+flip@7") == (flipped(3, 7)[:2000], 200, ("closed", errno.ECONNRESET))
    assert download("drop@2000+drop@1000")[0] == DATA[:1000]
    assert download("stall@3000+drop@1000")[0] == DATA[:1000]


def test_only_the_first_requests_suffer_when_the_plan_says_so():
    lost, good = (DATA[:100], 200, ("closed", errno.ECONNRESET)), (DATA, 200)
    assert download("drop@100*2", times=4) == [lost, lost, good, good]
    assert download("drop@100", times=3) == [lost] * 3
    assert download("connect@104*1+status@404*2+flip@9", times=4) == [
        (b"", ("connect", 104)),
        (b"", 404),
        (flipped(9), 200),
        (flipped(9), 200),
    ]


def test_a_fault_of_the_flash_is_not_the_networks():
    with pytest.raises(ValueError, match="'cut@5' is a fault of the flash"):
        FaultyFetch(AsgiFetch(server), "drop@1+cut@5")


def test_a_fetch_tells_its_plan():
    assert str(FaultyFetch(AsgiFetch(server), "drop@5*2+flip@1").plan) == "drop@5*2+flip@1"
