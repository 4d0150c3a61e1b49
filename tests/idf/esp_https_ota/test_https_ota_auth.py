"""``esp_https_ota`` at a server that asks who comes: Basic and Digest, from the configuration or the URL."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from doorkeeper import Doorkeeper
from file_server import FileServer
from https_ota_bench import IN_PROGRESS, NEW, URL, Bench

from py_esp_ota.adapters.memory import run_virtual
from py_esp_ota.errors import EspErr
from py_esp_ota.idf.esp_http_client.client import HttpClient
from py_esp_ota.idf.esp_https_ota import https_ota
from py_esp_ota.idf.esp_https_ota.https_ota import HttpClientConfig, HttpsOta, HttpsOtaConfig

BOTH = {"esp_http_client_enable_basic_auth": True, "esp_http_client_enable_digest_auth": True}
KNOWN = {"username": "lamp", "password": "light"}


class Door(Bench):
    """A bench whose server has a doorkeeper, and whose app may know a name."""

    def __init__(self, keeper: Doorkeeper | None, **options: object) -> None:
        super().__init__({}, options={**BOTH, "esp_https_ota_enable_partial_download": True, **options})
        self.fetch = FileServer({"/lamp.bin": NEW}, doorkeeper=keeper)
        self.noise: Iterator[int] = count(1)

    async def start(self, url: str = URL, *, partial: int = 0, **http: object) -> HttpsOta:
        http.setdefault("cert_pem", "PEM")
        config = HttpsOtaConfig(
            http_config=HttpClientConfig(url=url, **http),
            partial_http_download=bool(partial),
            max_http_request_size=partial,
        )
        return await https_ota.begin(
            config, ops=self.ops, fetch=self.fetch, on_event=self.on_event, esp_random=lambda: next(self.noise)
        )

    async def whole(self, url: str = URL, **http: object) -> HttpsOta:
        handle = await self.start(url, **http)
        while await handle.perform() is IN_PROGRESS:
            pass
        await handle.finish()
        return handle

    @property
    def answers(self) -> list[str]:
        return [request.headers.get("Authorization", "") for request in self.fetch.requests]


KEEPERS = [
    Doorkeeper("Basic"),
    Doorkeeper(),
    Doorkeeper(qop=None),
    Doorkeeper(algorithm="SHA-256", opaque="o"),
    Doorkeeper(algorithm="MD5-sess"),
]


@pytest.mark.parametrize("keeper", KEEPERS, ids=lambda keeper: f"{keeper.kind} {keeper.algorithm} {keeper.qop}")
@pytest.mark.parametrize("in_url", [False, True])
def test_a_challenge_is_answered_and_the_image_comes(keeper, in_url):
    bench = Door(keeper)
    if in_url:
        run_virtual(bench.whole("https://lamp:light@cloud/lamp.bin"))
    else:
        run_virtual(bench.whole(**KNOWN))
    assert bench.next_boot == "ota_1"
    assert [request.url for request in bench.fetch.requests] == [URL, URL]  # never the name
    assert bench.answers[0] == ""
    assert bench.answers[1].startswith(keeper.kind)


def test_the_noise_of_an_answer_is_the_chips():
    bench = Door(Doorkeeper())
    run_virtual(bench.whole(**KNOWN))
    assert 'cnonce="0000000100000002"' in bench.answers[1]


def test_without_qop_the_console_warns():
    bench = Door(Doorkeeper(qop=None))
    run_virtual(bench.whole(**KNOWN))
    warning = '"qop" directive not found. This may lead to attacks like chosen-plaintext attack'
    assert f"W (0) HTTP_AUTH: {warning}" in bench.log.lines


def test_basic_may_be_sent_before_anybody_asks_in_any_build():
    bench = Door(Doorkeeper("Basic"), esp_http_client_enable_basic_auth=False)
    run_virtual(bench.whole(**KNOWN, auth_type="basic"))
    assert len(bench.fetch.requests) == 1


def test_digest_cannot():
    bench = Door(Doorkeeper())
    run_virtual(bench.whole(**KNOWN, auth_type="digest"))
    assert bench.answers[0] == ""
    assert len(bench.fetch.requests) == 2


def test_each_range_counts_and_the_head_was_another_method():
    """What is hashed for the HEAD is sent with the first GET too, in vain: it is challenged anew, once."""
    bench = Door(Doorkeeper())
    run_virtual(bench.whole(**KNOWN, partial=4096))
    assert [request.method for request in bench.fetch.requests] == ["HEAD"] * 2 + ["GET"] * 5
    counted = [answer.partition("nc=")[2][:8] for answer in bench.answers]
    assert counted == ["", "00000001", "00000002", "00000001", "00000002", "00000003", "00000004"]
    assert bench.fetch.doorkeeper.refused == ["no name", "wrong response"]
    assert bench.next_boot == "ota_1"


def test_a_stale_nonce_is_replaced():
    bench = Door(Doorkeeper(stale_after=2))
    run_virtual(bench.whole(**KNOWN, partial=4096))
    assert bench.fetch.doorkeeper.refused.count("stale") == 1
    assert bench.next_boot == "ota_1"


@pytest.mark.parametrize(
    ("kind", "options", "asked"),
    [
        ("Bearer", {}, 'Bearer realm="firmware"'),
        ("Basic", {"esp_http_client_enable_basic_auth": False}, 'Basic realm="firmware"'),
        ("Digest", {"esp_http_client_enable_digest_auth": False}, "Digest realm="),
    ],
)
def test_a_challenge_that_the_build_has_no_answer_to(kind, options, asked):
    bench = Door(Doorkeeper(kind), **options)
    assert bench.refused(lambda: bench.start(**KNOWN)).err is EspErr.ESP_ERR_NOT_SUPPORTED
    assert bench.log.lines[0].startswith(f"E (0) HTTP_CLIENT: This authentication method is not supported: {asked}")
    assert bench.log.lines[1:] == [
        "E (0) esp_https_ota: Authorization Failed",
        "E (0) esp_https_ota: Failed to establish HTTP connection",
    ]


def test_a_wrong_password_is_tried_ten_times():
    bench = Door(Doorkeeper(password="dark"))
    assert bench.refused(lambda: bench.start(**KNOWN)).err is EspErr.ESP_FAIL
    assert len(bench.fetch.requests) == 11
    assert bench.log.lines == [
        "E (0) esp_https_ota: Reached max_authorization_retries (401)",
        "E (0) esp_https_ota: Failed to establish HTTP connection",
    ]


@pytest.mark.parametrize(("retries", "requests"), [(1, 2), (3, 4), (-1, 1), (0, 11), (12, 13)])
def test_how_often_it_is_tried(retries, requests):
    bench = Door(Doorkeeper(password="dark"))
    assert bench.refused(lambda: bench.start(**KNOWN, max_authorization_retries=retries)).err is EspErr.ESP_FAIL
    assert len(bench.fetch.requests) == requests


def test_redirects_use_up_the_clients_own_count():
    """It counts redirects and challenges together, and forgets none of them."""
    bench = Door(Doorkeeper())
    bench.fetch.redirects = {f"https://cloud/{k}": f"https://cloud/{k + 1}" for k in range(10)}
    bench.fetch.redirects["https://cloud/9"] = URL
    assert bench.refused(lambda: bench.start("https://cloud/0", **KNOWN)).err is EspErr.ESP_FAIL
    assert bench.log.lines == [
        "E (0) HTTP_CLIENT: Error, reached max_authorization_retries count=10",
        "E (0) esp_https_ota: Authorization Failed",
        "E (0) esp_https_ota: Failed to establish HTTP connection",
    ]


def test_without_a_password_nothing_is_answered():
    bench = Door(Doorkeeper())
    assert bench.refused(lambda: bench.start("https://lamp@cloud/lamp.bin")).err is EspErr.ESP_FAIL
    assert set(bench.answers) == {""}


def test_the_head_of_a_wrong_password_ends_as_too_many_redirects():
    bench = Door(Doorkeeper(password="dark"))
    assert bench.refused(lambda: bench.start(**KNOWN, partial=4096)).err is EspErr.ESP_ERR_HTTP_MAX_REDIRECT
    assert bench.log.lines == [
        "E (0) HTTP_CLIENT: Error, reach max_redirection_count count=10",
        "E (0) HTTP_CLIENT: Error response",
        "E (0) esp_https_ota: ESP HTTP client perform failed: 28673",
    ]


def test_a_server_that_closes_after_its_challenge_is_asked_in_vain():
    """``perform`` connects again, the download itself does not."""
    bench = Door(Doorkeeper("Basic"))
    bench.fetch.keep_alive = False
    assert bench.refused(lambda: bench.start(**KNOWN)).err is EspErr.ESP_FAIL
    assert bench.answers == [""]
    run_virtual(bench.whole(**KNOWN, partial=4096))
    assert bench.next_boot == "ota_1"


def test_an_app_may_name_itself_when_it_is_shown_the_client():
    bench = Door(Doorkeeper("Basic"))

    def init(client: HttpClient) -> None:
        client.set_username("lamp")
        client.set_password("light")
        client.set_authtype("basic")

    config = HttpsOtaConfig(http_config=HttpClientConfig(url=URL), http_client_init_cb=init)
    run_virtual(https_ota.https_ota(config, ops=bench.ops, fetch=bench.fetch))
    assert len(bench.fetch.requests) == 1
    assert bench.next_boot == "ota_1"


# ------------------------------------------------------------------------------------------------------------ redirects


@pytest.mark.parametrize(
    ("location", "version", "let_in"),
    [
        ("https://cloud/lamp.bin", (6, 2, 0), True),
        ("https://other/lamp.bin", (6, 2, 0), False),
        ("https://other/lamp.bin", (6, 1, 0), True),  # told to a stranger
        ("https://lamp:light@other/lamp.bin", (6, 2, 0), True),
    ],
)
def test_whom_the_name_is_told_after_a_redirect(location, version, let_in):
    bench = Door(Doorkeeper("Basic"), idf_version=version)
    bench.fetch.redirects = {"https://cloud/old": location}
    if let_in:
        run_virtual(bench.whole("https://cloud/old", **KNOWN))
        assert bench.next_boot == "ota_1"
    else:
        assert bench.refused(lambda: bench.start("https://cloud/old", **KNOWN)).err is EspErr.ESP_FAIL
        assert set(bench.answers) == {""}


def test_basic_is_told_to_any_host_before_it_asks_in_older_releases():
    for version, told in (((6, 2, 0), ""), ((6, 1, 0), "Basic bGFtcDpsaWdodA==")):
        bench = Door(None, idf_version=version)
        bench.fetch.redirects = {URL: "https://other/lamp.bin"}
        run_virtual(bench.whole(**KNOWN, auth_type="basic"))
        assert bench.answers[1] == told


# ------------------------------------------------------------------------------------------------------------- releases


@pytest.mark.parametrize("version", [(4, 3, 0), (4, 4, 0), (5, 0, 0), (5, 1, 0), (5, 3, 0), (5, 5, 0), (6, 0, 0)])
@pytest.mark.parametrize("keeper", KEEPERS[:2], ids=["Basic", "Digest"])
def test_every_release_answers(version, keeper):
    bench = Door(keeper, idf_version=version)
    run_virtual(bench.whole(**KNOWN))
    assert bench.next_boot == "ota_1"


@pytest.mark.parametrize(
    ("version", "option", "answers"),
    [
        ((6, 2, 0), None, False),
        ((5, 0, 0), None, False),
        ((4, 4, 8), None, True),
        ((4, 4, 8), False, False),
        ((4, 3, 0), False, True),  # it has no option
    ],
)
def test_which_builds_know_digest(version, option, answers):
    bench = Door(Doorkeeper(), idf_version=version, esp_http_client_enable_digest_auth=option)

    def play() -> None:
        run_virtual(bench.whole(**KNOWN))

    if answers:
        play()
        return
    client = HttpClient(HttpClientConfig(url=URL, **KNOWN), bench.fetch, bench.config)

    async def main() -> None:
        await client.open()
        client.add_auth()

    assert bench.refused(main).err is EspErr.ESP_ERR_NOT_SUPPORTED


def test_before_v5_5_a_challenge_without_answer_is_asked_again():
    bench = Door(Doorkeeper("Bearer"), idf_version=(5, 4, 0))
    assert bench.refused(lambda: bench.start(**KNOWN)).err is EspErr.ESP_FAIL
    assert len(bench.fetch.requests) == 11
    assert bench.log.lines[9:] == [
        'E (0) HTTP_CLIENT: This authentication method is not supported: Bearer realm="firmware"',
        "E (0) esp_https_ota: Reached max_authorization_retries (401)",
        "E (0) esp_https_ota: Failed to establish HTTP connection",
    ]


@pytest.mark.parametrize(("version", "query"), [((5, 4, 4), False), ((5, 5, 0), True)])
def test_the_query_is_hashed_since_v5_5(version, query):
    bench = Door(Doorkeeper(), idf_version=version)
    url = f"{URL}?device=7"
    if query:
        run_virtual(bench.whole(url, **KNOWN))
    else:
        assert bench.refused(lambda: bench.start(url, **KNOWN)).err is EspErr.ESP_FAIL
        assert "for /lamp.bin instead of /lamp.bin?device=7" in bench.fetch.doorkeeper.refused


def test_before_v5_the_first_challenge_is_the_one_that_is_answered():
    """The next one is appended to it, and the first nonce found."""
    for version, renewed in (((4, 4, 8), False), ((5, 1, 0), True)):
        bench = Door(Doorkeeper(password="dark"), idf_version=version)
        client = HttpClient(HttpClientConfig(url=URL, **KNOWN), bench.fetch, bench.config)

        async def main(client: HttpClient = client) -> None:
            for _ in range(3):
                await client.open()
                client.add_auth()
            await client.open()

        run_virtual(main())
        assert ('nonce="nonce2"' in bench.answers[3]) is renewed
