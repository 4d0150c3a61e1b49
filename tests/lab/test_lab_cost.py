"""What an update costs the cloud: transactions, counted where the database begins them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from sqlalchemy import event

from py_esp_ota import Lab
from py_esp_ota.firmware import Firmware

OLD, NEW = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))


@contextmanager
def written(lab: Lab) -> Iterator[list[str]]:
    """The transactions that write something, meanwhile."""
    engine = lab.service.store._engine
    statements: list[str] = []
    commits: list[str] = []

    def begin(_connection: object) -> None:
        statements.clear()

    def execute(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.lstrip().upper().startswith("SELECT"):
            statements.append(statement)

    def commit(_connection: object) -> None:
        if statements:
            commits.append("; ".join(statements))

    listeners = {"begin": begin, "before_cursor_execute": execute, "commit": commit}
    for name, listener in listeners.items():
        event.listen(engine, name, listener)
    yield commits
    for name, listener in listeners.items():
        event.remove(engine, name, listener)


@pytest.mark.parametrize("devices", [1, 20])
def test_an_update_costs_three_transactions_however_many_devices_take_it_together(devices):
    """The job; what they say until they restart; what they say afterwards."""
    with Lab() as lab:
        nodes = [lab.device("two_ota", firmware=OLD) for _ in range(devices)]

        async def story() -> list[str]:
            for node in nodes:
                node.power_on()
                await lab.settled(node.node_id, seconds=60)
            image = await lab.upload(NEW, name="1.1.0")
            with written(lab) as transactions:
                job = await lab.start_job("job", image, nodes=[node.node_id for node in nodes])
                done = partial(lab.service.jobs.summary, job)
                await lab.until(lambda: done()["success"] == devices, seconds=600)
                return list(transactions)

        transactions = lab.run(story())
    assert len(transactions) <= 3, transactions
    assert "INSERT INTO job " in transactions[0]
