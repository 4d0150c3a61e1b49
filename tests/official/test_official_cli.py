"""``esp-rainmaker-cli``, the newest release, over plain HTTP: what people do with it, as it prints it."""

from __future__ import annotations

import base64
import json
import re

import pytest
from official_bench import PASSWORD

from py_esp_ota.firmware import Firmware
from py_esp_ota.ports import Message
from py_esp_ota.world import ADMIN

pytestmark = pytest.mark.sockets
NEW = Firmware("lamp", "1.1.0").to_bytes()


def introduce(world, *node_ids):
    """Nodes that once said who they are, and have gone."""
    for node_id in node_ids:
        config = {
            "node_id": node_id,
            "config_version": "2020-03-20",
            "info": {"name": node_id, "fw_version": "1.0.0", "type": "Lightbulb", "model": "lamp"},
            "devices": [],
            "services": [],
        }
        world.lab.service.intake.handle(Message(f"node/{node_id}/config", json.dumps(config).encode()))


def tokens(client_folder):
    return client_folder / "profiles" / "here_config.json"


def test_01_login_leaves_tokens_and_getuserinfo_reads_the_account(world, admin):
    said = world.run(admin("getuserinfo"))
    assert ADMIN in said
    saved = json.loads(tokens(admin.home).read_text())
    assert {"idtoken", "accesstoken", "refreshtoken"} <= set(saved)
    assert "Current Profile: here" in (listed := world.run(admin("profile", "list"))) or "here" in listed


