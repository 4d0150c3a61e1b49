"""The page of a sweep in a real browser: an operation is clicked or walked to, and its ending is seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from browsers import IN_A_BROWSER
from playwright.sync_api import Browser, Page, expect
from sweep_by_hand import BROKEN, CHIP, HOSTILE, NEW, OLD, report

from py_esp_ota.view.sweep_html import sweep_html

pytestmark = IN_A_BROWSER


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that may ask nobody and complain about nothing."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    trouble: list[str] = []
    page.on("request", lambda asked: None if asked.url.startswith(("file:", "data:")) else trouble.append(asked.url))
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("dialog", lambda dialog: (trouble.append(dialog.message), dialog.dismiss()))
    yield page
    context.close()
    assert trouble == []


def show(page: Page, tmp_path, swept, **options) -> None:
    file = tmp_path / "sweep.html"
    file.write_text(sweep_html(swept, **options), encoding="utf-8")
    page.goto(file.as_uri())


def click_operation(page: Page, index: int, operations: int) -> None:
    box = page.locator("#overview").bounding_box()
    left = 96  # the names of the lanes
    x = left + (index + 0.5) / operations * (box["width"] - left)
    page.locator("#overview").click(position={"x": x, "y": 30})


def pixel(page: Page, index: int, lane: int, operations: int):
    """The colour in the middle of one cell of the picture, and what the style sheet calls it."""
    return page.evaluate(
        """([index, lane, operations]) => {
            const canvas = document.getElementById("overview"), ratio = canvas.width / canvas.clientWidth;
            const x = 96 + (index + 0.5) / operations * (canvas.clientWidth - 96), y = 12 + lane * 18 + 9;
            const copy = new OffscreenCanvas(1, 1).getContext("2d");
            copy.drawImage(canvas, -Math.floor(x * ratio), -Math.floor(y * ratio));
            const seen = copy.getImageData(0, 0, 1, 1).data;
            const hex = "#" + [...seen].slice(0, 3).map((v) => v.toString(16).padStart(2, "0")).join("");
            const style = getComputedStyle(document.documentElement);
            const names = ["old", "new", "as_the_chip", "violation"];
            return names.find((name) => style.getPropertyValue(`--${name}`) === hex);
        }""",
        [index, lane, operations],
    )


def test_a_click_shows_cases_otadata_replay_line_and_boot_log(page, tmp_path):
    swept = report()
    show(page, tmp_path, swept, command="esp-ota sweep old.bin new.bin --cut")
    click_operation(page, 20, 34)
    expect(page.locator("#what")).to_have_text("Operation 20: program 0x011200..0x0112ff")
    rows = page.locator("#cases tr")
    expect(rows).to_have_count(4)
    expect(page.locator("#log")).to_have_text("E (99) boot: No bootable app")
    expect(page.locator("#replay")).to_have_text("esp-ota sweep old.bin new.bin --cut cut@20")
    expect(page.locator("#otadata div")).to_have_text(["[0] 1/NEW", "[1] -"])
    expect(page.locator("#why")).to_have_text("nothing boots")
    expect(page.locator("#boots")).to_have_text("Console of 3 boots after the cut")

    page.get_by_role("button", name="cut@20:torn", exact=True).click()
    expect(page.locator("#log")).to_have_text("I (30) boot: new\nI (40) boot: Loaded")
    expect(page.locator("#runs")).to_have_text("1.1.0 from ota_0, VALID")

    page.get_by_role("button", name="cut@20:torn+cut@1").click()
    expect(page.locator("#replay")).to_have_text("esp-ota sweep old.bin new.bin --cut cut@20:torn+cut@1")
    expect(page.locator("#why")).to_have_text("nothing boots")

    click_operation(page, 1, 34)
    expect(page.locator("#log")).to_have_text("I (30) boot: old\nI (40) boot: Loaded")
    expect(page.locator("#why")).to_have_text("")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_cells_have_the_colour_of_their_outcome(page, tmp_path, scheme):
    page.emulate_media(color_scheme=scheme)
    show(page, tmp_path, report())
    page.get_by_role("button", name="Next finding")  # loaded
    seen = {(index, lane): pixel(page, index, lane, 34) for index in (1, 3, 20, 30) for lane in (0, 1, 2)}
    assert seen == {
        **dict.fromkeys([(1, 0), (1, 1), (1, 2), (3, 0), (3, 2)], "old"),
        (3, 1): "as_the_chip",
        **dict.fromkeys([(20, 0), (20, 1), (20, 2)], "violation"),  # torn alone is sound, but not when cut again
        **dict.fromkeys([(30, 0), (30, 1), (30, 2)], "new"),
    }


def test_the_keyboard_walks_along_the_flash(page, tmp_path):
    show(page, tmp_path, report())
    slider = page.get_by_role("slider", name="Flash operation")
    expect(slider).to_have_attribute("aria-valuenow", "20")  # the worst finding first
    slider.focus()
    for key, index in [("Home", 0), ("ArrowRight", 1), ("n", 3), ("n", 20), ("n", 20), ("p", 3), ("End", 33)]:
        slider.press(key)
        expect(slider).to_have_attribute("aria-valuenow", str(index))
    slider.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("operation 33, program .*, 3 cases, at worst new"))


def test_findings_are_listed_and_lead_to_their_operation(page, tmp_path):
    show(page, tmp_path, report())
    items = page.locator("#list li")
    expect(items).to_have_count(2)
    expect(items.nth(0)).to_contain_text("violation operation 20 program 0x011200..0x0112ff: nothing boots")
    items.nth(1).get_by_role("button").click()
    expect(page.locator("#what")).to_contain_text("Operation 3:")
    expect(page.locator("#why")).to_have_text(CHIP.why)
    expect(page.get_by_role("button", name="Previous finding")).to_be_disabled()


def test_along_the_addresses_the_same_place_is_clicked_through(page, tmp_path):
    show(page, tmp_path, report())
    page.get_by_label("flash address").check()
    box = page.locator("#overview").bounding_box()
    at = {"x": 96 + (box["width"] - 96) * (0x280 / 0x2000), "y": 30}  # inside the third page of the first sector
    page.locator("#overview").click(position=at)
    expect(page.locator("#what")).to_contain_text("Operation 3: program 0x010200..0x0102ff")
    page.locator("#overview").click(position=at)
    expect(page.locator("#what")).to_contain_text("Operation 0: erase 0x010000")


def test_a_long_story_has_a_close_up_that_can_be_clicked(page, tmp_path):
    show(page, tmp_path, report())
    expect(page.locator("#close")).to_be_hidden()
    show(page, tmp_path, report(16))
    expect(page.locator("#what")).to_contain_text("Operation 20:")
    box = page.locator("#close").bounding_box()
    page.locator("#close").click(position={"x": 96 + (box["width"] - 96) * 30.5 / 64, "y": 30})
    expect(page.locator("#what")).to_contain_text("Operation 30:")


def test_forty_thousand_cases_are_quick_to_walk(page, tmp_path):
    show(page, tmp_path, report(800))
    slider = page.get_by_role("slider")
    expect(slider).to_have_attribute("aria-valuemax", "13599")
    took = page.evaluate(
        """() => {
            const slider = document.getElementById("overview"), start = performance.now();
            for (let i = 0; i < 5; i++) slider.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
            return (performance.now() - start) / 5;
        }"""
    )
    assert took < 250  # milliseconds a step, on a slow machine


def test_nothing_in_the_report_runs(page, tmp_path):
    endings = [
        replace(one, why=HOSTILE, version=HOSTILE, state=HOSTILE, partition=HOSTILE, log=(HOSTILE,), otadata=(HOSTILE,))
        for one in (OLD, NEW, CHIP, BROKEN)
    ]
    show(page, tmp_path, report(endings=endings, story=HOSTILE), command=HOSTILE)
    expect(page.locator("h1")).to_have_text(HOSTILE)
    expect(page.locator("#log")).to_have_text(HOSTILE)
    expect(page.locator("#cases")).to_contain_text(f"{HOSTILE} from {HOSTILE}, {HOSTILE}")
    assert page.locator("img").count() == 0


def test_a_story_without_operations_shows_its_counts(page, tmp_path):
    show(page, tmp_path, replace(report(), operations=(), cases=()))
    expect(page.get_by_role("heading", name="first_ota")).to_be_visible()
    expect(page.locator("main")).to_be_hidden()
