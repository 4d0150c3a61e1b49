"""Jobs that the cloud accepts, and messages that a node takes."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

sys.path.insert(0, str(Path(__file__).parents[1] / "cloud"))

from cloud_bench import NOW, Bench

from py_esp_ota.cloud.jobs import metadata_problem
from py_esp_ota.rainmaker.messages import OtaUrl
from py_esp_ota.strategies import OtaJobRequest, ota_jobs, ota_urls

# Nobody reads an explanation of what find() gives, and it takes longer than to shrink it.
QUIET = settings(database=None, max_examples=1000, derandomize=True, phases=[Phase.generate, Phase.shrink])


def smallest(strategy, condition=lambda _: True):
    return find(strategy, condition, settings=QUIET, random=random.Random(0))


@pytest.fixture(scope="module")
def cloud():
    bench = Bench()
    bench.service.outbox.start()
    bench.join("n1", "n2")
    image = bench.image()
    yield bench, image.ota_image_id
    bench.store.close()


def test_the_cloud_accepts_every_job_and_tells_the_node(cloud):
    bench, image = cloud

    @settings(max_examples=max(1, settings().max_examples // 2))
    @given(ota_jobs(ota_image_id=image, nodes=["n1", "n2"], now=int(NOW)))
    def accepted(request):
        bench.sent()
        answer = bench.ok("POST", "/v1/admin/otajob", params=request.query, json=request.body)
        [job] = bench.ok("GET", "/v1/admin/otajob", params={"ota_job_id": answer["ota_job_id"]})["ota_jobs"]
        assert job["ota_job_name"] == request.body["ota_job_name"]
        assert job.get("metadata", {}) == request.body.get("metadata", {})
        assert job["force_push"] == request.force_push
        told = [json.loads(payload) for topic, payload in bench.sent() if topic.endswith("/otaurl")]
        assert bool(told) == (request.force_push and not request.user_approval)
        assert all(message.get("metadata", {}) == request.body.get("metadata", {}) for message in told)
        bench.service.jobs.cancel(answer["ota_job_id"])

    accepted()


def test_every_part_of_a_job_is_drawn():
    seen = set()

    @settings(max_examples=300, derandomize=True)
    @given(ota_jobs(now=int(NOW)))
    def collect(request):
        seen.update(request.body, request.query, request.body.get("metadata", {}))
        validity = request.body.get("metadata", {}).get("validity", {})
        seen.update(validity)
        if "start" in validity:
            seen.add("future" if validity["start"] > NOW else "begun")
        assert metadata_problem(request.body.get("metadata", {}), int(NOW) * 1000) is None

    collect()
    assert seen >= {"nodes", "groups", "metadata", "description", "priority", "timeout", "force_push", "user_approval"}
    assert seen >= {"validity", "download_window", "start", "end", "future", "begun"}


@given(ota_urls())
def test_a_node_reads_what_the_cloud_sends(message):
    again = OtaUrl.decode(message.encode())
    assert again.ota_job_id == message.ota_job_id
    assert len(again.ota_job_id) == 22
    assert (again.url, again.fw_version, again.file_size) == (message.url, message.fw_version, message.file_size)
    assert (again.metadata is None) == (message.metadata is None)
    assert json.loads(again.metadata or "{}") == json.loads(message.metadata or "{}")


def test_jobs_shrink_to_a_name_an_image_and_a_node():
    assert smallest(ota_jobs()) == OtaJobRequest({"ota_job_name": "0", "ota_image_id": "image", "nodes": ["node"]})
    windowed = smallest(ota_jobs(), lambda job: "download_window" in job.body.get("metadata", {}))
    assert windowed.body["metadata"] == {"download_window": {"start": 0, "end": 0}}
    assert smallest(ota_urls()).metadata is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"nodes": "node"}, "nodes is the text 'node', expected a collection of node ids"),
        ({"nodes": []}, "nodes has 0 node ids, expected 1 to 100"),
        ({"nodes": [str(number) for number in range(101)]}, "nodes has 101 node ids, expected 1 to 100"),
        ({"now": -1}, "now is -1, expected seconds since 1970"),
    ],
)
def test_jobs_that_cannot_be(options, sentence):
    with pytest.raises(InvalidArgument, match=sentence):
        find(ota_jobs(**options), lambda _: True)


@given(st.data())
def test_a_request_is_a_value(data):
    request = data.draw(ota_jobs())
    assert request == OtaJobRequest(request.body, request.force_push, request.user_approval)
