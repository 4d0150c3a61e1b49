"""A node that writes JSON as others do, by choice: whatever it is told, what it says can be read."""

from __future__ import annotations

import asyncio
import json

import pytest
from node_bench import JOB, URL, Answer, Bench

from py_esp_ota.errors import FetchError
from py_esp_ota.rainmaker.messages import OTASTATUS_LIMIT, OtaStatusReport
from py_esp_ota.rainmaker.params import Param, ParamDevice
from py_esp_ota.sdkconfig import Sdkconfig


def node(*, well_formed, text='a "b"\\\n', failure=None):
    """Names, texts, alerts and job ids with all that JSON escapes."""

    def devices():
        return [ParamDevice('La"mp', "t", [Param("Te\\xt", "t", text)])]

    async def scenario(bench):
        await asyncio.sleep(10)
        await bench.send("otaurl", b'{"ota_job_id":"j\tb","url":"https://cloud/lamp.bin"}')
        bench.node.ota.handle.core.raise_alert(text)
        await asyncio.sleep(2)

    server = {URL: failure} if failure else None
    config = Sdkconfig(well_formed_json=well_formed)
    return Bench(config=config, devices=devices, server=server).run(scenario)


def readable(payload):
    try:
        return json.loads(payload)
    except ValueError:
        return None


@pytest.mark.parametrize("suffix", ["config", "params/local/init", "alert", "otastatus"])
def test_by_choice_it_can_be_read_and_else_it_is_what_a_node_says(suffix):
    assert readable(node(well_formed=True).payloads(suffix)[0]) is not None
    assert readable(node(well_formed=False).payloads(suffix)[0]) is None


def test_what_it_says_is_what_it_has():
    bench = node(well_formed=True)
    assert readable(bench.payloads("params/local/init")[0]) == {'La"mp': {"Te\\xt": 'a "b"\\\n'}}
    assert readable(bench.payloads("alert")[0]) == {"esp.alert.str": 'a "b"\\\n'}
    assert readable(bench.payloads("otastatus")[0])["ota_job_id"] == "j\tb"


def test_a_report_that_is_too_long_is_shortened():
    failure = Answer(fails=FetchError("connect", "", 115))
    bench = Bench(config=Sdkconfig(well_formed_json=True), server={URL: failure}).update()
    cut = bench.payloads("otastatus")[1]
    assert len(cut) == OTASTATUS_LIMIT
    assert json.loads(cut)["ota_job_id"] == JOB
    assert json.loads(cut)["additional_info"].endswith("Connection already in progress")


def test_a_report_that_no_shortening_helps_is_cut_all_the_same():
    report = OtaStatusReport(ota_job_id="j" * 300, status="failed", additional_info="x")
    assert len(report.encode(well_formed=True)) == OTASTATUS_LIMIT
