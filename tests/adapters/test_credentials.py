"""A node's certificate and key as bytes: what is refused, and what a server sees of the node that shows them."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from broker_bench import run_real

from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.adapters.clock import SystemClock
from py_esp_ota.adapters.credentials import check_current, check_issued, check_pair, common_name, node_context
from py_esp_ota.adapters.mqtt import TcpMqtt
from py_esp_ota.errors import MqttError


def pair(ca, node_id="n1"):
    files = ca.node(node_id)
    return files.cert.read_bytes(), files.key.read_bytes()


def test_who_a_certificate_is_of_and_whether_the_key_is_its_own(ca):
    cert, key = pair(ca)
    assert common_name(cert) == "n1"
    check_pair(cert, key)
    check_current(cert, SystemClock())
    with pytest.raises(ValueError, match="the key is not that of the certificate"):
        check_pair(cert, pair(ca, "n2")[1])
    for no_key in (b"", cert, b"nonsense"):
        with pytest.raises(ValueError, match="the key is no private key in PEM"):
            check_pair(cert, no_key)
    for no_cert in (b"", key, b"nonsense"):
        with pytest.raises(ValueError, match="the certificate is none in PEM"):
            common_name(no_cert)


def test_whose_authority_a_certificate_is_of(ca, tmp_path):
    cert, _ = pair(ca)
    check_issued(cert, ca.ca_file.read_bytes())
    with pytest.raises(ValueError, match="the certificate is not of this CA"):  # of the same name, too
        check_issued(cert, LocalCa(tmp_path).ca_file.read_bytes())


@pytest.mark.parametrize(("when", "why"), [(0.0, "is good from"), (4e9, "was good until")])
def test_a_certificate_has_its_time(ca, when, why):
    class Then:
        def now(self):
            return when

    with pytest.raises(ValueError, match=why):
        check_current(pair(ca)[0], Then())


async def first_packet(ca, alpn, username, keep_alive):
    """What a TLS server that speaks ``x-amzn-mqtt-ca`` sees of a node: the protocol, its certificate, its CONNECT."""
    files = ca.server()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca.ca_file)
    context.load_cert_chain(files.cert, files.key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["x-amzn-mqtt-ca"])
    seen = asyncio.get_running_loop().create_future()

    async def serve(reader, writer):
        line = writer.get_extra_info("ssl_object")
        peer = dict(field[0] for field in line.getpeercert()["subject"])
        header = await reader.readexactly(2)
        seen.set_result((line.selected_alpn_protocol(), peer["commonName"], await reader.readexactly(header[1])))
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        tls = node_context(*pair(ca), ca_file=ca.ca_file, alpn=alpn)
        mqtt = TcpMqtt("127.0.0.1", port, tls=lambda _: tls, username=username, keep_alive=keep_alive)
        with pytest.raises(MqttError):
            async with mqtt("n1"):
                pass
        return await seen


@pytest.mark.sockets
@pytest.mark.parametrize("alpn", ["x-amzn-mqtt-ca", None])
def test_what_the_broker_sees_of_a_node(ca, alpn):
    user = "?Platform=APN3|A0|RM|EX00|RMDev|1x0|7CDFA1B2C3D4"
    chosen, name, connect = run_real(first_packet(ca, alpn, user, 300))
    assert (chosen, name) == (alpn, "n1")
    # MQTT 3.1.1, a clean session and a user name without a password, 300 s, the client id
    assert connect == b"\x00\x04MQTT\x04\x82\x01\x2c\x00\x02n1" + bytes([0, len(user)]) + user.encode()


@pytest.mark.sockets
def test_without_a_user_name_none_is_sent(ca):
    assert run_real(first_packet(ca, None, None, 120))[2] == b"\x00\x04MQTT\x04\x02\x00\x78\x00\x02n1"
