"""When the node asks again for an update."""

import pytest
from node_bench import EPOCH, Bench

from py_esp_ota.rainmaker.ota_fetch import FetchEvent, FetchState, backoff, step, timer_period


@pytest.mark.parametrize(
    ("retry", "seconds"), [(1, 30), (2, 60), (3, 120), (4, 240), (5, 480), (6, 480), (7, 480), (1000, 480)]
)
def test_back_off_doubles_five_times_and_stays(retry, seconds):
    assert backoff(retry) == seconds


@pytest.mark.parametrize(
    ("state", "event", "after", "delay"),
    [
        (FetchState(), FetchEvent.NOT_SENT, FetchState(waiting=False, retry_count=1), 30),
        (FetchState(retry_count=1), FetchEvent.NOT_SENT, FetchState(retry_count=2), 60),
        (FetchState(), FetchEvent.SENT, FetchState(waiting=True), None),
        (FetchState(retry_count=3), FetchEvent.SENT, FetchState(waiting=True, retry_count=3), None),
        (FetchState(waiting=True, retry_count=3), FetchEvent.PUBACK, FetchState(), None),
        (FetchState(waiting=True, retry_count=3), FetchEvent.TIMEOUT, FetchState(retry_count=4), 240),
    ],
)
def test_the_state_machine(state, event, after, delay):
    assert step(state, event) == (after, delay)


@pytest.mark.parametrize(
    ("seconds", "period"), [(5, 5), (42_949_672, 42_949_672), (42_949_673, 0.04), (63_072_005, 20_122_332.04)]
)
def test_a_delay_starts_over_after_497_days(seconds, period):
    """A job that is valid in two years is asked for after 233 days, and delayed again."""
    assert timer_period(seconds) == period


def test_a_job_that_is_far_too_early_is_asked_for_early():
    start = int(EPOCH) + 10 + 42_949_673 - 5  # with five seconds more the timer runs for 0.04 s
    bench = Bench().update(seconds=60, metadata=f'{{"validity":{{"start":{start}}}}}')
    assert bench.times("otafetch") == [5, 10.04]
