"""The one-time link: one browser, once; everybody else stays outside, whatever they ask for."""

from __future__ import annotations

import asyncio
import itertools

import httpx2
import pytest
from page_stage import Cloud
from test_pages import LAMP, file, words

from py_esp_ota.cloud.web import OneTimeLink
from py_esp_ota.cloud.web.site import HEADERS

HOST = "http://127.0.0.1"


def visited(story):
    """``story(open_browser, link, cloud)``, where each browser is one with cookies of its own."""

    async def run() -> None:
        numbers = itertools.count(1)
        link = OneTimeLink(lambda size: f"{next(numbers):0{2 * size}x}")
        cloud = Cloud(link)
        transport = httpx2.ASGITransport(app=cloud.app)
        browsers = []

        def browser() -> httpx2.AsyncClient:
            browsers.append(httpx2.AsyncClient(transport=transport, base_url=HOST))
            return browsers[-1]

        async with cloud.running():
            await story(browser, link, cloud)
            for each in browsers:
                await each.aclose()

    asyncio.run(run())


def test_who_has_the_link_is_in_and_the_link_is_spent():
    async def story(browser, link, _cloud):
        mine, other = browser(), browser()
        entered = await mine.get(link.path)
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        assert "Firmware Images" in words((await mine.get("/images")).text)
        assert "in this browser alone" in words((await mine.get("/images")).text)
        late = await other.get(link.path, follow_redirects=True)
        assert late.status_code == 403
        assert "works once, in one browser" in words(late.text)
        assert "set-cookie" not in late.headers
        again = await mine.get(link.path, follow_redirects=True)  # one's own link in one's own history
        assert again.status_code == 200

    visited(story)


def test_the_cookie_is_for_this_server_and_no_script():
    async def story(browser, link, _cloud):
        cookie = (await browser().get(link.path)).headers["set-cookie"]
        name, _, value = cookie.partition(";")[0].partition("=")
        assert name == link.cookie
        assert len(value) == 64
        assert value not in link.path
        attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"httponly", "samesite=strict", "path=/"} == attributes  # no Max-Age: it ends with the browser

    visited(story)


@pytest.mark.parametrize("token", ["", "0", "\u00fc", "a" * 64])
def test_a_wrong_token_lets_nobody_in_and_spends_nothing(token):
    async def story(browser, link, _cloud):
        mine = browser()
        assert (await mine.get("/enter", params={"token": token}, follow_redirects=True)).status_code == 403
        assert (await mine.get(link.path, follow_redirects=True)).status_code == 200

    visited(story)


@pytest.mark.parametrize("cookie", ["", "x", "0" * 64, "\u00fc"])
def test_without_the_cookie_every_page_and_form_is_closed(cookie):
    async def story(browser, link, cloud):
        image = cloud.service.images.add("lamp", LAMP).ota_image_id
        stranger = browser()
        headers = {"Cookie": f"{link.cookie}={cookie}".encode()} if cookie else {}
        paths = [
            "/images",
            "/images/upload",
            f"/images/{image}/start",
            "/jobs",
            "/jobs/x",
            "/nodes",
            "/live",
            "/images/x",
            "/account",
        ]
        for path in [*paths, "/live?view=x+/images"]:
            answer = await stranger.get(path, headers=headers)
            assert answer.status_code == 403, path
            assert all(answer.headers[header] == value for header, value in HEADERS.items())
            assert "lamp" not in words(answer.text)
        for path in (f"/images/{image}/archive", f"/images/{image}/start", "/jobs/x/cancel", "/jobs/x/archive"):
            assert (await stranger.post(path, headers=headers)).status_code == 403, path
        for path in ("/images/upload", "/images/preview"):
            answer = await stranger.post(path, headers=headers, files=file(LAMP))
            assert answer.status_code == 403
        assert cloud.service.images.find().total == 1
        assert not cloud.service.images.get(image).archived
        assert (await stranger.get("/static/style.css")).status_code == 200  # the page that says no has its clothes on

    visited(story)


def test_an_upload_of_a_stranger_is_refused_before_it_is_read():
    async def story(browser, _link, _cloud):
        async def body():
            yield b"x"
            raise AssertionError("it was read")

        answer = await browser().post("/images/upload", content=body())
        assert answer.status_code == 403

    visited(story)


def test_the_api_goes_by_its_own_tokens():
    async def story(browser, link, _cloud):
        mine = browser()
        await mine.get(link.path)
        assert (await mine.get("/v1/admin/nodes")).status_code == 401
        assert (await browser().get("/apiversions")).status_code == 200

    visited(story)


def test_without_a_link_the_page_says_who_may_use_it():
    async def story():
        cloud = Cloud()
        transport = httpx2.ASGITransport(app=cloud.app)
        async with cloud.running(), httpx2.AsyncClient(transport=transport, base_url=HOST) as client:
            assert "whoever uses this machine can use it" in words((await client.get("/images")).text)

    asyncio.run(story())
