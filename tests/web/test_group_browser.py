"""Node Groups in a real browser: by keyboard, and with ten thousand nodes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browsers import IN_A_BROWSER
from page_stage import Stage, on_a_socket
from playwright.sync_api import Browser, Page, expect

from py_esp_ota.cloud.group_rows import Scope
from py_esp_ota.cloud.group_rules import NodeQuery

pytestmark = IN_A_BROWSER

EVERYBODY = Scope()


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with on_a_socket() as stage:
        yield stage


@pytest.fixture
def page(stage: Stage, browser: Browser) -> Iterator[Page]:
    with browser.new_context(base_url=stage.url) as context:
        yield context.new_page()


def test_by_keyboard_a_query_counts_while_it_is_typed_and_its_page_is_live(stage, page):
    stage.node("lamp-a")
    page.goto("/groups/add")
    page.get_by_label("Name", exact=True).focus()
    page.keyboard.type("Lamps")
    page.get_by_role("radio", name="All nodes that agree with a query").focus()
    page.keyboard.press("Space")
    page.get_by_label("Model", exact=True).focus()
    page.keyboard.type("lamp")
    expect(page.locator("#count")).to_have_text("1 node agrees with it now.")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Lamps", level=1)).to_be_visible()
    expect(page.get_by_role("link", name="lamp-a")).to_be_visible()
    stage.node("lamp-b")
    expect(page.get_by_role("link", name="lamp-b")).to_be_visible()
    expect(page.locator("[data-part=lead]")).to_contain_text("2 nodes")
    page.get_by_role("button", name="Delete").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Removed Lamps.")).to_be_visible()
    assert stage.do(lambda service: service.groups.find(EVERYBODY).total) == 0


def test_ten_thousand_nodes_do_not_make_it_slow(stage, page):
    def many(service) -> str:
        from sqlalchemy import insert

        from py_esp_ota.cloud.models import NodeRow
        from py_esp_ota.cloud.node_book import _new

        with service.store.connect() as tx:
            fleet = [_new(f"many{number:05}", 0) | {"model": "many"} for number in range(10_000)]
            tx.execute(insert(NodeRow), fleet)
        return service.groups.create(EVERYBODY, "many", query=NodeQuery(node_model="many")).group_id

    group = stage.do(many)
    page.goto(f"/groups/{group}")
    took = page.evaluate("performance.getEntriesByType('navigation')[0].responseEnd")
    expect(page.get_by_text("10000 in all")).to_be_visible()
    assert took < 1000  # milliseconds; some 100 on a machine that has nothing else to do
