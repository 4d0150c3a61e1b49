"""What a node that comes costs the database: few statements, for there is a turn for every few nodes."""

from __future__ import annotations

import json

from cloud_bench import Bench
from sqlalchemy import event

from py_esp_ota.ports import Message
from py_esp_ota.rainmaker.messages import CONFIG, PARAMS_LOCAL_INIT, NodeConfig, topic


def comes(bench: Bench, node_id: str, power: bool) -> list[str]:
    """The statements of a turn in which a node connects, and says who it is and what it has."""
    told: list[str] = []
    engine = bench.store._engine
    who = NodeConfig(node_id=node_id, name="", fw_version="1.0.0", type="", model="", project_name="", platform="")
    params = json.dumps({"Light": {"Power": power}}).encode()
    said = [
        Message(topic(node_id, CONFIG, True), who.encode()),
        Message(topic(node_id, PARAMS_LOCAL_INIT, True), params),
    ]

    def execute(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        told.append(" ".join(statement.split()[:3]))

    event.listen(engine, "before_cursor_execute", execute)
    bench.service.intake.on_presence(node_id, True)
    bench.service.intake.take(said)
    event.remove(engine, "before_cursor_execute", execute)
    return told


def test_a_node_that_is_new_is_written_once_and_one_that_comes_back_is_read_and_written_once(bench):
    new = ["INSERT INTO node", "INSERT INTO node_user", "INSERT INTO event"]
    assert comes(bench, "n1", True) == new
    assert comes(bench, "n1", False) == ["SELECT node.node_id, node.params", "UPDATE node SET"]
    assert bench.service.nodes.detail("n1").params == {"Light": {"Power": False}}
    assert bench.service.nodes.detail("n1").node.connected


def test_two_reports_of_parameters_in_one_turn_add_up(bench):
    comes(bench, "n1", True)
    parts = [b'{"Light":{"Brightness":25}}', b'{"Fan":{"Speed":3}}']
    bench.service.intake.take([Message(topic("n1", PARAMS_LOCAL_INIT), part) for part in parts])
    assert bench.service.nodes.detail("n1").params == {"Light": {"Power": True, "Brightness": 25}, "Fan": {"Speed": 3}}
