"""The host's clock jumps a year back or forward while the cloud runs: nothing ends, spins or is told wrongly."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, closing

import pytest
from cloud_bench import ADMIN, NOW, PASSWORD, done, payload_of, refused
from test_cloud_events import rows
from test_cloud_mqtt import World

from py_esp_ota.adapters.memory import run_virtual
from py_esp_ota.cloud.event_log import Wanted
from py_esp_ota.cloud.rebuild import rebuild
from py_esp_ota.cloud.refusals import Refusal
from py_esp_ota.cloud.service import EXPIRY_CHECK_S
from py_esp_ota.cloud.store import Store

YEAR = 365 * 86_400.0
DAY = 86_400.0
BOTH = pytest.mark.parametrize("jump", [-YEAR, YEAR], ids=["back", "forward"])


class Watch:
    """A running cloud whose clock is set by hand, and how often it looked at deadlines."""

    def __init__(self, w: World) -> None:
        self.jobs = w.service.jobs
        self.looks = 0
        self.ahead = 0.0
        clock, look_now = w.service.ground.clock, w.service.campaigns.look
        now = clock.now
        clock.now = lambda: now() + self.ahead

        def look():
            self.looks += 1
            return look_now()

        w.service.campaigns.look = look

    async def looks_in(self, seconds: float) -> int:
        before = self.looks
        await asyncio.sleep(seconds)
        return self.looks - before


@asynccontextmanager
async def watched():
    with closing(Store()) as store:
        w = World(store)
        watch = Watch(w)
        w.start()
        await w.service.wait_connected()
        w.service.intake.on_presence("n1", True)
        try:
            yield w, watch
        finally:
            await w.stop()


def test_a_clock_set_forward_closes_jobs_within_the_hour_and_nothing_spins():
    async def story():
        async with watched() as (w, watch):
            job = w.job("n1", timeout=int(10 * DAY))
            watch.ahead = YEAR
            looks = await watch.looks_in(EXPIRY_CHECK_S + 1)
            closed = w.states(job)
            return looks, closed, await watch.looks_in(10 * DAY)

    looks, closed, idle = run_virtual(story())
    assert closed == {"n1": "failed"}
    assert looks <= 3
    assert idle == 0  # no job is open: there is nothing to look at


def test_a_clock_set_back_keeps_jobs_open_for_as_much_longer_and_nothing_spins():
    async def story():
        async with watched() as (w, watch):
            job = w.job("n1", timeout=int(DAY))
            watch.ahead = -YEAR
            looks = await watch.looks_in(10 * DAY)
            first = w.states(job)
            image = w.service.images.find().items[0].ota_image_id
            later = w.service.jobs.create("later", image, nodes=["n1"], timeout=int(DAY)).job.ota_job_id
            await asyncio.sleep(DAY + 1)
            second = w.states(job), w.states(later)
            watch.ahead = 0.0
            await asyncio.sleep(EXPIRY_CHECK_S + 1)
            return looks, first, second, w.states(job)

    looks, first, second, last = run_virtual(story())
    assert first == {"n1": "triggered"}
    assert second == ({"n1": "triggered"}, {"n1": "failed"})
    assert last == {"n1": "failed"}
    assert looks <= 10 * DAY / EXPIRY_CHECK_S + 1


def test_the_newest_job_is_the_one_that_was_made_last_whatever_the_clock_said(bench):
    bench.join("n1")
    old = bench.job("n1", name="old", image=bench.image("2.0.0"))
    bench.clock.time -= YEAR
    new = bench.job("n1", name="new", image=bench.image("3.0.0"))
    assert [view.job.ota_job_id for view in bench.service.jobs.find().items] == [new, old]
    assert [letter["ota_job_id"] for letter in bench.fetch("n1")] == [new]


@BOTH
def test_the_log_is_in_the_order_of_what_happened_and_tells_the_same_again(bench, jump):
    bench.join("n1", "n2")
    job = bench.job("n1", "n2")
    bench.fetch("n1")
    bench.clock.time += jump
    bench.report("n1", job, "in-progress")
    bench.service.campaigns.look()
    bench.clock.time -= jump
    bench.report("n1", job, "success")
    bench.fetch("n2")
    bench.service.jobs.cancel(job)
    bench.service.turns.catch_up()
    entries = [entry for piece in bench.service.log.all(Wanted(ota_job_id=job)) for entry in piece]
    assert [entry.number for entry in entries] == sorted(entry.number for entry in entries)
    closed = ["expired", "expired"] if jump > 0 else []
    served = [] if jump > 0 else ["url_sent"]
    kinds = ["job_created", "released", "url_sent", "reported", *closed, "reported", *served, "job_cancelled"]
    assert [entry.event.kind.value for entry in entries] == kinds
    assert bench.states(job) == {"n1": "success", "n2": "failed" if jump > 0 else "started"}
    before = rows(bench)
    rebuild(bench.store)
    assert rows(bench) == before


@BOTH
def test_a_login_and_links_are_good_for_as_long_as_the_clock_says(bench, jump):
    image = bench.image()
    token = bench.service.images.url(image.ota_image_id).partition("token=")[2]
    assert bench.call("GET", "/v1/admin/nodes").status_code == 200
    bench.clock.time += jump
    if jump < 0:
        assert bench.call("GET", "/v1/admin/nodes").status_code == 200
        bench.service.images.download(image.ota_image_id, token)
    else:
        assert bench.call("GET", "/v1/admin/nodes").status_code == 401
        with refused(Refusal.LINK_REFUSED):
            bench.service.images.download(image.ota_image_id, token)
    again = done(bench.accounts.log_in(ADMIN, PASSWORD)).accesstoken
    assert bench.call("GET", "/v1/admin/nodes", token=again).status_code == 200
    bench.clock.time = NOW  # whoever set it sets it right again
    assert bench.call("GET", "/v1/admin/nodes", token=again).status_code == (401 if jump < 0 else 200)
    fresh = done(bench.accounts.log_in(ADMIN, PASSWORD)).accesstoken
    assert bench.call("GET", "/v1/admin/nodes", token=fresh).status_code == 200
    bench.service.images.download(image.ota_image_id, token)


def test_a_url_that_is_sent_after_a_jump_can_be_downloaded(bench):
    bench.join("n1")
    bench.job("n1", force_push=True)
    [letter] = [letter for letter in bench.service.outbox._letters if letter.topic.endswith("otaurl")]
    bench.clock.time += YEAR  # it waits for the broker that long, says the clock
    token = payload_of(letter).decode().partition("token=")[2].partition('"')[0]
    bench.service.images.download(bench.service.images.find().items[0].ota_image_id, token)
