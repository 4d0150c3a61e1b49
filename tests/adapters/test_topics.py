"""MQTT topic rules as pure functions."""

from __future__ import annotations

import pytest

from py_esp_ota.adapters.subscriptions import Subscriptions
from py_esp_ota.adapters.topics import check_client_id, check_filter, check_topic, matches, may_use

MATCHES = [
    ("node/n1/otaurl", "node/n1/otaurl", True),
    ("node/n1/otaurl", "node/n1/otaurl/", False),
    ("node/n1/otaurl", "Node/n1/otaurl", False),
    ("node/+/otafetch", "node/n1/otafetch", True),
    ("node/+/otafetch", "node/n1/x/otafetch", False),
    ("node/+/otafetch", "node//otafetch", True),
    ("node/+", "node/n1/otafetch", False),
    ("node/+", "node/", True),
    ("node/#", "node/n1/otafetch", True),
    ("node/#", "node", True),
    ("node/#", "nodes", False),
    ("node/n1/#", "node/n2/otaurl", False),
    ("#", "node/n1", True),
    ("+/+", "/n1", True),
    ("+", "/n1", False),
    ("/+", "/n1", True),
    ("#", "$aws/rules/esp_node_otafetch/node/n1/otafetch", False),
    ("+/rules/esp_node_otafetch/node/n1/otafetch", "$aws/rules/esp_node_otafetch/node/n1/otafetch", False),
    ("$aws/rules/+/node/+/otafetch", "$aws/rules/esp_node_otafetch/node/n1/otafetch", True),
    ("$aws/#", "$aws/rules/esp_node_otafetch/node/n1/otafetch", True),
    ("$aws/rules/+/node/+/otafetch", "node/n1/otafetch", False),
]


@pytest.mark.parametrize(("topic_filter", "topic", "expected"), MATCHES)
def test_a_filter_matches_what_the_standard_says(topic_filter, topic, expected):
    check_filter(topic_filter)
    check_topic(topic)
    assert matches(topic_filter, topic) is expected


@pytest.mark.parametrize(("topic_filter", "topic", "expected"), MATCHES)
def test_subscriptions_find_whom_a_filter_matches_and_forget_them(topic_filter, topic, expected):
    subscriptions: Subscriptions[str] = Subscriptions()
    for who in ("a", "b"):
        subscriptions.add(topic_filter, who)
    subscriptions.add("nobody/+/else", "c")
    assert list(subscriptions.receivers(topic)) == (["a", "b"] if expected else [])
    subscriptions.remove(topic_filter, "a")
    assert list(subscriptions.receivers(topic)) == (["b"] if expected else [])
    subscriptions.remove("nobody/+/else", "c")
    assert subscriptions
    subscriptions.remove(topic_filter, "b")
    assert not subscriptions


def test_a_subscriber_of_many_filters_that_match_is_found_once():
    subscriptions: Subscriptions[str] = Subscriptions()
    for topic_filter in ("#", "node/#", "node/+", "node/n1", "node/n1/#", "+/n1"):
        subscriptions.add(topic_filter, "a")
    assert list(subscriptions.receivers("node/n1")) == ["a"]


@pytest.mark.parametrize("topic_filter", ["", "a#", "a/#/b", "#/a", "a+/b", "+a", "a/b+", "a\0b", "x" * 65536])
def test_a_malformed_filter_is_refused(topic_filter):
    with pytest.raises(ValueError):
        check_filter(topic_filter)


@pytest.mark.parametrize("topic", ["", "a/+", "#", "a#b", "a\0", "é" * 40000])
def test_a_topic_that_cannot_be_published_to_is_refused(topic):
    with pytest.raises(ValueError):
        check_topic(topic)


@pytest.mark.parametrize("client_id", ["", "a/b", "+", "#", "a\0"])
def test_a_client_id_that_is_no_topic_level_is_refused(client_id):
    with pytest.raises(ValueError):
        check_client_id(client_id)


@pytest.mark.parametrize(
    ("topic", "allowed"),
    [
        ("node/n1/otaurl", True),
        ("node/n1/params/local/init", True),
        ("node/n1/#", True),
        ("$aws/rules/esp_node_otafetch/node/n1/otafetch", True),
        ("$aws/things/n1/streams/s/get/cbor", True),
        ("node/n1", False),
        ("node/n2/otaurl", False),
        ("node/n11/otaurl", False),
        ("node/+/otaurl", False),
        ("node/#", False),
        ("#", False),
        ("$aws/#", False),
        ("$aws/rules/esp_node_otafetch/node/n2/otafetch", False),
        ("$aws/rules/node/n1/otafetch", False),
        ("$aws/things/n2/streams/s/get/cbor", False),
        ("$aws/events/presence/connected/n1", False),
        ("x/node/n1/otaurl", False),
    ],
)
def test_a_node_may_use_only_topics_that_carry_its_id(topic, allowed):
    assert may_use("n1", topic) is allowed
