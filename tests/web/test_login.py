"""The page with a login: who is let in, what is refused, and the list of logins."""

from __future__ import annotations

import asyncio
import re

import httpx2
import pytest
from page_stage import Cloud
from test_pages import words

from py_esp_ota.cloud.roles import Role
from py_esp_ota.cloud.web.login import way_back
from py_esp_ota.cloud.web.site import HEADERS

HOST = "http://127.0.0.1"
OWN = {"Origin": HOST}
ADMIN, ANN, PASSWORD = "admin@localhost", "ann@example.com", "a long secret"
PAGES = ["/", "/images", "/images/upload", "/jobs", "/nodes", "/account"]


def visited(story, *, login=True):
    """``story(open_browser, cloud)``, where each browser has cookies of its own."""

    async def run() -> None:
        cloud = Cloud(login=login)
        transport = httpx2.ASGITransport(app=cloud.app)
        browsers = []

        def browser(**headers: str) -> httpx2.AsyncClient:
            headers = {"Accept": "text/html", "User-Agent": "Firefox", **headers}
            browsers.append(httpx2.AsyncClient(transport=transport, base_url=HOST, headers=headers))
            return browsers[-1]

        async with cloud.running():
            await cloud.accounts.ensure_admin(ADMIN, PASSWORD)
            await story(browser, cloud)
            for each in browsers:
                await each.aclose()

    asyncio.run(run())


async def log_in(browser, user_name=ADMIN, password=PASSWORD, headers=OWN, **form):
    return await browser.post("/login", data={"user_name": user_name, "password": password, **form}, headers=headers)


def test_every_page_leads_to_the_login_and_back():
    async def story(browser, _cloud):
        mine = browser()
        for path in [*PAGES[1:], "/jobs?trail=a%20b"]:
            answer = await mine.get(path)
            assert (answer.status_code, answer.headers["location"].startswith("/login?next=")) == (303, True)
            assert all(answer.headers[header] == value for header, value in HEADERS.items())
        form = await mine.get(answer.headers["location"])
        assert 'name="next" value="/jobs?trail=a%20b"' in form.text
        entered = await log_in(mine, next="/jobs?trail=a%20b")
        assert (entered.status_code, entered.headers["location"]) == (303, "/jobs?trail=a%20b")
        for path in PAGES:
            assert (await mine.get(path, follow_redirects=True)).status_code == 200
        assert "This page is for super admins who have logged in" in words((await mine.get("/images")).text)
        assert (await mine.get("/login")).headers["location"] == "/"
        assert (await browser().get("/images")).status_code == 303

    visited(story)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_cookie_is_for_no_script_and_no_other_site(scheme):
    async def story(browser, _cloud):
        mine = browser()
        mine.base_url = f"{scheme}://127.0.0.1"
        cookie = (await log_in(mine, headers={"Origin": f"{scheme}://127.0.0.1"})).headers["set-cookie"]
        assert cookie.startswith("esp-ota-login-")
        attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert attributes == {"httponly", "samesite=strict", "path=/"} | ({"secure"} if scheme == "https" else set())

    visited(story)


@pytest.mark.parametrize(
    ("user_name", "password", "status", "why"),
    [
        (ADMIN, "wrong password", 401, "Incorrect user name or password"),
        ("nobody@example.com", PASSWORD, 401, "Incorrect user name or password"),
        ("<b>", "", 401, "Incorrect user name or password"),
        (ANN, PASSWORD, 403, "This page is for super admins; others use the API"),
        ("x" * 200, PASSWORD, 400, "This request makes no sense: user_name"),
    ],
)
def test_who_is_not_let_in_is_told_why(user_name, password, status, why):
    async def story(browser, cloud):
        await sign_up(cloud)
        mine = browser()
        answer = await log_in(mine, user_name, password)
        assert (answer.status_code, why in words(answer.text)) == (status, True)
        assert "set-cookie" not in answer.headers
        assert PASSWORD not in answer.text
        assert "<b>" not in answer.text
        assert (await mine.get("/images")).status_code == 303
        assert [login for login in cloud.accounts.logins.of(ann_id(cloud)) if login.kind == "page"] == []

    visited(story)


async def sign_up(cloud):
    await cloud.accounts.sign_up(ANN, PASSWORD)
    cloud.accounts.confirm(ANN, cloud.mail[-1])


def ann_id(cloud):
    return cloud.accounts.members.get(ANN).user_id


