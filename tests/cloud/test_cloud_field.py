"""The field at a glance: versions that run there, the newest job of each node, nodes that somebody should look at."""

from __future__ import annotations

import pytest

from py_esp_ota.cloud.field import Version
from py_esp_ota.cloud.jobs import NodeStatus
from py_esp_ota.cloud.roles import NodeRole

pytestmark = pytest.mark.both_databases


def test_versions_are_counted_by_model_the_most_frequent_first(bench):
    for number in range(3):
        bench.join(f"n{number}", online=number > 0, fw_version="1.0")
    bench.join("m1", fw_version="2.0")
    bench.presence("silent", False)
    assert bench.service.field.versions() == [
        Version(model="lamp", fw_version="1.0", count=3, online=2),
        Version(model="", fw_version="", count=1, online=0),
        Version(model="lamp", fw_version="2.0", count=1, online=1),
    ]


def test_the_newest_job_of_a_node_counts_until_it_is_put_away(bench):
    bench.join("n1")
    bench.join("n2")
    image = bench.image("lamp").ota_image_id
    old = bench.service.jobs.create("old", image, nodes=["n1", "n2"]).job.ota_job_id
    new = bench.service.jobs.create("new", image, nodes=["n1"]).job.ota_job_id
    last = bench.service.field.last_jobs(["n1", "n2", "nobody"])
    assert {node: (job.ota_job_name, job.status, job.open) for node, job in last.items()} == {
        "n1": ("new", NodeStatus.TRIGGERED, True),
        "n2": ("old", NodeStatus.TRIGGERED, True),
    }
    bench.service.jobs.cancel(new)
    assert not bench.service.field.last_jobs(["n1"])["n1"].open
    bench.service.jobs.archive(new)
    assert bench.service.field.last_jobs(["n1"])["n1"].ota_job_id == old


def test_trouble_is_who_failed_was_refused_or_is_missed_by_a_job(bench):
    for node in ("fails", "refuses", "well"):
        bench.join(node)
    bench.join("away", online=False)
    image = bench.image("lamp").ota_image_id
    job = bench.service.jobs.create("job", image, nodes=["fails", "refuses", "well", "away"]).job.ota_job_id
    bench.report("fails", job, "failed", "no room")
    bench.clock.time += 1
    bench.report("refuses", job, "rejected", "Firmware rolled back")
    bench.report("well", job, "success", "done")
    found, total = bench.service.field.troubled()
    assert [(each.node_id, each.additional_info) for each in found] == [
        ("refuses", "Firmware rolled back"), ("fails", "no room"), ("away", ""),
    ]  # fmt: skip
    assert total == 3
    assert [each.node_id for each in bench.service.field.troubled(1)[0]] == ["refuses"]
    bench.service.jobs.cancel(job)
    assert [each.node_id for each in bench.service.field.troubled()[0]] == ["refuses", "fails"]
    bench.service.jobs.archive(job)
    assert bench.service.field.troubled() == ([], 0)


@pytest.mark.parametrize(
    ("search", "expected"),
    [("N1", ["n1"]), ("desk", ["n2"]), ("1.5", ["n1"]), ("room:k", ["n3"]), ("%", []), ("_", []), ("lamp", None)],
)
def test_nodes_are_found_by_a_piece_of_what_people_know_of_them(bench, search, expected):
    bench.join("n1", fw_version="1.5", name="Hall")
    bench.join("n2", fw_version="1.0", name="Desk")
    bench.join("n3", fw_version="1.0", name="Attic")
    bench.service.nodes.add_tags("n3", ["room:kitchen"])
    found = [node.node_id for node in bench.service.nodes.find(search=search).items]
    assert found == (["n1", "n2", "n3"] if expected is None else expected)


def test_nodes_are_found_among_some_and_apart_from_others(bench):
    for number in range(4):
        bench.join(f"n{number}")
    find = bench.service.nodes.find
    assert [node.node_id for node in find(among={"n2", "n0", "else"}).items] == ["n0", "n2"]
    assert [node.node_id for node in find(apart=["n2", "n0"]).items] == ["n1", "n3"]
    assert [node.node_id for node in find(among=["n1", "n2"], apart=["n2"]).items] == ["n1"]
    assert find(among=[]).items == []
    assert bench.service.nodes.count() == 4
    assert bench.service.nodes.is_known("n0")
    assert not bench.service.nodes.is_known("else")


def test_a_node_has_jobs_and_users(bench):
    bench.join("n1")
    image = bench.image("lamp").ota_image_id
    jobs = [bench.service.jobs.create(name, image, nodes=["n1"]).job.ota_job_id for name in ("one", "two")]
    assert [view.job.ota_job_id for view, _ in bench.service.jobs.of_node("n1")] == jobs[::-1]
    assert [view.job.ota_job_id for view, _ in bench.service.jobs.of_node("n1", 1)] == jobs[1:]
    assert [view.job.ota_job_name for view in bench.service.jobs.running()] == ["two", "one"]
    bench.service.jobs.cancel(jobs[1])
    assert [view.job.ota_job_name for view in bench.service.jobs.running()] == ["one"]
    assert bench.token  # the admin has an account now
    assert bench.service.sharing.of_node("n1") == {NodeRole.PRIMARY: ["admin@example.com"], NodeRole.SECONDARY: []}
    assert bench.service.images.inspect(image).valid
