"""Images and jobs over REST: ``admin/otaimage``, ``admin/otajob`` and what a node's user can do."""

from __future__ import annotations

import json
import re

import pytest
from cloud_bench import NOW, base64_text, expect, failure, start, upload, user_token

from py_esp_ota.cloud.refusals import Refusal
from py_esp_ota.firmware import Firmware

# --------------------------------------------------------------------------------------------------------------- images


def test_an_image_uploaded_as_base64(bench, lamp):
    answer = upload(bench)
    assert answer["status"] == "success"
    assert re.fullmatch(r"[0-9A-Za-z_-]{9}", answer["ota_image_id"])
    assert bench.call("GET", answer["image_url"], token="").content == lamp
    listed = bench.ok("GET", "/v1/admin/otaimage")
    assert listed["total"] == 1
    (image,) = listed["ota_images"]
    assert (image["image_name"], image["fw_version"], image["model"]) == ("fw", "1.1.0", "lamp")
    assert (image["file_size"], image["upload_timestamp"], image["archived"]) == (len(lamp), NOW * 1000, False)
    assert len(image["file_md5"]) == 32
    one = bench.ok("GET", f"/v1/admin/otaimage?ota_image_id={answer['ota_image_id']}")
    assert one["ota_image_id"] == one["ota_images"][0]["ota_image_id"] == answer["ota_image_id"]


@pytest.mark.parametrize("text", ["!!!", "6Q", "6Q==6Q==", "\u00e9", "6 Q = ="])
def test_base64_garbage(bench, text):
    answer = bench.call("POST", "/v1/admin/otaimage", json={"image_name": "fw", "base64_fwimage": text})
    assert failure(answer) == expect(Refusal.INVALID_REQUEST)


@pytest.mark.parametrize(
    "body",
    [{}, {"image_name": "fw"}, {"image_name": 5, "base64_fwimage": ""}, {"image_name": None, "base64_fwimage": ""}],
)
def test_an_upload_without_its_parts(bench, body):
    assert failure(bench.call("POST", "/v1/admin/otaimage", json=body))[0] == 400


def test_an_upload_that_is_no_image_names_error_and_place(bench):
    body = {"image_name": "fw", "base64_fwimage": base64_text(b"MZ" + bytes(1000))}
    answer = bench.call("POST", "/v1/admin/otaimage", json=body)
    assert failure(answer) == expect(Refusal.NOT_AN_APP_IMAGE)
    assert answer.status_code == 422
    assert answer.json()["description"].startswith("ESP_ERR_IMAGE_INVALID: magic at offset 0x0 is 0x4d, expected 0xe9")
    assert answer.json()["faults"][0]["err"] == "ESP_ERR_IMAGE_INVALID"
    assert bench.ok("GET", "/v1/admin/otaimage?all=true")["total"] == 0


def test_an_image_far_beyond_the_limit_is_not_even_read(bench):
    for method, path, options in (
        ("POST", "/v1/admin/otaimage", {"json": {"image_name": "fw", "base64_fwimage": base64_text(bytes(17 << 20))}}),
        ("PUT", bench.service.images.request_upload("fw")[1], {"content": bytes((16 << 20) + 1)}),
    ):
        assert failure(bench.call(method, path, **options)) == expect(Refusal.BODY_TOO_LARGE)


def test_an_image_a_little_beyond_the_limit(bench):
    body = {"image_name": "fw", "base64_fwimage": base64_text(bytes((16 << 20) + 1))}
    assert failure(bench.call("POST", "/v1/admin/otaimage", json=body)) == expect(Refusal.IMAGE_TOO_LARGE)


def test_the_pre_signed_upload(bench, lamp):
    request = bench.ok("GET", "/v1/admin/otaimage/upload_request?image_name=fw")
    headers = {"Content-type": "application/octet-stream", "x-amz-acl": "public-read"}
    assert bench.call("PUT", request["upload_url"], content=lamp, headers=headers, token="").status_code == 200
    body = {"ota_image_id": request["ota_image_id"], "type": "Lightbulb"}
    answer = bench.ok("POST", "/v1/admin/otaimage/upload_confirm", json=body)
    assert answer["ota_image_id"] == request["ota_image_id"]
    assert bench.call("GET", answer["image_url"], token="").content == lamp


