"""The OpenAPI document: sound, typed, true (``Bench.call`` holds every answer against it), and of use."""

from __future__ import annotations

import asyncio
import json
import sys
from importlib import import_module
from typing import Annotated

import httpx
import httpx2
import pytest
from cloud_bench import ADMIN, PASSWORD, done
from documented import document_of
from jsonschema import ValidationError
from openapi_python_client import Config, generate
from openapi_python_client.config import ConfigFile, MetaType
from openapi_spec_validator import validate
from pydantic import TypeAdapter
from referencing import Registry

from py_esp_ota.cloud.api.answers import As, Success
from py_esp_ota.cloud.api.shapes import Json

FREE = {("get", "/v1/user/nodes/config"), ("get", "/v1/user/nodes/params")}  # in the node's own words
OPEN = {
    "/apiversions", "/mqtt_host", "/v1/login", "/v1/login2", "/v1/forgotpassword2",
    "/v1/ota/upload/{ota_image_id}", "/v1/ota/image/{ota_image_id}/firmware.bin",
}  # fmt: skip


@pytest.fixture
def operations(api_document):
    return {
        (method, path): operation
        for path, methods in api_document["paths"].items()
        for method, operation in methods.items()
    }


@pytest.fixture
def crawled_once(monkeypatch):
    """A registry never changes, and yet the validator goes through that of OpenAPI's own schema some 700 times."""
    found: dict[int, tuple[Registry, Registry]] = {}
    crawl = Registry.crawl

    def crawled(registry):
        if id(registry) not in found:
            found[id(registry)] = registry, crawl(registry)
        return found[id(registry)][1]

    monkeypatch.setattr(Registry, "crawl", crawled)


@pytest.mark.usefixtures("crawled_once")
def test_the_document_is_sound(api_document):
    validate(api_document)
    assert api_document["info"]["version"]


def test_every_answer_has_a_type_and_every_call_a_sentence(operations):
    for (method, path), operation in operations.items():
        assert operation["description"], path
        (schema,) = (media["schema"] for media in operation["responses"]["200"]["content"].values())
        if (method, path) in FREE:
            assert schema["type"] == "object"
        else:
            assert "$ref" in schema or "anyOf" in schema or schema["format"] == "binary", (method, path, schema)
        refused = operation["responses"]["4XX"]["content"]["application/json"]["schema"]
        assert refused == {"$ref": "#/components/schemas/Failure"}


def test_the_document_says_which_calls_need_the_access_token(api_document, operations):
    scheme = api_document["components"]["securitySchemes"]["accesstoken"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "Authorization")
    for (method, path), operation in operations.items():
        open_to_all = path in OPEN or (method == "post" and path in {"/v1/user", "/v1/user2"})
        assert operation.get("security") == (None if open_to_all else [{"accesstoken": []}]), (method, path)


def test_types_in_the_document_touch_no_answer():
    field = TypeAdapter(Annotated[Json, As(Success)])
    answer = {"status": "neither", "more": [1, 1.0, None]}
    assert field.dump_json(field.validate_python(answer)) == b'{"status":"neither","more":[1,1.0,null]}'
    assert field.json_schema()["title"] == "Success"


@pytest.mark.parametrize("change", [{"total": "1"}, {"more": 1}, {"node_info": [{}]}])
def test_an_answer_that_is_not_as_documented_would_be_found(bench, change):
    bench.join("n1")
    answer = bench.call("GET", "/v1/admin/nodes")
    document = document_of(bench.app)
    changed = httpx2.Response(200, json={**answer.json(), **change})
    with pytest.raises(ValidationError):
        document.check("GET", "/v1/admin/nodes?x=y", changed)


def test_a_generated_client_can_log_in(bench, api_document, tmp_path, monkeypatch):
    done(bench.accounts.ensure_admin(ADMIN, PASSWORD))
    bench.join("n1")
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(api_document))
    config = Config.from_sources(
        ConfigFile(post_hooks=[]),
        MetaType.NONE,
        path,
        "utf-8",
        overwrite=True,
        output_path=tmp_path / "generated_client",
    )
    assert generate(config=config) == []
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    api, client = (import_module(f"generated_client.{name}") for name in ("models", "client"))
    log_in = import_module("generated_client.api.session.log_in_v1_login2_post")
    nodes = import_module("generated_client.api.nodes.admin_nodes_v1_admin_nodes_get")
    wired = {"transport": httpx.ASGITransport(bench.app)}

    async def story():
        stranger = client.Client("http://127.0.0.1:8000", httpx_args=wired)
        wrong = await log_in.asyncio(client=stranger, body=api.Login(user_name=ADMIN, password="wrong"))
        tokens = await log_in.asyncio(client=stranger, body=api.Login(user_name=ADMIN, password=PASSWORD))
        user = client.AuthenticatedClient("http://127.0.0.1:8000", tokens.accesstoken, prefix="", httpx_args=wired)
        return wrong, tokens, await nodes.asyncio(client=user)

    wrong, tokens, found = asyncio.run(story())
    assert (type(wrong), wrong.error_code) == (api.Failure, 101009)
    assert (type(tokens), tokens.description) == (api.LoggedIn, "Login successful")
    assert found.node_info[0].status.connectivity.connected is True
