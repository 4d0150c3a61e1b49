"""The client for crowds on real sockets: what goes well with Mosquitto, and what goes ill with anybody."""

from __future__ import annotations

import asyncio
import gc
import re
import socket
import ssl
import sys
from contextlib import asynccontextmanager, suppress

import pytest
from broker_bench import needs_mosquitto, next_of, run_real, silent, soon
from raw_mqtt import ACCEPTED, PUBACK, packet, text
from raw_mqtt import publish as publish_by_hand

from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.adapters.crowd import CrowdMqtt
from py_esp_ota.adapters.crowd_link import CrowdLink
from py_esp_ota.adapters.crowd_tls import CrowdContexts
from py_esp_ota.adapters.mosquitto import free_port, open_mosquitto
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Message

pytestmark = pytest.mark.sockets

SUBACK = b"\x90\x03\x00\x01\x01"
WILL = Message("node/n1/params/local", b"gone")


@asynccontextmanager
async def broker_by_hand(*answers: bytes, then: str = "stays"):
    """Says one answer after each thing it hears, and then it stays or hangs up; gives its port and what it heard."""
    heard: list[bytes] = []
    ended = asyncio.Event()
    talking: set[asyncio.Task] = set()

    async def talk(reader, writer):
        talking.add(asyncio.current_task())
        with suppress(ConnectionError):
            for answer in answers:
                heard.append(await reader.read(1 << 16))
                writer.write(answer)
                await writer.drain()
            while then == "stays" and (data := await reader.read(1 << 16)):
                heard.append(data)
        writer.close()
        ended.set()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], heard, ended
        await soon(lambda: all(task.done() for task in talking))


@pytest.mark.skipif(sys.platform != "linux", reason="all of 127.0.0.0/8 is ours on Linux alone")
def test_many_come_from_several_addresses_of_loopback_where_ports_are_cheap(monkeypatch):
    monkeypatch.setattr("py_esp_ota.adapters.crowd._PORTS", 2)
    came = []

    async def talk(reader, writer):
        came.append(writer.get_extra_info("peername")[0])
        await reader.read(1 << 16)
        writer.write(ACCEPTED)
        await reader.read()
        writer.close()

    async def scenario():
        async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
            door = CrowdMqtt("127.0.0.1", server.sockets[0].getsockname()[1])
            for number in range(5):
                async with door(f"lamp{number}"):
                    pass

    run_real(scenario())
    assert came == ["127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.2", "127.0.0.3"]


# ------------------------------------------------------------------------------------------------------ with Mosquitto


@asynccontextmanager
async def tls_broker(folder, ca, *, resume=False, **options):
    async with open_mosquitto(folder, ca) as broker:
        seen: list[tuple[str, bool]] = []
        broker.on_presence(lambda node_id, connected: seen.append((node_id, connected)))
        door = CrowdMqtt(
            "127.0.0.1", broker.port, tls=CrowdContexts(ca.ca_file, ca.node), resume=resume, timeout=20, **options
        )
        yield broker, door, seen


@needs_mosquitto
def test_a_crowd_comes_as_itself_at_once_and_goes_on_from_its_sessions(tmp_path, ca):
    """One context for all, whose certificate is changed while others are in their handshakes."""
    names = [f"n{number}" for number in range(30)]

    async def story():
        async with tls_broker(tmp_path, ca, resume=True) as (broker, door, seen), broker.mqtt("cloud") as cloud:
            await cloud.subscribe("node/+/otastatus")
            heard = []

            async def life(name):
                async with door(name) as node:
                    await node.publish(
                        f"node/{name}/otastatus", name.encode()
                    )  # nobody else may, and it would not come
                    heard.append(await next_of(cloud))
                    await node.subscribe(f"node/{name}/otaurl")
                    await broker_says(name)
                    assert await next_of(node) == Message(f"node/{name}/otaurl", name.encode())

            async def broker_says(name):
                await cloud.publish(f"node/{name}/otaurl", name.encode())

            for _ in range(2):
                await asyncio.gather(*map(life, names))
            await soon(lambda: len(seen) == 120)
            told = sorted(message.payload.decode() for message in heard)
            assert all(message.topic == f"node/{message.payload.decode()}/otastatus" for message in heard)
            return told, {name for name, _ in seen}, door.handshakes.full, door.handshakes.resumed

    told, seen, full, resumed = run_real(story())
    assert told == sorted(names * 2)
    assert seen == set(names)
    assert (full, resumed) == (30, 30)


