"""``esp_https_ota_begin``: trust, status codes, redirects."""

import asyncio

import pytest
from https_ota_bench import NEW, URL, Bench, wrap
from scripted_fetch import Answer

from py_esp_ota.adapters.memory import run_virtual
from py_esp_ota.errors import EspErr, FetchError
from py_esp_ota.idf.esp_https_ota import https_ota
from py_esp_ota.idf.esp_https_ota.https_ota import (
    Event,
    State,
    esp_err_to_name,
    handle_response_code,
)


@pytest.mark.parametrize(
    ("status", "err", "log"),
    [
        (200, None, ""),
        (206, None, ""),
        (201, None, ""),
        (204, None, ""),
        (100, None, ""),
        (300, None, ""),
        (305, None, ""),
        (306, None, ""),
        (399, None, ""),
        (304, EspErr.ESP_ERR_HTTP_NOT_MODIFIED, "OTA image not modified since last request (status code: 304)"),
        (400, EspErr.ESP_FAIL, "Client error (400)"),
        (401, EspErr.ESP_ERR_NOT_SUPPORTED, "Authorization Failed"),
        (403, EspErr.ESP_FAIL, "File not found(403)"),
        (404, EspErr.ESP_FAIL, "File not found(404)"),
        (416, EspErr.ESP_ERR_HTTP_RANGE_NOT_SATISFIABLE, "Requested range is incorrect (status code: 416)"),
        (499, EspErr.ESP_FAIL, "Client error (499)"),
        (500, EspErr.ESP_FAIL, "Server error (500)"),
        (599, EspErr.ESP_FAIL, "Server error (599)"),
        (1000, EspErr.ESP_FAIL, "Server error (1000)"),
    ],
)
def test_status_codes(status, err, log):
    bench = Bench(Answer(NEW, status=status))
    if err is None:
        handle = run_virtual(wrap(bench.begin()))
        assert handle.get_status_code() == status
        assert handle.state is State.BEGIN
        return
    assert bench.refused(bench.begin).err is err
    assert bench.logged(log)
    assert bench.logged("Failed to establish HTTP connection") is (status != 304)
    assert bench.fetch.open == 0
    assert bench.events == [Event.START]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(status):
    bench = Bench(
        {
            URL: Answer(b"moved" * 1000, status=status, headers={"location": "https://other/lamp.bin"}),
            "https://other/lamp.bin": Answer(NEW),
        }
    )

    async def main() -> None:
        await bench.begin()
        assert bench.fetch.open == 1

    run_virtual(main())
    assert [url for url, _ in bench.fetch.requests] == [URL, "https://other/lamp.bin"]
    assert bench.events == [Event.START, Event.CONNECTED]


def test_a_redirect_without_location_fails():
    bench = Bench(Answer(status=302))
    assert bench.refused(bench.begin).err is EspErr.ESP_ERR_INVALID_ARG
    assert bench.logged("URL redirection Failed")


@pytest.mark.parametrize(
    ("moved", "err"),
    [
        (Answer(b"moved", status=302, breaks_at=2), EspErr.ESP_ERR_HTTP_WRITE_DATA),
        (Answer(b"moved", status=302, headers={"content-length": "9"}), EspErr.ESP_FAIL),
        (Answer(b"moved", status=302, headers={"connection": "close"}), EspErr.ESP_FAIL),
        (Answer(b"moved", status=302, headers={"date": "today"}), EspErr.ESP_FAIL),
    ],
    ids=["reset", "closed early", "closed as announced", "closed where the body ends"],
)
def test_a_redirect_to_the_same_server_uses_its_connection_again_alive_or_not(moved, err):
    moved.headers = {"location": URL, **(moved.headers or {})}
    bench = Bench({URL: [moved, Answer(NEW)]})
    assert bench.refused(bench.begin).err is err
    assert bench.logged("Failed to open HTTP connection: ESP_ERR_HTTP_WRITE_DATA") is (err is not EspErr.ESP_FAIL)
    assert len(bench.fetch.requests) == 1

    moved.headers["location"] = "https://other/lamp.bin"
    elsewhere = Bench({URL: moved, "https://other/lamp.bin": Answer(NEW)})
    run_virtual(wrap(elsewhere.begin()))  # another host has a connection of its own


