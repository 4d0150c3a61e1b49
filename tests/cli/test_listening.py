"""What the options of ``serve`` about its page and its address mean together."""

from __future__ import annotations

import click
import pytest

from py_esp_ota.cli.listening import Listening, listening

NO, LINK, LOGIN = ({name: True} for name in ("no_web", "one_time_link", "login"))


def of(address, **options):
    return listening(address, **{"no_web": False, "one_time_link": False, "login": False, **options})


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "127.0.0.2"])
def test_on_loopback_one_may_choose(address):
    kinds = [of(address, **options) for options in ({}, LINK, LOGIN, NO)]
    assert kinds == [Listening(address, kind) for kind in ("open", "link", "login", None)]


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_beyond_loopback_there_is_no_page_without_a_login(address):
    kinds = [of(address, **options) for options in ({}, LOGIN, NO)]
    assert kinds == [Listening(address, kind) for kind in ("login", "login", None)]
    with pytest.raises(click.UsageError, match="--one-time-link is for loopback; beyond it the page has a login"):
        of(address, **LINK)


@pytest.mark.parametrize(
    ("address", "options", "why"),
    [
        ("localhost", {}, "--listen: 'localhost' is no IP address"),
        ("", {}, "--listen: '' is no IP address"),
        ("0.0.0.0", {}, "--listen: 0.0.0.0 is every address of this machine; name one"),
        ("::", {}, "--listen: :: is every address of this machine; name one"),
        ("127.0.0.1", NO | LINK, "--no-web leaves no page that --one-time-link could lead to"),
        ("127.0.0.1", NO | LOGIN, "--no-web leaves no page that --login could lead to"),
        ("127.0.0.1", LINK | LOGIN, "--one-time-link and --login are two ways in: choose one"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(address, options, why):
    with pytest.raises(click.UsageError, match=why):
        of(address, **options)


def test_names_are_checked_and_each_is_there_once():
    found = listening("127.0.0.1", ["Cloud.lan", "cloud.lan", "::1"], no_web=False, one_time_link=False, login=False)
    assert found.names == ("cloud.lan", "::1")
    with pytest.raises(click.UsageError, match=r"--name: '\*\.lan' is neither a host name"):
        listening("127.0.0.1", ["*.lan"], no_web=False, one_time_link=False, login=False)
