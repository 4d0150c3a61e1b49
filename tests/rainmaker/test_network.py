"""A node in a Thread network: an attribute of it, and a word in each question and report of OTA over topics."""

from __future__ import annotations

import asyncio
import json

from node_bench import Bench

from py_esp_ota.sdkconfig import Sdkconfig


def told(bench: Bench, suffix: str) -> list[str | None]:
    return [json.loads(payload).get("network_id") for payload in bench.payloads(suffix)]


def attributes(bench: Bench) -> list[dict[str, str]]:
    configs = [json.loads(payload).get("attributes", []) for payload in bench.payloads("config")]
    return [{each["name"]: each["value"] for each in config} for config in configs]


def test_questions_and_reports_name_the_network_as_eight_hexadecimal_digits():
    bench = Bench()
    bench.thread_partition_id = 0xA0B0C
    bench.update()
    assert set(told(bench, "otafetch")) == set(told(bench, "otastatus")) == {"000A0B0C"}
    assert list(json.loads(bench.payloads("otafetch")[0])) == ["node_id", "fw_version", "network_id"]
    (first, *_) = bench.payloads("otastatus")
    assert list(json.loads(first)) == ["ota_job_id", "status", "network_id", "additional_info", "ts"]
    assert [each["network-id"] for each in attributes(bench)] == ["000A0B0C"] * 2  # one for each boot
    assert "success" in bench.payloads("otastatus")[-1].decode()


def test_without_a_network_nothing_is_said_of_one():
    bench = Bench().update()
    assert set(told(bench, "otafetch")) == set(told(bench, "otastatus")) == {None}
    assert all("network-id" not in each for each in attributes(bench))


def test_another_network_is_reported_once_the_config_was():
    bench = Bench()
    bench.thread_partition_id = 1

    async def scenario(bench: Bench) -> None:
        await asyncio.sleep(10)
        for partition_id in (1, 0, 2):
            bench.node.network.on_attached(partition_id)
        await asyncio.sleep(10)

    bench.run(scenario)
    assert [each["network-id"] for each in attributes(bench)] == ["00000001", "00000002"]
    assert len(bench.payloads("params/local/init")) == 2


def test_releases_before_1_7_4_do_not_know_it():
    bench = Bench(config=Sdkconfig(rainmaker_version=(1, 7, 3)))
    bench.thread_partition_id = 1
    bench.update()
    assert set(told(bench, "otafetch")) == set(told(bench, "otastatus")) == {None}
    assert all("network-id" not in each for each in attributes(bench))