def test_02_an_expired_token_is_refreshed_by_the_next_command(world, admin):
    file = tokens(admin.home)
    saved = json.loads(file.read_text())
    head, payload, tail = saved["accesstoken"].split(".")
    claims = json.loads(base64.b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["exp"] > 1_700_000_000
    worn = base64.b64encode(json.dumps(claims | {"exp": 1_700_000_000}).encode()).decode().rstrip("=")
    file.write_text(json.dumps(saved | {"accesstoken": f"{head}.{worn}.{tail}"}))
    said = world.run(admin("getuserinfo"))
    assert "expired" in said
    assert ADMIN in said
    assert json.loads(file.read_text())["accesstoken"] != f"{head}.{worn}.{tail}"


def test_03_a_wrong_password_is_failure_101009(world):
    async def scenario():
        client = await world.client()
        await client("profile", "add", "here", "--base-url", world.http)
        await client("profile", "switch", "here")
        return await client("login", "--user_name", ADMIN, "--password", "not this one 1")

    assert "(101009)" in world.run(scenario())


def test_04_getnodes_reads_every_page_and_getnodedetails_what_it_shows(world, admin):
    names = [f"page-{number:03}" for number in range(60)]
    introduce(world, *names)

    async def scenario():
        return await admin("getnodes"), await admin("getnodedetails", "page-007", "--raw")

    listed, detail = world.run(scenario())
    assert re.findall(r"page-\d{3}", listed) == names
    shown = json.loads(re.search(r"\{.*\}", detail, re.DOTALL)[0])
    (node,) = shown["node_details"]
    assert node["id"] == "page-007"
    assert node["config"]["info"]["model"] == "lamp"
    assert node["status"]["connectivity"]["timestamp"] > 1_600_000_000_000  # milliseconds


def test_05_setparams_of_one_and_of_several_nodes(world, admin):
    introduce(world, "lamp-a")
    data = json.dumps({"Light": {"Power": True}})

    async def scenario():
        await world.lamp("lamp-on")
        one = await admin("setparams", "lamp-on", "--data", data)
        return one, await admin("setparams", "lamp-on,nobody", "--data", data)

    one, two = world.run(scenario())
    assert "updated successfully" in one.lower(), one
    assert "1 of 2" in two
    assert "nobody" in two


def test_07_a_whole_campaign_with_raw_api(world, admin):
    async def scenario():
        await world.lamp("camp1")
        image = await world.upload(admin, "lamp-1.1.0", NEW)
        status, requested = await admin.raw("GET", "admin/otaimage/upload_request", image_name="by link")
        started = await admin.raw(
            "POST",
            "admin/otajob",
            {"ota_job_name": "all of it", "ota_image_id": image, "nodes": ["camp1"]},
            force_push="true",
        )
        job = started[1]["ota_job_id"]
        early = await admin.raw("PUT", "admin/otajob", {"ota_job_id": job, "archive": True})
        in_use = await admin.raw("DELETE", "admin/otaimage", ota_image_id=image)
        await world.lab.until(lambda: world.lab._is_final(job, "camp1"), seconds=60)
        summary = await admin.raw("GET", "admin/otajob/status/summary", ota_job_id=job)
        page = await admin.raw("GET", "admin/otajob/status", ota_job_id=job, num_records=1)
        cancelled = await admin.raw("PUT", "admin/otajob", {"ota_job_id": job})
        archived = await admin.raw("PUT", "admin/otajob", {"ota_job_id": job, "archive": True})
        removed = await admin.raw("DELETE", "admin/otaimage", ota_image_id=image)
        return status, requested, started, early, in_use, summary, page, cancelled, archived, removed

    status, requested, started, early, in_use, summary, page, cancelled, archived, removed = world.run(scenario())
    assert (status, started[0]) == (200, 200), (requested, started)
    assert early[0] == 409
    assert in_use[0] == 409
    assert summary[1]["success"] == 1, summary
    assert "camp1" in json.dumps(page[1])
    assert (cancelled[0], archived[0]) == (200, 200), (cancelled, archived)
    assert removed[0] in {200, 409}, removed


@pytest.mark.parametrize("case", ["101 nodes", "11 groups", "an unknown image"])
def test_08_what_a_job_may_not_name(world, admin, case):
    async def scenario():
        image = "nobody-has" if case == "an unknown image" else await world.upload(admin, f"for {case}", NEW)
        body = {"ota_job_name": case, "ota_image_id": image}
        body["nodes"] = [f"n{number}" for number in range(101)] if case == "101 nodes" else ["page-001"]
        if case == "11 groups":
            del body["nodes"]
            body["groups"] = [f"g{number}" for number in range(11)]
        return await admin.raw("POST", "admin/otajob", body)

    status, answer = world.run(scenario())
    assert status == (404 if case == "an unknown image" else 400)
    assert answer["status"] == "failure"


def test_08_an_archived_image_starts_nothing(world, admin):
    async def scenario():
        image = await world.upload(admin, "put away", NEW)
        archived = await admin.raw("PUT", "admin/otaimage", ota_image_id=image, archive="true")
        started = await admin.raw(
            "POST", "admin/otajob", {"ota_job_name": "j", "ota_image_id": image, "nodes": ["page-001"]}
        )
        return archived, started

    archived, (status, answer) = world.run(scenario())
    assert archived[0] == 200, archived
    assert (status, answer["status"]) == (409, "failure")


def test_09_ffff_ffff_is_every_node(world, admin):
    introduce(world, *(f"all-{number}" for number in range(3)))

    async def scenario():
        image = await world.upload(admin, "for everybody", NEW)
        body = {"ota_job_name": "everybody", "ota_image_id": image, "groups": ["FFFF-FFFF"]}
        status, started = await admin.raw("POST", "admin/otajob", body, force_push="false")
        assert status == 200, started
        _, summary = await admin.raw("GET", "admin/otajob/status/summary", ota_job_id=started["ota_job_id"])
        await admin.raw("PUT", "admin/otajob", {"ota_job_id": started["ota_job_id"]})
        return summary

    summary = world.run(scenario())
    known = world.lab.service.nodes.find(num_records=1).total
    assert known > 60
    assert summary["triggered"] == known, summary


def test_18_paths_that_nobody_has_are_403_and_errors_are_json(world, admin):
    async def scenario():
        return await admin.raw("GET", "no/such/path"), await admin.raw("GET", "admin/otajob", ota_job_id="none")

    nowhere, nothing = world.run(scenario())
    assert nowhere == (403, {"message": "Missing Authentication Token"})
    assert nothing[0] == 404
    assert nothing[1]["status"] == "failure"


def test_logout_ends_the_session(world):
    async def scenario():
        client = await world.client()
        await client.log_in(world.http)
        out = await client("logout")
        return out, await client("getnodes")

    out, after = world.run(scenario())
    assert "Logout successful" in out
    assert "page-001" not in after


def test_an_account_from_signup_to_its_end(world):
    async def scenario():
        client = await world.client()
        await client("profile", "add", "here", "--base-url", world.http)
        await client("profile", "switch", "here")
        # The code comes from the cloud before it is typed: so it is asked for twice.
        await client("signup", "ann@example.com", typed=f"{PASSWORD}\n{PASSWORD}\n")
        code = world.codes["ann@example.com"]
        said = await client("signup", "ann@example.com", typed=f"{PASSWORD}\n{PASSWORD}\n{code}\n")
        await client("login", "--user_name", "ann@example.com", typed=PASSWORD)
        return said, await client("getuserinfo"), await client("getnodes"), await client("deleteuser")

    said, info, nodes, gone = world.run(scenario())
    assert "ann@example.com" in info, said
    assert "page-001" not in nodes, gone