@needs_mosquitto
def test_without_being_asked_to_it_resumes_nothing_as_chips_do_not(tmp_path, ca):
    async def story():
        async with tls_broker(tmp_path, ca) as (_, door, _):
            for _ in range(2):
                async with door("n1"):
                    pass
            return door.handshakes.full, door.handshakes.resumed

    assert run_real(story()) == (2, 0)


@needs_mosquitto
@pytest.mark.parametrize(("farewell", "heard"), [(True, []), (False, [WILL])])
def test_its_will_is_published_when_it_goes_without_a_farewell(tmp_path, ca, farewell, heard):
    async def story():
        async with tls_broker(tmp_path, ca) as (broker, door, _), broker.mqtt("cloud") as cloud:
            await cloud.subscribe("node/+/params/local")
            with suppress(ZeroDivisionError):
                async with door("n1", WILL) as node:
                    await node.publish("node/n1/config", b"")
                    if not farewell:
                        raise ZeroDivisionError
            return [] if farewell and await silent(cloud) else [await next_of(cloud)]

    assert run_real(story()) == heard
    gc.collect()


@needs_mosquitto
def test_large_messages_go_both_ways_and_many_are_on_their_way(tmp_path, ca):
    payloads = [bytes([number]) * (100_000 + number) for number in range(20)]

    async def story():
        async with tls_broker(tmp_path, ca) as (_, door, _), door("n1") as node:
            await node.subscribe("node/n1/x")
            await asyncio.gather(*(node.publish("node/n1/x", payload) for payload in payloads))
            got = [(await next_of(node)).payload for _ in payloads]
            await node.unsubscribe("node/n1/x")
            await node.publish("node/n1/x", b"unheard")
            return got, await silent(node)

    assert run_real(story()) == (payloads, True)


@needs_mosquitto
def test_who_the_broker_does_not_know_learns_why_and_leaves_nothing_open(tmp_path, ca):
    strange = LocalCa(tmp_path / "strange")

    async def story():
        async with open_mosquitto(tmp_path, ca) as broker:
            refused = []
            for tls in (CrowdContexts(ca.ca_file, strange.node), CrowdContexts(strange.ca_file, ca.node), None):
                with pytest.raises(MqttError, match=r"no connection to 127.0.0.1:\d+: ") as error:
                    async with CrowdMqtt("127.0.0.1", broker.port, tls=tls, timeout=2)("n1"):
                        pass
                refused.append(str(error.value))
            return refused

    no_trust, no_server, no_tls = run_real(story())
    assert re.search("alert unknown ca|reset|hung up", no_trust)  # its end may overtake the alert
    assert "CERTIFICATE_VERIFY_FAILED" in no_server
    assert "the broker hung up" in no_tls or "reset" in no_tls
    gc.collect()


# --------------------------------------------------------------------------------------------------------------- ill


def test_nobody_listens_and_a_certificate_that_is_none(tmp_path):
    def none(_client_id):
        raise FileNotFoundError(2, "No such file", "n1.pem")

    async def story():
        with pytest.raises(MqttError, match=r"no connection to 127.0.0.1:\d+: .*refused"):
            async with CrowdMqtt("127.0.0.1", free_port())("n1"):
                pass
        async with broker_by_hand() as (port, _, _):
            with pytest.raises(MqttError, match=r"No such file: 'n1.pem'"):
                async with CrowdMqtt("127.0.0.1", port, tls=CrowdContexts(None, none))("n1"):
                    pass

    run_real(story())
    gc.collect()


