"""MQTT packets as bytes: what we say, and whatever a broker may say, well or ill."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from raw_mqtt import connect as connect_by_hand
from raw_mqtt import packet, text
from raw_mqtt import publish as publish_by_hand
from raw_mqtt import subscribe as subscribe_by_hand

from py_esp_ota.adapters import mqtt_packets as packets
from py_esp_ota.adapters.mqtt_packets import Accepted, Alive, Answered, Decoder, Published
from py_esp_ota.ports import Message

LIMIT = 1 << 16
ACCEPTED = b"\x20\x02\x00\x00"

topics = st.text(st.characters(exclude_characters="\0+#", exclude_categories=["Cs"]), min_size=1, max_size=20)
numbers = st.integers(1, packets.NUMBERS)
payloads = st.one_of(
    st.binary(max_size=40), st.sampled_from([100, 125, 127, 128, 20_000]).map(lambda size: b"x" * size)
)


def said(*data: bytes, limit: int = LIMIT):
    """What a decoder makes of it, and the sentence at its end, if it ends with one."""
    decoder, found = Decoder(limit), []
    try:
        for piece in data:
            for understood in decoder.feed(piece):
                found.append(understood)  # noqa: PERF402 - what comes before an error is found, too
    except ValueError as error:
        return found, str(error)
    return found, ""


# --------------------------------------------------------------------------------------------------------- what we say


@given(st.text("abc1", min_size=1, max_size=64), st.integers(0, packets.NUMBERS), st.booleans(), st.none() | payloads)
def test_connect_is_what_it_is_by_hand(client_id, keep_alive, with_password, will):
    password = "secret" if with_password else None
    ours = packets.connect(
        client_id,
        keep_alive,
        None if will is None else Message("node/n1/params/local", will),
        client_id if with_password else None,
        password,
    )
    by_hand = None if will is None else ("node/n1/params/local", will)
    assert ours == connect_by_hand(client_id, password=password, will=by_hand, keep_alive=keep_alive)


def test_a_user_name_may_come_without_a_password():
    assert packets.connect("n1", 120, username="?Platform=x") == packet(
        0x10, text("MQTT") + b"\x04\x82\x00\x78" + text("n1") + text("?Platform=x")
    )


@given(numbers, topics, payloads)
def test_publish_and_subscribe_are_what_they_are_by_hand(number, topic, payload):
    published = packets.publish(number, topic, payload)
    assert published == publish_by_hand(topic, payload, number=number)
    assert packets.again(published) == bytes([0x3A]) + published[1:]
    assert packets.subscribe(number, topic) == subscribe_by_hand(topic, number=number)
    assert packets.unsubscribe(number, topic) == packet(0xA2, number.to_bytes(2, "big") + text(topic))
    assert packets.puback(number) == packet(0x40, number.to_bytes(2, "big"))


def test_what_has_no_length_in_mqtt_is_refused():
    with pytest.raises(ValueError, match="a string of 65536 bytes is longer than MQTT's 65535"):
        packets.publish(1, "x" * 65536, b"")


# -------------------------------------------------------------------------------------------------- what a broker says

well_formed = st.one_of(
    st.just((ACCEPTED, Accepted())),
    st.just((b"\xd0\x00", Alive())),
    st.tuples(numbers, topics, payloads, st.booleans()).map(
        lambda said: (
            packets.publish(*said[:3]) if not said[3] else packets.again(packets.publish(*said[:3])),
            Published(said[1], said[2], said[0]),
        )
    ),
    st.tuples(topics, payloads).map(lambda said: (packet(0x30, text(said[0]) + said[1]), Published(*said, 0))),
    numbers.map(lambda number: (packets.puback(number), Answered(packets.PUBACK, number))),
    numbers.map(lambda number: (packet(0xB0, number.to_bytes(2, "big")), Answered(packets.UNSUBACK, number))),
    st.tuples(numbers, st.sampled_from([0, 1, 2, 0x80])).map(
        lambda said: (
            packet(0x90, said[0].to_bytes(2, "big") + bytes([said[1]])),
            Answered(packets.SUBACK, said[0], said[1] == 0x80),
        )
    ),
)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted(cut % (len(data) + 1) for cut in cuts)
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


@settings(max_examples=60)
@given(st.lists(well_formed, max_size=6), st.lists(st.integers(0, 1 << 16), max_size=6))
def test_what_is_well_formed_is_understood_in_whatever_pieces_it_comes(said_so, cuts):
    data = b"".join(bytes_ for bytes_, _ in said_so)
    assert said(*pieces(data, cuts)) == ([packet for _, packet in said_so], "")
    one_by_one = data[:300]
    assert said(*(one_by_one[at : at + 1] for at in range(len(one_by_one)))) == said(one_by_one)


@settings(max_examples=150)
@given(
    st.lists(well_formed, max_size=3),
    st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=3),
    st.binary(max_size=30),
    st.lists(st.integers(0, 1 << 16), max_size=4),
)
@example([], [], b"\x30\xff\xff\xff\xff\x01", [1])
@example([], [], b"\x30\x00", [])
@example([], [], b"\x32\x03\x00\x01a", [3])
@example([], [], b"\x32\x04\x00\x01a\x00", [3])
def test_whatever_a_broker_says_is_understood_or_refused_with_one_sentence(said_so, changes, tail, cuts):
    data = bytearray(b"".join(bytes_ for bytes_, _ in said_so) + tail)
    for at, byte in changes:
        if data:
            data[at % len(data)] ^= byte
    found, why = said(*pieces(bytes(data), cuts))
    assert (found, why) == said(bytes(data))  # however it comes
    assert why == "" or (why.startswith("the broker ") and "\n" not in why)
    for one in found:  # what is passed on is what MQTT allows
        if isinstance(one, Published):
            assert one.topic
            assert not set("\0+#") & set(one.topic)
            assert 0 <= one.number <= packets.NUMBERS
        if isinstance(one, Answered):
            assert 1 <= one.number <= packets.NUMBERS


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\x20\x02\x00\x05", "the broker does not let us in: it does not authorise this client"),
        (b"\x20\x02\x00\x04", "the broker does not let us in: it refuses user name or password"),
        (b"\x20\x02\x00\x06", "the broker sent a CONNACK with the reserved bits 0x0006"),
        (b"\x20\x02\x02\x00", "the broker sent a CONNACK with the reserved bits 0x0200"),
        (b"\x20\x02\x01\x00", "the broker goes on with an earlier session, and a clean one was asked for"),
        (b"\x20\x03\x00\x00\x00", "the broker sent a CONNACK of 3 bytes, not 2"),
        (b"\x21\x02", "the broker sent a CONNACK with the reserved bits 0x1"),
        (b"\x42\x02", "the broker sent a PUBACK with the reserved bits 0x2"),
        (b"\x40\x02\x00\x00", "the broker sent a PUBACK for the packet number 0"),
        (b"\x40\x04", "the broker sent a PUBACK of 4 bytes, not 2"),
        (b"\x90\x04", "the broker sent a SUBACK of 4 bytes, not 3"),
        (b"\x90\x03\x00\x01\x03", "the broker sent a SUBACK with the reserved code 0x03"),
        (b"\xb0\x02\x00\x00", "the broker sent a UNSUBACK for the packet number 0"),
        (b"\xd0\x01", "the broker sent a PINGRESP of 1 bytes, not 0"),
        (b"\x36\x00", "the broker sent a PUBLISH whose QoS is 3"),
        (b"\x34\x00", "the broker sent a PUBLISH at QoS 2, for which nobody asked"),
        (b"\x38\x00", "the broker sent a PUBLISH at QoS 0 as if it were sent again"),
        (b"\x30\x00", "the broker sent a PUBLISH whose topic is empty or longer than the packet"),
        (b"\x30\x02\x00\x00", "the broker sent a PUBLISH whose topic is empty or longer than the packet"),
        (b"\x30\x03\x00\x02a", "the broker sent a PUBLISH whose topic is empty or longer than the packet"),
        (b"\x32\x04\x00\x01a\x00", "the broker sent a PUBLISH whose topic is empty or longer than the packet"),
        (b"\x32\x05\x00\x01a\x00\x00", "the broker sent a PUBLISH at QoS 1 with the packet number 0"),
        (b"\x30\x03\x00\x01\xff", "the broker sent a PUBLISH whose topic is not UTF-8"),
        (b"\x30\x03\x00\x01#", "the broker sent a PUBLISH to '#', which is no topic"),
        (b"\x30\x81\x80\x04", "the broker sent a PUBLISH of 65537 bytes, more than 65536"),
        (b"\x30\x80\x80\x80\x80\x01", "the broker sent a packet whose length has more than four bytes"),
        (b"\x10\x00", "the broker sent CONNECT, which no broker sends to a client at QoS 1"),
        (b"\x50\x02", "the broker sent PUBREC, which no broker sends to a client at QoS 1"),
        (b"\xf0\x00", "the broker sent a packet of the reserved kind 15, which no broker sends to a client at QoS 1"),
    ],
)
def test_each_thing_that_a_broker_may_not_say_has_its_sentence(data, sentence):
    assert said(packets.puback(7) + data) == ([Answered(packets.PUBACK, 7)], sentence)


def test_what_is_announced_as_too_long_is_refused_before_it_comes_and_what_is_not_is_kept():
    assert said(b"\x30\x81\x01", limit=128) == ([], "the broker sent a PUBLISH of 129 bytes, more than 128")
    whole = packet(0x30, text("a") + b"x" * 125)
    assert said(whole[:-1], whole[-1:], limit=128) == ([Published("a", b"x" * 125, 0)], "")