def test_an_endless_redirect_keeps_the_world_going():
    bench = Bench(Answer(status=302, headers={"location": URL, "content-length": "0"}))

    async def main() -> int:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await bench.begin()
        return len(bench.fetch.requests)

    assert run_virtual(main()) > 100  # no limit of ten in this path
    assert bench.fetch.open == 0


@pytest.mark.parametrize(
    ("http", "options", "accepted"),
    [
        ({"crt_bundle_attach": True}, {}, True),
        ({"crt_bundle_attach": False, "cert_pem": "PEM"}, {}, True),
        ({"crt_bundle_attach": False, "use_global_ca_store": True}, {}, True),
        ({"crt_bundle_attach": False}, {}, False),
        ({"crt_bundle_attach": False, "cert_pem": ""}, {}, False),
        ({"crt_bundle_attach": False}, {"esp_https_ota_allow_http": True}, True),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_only_the_presence_of_a_trust_option_counts_never_the_scheme(http, options, accepted, scheme):
    url = f"{scheme}://cloud/lamp.bin"
    bench = Bench({url: Answer(NEW)}, options=options)
    if accepted:
        run_virtual(wrap(bench.begin(url, **http)))
    else:
        assert bench.refused(lambda: bench.begin(url, **http)).err is EspErr.ESP_ERR_INVALID_ARG
        assert bench.logged("No option for server verification is enabled in esp_http_client config.")
        assert bench.fetch.requests == []


def test_an_insecure_download_is_warned_of_in_one_sentence():
    bench = Bench(Answer(NEW), options={"esp_https_ota_allow_http": True})
    run_virtual(wrap(bench.begin(crt_bundle_attach=False)))
    assert bench.log.lines[0] == (
        "W (0) esp_https_ota: Continuing with insecure option because CONFIG_ESP_HTTPS_OTA_ALLOW_HTTP is set."
    )


def test_trust_is_asked_before_the_url_is_read():
    bench = Bench({})
    error = bench.refused(lambda: bench.begin("no url", crt_bundle_attach=False))
    assert error.err is EspErr.ESP_ERR_INVALID_ARG


def test_an_url_that_does_not_parse():
    bench = Bench({})
    assert bench.refused(lambda: bench.begin("no url")).err is EspErr.ESP_FAIL
    assert bench.logged("Failed to initialise HTTP connection")
    assert bench.events == [Event.START]


def test_no_slot_to_update():
    bench = Bench(Answer(NEW), table="singleapp")
    assert bench.refused(bench.begin).err is EspErr.ESP_FAIL
    assert bench.logged("another suitable Passive OTA partition could not be found")
    assert bench.fetch.open == 0
    assert bench.events == [Event.START, Event.CONNECTED]


def test_a_server_that_sends_no_header_in_time_gives_a_code_without_a_name():
    bench = Bench(Answer(fails=FetchError("timeout", "no header")))
    assert esp_err_to_name(bench.refused(bench.begin)) == "ERROR"


def test_no_connection():
    bench = Bench(Answer(fails=FetchError("connect", "refused", 111)))
    error = bench.refused(bench.begin)
    assert esp_err_to_name(error) == "ESP_ERR_HTTP_CONNECT"
    assert bench.logged("Failed to open HTTP connection: ESP_ERR_HTTP_CONNECT")


def test_every_status_below_300_and_the_odd_ones_above_are_an_image():
    accepted = {code for code in range(100, 600) if handle_response_code(code) == https_ota.StatusVerdict()}
    assert accepted == set(range(100, 400)) - {301, 302, 303, 304, 307, 308}