@pytest.mark.parametrize(
    ("answer", "then", "why"),
    [
        (b"", "stays", "timed out"),
        (b"", "ends", "the broker hung up"),
        (b"\x20\x02\x00\x05", "stays", "the broker does not let us in: it does not authorise this client"),
        (SUBACK, "stays", "the broker did not begin with a CONNACK"),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "stays",
            r"the broker sent a packet|the broker sent PINGREQ|the broker sent",
        ),
        (b"\x20\x02\x01\x00", "stays", "an earlier session"),
    ],
)
def test_a_broker_that_does_not_let_it_in_is_left_with_one_sentence(answer, then, why):
    async def story():
        async with broker_by_hand(answer, then=then) as (port, heard, ended):
            with pytest.raises(MqttError, match=rf"no connection to 127.0.0.1:{port}: .*({why})"):
                async with CrowdMqtt("127.0.0.1", port, timeout=0.2 if why == "timed out" else 10)("n1"):
                    pass
            await ended.wait()
            return heard[0]

    assert run_real(story()).endswith(b"\x00\x04MQTT\x04\x02\x00\x78\x00\x02n1")
    gc.collect()


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (ACCEPTED, "a second CONNACK"),
        (b"\xc0\x00", "the broker sent PINGREQ, which no broker sends"),
        (b"\xff\xff\xff", "the broker sent a packet of the reserved kind 15"),
        (b"\x32\x04\x00\x01a\x00", "whose topic is empty or longer than the packet"),
        (b"\x30\xff\xff\xff\x7f", "a PUBLISH of 268435455 bytes, more than"),
        (SUBACK, "the answer to another kind of packet"),
        (b"", "the broker hung up"),
    ],
    ids=["connack", "pingreq", "reserved", "short", "huge", "wrong-kind", "end"],
)
def test_a_packet_that_may_not_be_ends_the_connection_after_what_came_before_it(bad, why):
    good = publish_by_hand("node/n1/otaurl", b"good", number=9)

    async def story():
        async with broker_by_hand(ACCEPTED, good + bad, then="stays" if bad else "ends") as (port, _, ended):
            async with CrowdMqtt("127.0.0.1", port)("n1") as node:
                waits = asyncio.create_task(node.publish("node/n1/otastatus", b""))
                first = await next_of(node)
                for _ in range(2):
                    with pytest.raises(MqttError, match=why):
                        await next_of(node)
                with pytest.raises(MqttError, match=why):
                    await waits
                with pytest.raises(MqttError, match=why):
                    await node.publish("node/n1/otastatus", b"")
            await ended.wait()
            return first

    assert run_real(story()) == Message("node/n1/otaurl", b"good")
    gc.collect()


def test_what_is_sent_again_keeps_its_number_and_what_was_given_up_keeps_it_until_its_answer():
    async def story():
        async with broker_by_hand(ACCEPTED) as (port, heard, _), CrowdMqtt("127.0.0.1", port)("n1") as node:
            first, given_up = (asyncio.create_task(node.publish("t", word)) for word in (b"1", b"2"))
            await soon(lambda: b"".join(heard[1:]).endswith(b"2"))
            given_up.cancel()
            again = asyncio.create_task(node.publish("t", b"1", dup=True))
            other = asyncio.create_task(node.publish("t", b"3", dup=True))  # waits no more, or never did
            await soon(lambda: b"".join(heard[1:]).endswith(b"3"))
            for task in (first, again, other):
                task.cancel()
            return b"".join(heard[1:])

    numbered = [publish_by_hand("t", word, number=number) for number, word in enumerate((b"1", b"2"), 1)]
    assert run_real(story()) == b"".join([*numbered, b"\x3a" + numbered[0][1:], publish_by_hand("t", b"3", number=3)])


def test_two_acknowledgements_of_what_was_sent_twice_are_fine_and_both_who_wait_know():
    async def story():
        broker = broker_by_hand(ACCEPTED, b"", PUBACK + PUBACK)
        async with broker as (port, _, _), CrowdMqtt("127.0.0.1", port)("n1") as node:
            first = asyncio.create_task(node.publish("t", b"1"))
            await asyncio.sleep(0.02)
            await node.publish("t", b"1", dup=True)
            await first
            assert await silent(node, 0.05)

    run_real(story())


def test_a_subscription_is_refused_or_not_answered():
    async def story():
        async with broker_by_hand(ACCEPTED, b"\x90\x03\x00\x01\x80") as (port, heard, _):
            async with CrowdMqtt("127.0.0.1", port, timeout=1)("n1") as node:
                with pytest.raises(MqttError, match="the broker refused the subscription to node/n2/otaurl"):
                    await node.subscribe("node/n2/otaurl")
                with pytest.raises(MqttError, match=r"no answer of the broker for 1 s"):
                    await node.subscribe("node/n1/otaurl")
            return heard[1], heard[2]

    one, two = (
        packet(0x82, number.to_bytes(2, "big") + text(topic) + b"\x01")
        for number, topic in ((1, "node/n2/otaurl"), (2, "node/n1/otaurl"))
    )
    assert run_real(story()) == (one, two)


def test_a_silent_broker_is_asked_whether_it_is_there_and_lost_when_it_does_not_say():
    async def story():
        async with broker_by_hand(ACCEPTED, b"\xd0\x00") as (port, heard, _):
            door = CrowdMqtt("127.0.0.1", port, keep_alive=1)
            async with door("n1") as node:
                begun = asyncio.get_running_loop().time()
                with pytest.raises(MqttError, match=r"the broker did not say for \d+ s that it is there"):
                    await next_of(node)
                return heard[1:], asyncio.get_running_loop().time() - begun

    asked, seconds = run_real(story())
    assert asked == [b"\xc0\x00"] * 2  # the first was answered
    assert seconds > 1.5


