"""Fixtures of the cloud's tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import databases
import pytest
from cloud_bench import Bench

from py_esp_ota.firmware import Firmware


def pytest_generate_tests(metafunc):
    kinds = databases.kinds(metafunc.definition)
    if kinds != ["sqlite"]:
        metafunc.parametrize("_database", kinds, indirect=True)


@pytest.fixture(autouse=True)
def _database(request) -> Iterator[None]:
    if getattr(request, "param", "sqlite") == "sqlite":
        yield
    else:
        with databases.made_by(request.getfixturevalue("postgresql").store):
            yield


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    bench.service.outbox.start()  # as if the broker were there
    yield bench
    bench.store.close()


@pytest.fixture
def make_bench() -> Iterator[type[Bench]]:
    made: list[Bench] = []

    class Recorded(Bench):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.service.outbox.start()
            made.append(self)

    yield Recorded
    for bench in made:
        bench.store.close()


@pytest.fixture(scope="session")
def api_document() -> dict[str, Any]:
    """What is served as ``/openapi.json``: putting it together takes longer than most tests that look at it."""
    bench = Bench()
    document = bench.ok("GET", "/openapi.json", token="")
    bench.store.close()
    return document


@pytest.fixture
def lamp() -> bytes:
    return Firmware("lamp", "1.1.0").to_bytes()