def test_an_expired_upload_link_is_403(bench, lamp):
    request = bench.ok("GET", "/v1/admin/otaimage/upload_request?image_name=fw")
    bench.clock.time += 3600
    assert failure(bench.call("PUT", request["upload_url"], content=lamp, token="")) == expect(Refusal.LINK_REFUSED)


def test_archive_and_delete_an_image(bench):
    image = upload(bench)["ota_image_id"]
    bench.ok("PUT", f"/v1/admin/otaimage?ota_image_id={image}&archive=true")
    assert bench.ok("GET", "/v1/admin/otaimage")["ota_images"] == []
    assert bench.ok("GET", "/v1/admin/otaimage?archived=true")["total"] == 1
    bench.ok("PUT", f"/v1/admin/otaimage?ota_image_id={image}&archive=false")
    assert bench.ok("GET", "/v1/admin/otaimage")["total"] == 1
    assert bench.ok("DELETE", f"/v1/admin/otaimage?ota_image_id={image}")["status"] == "success"
    assert failure(bench.call("DELETE", f"/v1/admin/otaimage?ota_image_id={image}")) == expect(Refusal.IMAGE_UNKNOWN)
    assert failure(bench.call("PUT", f"/v1/admin/otaimage?ota_image_id={image}&archive=maybe"))[0] == 400


def test_a_users_own_image_replaces_the_last_of_that_name(bench):
    token = user_token(bench)
    urls = []
    for version in ("1.0.0", "2.0.0"):
        body = {"image_name": "fw", "base64_fwimage": base64_text(Firmware("lamp", version).to_bytes())}
        answer = bench.ok("POST", "/v1/user/otaimage", json=body, token=token)
        assert "success" in answer["status"]
        urls.append(answer["image_url"])
    assert [bench.call("GET", url, token="").status_code for url in urls] == [404, 200]


# ----------------------------------------------------------------------------------------------------------------- jobs


def test_a_whole_campaign(bench):
    bench.join("n1", "n2", "n3")
    image = upload(bench)["ota_image_id"]
    job = start(bench, image, "n1", "n2", "n3", query="?force_push=true", priority=1, metadata={"a": 1})
    assert re.fullmatch(r"[0-9A-Za-z]{22}", job)
    assert len(bench.sent()) == 3
    one = bench.ok("GET", f"/v1/admin/otajob?ota_job_id={job}")
    assert (one["ota_job_id"], one["ota_jobs"][0]["ota_job_id"]) == (job, job)
    assert (one["status"], one["total_count"], one["triggered_timestamp"]) == ("triggered", 3, NOW * 1000)
    assert (one["nodes"], one["groups"], one["metadata"], one["priority"]) == (["n1", "n2", "n3"], [], {"a": 1}, 1)
    assert (one["force_push"], one["user_approval"], one["notify_flag"], one["timeout"]) == (
        True,
        False,
        False,
        1_296_000,
    )

    bench.report("n1", job, "success", "OTA Upgrade finished and verified successfully")
    bench.report("n2", job, "in-progress", "Downloading Firmware Image")
    assert bench.ok("GET", f"/v1/admin/otajob/status/summary?ota_job_id={job}") == {
        "triggered": 0, "started": 1, "in_progress": 1, "rejected": 0, "delayed": 0, "success": 1, "failed": 0,
        "total": 3,
    }  # fmt: skip
    first = bench.ok("GET", f"/v1/admin/otajob/status?ota_job_id={job}&num_records=2")
    assert first["node_ota_status"][1] == {
        "node_id": "n2", "status": "in-progress", "timestamp": NOW * 1000,
        "additional_info": "Downloading Firmware Image",
    }  # fmt: skip
    second = bench.ok("GET", f"/v1/admin/otajob/status?ota_job_id={job}&num_records=2&start_id={first['next_id']}")
    assert [entry["node_id"] for entry in second["node_ota_status"]] == ["n3"]
    assert (second["total"], "next_id" in second, second["node_groups"]) == (3, False, [])
    only = bench.ok("GET", f"/v1/admin/otajob/status?ota_job_id={job}&node_id=n1&summary=true")
    assert ([entry["node_id"] for entry in only["node_ota_status"]], only["summary"]["total"]) == (["n1"], 3)

    archive = {"ota_job_id": job, "archive": "true"}
    assert failure(bench.call("PUT", "/v1/admin/otajob", json=archive)) == expect(Refusal.JOB_NOT_CANCELLED)
    assert failure(bench.call("DELETE", f"/v1/admin/otaimage?ota_image_id={image}")) == expect(Refusal.IMAGE_IN_USE)
    cancelled = bench.ok("PUT", "/v1/admin/otajob", json={"ota_job_id": job})
    assert (cancelled["status"], cancelled["cancelled_timestamp"], cancelled["archived"]) == (
        "cancelled",
        NOW * 1000,
        False,
    )
    assert bench.ok("PUT", "/v1/admin/otajob", json=archive)["archived"] is True
    assert bench.ok("GET", "/v1/admin/otajob")["ota_jobs"] == []
    assert bench.ok("GET", "/v1/admin/otajob?all=true")["total"] == 1
    assert bench.ok("DELETE", f"/v1/admin/otaimage?ota_image_id={image}&force_delete=true")["status"] == "success"


