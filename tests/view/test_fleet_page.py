"""The page of a fleet in a real browser: it asks nobody, runs nothing, trusts no text, and everybody can read it."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from browsers import IN_A_BROWSER
from playwright.sync_api import expect

from py_esp_ota.fleet.result import FleetResult, MemberResult, Replay
from py_esp_ota.view.fleet_html import fleet_html
from py_esp_ota.view.fleet_text import fleet_text, size_words

REPLAY = Replay(("esp-ota", "fleet", "a b.toml"))
ONE = MemberResult(
    node_id="lamp-000001",
    kind="lamp",
    status="success",
    additional_info="OTA Upgrade finished and verified successfully",
    reason="",
    closed=True,
    turn=0,
    seconds=20,
    boots=2,
    bytes=65_536,
    met="",
)
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;\x1b[2J"


def many(count=120, **options):
    """Most have it soon, some roll back, one is at it for two weeks."""
    members = []
    for number in range(1, count + 1):
        member = replace(ONE, node_id=f"lamp-{number:06}", seconds=10 + number % 7)
        if number % 12 == 0:
            member = replace(
                member, status="rejected", additional_info="Firmware rolled back", reason="rolled_back", met="app-no"
            )
        members.append(member)
    members[-1] = replace(members[-1], status="failed", additional_info=HOSTILE, reason="other", seconds=1_296_000)
    members[-2] = replace(members[-2], status="triggered", additional_info="", closed=False, turn=None, seconds=None)
    return FleetResult(seed=3, members=tuple(members), seconds=1_296_000, checked=("lamp-000002",), **options)


@IN_A_BROWSER[0]
@IN_A_BROWSER[1]
@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1280)])
def test_everybody_can_read_it(browser, tmp_path, scheme, width):
    spec = find_spec("axe_playwright_python")
    if spec is None or spec.origin is None:
        pytest.skip("axe-playwright-python is not installed")
    file = tmp_path / "fleet.html"
    file.write_text(fleet_html(many(whole=False), REPLAY, name=HOSTILE, devices=121), encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    trouble: list[str] = []
    page.on("request", lambda asked: None if asked.url.startswith("file:") else trouble.append(asked.url))
    page.on("console", lambda message: trouble.append(message.text))
    page.on("dialog", lambda dialog: (trouble.append(dialog.message), dialog.dismiss()))
    page.goto(file.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    expect(page.locator("h1")).to_contain_text("<script>alert(1)")
    expect(page.locator("header p")).to_contain_text("stopped after 360:00:00, so this is not the whole of it")
    expect(page.locator(".partial")).to_contain_text("120 of 121 devices are here, as they were then.")
    expect(page.get_by_role("img")).to_have_attribute("aria-label", "Of 120 devices 109 are updated after 360:00:00")
    expect(page.locator(".legend")).to_contain_text("logarithmically")
    groups = page.locator("details > summary strong")
    expect(groups).to_have_text(["9", "1", "1"])
    expect(page.locator("details li code").nth(1)).to_have_text("esp-ota fleet 'a b.toml' --alone lamp-000012")
    page.evaluate((Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []
    assert trouble == []
    context.close()


def test_the_page_has_no_script_and_asks_nobody():
    page = fleet_html(many(), REPLAY, name="lamps.toml", devices=120)
    assert "<script" not in page
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "not the whole" not in page


def test_a_fleet_of_nobody_has_a_page():
    page = fleet_html(FleetResult(seed=0, members=()), REPLAY, name="none", devices=0)
    assert "There is none." in page


def test_many_alike_are_told_by_a_few_and_all_on_demand():
    few, full = (fleet_text(many(), REPLAY, name="lamps", devices=120, every=every) for every in (False, True))
    assert "           and 4 more (--full)" in few
    assert sum(" --alone " in line for line in full) == sum(" --alone " in line for line in few) + 4
    assert few[1] == "over after 360:00:00: 109 of 120 updated, 10 missed it, 1 have not come to their end"
    assert "      1  triggered" in few


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (5 << 20, "5.0 MiB"),
        (3 << 41, "6.0 TiB"),
        (9 << 50, "9,216.0 TiB"),
    ],
)
def test_sizes_have_units(count, words):
    assert size_words(count) == words
