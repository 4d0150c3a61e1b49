"""An image of any size near an edge over a bad network: what is installed is the source, or there is an error."""

from __future__ import annotations

import pytest
from https_ota_bench import IN_PROGRESS, Answer, Bench

from py_esp_ota.adapters.memory import run_virtual
from py_esp_ota.errors import HttpsOtaError
from py_esp_ota.faults import FaultyFetch
from py_esp_ota.firmware import Firmware

BUFFER, SECTOR = 1024, 4096
NEAR = (-SECTOR, -16, -1, 0, 1, 16, SECTOR)
#: Multiples of 16 are images; what is between is an image with something behind it.
SIZES = sorted({edge + near for edge in (2 * SECTOR, 3 * SECTOR, 2 * SECTOR + BUFFER) for near in NEAR})
FAULTS = ["", "chunked", "slow@500", "drop@{}", "short@{}", "flip@{}", "short@{}+chunked", "redirect-loop*3"]


def source(size):
    image = Firmware("lamp", "1.1", size=size // 16 * 16).to_bytes()
    return image + bytes(range(1, size - len(image) + 1))


def install(body, plan):
    """What is in the slot afterwards, and which slot boots next; ``None`` after a clean error."""
    bench = Bench(Answer(body))
    bench.fetch = FaultyFetch(bench.fetch, plan)

    async def main():
        handle = await bench.begin()
        try:
            while await handle.perform() is IN_PROGRESS:
                pass
            if not handle.is_complete_data_received():
                return False
            await handle.finish()
        finally:
            await handle.close()
        return True

    try:
        done = run_virtual(main())
    except HttpsOtaError:
        done = False
    slot = bench.ops.get_next_update_partition(None) if not done else bench.ops.get_boot_partition()
    return (slot.read(bench.chip.flash, 0, len(body)) if done else None), bench.next_boot


@pytest.mark.parametrize("size", SIZES)
def test_the_final_image_equals_the_source_or_there_is_an_error(size):
    body = source(size)
    places = {0, 1, BUFFER - 1, BUFFER, BUFFER + 1, SECTOR - 1, SECTOR, *(size + near for near in NEAR)}
    for fault in FAULTS:
        for place in sorted(places) if "{}" in fault else [0]:
            plan = fault.format(place)
            installed, next_boot = install(body, plan)
            if installed is None:
                assert next_boot == "ota_0", plan
            elif plan.startswith("short") and place < size:
                image = size // 16 * 16  # only what was behind the image may be missing
                assert place >= image, plan
                assert installed[:place] == body[:place], plan
            elif plan.startswith("flip") and place < size:
                assert place >= size // 16 * 16, plan
                assert installed == body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :], plan
            else:
                assert installed == body, plan
            if not plan or plan.startswith(("chunked", "slow", "redirect")):
                assert installed == body, plan
