"""Holds what the API answers against what its OpenAPI document says."""

from __future__ import annotations

import re
from typing import Any

import httpx2
from fastapi import FastAPI
from jsonschema import Draft202012Validator

_PARAMETER = re.compile(r"\{\w+\}")


class Document:
    """One OpenAPI document, and a validator for each answer in it.

    The document allows members that it does not name, so that a client of today reads the server of tomorrow. Here none
    is allowed, but to ``Failure``: a member that is not documented is a mistake.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._schemas = {
            name: schema if name == "Failure" else {"additionalProperties": False, **schema}
            for name, schema in document["components"]["schemas"].items()
        }
        self._paths = [
            (re.compile(_PARAMETER.sub("[^/]+", path)), methods) for path, methods in document["paths"].items()
        ]

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        """What the document says of a call, if it knows it."""
        target = path.partition("?")[0]
        methods = next((methods for pattern, methods in self._paths if pattern.fullmatch(target)), {})
        found: dict[str, Any] | None = methods.get(method.lower())
        return found

    def check(self, method: str, path: str, answer: httpx2.Response) -> None:
        """The answer of a documented call is one of those in the document.

        Raises ``ValidationError``, ``KeyError`` or ``AssertionError``.
        """
        operation = self.operation(method, path)
        if operation is None:
            return
        responses = operation["responses"]
        status = str(answer.status_code)
        content = (responses.get(status) or responses[f"{status[0]}XX"]).get("content", {})
        if not content:
            assert not answer.content
            return
        schema = content[answer.headers["content-type"].partition(";")[0]]["schema"]
        if schema.get("format") != "binary":
            Draft202012Validator({**schema, "components": {"schemas": self._schemas}}).validate(answer.json())


_known: list[Document] = []


def document_of(app: FastAPI) -> Document:
    """The document of an app, which is the same for all of them: making it takes longer than many a test."""
    if not _known:
        _known.append(Document(app.openapi()))
    return _known[0]
