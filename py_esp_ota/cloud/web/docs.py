"""The API as a page: every call of the OpenAPI document, to read and to try."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import groupby
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from py_esp_ota.cloud.web.site import Site

Schema = Mapping[str, Any]


class Field(NamedTuple):
    """What a call is given beside its body."""

    name: str
    place: str  # "path", "query" or "header"
    required: bool
    hint: str


class Answer(NamedTuple):
    """One answer of a call; ``shapes`` are what its JSON may look like, as text."""

    code: str
    sentence: str
    shapes: list[str]


class ApiCall(NamedTuple):
    """One call: the first line of what is said of it, and the rest.

    ``body`` is JSON to begin with, ``None`` for a call without one, and ``""`` for one that takes a file.
    """

    method: str
    path: str
    sentence: str
    more: str
    locked: bool
    fields: list[Field]
    body: str | None
    answers: list[Answer]


def calls(document: Schema) -> dict[str, list[ApiCall]]:
    """The calls of an OpenAPI document by their first tag, in its order."""
    schemas = document["components"]["schemas"]
    found = [
        (operation["tags"][0], _call(method, path, operation, schemas))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    order = list(dict.fromkeys(tag for tag, _ in found))
    found.sort(key=lambda pair: order.index(pair[0]))
    return {tag: [call for _, call in pairs] for tag, pairs in groupby(found, key=lambda pair: pair[0])}


def sketch(schema: Schema, schemas: Schema) -> Any:
    """What a value of this schema looks like: objects and lists as they are, all else by the name of its type."""
    if "$ref" in schema:
        return sketch(_referred(schema, schemas), schemas)
    if "anyOf" in schema:
        choices = [sketch(choice, schemas) for choice in schema["anyOf"]]
        return " or ".join(choices) if all(isinstance(choice, str) for choice in choices) else choices[0]
    if "enum" in schema or "const" in schema:
        return " | ".join(map(str, schema.get("enum", [schema.get("const")])))
    if "properties" in schema:
        return {name: sketch(value, schemas) for name, value in schema["properties"].items()}
    if schema.get("type") == "array":
        return [sketch(schema["items"], schemas)]
    return {} if schema.get("type") == "object" else schema.get("type", "anything")


def example(schema: Schema, schemas: Schema) -> Any:
    """A value to begin with: what must be there, or, where nothing must, all that may be."""
    if "$ref" in schema:
        return example(_referred(schema, schemas), schemas)
    if "default" in schema and schema["default"] is not None:
        return schema["default"]
    if "anyOf" in schema:
        return example(schema["anyOf"][0], schemas)
    if "properties" in schema:
        names = schema.get("required") or schema["properties"]
        return {name: example(schema["properties"][name], schemas) for name in names}
    if schema.get("type") == "array":
        return [example(schema["items"], schemas)]
    return {"string": "", "integer": 0, "number": 0, "boolean": False, "object": {}}.get(schema.get("type", ""))


def _call(method: str, path: str, operation: Schema, schemas: Schema) -> ApiCall:
    fields = [
        Field(
            given["name"],
            given["in"],
            given["required"],
            str(sketch(given["schema"], schemas)).removesuffix(" or null"),
        )
        for given in operation.get("parameters", [])
    ]
    media = next(iter(operation.get("requestBody", {}).get("content", {}).values()), None)
    body = None
    if media is not None:
        binary = media["schema"].get("format") == "binary"
        body = "" if binary else _text(example(media["schema"], schemas))
    answers = [
        Answer(code, said["description"], list(_shapes(said.get("content", {}), schemas)))
        for code, said in sorted(operation["responses"].items())
    ]
    sentence, _, more = operation["description"].replace("``", "").partition("\n")
    return ApiCall(method.upper(), path, sentence, more, "security" in operation, fields, body, answers)


def _shapes(content: Schema, schemas: Schema) -> Iterator[str]:
    for media_type, media in content.items():
        if media_type != "application/json":
            yield media_type
            continue
        for choice in media["schema"].get("anyOf", [media["schema"]]):
            yield _text(sketch(choice, schemas))


def _referred(schema: Schema, schemas: Schema) -> Schema:
    found: Schema = schemas[schema["$ref"].rpartition("/")[2]]
    return found


def _text(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def add_pages(router: APIRouter, site: Site) -> None:
    """``/docs``."""

    @cache
    def page(app: Any) -> str:
        document = app.openapi()
        return site.html("docs.html", groups=calls(document), about=document["info"]["description"].split("\n\n"))

    @router.get("/docs")
    async def docs(request: Request) -> HTMLResponse:
        return HTMLResponse(page(request.app))
