"""Reasons: every text that a node can fail with, ours and the agent's, belongs to one that says what to do."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import py_esp_ota.rainmaker
from py_esp_ota.cloud import jobs
from py_esp_ota.cloud.migrations.versions import r0004_campaigns
from py_esp_ota.cloud.reasons import ABOUT, ROLL_BACKS, RULES, Reason, reason_of
from py_esp_ota.errors import EspErr
from py_esp_ota.rainmaker import checks, messages, ota_test_rollback

AGENT = Path(py_esp_ota.rainmaker.__file__).parent
TELLS = {"report_status": 1, "failed": 0, "_fail": 0, "_leave_failure": 0, "describe": 0, "_describe": 0}
"""The functions by which the agent tells of a failure, and which argument is the text."""
NAMED = {"describe", "_describe"}  # these append the name of an error


def texts() -> Iterator[tuple[str, str]]:
    """Every text in the agent's code with which it fails, its holes filled; the function that says it."""
    for path in sorted(AGENT.glob("ota*.py")):
        module = importlib.import_module(f"py_esp_ota.rainmaker.{path.stem}")
        for call in ast.walk(ast.parse(path.read_text())):
            name = getattr(getattr(call, "func", None), "attr", getattr(getattr(call, "func", None), "id", None))
            if not isinstance(call, ast.Call) or name not in TELLS or len(call.args) <= TELLS[name]:
                continue
            if name == "report_status" and ast.unparse(call.args[0]).endswith(("IN_PROGRESS", "SUCCESS")):
                continue
            for text in words(call.args[TELLS[name]], vars(module)):
                yield text, str(name)


def words(node: ast.expr, names: dict[str, object]) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            # An error's name stands where its text is cut: the longest one that is left.
            holes = {"name": "ESP_ERR_INVALID_VERSION"}
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else holes.get(ast.unparse(part.value), "7")
                for part in parts
            )
        case ast.Name(id=name) if isinstance(names.get(name), str):
            yield str(names[name])
        case ast.Subscript(value=inner) | ast.IfExp(body=inner):
            yield from words(inner, names)
            if isinstance(node, ast.IfExp):
                yield from words(node.orelse, names)


def said() -> list[str]:
    """All of them as they come: behind an attempt's number, alone as before there were attempts, with every error."""
    found = list(texts())
    # What is told by its name from elsewhere.
    found += [(value, "") for name, value in vars(checks).items() if name.isupper() and isinstance(value, str)]
    found += [(value, "") for value in vars(messages).values() if str(value).startswith("Aborted.")]
    for text, by in found:
        for name in (f": {err.name} (errno=0: Invalid)" for err in EspErr) if by in NAMED else ("",):
            yield text + name
            if by in NAMED | {"failed"}:
                yield f"OTA Attempt 2/3 failed: {text}{name}"


def test_the_walk_finds_what_the_agent_says():
    found = {text for text, _ in texts()}
    assert {"Firmware rolled back", "Image validation failed", "OTA finish failed", "MQTT not connected"} <= found
    assert {"OTA download window lapsed.", "MQTT did not connect within 7 seconds", "OTA Begin failed"} <= found
    assert len(list(said())) > 500


def test_every_text_with_which_the_agent_fails_has_a_reason():
    strange = {text for text in said() if reason_of("failed", text) is Reason.OTHER}
    assert strange == set()


def test_what_a_test_build_says_is_known():
    assert reason_of("failed", ota_test_rollback.info(2, 5)) is Reason.TEST_ROLLBACK
    assert reason_of("failed", ota_test_rollback.info(2, 0)) is Reason.TEST_ROLLBACK


EXPECTED = {
    "OTA Attempt 3/3 failed: OTA Begin failed: ESP_ERR_HTTP_CONNECT (errno=113: Software caused connection a": (
        Reason.UNREACHABLE
    ),
    "OTA Attempt 1/3 failed: OTA Begin failed: ERROR (errno=0: Invalid)": Reason.UNREACHABLE,
    "OTA Attempt 1/3 failed: OTA Begin failed: ESP_ERR_HTTP_REDIRECT_DOWNGRADE (errno=0": Reason.SERVER_REFUSED,
    "OTA Attempt 1/3 failed: OTA Begin failed: ESP_FAIL (errno=0: Invalid)": Reason.NOT_BEGUN,
    "ESP HTTPS OTA Begin failed": Reason.NOT_BEGUN,
    "OTA Attempt 1/3 failed: ESP MQTT OTA Begin failed: ESP_ERR_NO_MEM": Reason.NO_MEMORY,
    "Failed to read image decription": Reason.NO_APP,
    "OTA Attempt 1/3 failed: OTA failed: ESP_ERR_INVALID_SIZE (errno=0: Invalid)": Reason.TOO_LARGE,
    "OTA Attempt 1/3 failed: OTA failed: ESP_FAIL (errno=104: Connection reset by peer)": Reason.INTERRUPTED,
    "OTA Attempt 1/3 failed: OTA failed: ESP_ERR_OTA_ROLLBACK_INVALID_STATE (": Reason.UNCONFIRMED,
    "OTA Attempt 1/3 failed: OTA failed: ESP_ERR_OTA_SPI_MODE_MISMATCH (errno": Reason.FLASH_MODE,
    "OTA failed: Error ESP_ERR_INVALID_VERSI": Reason.WRONG_CHIP,
    "OTA failed: Error ESP_ERR_OTA_VALIDATE_": Reason.NO_APP,
    "OTA Attempt 1/3 failed: Image validation failed": Reason.DAMAGED,
    "Aborted. URL memory allocation failed": Reason.NO_MEMORY,
    "Aborted. URL not found in JSON": Reason.MESSAGE,
    "MQTT did not connect within 90 seconds": Reason.NEVER_CONNECTED,
    jobs.NODE_GONE: Reason.REMOVED,
    "No result within 60 s of its URL": Reason.NODE_TIMED_OUT,
    "No result within 1296000 s": Reason.JOB_TIMED_OUT,
    "No result before the validity ended": Reason.JOB_TIMED_OUT,
    "my own words": Reason.OTHER,
    "": Reason.OTHER,
    "x" * 100_000: Reason.OTHER,
}


@pytest.mark.parametrize(("text", "reason"), EXPECTED.items(), ids=lambda value: str(value)[:40])
def test_a_text_has_its_reason(text, reason):
    assert reason_of("failed", text) is reason
    assert reason_of("rejected", text) is reason


def test_nothing_is_wrong_with_a_node_that_goes_on():
    for status in ("triggered", "started", "in-progress", "delayed", "success"):
        assert reason_of(status, "Firmware rolled back") is Reason.NONE


def test_each_reason_says_what_to_do_and_no_row_is_dead():
    assert set(ABOUT) == set(Reason) - {Reason.NONE}
    assert all(about.title and about.means and about.do and about.by for about in ABOUT.values())
    assert {reason for _, reason in RULES} == set(ABOUT) - {Reason.OTHER}
    assert set(ABOUT) > ROLL_BACKS


def test_a_database_of_the_first_release_is_sorted_alike():
    for text in [*said(), *EXPECTED]:
        found = (reason for pattern, reason in r0004_campaigns.REASONS if re.search(pattern, text[:192]))
        assert next(found, "other") == reason_of("failed", text).value