def test_guessing_is_slow_here_too():
    async def story(browser, _cloud):
        mine = browser()
        for _ in range(10):
            assert (await log_in(mine, password="wrong password")).status_code == 401
        late = await log_in(mine)
        assert late.status_code == 429
        assert "Too many tries" in words(late.text)
        assert int(late.headers["retry-after"]) > 0

    visited(story)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (OWN, 303),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({}, 403),  # no browser sends a form like that
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:9999"}, 403),  # the same site to a cookie, but not the same server
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_forms_come_from_pages_of_this_server_alone(headers, status):
    async def story(browser, cloud):
        mine = browser()
        assert (await log_in(mine, headers=headers)).status_code == status
        await log_in(mine)
        assert (await mine.post("/account/logins/end", headers=headers)).status_code == status
        assert (await mine.post("/logout", headers=headers)).status_code == status
        assert (await mine.get("/images")).status_code == (303 if status == 303 else 200)
        assert cloud.service.images.find().total == 0

    visited(story)


def test_without_a_login_no_form_does_anything_and_no_fragment_is_shown():
    async def story(browser, cloud):
        stranger = browser()
        for path in ("/images/x/archive", "/jobs/x/cancel", "/account/logins/end", "/logout", "/images/preview"):
            answer = await stranger.post(path, headers=OWN)
            assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/login"), path
        fragment = await stranger.get("/nodes", headers={"HX-Request": "true"})
        assert (fragment.status_code, fragment.headers["hx-redirect"]) == (401, "/login")
        assert (await stranger.get("/live", headers={"Accept": "text/event-stream"})).status_code == 401
        assert (await stranger.get("/static/style.css")).status_code == 200
        assert (await stranger.get("/apiversions")).status_code == 200
        assert (await stranger.get("/v1/admin/nodes")).status_code == 401
        assert cloud.service.images.find().total == 0

    visited(story)


def test_who_logs_out_is_out_and_the_cookie_too():
    async def story(browser, _cloud):
        mine = browser()
        await log_in(mine)
        kept = dict(mine.cookies)
        out = await mine.post("/logout", headers=OWN)
        assert (out.status_code, out.headers["location"]) == (303, "/login")
        assert (await mine.get("/images")).status_code == 303
        mine.cookies.update(kept)
        assert (await mine.get("/images")).status_code == 303

    visited(story)


def test_logins_are_listed_and_ended():
    async def story(browser, cloud):
        mine, other = browser(), browser(**{"User-Agent": "<i>Lynx</i>"})
        for each in (mine, other):
            await log_in(each)
        tokens = await cloud.accounts.log_in(ADMIN, PASSWORD)
        page = (await mine.get("/account")).text
        assert "<i>" not in page
        assert {"This browser", "A browser", "A program"} <= set(re.findall(r"This browser|A browser|A program", page))
        first = next(
            login for login in cloud.accounts.logins.of("localadmin") if login.client == "<i>Lynx</i>"
        ).session_id
        assert (await mine.post(f"/account/logins/{first}/end", headers=OWN)).status_code == 303
        assert (await other.get("/images")).status_code == 303
        assert (await mine.post(f"/account/logins/{first}/end", headers=OWN)).status_code == 404
        assert (await mine.post("/account/logins/end", headers=OWN)).status_code == 303
        assert cloud.accounts.logins.user_of(tokens.accesstoken) is None
        assert (await mine.get("/account")).status_code == 200

    visited(story)


def test_a_role_that_is_taken_away_closes_the_page():
    async def story(browser, cloud):
        await sign_up(cloud)
        for role, status in ((Role.SUPER_ADMIN, 200), (Role.ADMIN, 303)):
            cloud.accounts.members.set_role(ANN, Role.SUPER_ADMIN)
            mine = browser()
            await log_in(mine, ANN)
            cloud.accounts.members.set_role(ANN, role)
            assert (await mine.get("/images")).status_code == status

    visited(story)


def test_a_browser_stays_logged_in_over_a_restart_of_the_server():
    async def story(browser, cloud):
        mine = browser()
        await log_in(mine)
        again = Cloud(login=True, store=cloud.store)
        transport = httpx2.ASGITransport(app=again.app)
        async with httpx2.AsyncClient(transport=transport, base_url=HOST, cookies=dict(mine.cookies)) as after:
            assert (await after.get("/images")).status_code == 200

    visited(story)


def test_the_open_page_lists_the_logins_of_the_local_admin():
    async def story(browser, cloud):
        tokens = await cloud.accounts.log_in(ADMIN, PASSWORD)
        mine = browser()
        page = await mine.get("/account")
        assert "A program" in words(page.text)
        assert "Log out" not in words(page.text)
        assert (await mine.post("/account/logins/end", headers=OWN)).status_code == 303
        assert cloud.accounts.logins.user_of(tokens.accesstoken) is None
        assert "Nobody is logged in" in words((await mine.get("/account")).text)

    visited(story, login=False)


@pytest.mark.parametrize(
    ("asked", "way"),
    [
        ("/jobs?a=b", "/jobs?a=b"), ("", "/"), ("//evil.example", "/"), ("/\\evil.example", "/"),
        ("https://evil.example", "/"), ("jobs", "/"), ("/a\nb", "/"),
    ],
)  # fmt: skip
def test_a_login_leads_nowhere_else(asked, way):
    assert way_back(asked) == way
