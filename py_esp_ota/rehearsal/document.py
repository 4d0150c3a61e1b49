"""Reading a rehearsal that somebody kept: every field checked, one sentence for what is wrong with it. No I/O."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

from py_esp_ota._core import inspect_image, sha256
from py_esp_ota.cloud.boards import AppFact, BoardFacts, OtadataFact, TableRow
from py_esp_ota.cloud.jobs import metadata_problem
from py_esp_ota.cloud.nodes import NODE_ID
from py_esp_ota.cloud.plan import Plan
from py_esp_ota.cloud.rehearsals import FORMAT, MOST, Copy, Rehearsal, RehearsedJob
from py_esp_ota.strict_json import JsonError, read_json

DOCUMENT_LIMIT = 256 << 20
"""Bytes of a document: sixteen images of the largest size."""

_TEXT = 128
_MS = 4_102_444_800_000  # the year 2100
_SENTENCES = 20
_ROWS = 96  # of a partition table
_SHA = re.compile(r"[0-9a-f]{64}|")
_Json = Mapping[str, Any]


def read_rehearsal(data: bytes | str) -> Rehearsal:
    """The rehearsal in a document. Raises ``ValueError`` with one sentence that says where it is wrong."""
    if len(data) > DOCUMENT_LIMIT:
        raise ValueError(f"a rehearsal has at most {DOCUMENT_LIMIT} bytes, not {len(data)}")
    try:
        document = read_json(data)
    except JsonError as error:
        raise ValueError(f"this is no rehearsal: {error}") from None
    return rehearsal_in(document)


def rehearsal_in(document: object) -> Rehearsal:
    """The same, of what was read already."""
    if not isinstance(document, dict) or document.get("rehearsal") != FORMAT:
        raise ValueError(f'this is no rehearsal: it does not begin with "rehearsal": {FORMAT}')
    images = _images(_object(document, "images", "rehearsal"))
    boards = [_board(each, at) for each, at in _rows(document, "boards", MOST, "rehearsal")]
    copies = _list(document, "nodes", MOST, "rehearsal")
    rehearsal = Rehearsal(
        now=_number(document, "now", 0, _MS, "rehearsal"),
        job=_job(_object(document, "job", "rehearsal")),
        nodes=tuple(_copy(each, boards, f"nodes[{at}]") for at, each in enumerate(copies)),
        images=images,
        left_out=_number(document, "left_out", 0, 10**7, "rehearsal"),
        simplified=tuple(_sentence(each) for each in _list(document, "simplified", _SENTENCES, "rehearsal")),
    )
    _check(rehearsal)
    return rehearsal


def _check(rehearsal: Rehearsal) -> None:
    job, ids = rehearsal.job, [copy.node_id for copy in rehearsal.nodes]
    image = inspect_image(rehearsal.images[job.image]) if job.image in rehearsal.images else None
    problems = {
        "nodes: a campaign without nodes cannot be played": not ids,
        "nodes: two of them have the same id": len(set(ids)) < len(ids),
        "job.image is none of the images": image is None,
        "job.image is no app image that a cloud would take": image is not None
        and (image.kind != "app" or bool(image.faults)),
        f"job.sizes make {sum(job.sizes)} nodes, and there are {len(ids)}": sum(job.sizes) != len(ids),
        "job.sizes: a phase without a node": 0 in job.sizes,
        "job.sizes and job.plan.phases have not the same number of phases": (
            len(job.sizes) != max(len(job.plan.phases), 1)
        ),
    }
    for problem, applies in problems.items():
        if applies:
            raise ValueError(problem)
    wrong = metadata_problem(job.metadata, rehearsal.now)
    if wrong is not None:
        raise ValueError(f"job.{wrong}")


def _images(document: _Json) -> dict[str, bytes]:
    images = {}
    for name, text in document.items():
        try:
            data = base64.b64decode(text if isinstance(text, str) else "*", validate=True)
        except ValueError:
            raise ValueError(f"images: {name[:64]!r} is no base64") from None
        if sha256(data).hex() != name:
            raise ValueError(f"images: {name[:64]!r} is not the SHA-256 of its bytes")
        images[name] = data
    return images


def _job(document: _Json) -> RehearsedJob:
    plan = Plan.from_json(_object(document, "plan", "job"))
    sizes = _list(document, "sizes", 20, "job")
    return RehearsedJob(
        name=_text(document, "name", "job"),
        image=_sha(document, "job"),
        model=_text(document, "model", "job"),
        fw_version=_text(document, "fw_version", "job"),
        metadata=_object(document, "metadata", "job"),
        priority=_number(document, "priority", 1, 9, "job"),
        timeout=_number(document, "timeout", 1, 10 * 365 * 86_400, "job"),
        force_push=_flag(document, "force_push", "job"),
        max_fetch_cycles=_number(document, "max_fetch_cycles", 1, 100, "job"),
        plan=plan,
        sizes=tuple(_whole(each, 0, MOST, f"job.sizes[{at}]") for at, each in enumerate(sizes)),
    )


def _copy(document: object, boards: Sequence[BoardFacts], where: str) -> Copy:
    if not isinstance(document, dict):
        raise ValueError(f"{where} is an object")  # noqa: TRY004 - what a user wrote, not what a program passed
    node_id = _text(document, "node_id", where)
    if not NODE_ID.fullmatch(node_id):
        raise ValueError(f"{where}.node_id: no node is called {node_id[:64]!r}")
    at = _number(document, "board", 0, MOST, where)
    if at >= len(boards):
        raise ValueError(f"{where}.board: there is no boards[{at}]")
    return Copy(
        node_id=node_id,
        chip=_text(document, "chip", where),
        project=_text(document, "project", where),
        version=_text(document, "version", where),
        image=_sha(document, where),
        online=_flag(document, "online", where),
        board=boards[at],
    )


def _board(document: _Json, where: str) -> BoardFacts:
    words: dict[str, Any] = {
        key: _text(document, key, where) for key in ("chip", "partitions", "bootloader_idf", "runs")
    }
    words |= {
        key: None if document.get(key) is None else _number(document, key, 0, 2**16, where)
        for key in ("chip_revision", "secure_version")
    }
    words |= {
        key: None if document.get(key) is None else _flag(document, key, where)
        for key in ("rollback", "secure_boot", "flash_encryption")
    }
    return BoardFacts(
        **words,
        flash_size=_number(document, "flash_size", 0, 128 << 20, where),
        virtual=_flag(document, "virtual", where),
        table=tuple(
            TableRow(
                label=_text(row, "label", at),
                type=_number(row, "type", 0, 0xFF, at),
                subtype=_number(row, "subtype", 0, 0xFF, at),
                offset=_number(row, "offset", 0, 128 << 20, at),
                size=_number(row, "size", 0, 128 << 20, at),
                encrypted=_flag(row, "encrypted", at),
                readonly=_flag(row, "readonly", at),
            )
            for row, at in _rows(document, "table", _ROWS, where)
        ),
        otadata=tuple(
            OtadataFact(
                sequence=None if row.get("sequence") is None else _number(row, "sequence", 0, 2**32 - 1, at),
                state=_text(row, "state", at),
            )
            for row, at in _rows(document, "otadata", 2, where)
        ),
        apps=tuple(
            AppFact(**{key: _text(row, key, at) for key in ("slot", "project", "version")})
            for row, at in _rows(document, "apps", _ROWS, where)
        ),
    )


# --------------------------------------------------------------------------------------------------------------- words


def _rows(document: _Json, key: str, most: int, where: str) -> list[tuple[_Json, str]]:
    rows = [(row, f"{where}.{key}[{at}]") for at, row in enumerate(_list(document, key, most, where))]
    for row, at in rows:
        if not isinstance(row, dict):
            raise ValueError(f"{at} is an object")  # noqa: TRY004 - the same
    return rows


def _object(document: _Json, key: str, where: str) -> _Json:
    value = document.get(key, {})
    if not isinstance(value, dict):
        raise ValueError(f"{where}.{key} is an object")  # noqa: TRY004 - the same
    return value


def _list(document: _Json, key: str, most: int, where: str) -> Sequence[Any]:
    value = document.get(key, [])
    if not isinstance(value, list) or len(value) > most:
        raise ValueError(f"{where}.{key} is a list of at most {most}")
    return value


def _text(document: _Json, key: str, where: str) -> str:
    value = document.get(key, "")
    if not isinstance(value, str) or len(value) > _TEXT or not value.isprintable():
        raise ValueError(f"{where}.{key} is a text of at most {_TEXT} characters")
    return value


def _sentence(value: object) -> str:
    if not isinstance(value, str) or len(value) > 2 * _TEXT or not value.isprintable():
        raise ValueError(f"rehearsal.simplified has sentences of at most {2 * _TEXT} characters")
    return value


def _sha(document: _Json, where: str) -> str:
    value = _text(document, "image", where)
    if not _SHA.fullmatch(value):
        raise ValueError(f"{where}.image is a SHA-256 in hex")
    return value


def _number(document: _Json, key: str, low: int, high: int, where: str) -> int:
    return _whole(document.get(key, low), low, high, f"{where}.{key}")


def _whole(value: object, low: int, high: int, where: str) -> int:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{where} is a whole number from {low} to {high}")
    return value


def _flag(document: _Json, key: str, where: str) -> bool:
    value = document.get(key, False)
    if not isinstance(value, bool):
        raise ValueError(f"{where}.{key} is true or false")  # noqa: TRY004 - the same
    return value
