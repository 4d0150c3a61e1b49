"""Fixtures of the adapters: one authority for all, and a bench for every broker."""

from __future__ import annotations

import gc

import pytest
from broker_bench import BROKERS, Bench, brokers

from py_esp_ota.adapters.certificates import LocalCa


@pytest.fixture(scope="session")
def ca(tmp_path_factory) -> LocalCa:
    return LocalCa(tmp_path_factory.mktemp("ca"))


@pytest.fixture(params=brokers())
def bench(request, tmp_path, ca) -> Bench:
    opener, run, _ = BROKERS[request.param]
    return Bench(run, lambda: opener(tmp_path, ca), request.param)


@pytest.fixture(scope="session")
def small_heap():
    """Let the collector look only at what the tests make: a collection then takes no time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def nothing_left_open(request, small_heap):
    """A socket or transport that a test forgets is that test's failure, not the next one's."""
    yield
    if request.node.get_closest_marker("sockets"):
        gc.collect()
