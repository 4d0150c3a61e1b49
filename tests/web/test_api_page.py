"""The API as a page: everything in the OpenAPI document is on it, and can be tried in a browser."""

from __future__ import annotations

import json
from html import unescape

import pytest
from page_stage import in_process

from py_esp_ota.cloud.web.docs import calls, example, sketch

# --------------------------------------------------------------------------------------------------------- the document


def test_every_call_of_the_document_is_on_the_page():
    async def story(cloud, client):
        text = unescape((await client.get("/docs")).text)
        paths = cloud.app.openapi()["paths"]
        for path, methods in paths.items():
            for method, operation in methods.items():
                assert f'data-method="{method.upper()}" data-path="{path}"' in text
                assert operation["description"].split("\n")[0].replace("``", "") in text
        assert text.count('class="try"') == sum(map(len, paths.values()))

    in_process(story)


SCHEMAS = {
    "Lamp": {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "on": {"anyOf": [{"type": "boolean"}, {"type": "null"}], "default": None},
            "level": {"type": "integer", "default": 5},
        },
        "required": ["name"],
    },
    "Notes": {"type": "object", "properties": {"tags": {"type": "array", "items": {"type": "string"}}}},
    "Color": {"type": "string", "enum": ["red", "blue"]},
}


@pytest.mark.parametrize(
    ("schema", "looks", "begins"),
    [
        ({"$ref": "#/components/schemas/Color"}, "red | blue", ""),
        ({"const": "success", "type": "string"}, "success", ""),
        (
            {"$ref": "#/components/schemas/Lamp"},
            {"name": "string", "on": "boolean or null", "level": "integer"},
            {"name": ""},
        ),
        ({"$ref": "#/components/schemas/Notes"}, {"tags": ["string"]}, {"tags": [""]}),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Lamp"}}, None, [{"name": ""}]),
        ({"anyOf": [{"$ref": "#/components/schemas/Notes"}, {"type": "object"}]}, {"tags": ["string"]}, {"tags": [""]}),
        ({"type": "object", "additionalProperties": True}, {}, {}),
        ({"type": "integer", "default": 3}, "integer", 3),
        ({}, "anything", None),
    ],
)
def test_what_a_schema_looks_like_and_a_value_to_begin_with(schema, looks, begins):
    assert example(schema, SCHEMAS) == begins
    if looks is not None:
        assert sketch(schema, SCHEMAS) == looks


def test_calls_are_in_groups_with_what_they_take_and_answer():
    async def story(cloud, _client):
        groups = calls(cloud.app.openapi())
        assert list(groups) == [
            "images",
            "session",
            "accounts",
            "nodes",
            "groups",
            "jobs",
            "rehearsals",
            "events",
            "webhooks",
            "virtual nodes",
        ]
        by_path = {(call.method, call.path): call for group in groups.values() for call in group}
        start = by_path["POST", "/v1/admin/otajob"]
        assert start.locked
        assert json.loads(start.body) == {"ota_job_name": "", "ota_image_id": ""}
        assert {field.name for field in start.fields} >= {"force_push", "user_approval"}
        assert [answer.code for answer in start.answers] == ["200", "401", "4XX", "5XX"]
        upload = by_path["PUT", "/v1/ota/upload/{ota_image_id}"]
        assert (upload.body, upload.locked) == ("", False)
        assert [(field.name, field.place) for field in upload.fields] == [("ota_image_id", "path"), ("token", "query")]
        assert by_path["GET", "/v1/user"].body is None

    in_process(story)