def test_the_broker_is_asked_each_half_of_the_keep_alive_whatever_else_was_sent_as_by_esp_mqtt():
    async def story():
        ours, theirs = socket.socketpair()
        lost = []
        with theirs:
            for sock in (ours, theirs):
                sock.setblocking(False)
            loop = asyncio.get_running_loop()
            link = CrowdLink(ours, 120, lost.append)
            theirs.send(ACCEPTED)
            await link.open(b"")
            since = loop.time()

            async def look(seconds):
                """Just behind a publish."""
                link.publish("t", b"").cancel()
                following = link.look(since + seconds)
                heard = b""
                with suppress(BlockingIOError):
                    heard = theirs.recv(1000)
                return b"\xc0\x00" in heard, None if following is None else round(following - since)

            looks = [await look(seconds) for seconds in (59, 60.1, 119)]
            theirs.send(b"\xd0\x00")
            await soon(lambda: not link._asked)
            looks += [await look(seconds) for seconds in (59, 61, 121)]
            await link.close(farewell=True)
            return looks, lost == [link], link.inbox.lost

    looks, told, why = run_real(story())
    assert looks == [(False, 60), (True, 120), (False, 120), (False, 60), (True, 120), (False, None)]
    assert (told, why) == (True, "the broker did not say for 61 s that it is there")
    gc.collect()


def test_a_broker_that_does_not_read_is_left_before_it_has_filled_the_memory():
    async def story():
        deaf, gone = asyncio.Event(), asyncio.Event()

        async def talk(reader, writer):
            await reader.read(100)
            writer.transport.pause_reading()
            writer.write(ACCEPTED)
            await deaf.wait()
            writer.transport.abort()
            await asyncio.sleep(0.01)
            gone.set()

        async with await asyncio.start_server(talk, "127.0.0.1", 0, limit=1 << 10) as server:
            port = server.sockets[0].getsockname()[1]
            async with CrowdMqtt("127.0.0.1", port)("n1") as node:
                sending = [asyncio.create_task(node.publish("t", bytes(100_000))) for _ in range(200)]
                ends = await asyncio.gather(*sending, return_exceptions=True)
            deaf.set()
            await gone.wait()
            return {str(end) for end in ends}

    (why,) = run_real(story())
    assert why.startswith("the broker does not read: 1")
    assert why.endswith(" bytes wait for it")
    gc.collect()


def test_only_so_many_connect_at_a_time_and_who_waits_for_a_turn_has_all_its_time():
    async def story():
        inside, most = 0, 0

        async def slow(reader, writer):
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            await reader.read(100)
            await asyncio.sleep(0.15)
            inside -= 1
            writer.write(ACCEPTED)
            await reader.read(100)
            writer.close()

        async with await asyncio.start_server(slow, "127.0.0.1", 0) as server:
            door = CrowdMqtt("127.0.0.1", server.sockets[0].getsockname()[1], turns=3, timeout=1)

            async def node(name):
                async with door(name):
                    pass

            await asyncio.gather(*(node(f"n{number}") for number in range(24)))  # takes longer than 1 s
            return most

    assert run_real(story()) == 3
    gc.collect()


def test_a_node_that_loses_power_while_it_connects_leaves_nothing():
    async def story():
        async with broker_by_hand() as (port, _, ended):
            door = CrowdMqtt("127.0.0.1", port)

            async def node():
                async with door("n1"):
                    pass

            task = asyncio.create_task(node())
            await asyncio.sleep(0.05)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            await ended.wait()

    run_real(story())
    gc.collect()


def test_a_key_of_another_kind_has_a_context_of_its_own(tmp_path, ca):
    """A context that knew both would show the server the one that it likes better: another node's."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    from py_esp_ota.adapters.certificates import CertificateFiles

    key = rsa.generate_private_key(65537, 2048)
    name = x509.load_pem_x509_certificate(ca.node("n1").cert.read_bytes())
    made = (
        x509.CertificateBuilder(name.issuer, name.subject, key.public_key(), 1)
        .not_valid_before(name.not_valid_before_utc)
        .not_valid_after(name.not_valid_after_utc)
        .sign(key, SHA256())
    )
    other = CertificateFiles(tmp_path / "rsa.pem", tmp_path / "rsa.key")
    other.cert.write_bytes(made.public_bytes(Encoding.PEM))
    other.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    contexts = CrowdContexts(ca.ca_file, lambda name: other if name == "rsa" else ca.node(name))
    first, second, third = (contexts(name) for name in ("n1", "rsa", "n2"))
    assert first is third
    assert first is not second
    assert isinstance(second, ssl.SSLContext)
    other.cert.write_text("none")
    with pytest.raises(ValueError, match=r"rsa.pem is no certificate"):
        contexts("rsa")
