"""The server on loopback, and a client that trusts one authority only."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import socket
from contextlib import suppress

import pytest
from broker_bench import run_real
from download_app import app, events

from py_esp_ota.adapters import http
from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.adapters.http import HttpFetch, address_of, serve
from py_esp_ota.adapters.mosquitto import free_port
from py_esp_ota.errors import FetchError

pytestmark = pytest.mark.sockets


async def failure(fetch, url) -> FetchError:
    with pytest.raises(FetchError) as caught:
        async with fetch(url, {}):
            pass
    return caught.value


def test_a_server_of_another_authority_is_not_trusted(ca, tmp_path):
    files = LocalCa(tmp_path).server()

    async def story():
        async with serve(app, certfile=files.cert, keyfile=files.key) as url, HttpFetch(ca.ca_file) as fetch:
            return await failure(fetch, url)

    error = run_real(story())
    assert error.kind == "connect"
    assert "certificate verify failed" in str(error)


def test_a_server_under_another_name_is_not_trusted(ca):
    files = ca.server()

    async def story():
        async with (
            serve(app, host="127.0.0.2", certfile=files.cert, keyfile=files.key) as url,
            HttpFetch(ca.ca_file) as fetch,
        ):
            return await failure(fetch, url)

    error = run_real(story())
    assert error.kind == "connect"
    assert "IP address mismatch" in str(error)


def test_a_name_that_no_resolver_knows_has_its_address_said(ca):
    files = ca.server("127.0.0.2", ["cloud.test"])

    async def story():
        async with (
            serve(app, host="127.0.0.2", name="cloud.test", certfile=files.cert, keyfile=files.key) as url,
            HttpFetch(ca.ca_file, hosts={"cloud.test": "127.0.0.2"}) as fetch,
            fetch(url, {}) as answer,
        ):
            return url.rpartition(":")[0], answer.status

    assert run_real(story()) == ("https://cloud.test", 404), "it answers, and there is nothing at its root"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_the_servers_certificate_is_good_for_every_name_of_loopback(ca, host):
    if host == "::1" and not has_ipv6():
        pytest.skip("no IPv6 loopback here")
    files = ca.server()

    async def story():
        async with (
            serve(app, host=host, certfile=files.cert, keyfile=files.key) as url,
            HttpFetch(ca.ca_file) as fetch,
            fetch(f"{url}/moved", {}) as response,
        ):
            return url, response.status

    url, status = run_real(story())
    assert url.startswith(f"https://[{host}]:" if ":" in host else f"https://{host}:")
    assert status == 302


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_nobody_listens():
    async def story():
        async with HttpFetch() as fetch:
            return await failure(fetch, f"http://127.0.0.1:{free_port()}/")

    error = run_real(story())
    assert (error.kind, error.errno) == ("connect", errno.ECONNREFUSED)


def test_a_connection_that_is_not_made_in_time_is_no_connection():
    async def story():
        with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
            # A server that never takes part in the TLS handshake.
            port = listener.getsockname()[1]
            async with HttpFetch(timeout=0.2) as fetch:
                return await failure(fetch, f"https://127.0.0.1:{port}/")

    error = run_real(story())
    assert (error.kind, error.errno) == ("connect", errno.ETIMEDOUT)


@pytest.mark.parametrize(
    ("answer", "reset", "kind", "number"),
    [
        (b"", False, "closed", 0),
        (b"", True, "closed", errno.ECONNRESET),
        (b"HTTP/1.1 200 OK\r\nContent-Le", False, "closed", 0),
        (b"not HTTP at all\r\n\r\n", False, "closed", 0),
    ],
    ids=["close", "reset", "half a header", "nonsense"],
)
def test_a_server_that_breaks_off_before_the_header_has_closed(answer, reset, kind, number):
    async def rude(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        if reset:
            linger = b"\x01\0\0\0\0\0\0\0"  # on, 0 s: close() sends RST
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.write(answer)
        writer.close()

    async def story():
        server = await asyncio.start_server(rude, "127.0.0.1", 0)
        async with server, HttpFetch() as fetch:
            return await failure(fetch, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")

    error = run_real(story())
    assert (error.kind, error.errno) == (kind, number)


def test_a_reset_in_the_body_is_told_with_its_number():
    async def rude(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 600)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        writer.close()

    async def story():
        server = await asyncio.start_server(rude, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with server, HttpFetch() as fetch, fetch(url, {}) as response:
            first = await response.read(1000)
            with pytest.raises(FetchError) as caught:
                await response.read(1000)
            return len(first), caught.value.kind, caught.value.errno

    assert run_real(story()) == (600, "closed", errno.ECONNRESET)


def test_proxies_of_the_environment_are_ignored(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")

    async def story():
        async with serve(app) as url, HttpFetch() as fetch, fetch(f"{url}/moved", {}) as response:
            return response.status

    assert run_real(story()) == 302


# ---------------------------------------------------------------------------------------------------------- the server


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", "", "127.0.0.1.nip.io"])
def test_the_server_refuses_every_address_that_is_not_loopback(host):
    async def story():
        async with serve(app, host=host):
            raise AssertionError

    with pytest.raises(ValueError, match="loopback"):
        run_real(story())


@pytest.mark.parametrize(
    ("host", "certfile", "beyond"),
    [("192.0.2.1", None, True), ("192.0.2.1", "server.pem", False), ("0.0.0.0", "x", True), ("::", "x", True)],
)
def test_beyond_loopback_it_wants_one_address_and_tls_and_to_be_told_so(host, certfile, beyond):
    async def story():
        async with serve(app, host=host, certfile=certfile, keyfile=certfile, beyond_loopback=beyond):
            raise AssertionError

    with pytest.raises(ValueError, match="is not loopback: this server has no business on a network"):
        run_real(story())
    assert str(address_of("192.0.2.1", beyond_loopback=True)) == "192.0.2.1"


def test_the_server_takes_the_port_it_is_given_and_says_when_it_is_taken():
    port = free_port()

    async def story():
        async with serve(app, port=port) as url:
            with pytest.raises(OSError, match="in use"):
                async with serve(app, port=port):
                    pass
            return url

    assert run_real(story()) == f"http://127.0.0.1:{port}"
    assert run_real(story()) == f"http://127.0.0.1:{port}"  # free again at once


def test_the_apps_lifespan_runs_around():
    events.clear()

    async def story():
        async with serve(app):
            return list(events)

    assert run_real(story()) == ["up"]
    assert events == ["up", "down"]


def test_an_app_that_does_not_start_is_an_error_not_an_exit(caplog):
    caplog.set_level(logging.CRITICAL)

    async def dead(_scope, _receive, _send):
        raise KeyError("no database")

    async def lifespan_fails(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "no database"})
        else:
            await dead(scope, receive, send)

    async def story():
        async with serve(lifespan_fails):
            raise AssertionError

    with pytest.raises(RuntimeError, match="refused to start"):
        run_real(story())
    gc.collect()


def test_the_server_closes_while_a_browser_still_listens_to_events(ca):
    files = ca.server()

    async def story():
        loop = asyncio.get_running_loop()
        async with HttpFetch(ca.ca_file) as fetch:
            async with serve(app, certfile=files.cert, keyfile=files.key) as url:
                listening = fetch(f"{url}/endless", {})
                response = await listening.__aenter__()
                await response.read(10)
                begun = loop.time()
            took = loop.time() - begun
            await response.read(1 << 30)  # what had arrived
            with pytest.raises(FetchError):
                await response.read(1)
            await listening.__aexit__(None, None, None)
        return took

    assert run_real(story()) < 1
    gc.collect()


@pytest.mark.parametrize("turns", range(8))
def test_whoever_is_let_in_while_the_server_closes_is_let_go_too(turns):
    async def run() -> None:
        async with serve(app) as base:
            visitor = socket.create_connection(("127.0.0.1", int(base.rpartition(":")[2])))
            for _ in range(turns):
                await asyncio.sleep(0)
        with visitor:
            visitor.settimeout(0)  # the answer is here already, or it will never come
            with suppress(ConnectionResetError):
                assert visitor.recv(1) == b""

    asyncio.run(run())


def test_signals_stay_with_the_program(monkeypatch):
    import signal

    async def story():
        before = signal.getsignal(signal.SIGTERM)
        async with serve(app):
            return signal.getsignal(signal.SIGTERM) is before

    assert run_real(story())


def test_a_tls_handshake_that_does_not_come_is_cut_off(ca, monkeypatch):
    monkeypatch.setattr(http, "HEADER_S", 0.3)
    files = ca.server()

    async def story():
        async with serve(app, certfile=files.cert, keyfile=files.key) as url:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            async with asyncio.timeout(5):
                heard = await reader.read(-1)
            writer.close()
            return heard

    assert run_real(story()) == b""
