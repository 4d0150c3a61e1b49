"""A rehearsal as a document: kept, read again, and refused with one sentence when somebody has been at it."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rehearsal_bench import BOARD, board, campaign, lamp, lamps, name_of

from py_esp_ota.cloud.boards import AppFact, OtadataFact, TableRow
from py_esp_ota.cloud.rehearsals import Copy
from py_esp_ota.firmware import Firmware
from py_esp_ota.rehearsal.document import read_rehearsal

_FULL = board(
    chip_revision=3,
    table=(TableRow(label="ota_0", type=0, subtype=0x10, offset=0x1_0000, size=0x10_0000, encrypted=True),),
    otadata=(OtadataFact(sequence=1, state="VALID"), OtadataFact(sequence=None, state="")),
    apps=(AppFact(slot="ota_0", project="lamp", version="1.0.0"),),
    secure_boot=True,
)
_PLAN = {"phases": ["1", "rest"], "gate": {"success": "50%"}, "abort": {"failed": "5%"}, "rate": 4}


def document(**changes) -> dict:
    nodes = (*lamps(2), lamp("full", board=_FULL, online=False), Copy(node_id="unknown"))
    rehearsal = campaign(*nodes, plan=_PLAN, sizes=(1, 3), metadata={"a": [1]}, priority=2)
    written = replace(rehearsal, left_out=7, simplified=("No node joins.",)).to_json()
    return {**json.loads(json.dumps(written)), **changes}


def wrong(changed: dict) -> str:
    with pytest.raises(ValueError, match=r".") as said:
        read_rehearsal(json.dumps(changed))
    return str(said.value)


def test_what_is_written_is_read_again():
    written = document()
    assert json.loads(json.dumps(read_rehearsal(json.dumps(written)).to_json())) == written


def test_boards_that_are_alike_stand_in_it_once():
    written = campaign(*lamps(50), lamp("other", board=_FULL)).to_json()
    assert len(written["boards"]) == 2
    assert [node["board"] for node in written["nodes"]] == [0] * 50 + [1]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rehearsal": 2}, 'this is no rehearsal: it does not begin with "rehearsal": 1'),
        ({"nodes": []}, "nodes: a campaign without nodes cannot be played"),
        ({"nodes": {}}, "rehearsal.nodes is a list of at most 10000"),
        ({"boards": []}, "nodes[0].board: there is no boards[0]"),
        ({"images": {}}, "job.image is none of the images"),
        ({"images": {"00": "AA=="}}, "images: '00' is not the SHA-256 of its bytes"),
        ({"images": {"00": "?"}}, "images: '00' is no base64"),
        ({"now": "then"}, "rehearsal.now is a whole number from 0 to 4102444800000"),
        ({"simplified": ["\x1b[2J"]}, "rehearsal.simplified has sentences of at most 256 characters"),
    ],
)
def test_what_is_wrong_is_named(changes, sentence):
    assert wrong(document(**changes)) == sentence


@pytest.mark.parametrize(
    ("where", "value", "sentence"),
    [
        (("job", "sizes"), [1, 2], "job.sizes make 3 nodes, and there are 4"),
        (("job", "sizes"), [0, 4], "job.sizes: a phase without a node"),
        (("job", "sizes"), [4], "job.sizes and job.plan.phases have not the same number of phases"),
        (("job", "priority"), 10, "job.priority is a whole number from 1 to 9"),
        (("job", "force_push"), "yes", "job.force_push is true or false"),
        (("job", "plan"), {"rate": -1}, "plan.rate"),
        (("job", "metadata"), {"validity": {"end": 1}}, "job.metadata"),
        (("nodes", 1, "node_id"), "a/b", "nodes[1].node_id: no node is called 'a/b'"),
        (("nodes", 1, "node_id"), "lamp-000", "nodes: two of them have the same id"),
        (("nodes", 1, "chip"), "\n", "nodes[1].chip is a text of at most 128 characters"),
        (
            ("boards", 1, "table", 0, "offset"),
            -1,
            "rehearsal.boards[1].table[0].offset is a whole number from 0 to 134217728",
        ),
        (("boards", 1, "otadata"), [{}, {}, {}], "rehearsal.boards[1].otadata is a list of at most 2"),
        (("boards", 0), 3, "rehearsal.boards[0] is an object"),
    ],
)
def test_where_it_is_wrong_is_said(where, value, sentence):
    changed = document()
    at = changed
    for key in where[:-1]:
        at = at[key]
    at[where[-1]] = value
    assert wrong(changed).startswith(sentence)


def test_an_image_that_no_cloud_would_take_is_refused():
    bad = bytearray(Firmware("lamp", "1.1.0").to_bytes())
    bad[0x40] ^= 1
    name = name_of(bytes(bad))
    changed = document()
    changed["job"]["image"] = name
    changed["images"][name] = base64.b64encode(bad).decode()
    assert wrong(changed) == "job.image is no app image that a cloud would take"


def read_or_refused(text: str) -> None:
    try:
        sentence = ""
        read_rehearsal(text)
    except ValueError as error:
        sentence = str(error)
    assert "\n" not in sentence


_TEXT = json.dumps(document())


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(_TEXT) - 1), st.sampled_from(['"', "{", "]", "-1", "1e9", "null", "9" * 30, "\\ud800", ""]))
def test_a_document_that_somebody_has_been_at_is_read_or_refused(at, piece):
    """Nothing but a ``ValueError`` with a sentence, whatever it says."""
    read_or_refused(_TEXT[:at] + piece + _TEXT[at + 1 :])


_SCALAR = st.one_of(st.none(), st.booleans(), st.integers(-5, 2**40), st.text(max_size=9), st.floats(allow_nan=False))
_VALUE = st.recursive(_SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))


@settings(max_examples=150, deadline=None)
@given(st.data(), _VALUE)
def test_a_value_of_any_shape_at_any_place_is_read_or_refused(data, value):
    changed = json.loads(_TEXT)
    at, keys = changed, list(changed)
    while True:
        key = data.draw(st.sampled_from(keys))
        inner = at[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            break
        at, keys = inner, list(inner) if isinstance(inner, dict) else list(range(len(inner)))
    at[key] = value
    read_or_refused(json.dumps(changed))


def test_boards_without_anything_known_are_boards():
    assert read_rehearsal(json.dumps(document())).nodes[3].board != BOARD