def test_jobs_page_by_page_by_name_and_by_image(bench):
    bench.join("n1")
    image, other = upload(bench)["ota_image_id"], upload(bench, "other")["ota_image_id"]
    ids = [start(bench, image, "n1", ota_job_name=f"job {index}") for index in range(3)]
    page = bench.ok("GET", "/v1/admin/otajob?num_records=2")
    assert page["total"] == 3
    rest = bench.ok("GET", f"/v1/admin/otajob?num_records=2&start_id={page['next_id']}")
    assert [job["ota_job_id"] for job in page["ota_jobs"] + rest["ota_jobs"]] == ids[::-1]
    assert "next_id" not in rest
    assert [job["ota_job_name"] for job in bench.ok("GET", "/v1/admin/otajob?ota_job_name=B 1")["ota_jobs"]] == [
        "job 1"
    ]
    assert bench.ok("GET", f"/v1/admin/otajob?ota_image_id={image}")["ota_job_id"] == ids[2]
    assert bench.ok("GET", f"/v1/admin/otajob?ota_image_id={other}") == {"ota_jobs": [], "total": 0}


def test_the_all_nodes_group_over_http(bench):
    bench.join("n1", "n2")
    image = upload(bench)["ota_image_id"]
    for groups in (["FFFF-FFFF"], "FFFF-FFFF"):
        job = start(bench, image, groups=groups, nodes=None)
        assert bench.ok("GET", f"/v1/admin/otajob?ota_job_id={job}")["total_count"] == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"nodes": [f"n{index}" for index in range(101)]},
        {"groups": [f"g{index}" for index in range(11)]},
        {"nodes": "n1", "ota_job_name": 5},
        {"nodes": [5]},
        {"nodes": {"n1": 1}},
        {"nodes": ["n1"], "metadata": []},
        {"nodes": ["n1"], "metadata": {"download_window": {"start": 5}}},
        {"nodes": ["n1"], "priority": 0},
        {"nodes": ["n1"], "priority": "high"},
        {"nodes": ["n1"], "timeout": 10**30},
        {"nodes": ["n1"], "ota_job_name": ""},
        {"nodes": ["n1"], "ota_job_name": "\ud800"},
        {"nodes": []},
    ],
)
def test_a_job_that_is_wrong_is_400(bench, fields):
    bench.join("n1")
    body = {"ota_job_name": "j", "ota_image_id": upload(bench)["ota_image_id"], **fields}
    answer = bench.call(
        "POST", "/v1/admin/otajob", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert failure(answer)[0] == 400
    assert bench.ok("GET", "/v1/admin/otajob?all=true")["total"] == 0


def test_metadata_with_numbers_of_python_is_no_json(bench):
    bench.join("n1")
    body = {
        "ota_job_name": "j",
        "ota_image_id": upload(bench)["ota_image_id"],
        "nodes": ["n1"],
        "metadata": {"x": float("nan")},
    }
    answer = bench.call(
        "POST", "/v1/admin/otajob", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert failure(answer) == expect(Refusal.INVALID_REQUEST)


@pytest.mark.parametrize(
    ("option", "key"),
    [
        ("notify", "notify_flag"),
        ("continuous", "continuous"),
        ("network_serialised", "network_serialised"),
        ("network_serialized", "network_serialised"),
    ],
)
def test_an_option_of_newer_releases_is_kept(bench, option, key):
    bench.join("n1")
    body = {"ota_job_name": "j", "ota_image_id": upload(bench)["ota_image_id"], "groups": ["FFFF-FFFF"]}
    for asked in (True, False):
        started = bench.ok("POST", f"/v1/admin/otajob?{option}={str(asked).lower()}", json=body)
        assert bench.ok("GET", f"/v1/admin/otajob?ota_job_id={started['ota_job_id']}")[key] is asked


def test_jobs_and_images_that_do_not_exist(bench):
    bench.join("n1")
    for method, path, options, refusal in (
        ("GET", "otajob?ota_job_id=x", {}, Refusal.JOB_UNKNOWN),
        ("PUT", "otajob", {"json": {"ota_job_id": "x"}}, Refusal.JOB_UNKNOWN),
        ("GET", "otajob/status?ota_job_id=x", {}, Refusal.JOB_UNKNOWN),
        ("GET", "otajob/status/summary?ota_job_id=x", {}, Refusal.JOB_UNKNOWN),
        ("GET", "otaimage?ota_image_id=x", {}, Refusal.IMAGE_UNKNOWN),
        ("POST", "otaimage/upload_confirm", {"json": {"ota_image_id": "x"}}, Refusal.UPLOAD_UNKNOWN),
        (
            "POST",
            "otajob",
            {"json": {"ota_job_name": "j", "ota_image_id": "x", "nodes": ["n1"]}},
            Refusal.IMAGE_UNKNOWN,
        ),
    ):
        assert failure(bench.call(method, f"/v1/admin/{path}", **options)) == expect(refusal)


def test_an_archived_image_starts_no_job(bench):
    bench.join("n1")
    image = upload(bench)["ota_image_id"]
    bench.ok("PUT", f"/v1/admin/otaimage?ota_image_id={image}&archive=true")
    body = {"ota_job_name": "j", "ota_image_id": image, "nodes": ["n1"]}
    assert failure(bench.call("POST", "/v1/admin/otajob", json=body)) == expect(Refusal.IMAGE_ARCHIVED)


def test_an_update_on_a_users_word(bench):
    bench.join("n1")
    token = user_token(bench)
    bench.map("n1", bench.ok("GET", "/v1/user", token=token)["user_id"])
    ask = lambda: bench.ok("GET", "/v1/user/nodes/ota_update?node_id=n1", token=token)  # noqa: E731
    assert ask() == {"status": "success", "description": "No update is available", "ota_available": False}
    image = upload(bench)["ota_image_id"]
    job = start(bench, image, "n1", query="?user_approval=true&force_push=true", description="Better light")
    assert bench.sent() == []
    offer = ask()
    assert (offer["ota_available"], offer["ota_job_id"], offer["description"]) == (True, job, "Better light")
    assert (offer["fw_version"], offer["file_size"]) == ("1.1.0", bench.service.images.get(image).file_size)
    status = lambda: bench.ok("GET", f"/v1/user/nodes/ota_status?node_id=n1&ota_job_id={job}", token=token)  # noqa: E731
    assert status()["status"] == "triggered"
    bench.presence("n1", False)
    yes = {"ota_job_id": job, "node_id": "n1"}
    answer = bench.call("POST", "/v1/user/nodes/ota_update", json=yes, token=token)
    assert failure(answer) == expect(Refusal.NODE_OFFLINE)
    bench.presence("n1", True)
    bench.ok("POST", "/v1/user/nodes/ota_update", json=yes, token=token)
    assert [topic for topic, _ in bench.sent()] == ["node/n1/otaurl"]
    bench.report("n1", job, "success", "done")
    assert status() == {
        "node_id": "n1", "ota_job_id": job, "status": "success", "additional_info": "done", "timestamp": NOW * 1000,
    }  # fmt: skip
    assert not ask()["ota_available"]


def test_no_status_is_404(bench):
    bench.join("n1", "n2")
    job = start(bench, upload(bench)["ota_image_id"], "n1")
    answer = bench.call("GET", f"/v1/user/nodes/ota_status?node_id=n2&ota_job_id={job}")
    assert failure(answer) == expect(Refusal.OTA_STATUS_UNKNOWN)
    assert answer.status_code == 404
