"""Device, agent and cloud: a download that breaks off goes on with a range of the cloud's own file route."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from board import Board, slots

from py_esp_ota.errors import EspErr, HttpsOtaError
from py_esp_ota.faults import FaultyFetch
from py_esp_ota.firmware import Firmware
from py_esp_ota.idf.esp_https_ota.https_ota import HttpClientConfig, HttpsOtaConfig, begin
from py_esp_ota.lab import Lab
from py_esp_ota.ports import METHOD, Fetch, Response
from py_esp_ota.sdkconfig import Sdkconfig

OLD = Firmware("lamp", "1.0").to_bytes()
NEW = Firmware("lamp", "1.1").to_bytes()


class Watched:
    """A door that writes down what goes through: method, range, status."""

    def __init__(self, fetch: Fetch, seen: list[tuple[str, str, int]]) -> None:
        self._fetch = fetch
        self._seen = seen

    @asynccontextmanager
    async def __call__(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Response]:
        async with self._fetch(url, headers) as response:
            self._seen.append((headers.get(METHOD, "GET"), headers.get("Range", ""), response.status))
            yield response


@pytest.mark.parametrize("at", [1024, 5000, 9000, len(NEW) - 1])
def test_a_dropped_download_goes_on_with_what_is_left(at):
    totals: list[int] = []

    def on_download(_done: int, total: int) -> None:
        if totals[-1:] != [total]:
            totals.append(total)

    with Lab() as lab:
        lamp = lab.device(firmware=OLD, node_id="lamp", on_download=on_download)
        lamp.power_on()
        lab.faults(lamp, f"drop@{at}*1")
        reports = lab.run(lab.update(NEW, name="resumed"))["lamp"]
    assert "Starting OTA Upgrade (HTTPS attempt 2/3)" in [report["additional_info"] for report in reports]
    assert reports[-1]["status"] == "success"
    assert lamp.running.version == "1.1"
    assert totals == [len(NEW), len(NEW) - at // 1024 * 1024]  # the second one is a 206


@pytest.mark.parametrize("partial", [False, True])
def test_the_cloud_answers_ranges_and_head(partial):
    """The handle against the file route itself, over a line that breaks once."""
    seen: list[tuple[str, str, int]] = []

    async def story(lab: Lab) -> bytes:
        url = lab.service.images.url(await lab.upload(NEW, name="image"))
        board = Board(slots(2), "1/VALID", config=Sdkconfig(esp_https_ota_enable_partial_download=partial))
        ops = board.ops("ota_0")
        fetch = FaultyFetch(Watched(lab.world.fetch, seen), "drop@3000*2" if partial else "drop@3000*1")
        written = 0
        for _ in range(2):
            config = HttpsOtaConfig(
                http_config=HttpClientConfig(url=url),
                partial_http_download=partial,
                max_http_request_size=4096,
                ota_resumption=True,
                ota_image_bytes_written=written,
            )
            handle = await begin(config, ops=ops, fetch=fetch)
            try:
                while await handle.perform() is EspErr.ESP_ERR_HTTPS_OTA_IN_PROGRESS:
                    pass
                await handle.finish()
            except HttpsOtaError:
                written = handle.get_image_len_read()
                await handle.abort()
        return ops.partitions.read(board["ota_1"], 0, len(NEW))

    with Lab() as lab:
        assert lab.run(story(lab)) == NEW
    if partial:
        assert seen[0] == ("HEAD", "", 200)
        assert seen[1] == ("GET", "bytes=0-4095", 206)
        assert seen[2:4] == [("HEAD", "", 200), ("GET", "bytes=3000-7095", 206)]
    else:
        assert seen == [("GET", "bytes=0-", 206), ("GET", "bytes=3000-", 206)]
