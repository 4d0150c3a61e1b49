"""When the node asks again for an update."""

import pytest

from py_esp_ota.rainmaker.ota_fetch import FetchEvent, FetchState, backoff, step


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
