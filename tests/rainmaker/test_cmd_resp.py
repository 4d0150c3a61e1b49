"""Commands to a node and its answers: bytes of upstream's TLV, who may ask, and what a command to set params does."""

from __future__ import annotations

import asyncio

import pytest
from node_bench import Bench

from py_esp_ota.rainmaker.cmd_resp import EMPTY_RESPONSE, CmdStatus, Tlv, get_value, prepare_payload, tlv
from py_esp_ota.sdkconfig import Sdkconfig


def command(req_id=b"r1", role=2, cmd=1, data=b'{"params":{"Light":{"Brightness":7}}}'):
    said = tlv(Tlv.REQ_ID, req_id) + tlv(Tlv.USER_ROLE, bytes((role,)))
    return said + tlv(Tlv.CMD, cmd.to_bytes(2, "little")) + (tlv(Tlv.DATA, data) if data else b"")


def answers(*payloads, config=None):
    """What a node says to commands, after its poll."""

    async def scenario(bench):
        await asyncio.sleep(10)
        for payload in payloads:
            await bench.send("to-node", payload)
        await asyncio.sleep(1)

    bench = Bench(config=config).run(scenario)
    said = bench.payloads("from-node")
    assert said[0] == EMPTY_RESPONSE
    return bench, said[1:]


def test_the_poll_and_an_answer_to_the_byte():
    assert EMPTY_RESPONSE.hex(" ") == "01 00 03 01 00 05 02 00 00"
    assert prepare_payload(b"ab", CmdStatus.NOT_FOUND, 0x1000, b"{}").hex(" ") == (
        "01 02 61 62 03 01 04 05 02 00 10 06 02 7b 7d"
    )


def test_params_set_by_a_command_are_in_the_answer_and_not_reported():
    bench, said = answers(command())
    assert said == [
        prepare_payload(b"r1", CmdStatus.SUCCESS, 1, b'{"status":"success","params":{"Light":{"Brightness":7}}}')
    ]
    assert bench.payloads("params/local") == []


def test_nothing_changed_is_a_success_without_params():
    _, said = answers(command(data=b'{"params":{}}'))
    assert said == [prepare_payload(b"r1", CmdStatus.SUCCESS, 1, b'{"status":"success"}')]


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        (command(req_id=b""), CmdStatus.CMD_INVALID),
        (command(role=0), CmdStatus.CMD_INVALID),
        (command(cmd=0), CmdStatus.CMD_INVALID),
        (b"", CmdStatus.CMD_INVALID),
        (command(cmd=0x1000), CmdStatus.NOT_FOUND),
        (command(role=8), CmdStatus.AUTH_FAIL),  # a node's
        (command(role=0x18), CmdStatus.AUTH_FAIL),
        (command(data=b""), CmdStatus.FAILED),
        (command(data=b"{"), CmdStatus.FAILED),
        (command(data=b'{"Light":{}}'), CmdStatus.FAILED),
        (command(data=b'{"params":{"a":"' + b"x" * 2040 + b'"}}'), CmdStatus.FAILED),
    ],
)
def test_what_is_answered_without_an_effect(payload, status):
    _, said = answers(payload)
    assert [get_value(answer, Tlv.STATUS, 1) for answer in said] == [bytes((status,))]
    assert get_value(said[0], Tlv.DATA, 100) is None


def test_long_values_come_in_pieces():
    assert tlv(Tlv.DATA, b"x" * 300) == b"\x06\xff" + b"x" * 255 + b"\x06\x2d" + b"x" * 45
    assert get_value(tlv(Tlv.DATA, b"x" * 300) + tlv(Tlv.CMD, b"ab"), Tlv.DATA, 300) == b"x" * 300
    assert get_value(tlv(Tlv.DATA, b"x" * 255) + tlv(Tlv.CMD, b"ab"), Tlv.DATA, 300) == b"x" * 255
    assert get_value(tlv(Tlv.DATA, b"x" * 300), Tlv.DATA, 299) is None
    assert get_value(b"\x06\x05abc", Tlv.DATA, 10) is None


def test_it_is_subscribed_once_and_polls_at_each_connection():
    async def scenario(bench):
        await asyncio.sleep(10)
        bench.broker.kick("node1")
        await asyncio.sleep(20)
        await bench.send("to-node", command(cmd=9))
        await asyncio.sleep(1)

    bench = Bench().run(scenario)
    assert bench.payloads("from-node") == [EMPTY_RESPONSE] * 2 + [prepare_payload(b"r1", CmdStatus.NOT_FOUND, 9)]


def test_without_the_option_there_is_none_of_it():
    bench = Bench(config=Sdkconfig(esp_rmaker_cmd_resp_enable=False)).wait(10)
    assert bench.payloads("from-node") == []
    assert b"attributes" not in bench.payloads("config")[0]


def test_without_the_command_to_set_params_it_is_not_found():
    _, said = answers(command(), config=Sdkconfig(esp_rmaker_param_cmd_resp_enable=False))
    assert said == [prepare_payload(b"r1", CmdStatus.NOT_FOUND, 1)]
