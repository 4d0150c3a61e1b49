"""A virtual node's page in a real browser: what a hand does, what changes under the eyes, what is not lost by it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from browsers import IN_A_BROWSER
from page_stage import Stage, on_a_socket
from playwright.sync_api import Browser, Page, expect
from test_browser import LAMP, watched

from py_esp_ota.cloud.virtual_nodes import Act, Dials
from py_esp_ota.rainmaker.messages import PARAMS_REMOTE, topic

pytestmark = IN_A_BROWSER


@pytest.fixture
def stage() -> Iterator[Stage]:
    with on_a_socket() as stage:
        stage.do(lambda _service: stage.cloud.virtual.put("lamp1"))
        yield stage


@pytest.fixture(params=[True, False], ids=["scripts", "no scripts"])
def any_page(request, browser: Browser, stage: Stage) -> Iterator[Page]:
    context = browser.new_context(base_url=stage.url, java_script_enabled=request.param)
    page = watched(context, stage)
    yield page
    assert page.strays == page.complaints == []
    context.close()


@pytest.fixture
def page(browser: Browser, stage: Stage) -> Iterator[Page]:
    context = browser.new_context(base_url=stage.url)
    page = watched(context, stage)
    page.goto("/nodes/lamp1")
    expect(page.locator("#live")).to_have_text("live")
    yield page
    assert page.strays == page.complaints == []
    context.close()


def test_a_hand_pulls_the_plug_and_puts_it_back_with_and_without_scripts(any_page, stage):
    any_page.goto("/nodes/lamp1")
    any_page.get_by_role("button", name="Pull the plug").click()
    expect(any_page.get_by_role("heading", name="No power")).to_be_visible()
    any_page.get_by_role("button", name="Power on").click()
    expect(any_page.get_by_role("heading", name="lamp 1.0.0 runs")).to_be_visible()
    assert stage.cloud.virtual.acts == [("lamp1", Act.POWER_OFF), ("lamp1", Act.POWER_ON)]


def test_a_lamp_is_switched_with_and_without_scripts(any_page, stage):
    heard = []

    async def listen() -> None:
        async with stage.cloud.broker("lamp1") as mqtt:
            await mqtt.subscribe(topic("lamp1", PARAMS_REMOTE))
            ready.set()
            async for message in mqtt.messages():
                heard.append(message.payload)
                return

    ready = threading.Event()
    listening = asyncio.run_coroutine_threadsafe(listen(), stage._loop)
    assert ready.wait(10)
    any_page.goto("/nodes/lamp1")
    expect(any_page.get_by_role("switch", name="Power")).to_be_checked()
    any_page.get_by_role("switch", name="Power").click()
    listening.result(10)
    assert heard == [b'{"Lamp":{"Power":false}}']


def test_deleting_asks_in_place_and_leads_back_to_the_list(any_page, stage):
    any_page.goto("/nodes/lamp1")
    any_page.get_by_role("button", name="Delete").click()
    any_page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(any_page.get_by_text("Deleted 1 node.")).to_be_visible()
    assert stage.cloud.virtual.all() == []


def test_several_are_ticked_and_switched_off_with_and_without_scripts(any_page, stage):
    stage.do(lambda _service: stage.cloud.virtual.put("lamp2"))
    stage.do(lambda _service: stage.cloud.virtual.put("lamp3"))
    any_page.goto("/nodes?q=lamp")
    any_page.get_by_role("checkbox", name="Choose lamp1").check()
    any_page.get_by_role("checkbox", name="Choose lamp3").check()
    any_page.get_by_role("button", name="Power off").click()
    expect(any_page.get_by_role("row", name="lamp3")).to_contain_text("no power")
    assert [node.power for node in stage.cloud.virtual.all()] == ["off", "on", "off"]
    assert any_page.url.endswith("/nodes?q=lamp")


def test_while_it_is_written_the_map_fills_and_nothing_that_was_typed_is_lost(page, stage):
    page.evaluate("window.sameDocument = true")
    page.locator("#param-0-0").fill("Half a na")  # the name, still being typed
    page.locator("#weather").fill("drop@")
    page.locator("#map-table summary").click()
    page.locator("#param-0-0").focus()
    region = page.locator('[data-part="map/6"] svg')
    for sectors in (40, 80):
        stage.do(lambda _service, sectors=sectors: stage.cloud.virtual.write("lamp1", sectors))
        expect(region).to_have_attribute("aria-label", f"ota_1: 384 sectors, {sectors} written, 384 erases")
    stage.do(lambda _service: stage.cloud.virtual.put("lamp1", dials=Dials(weather="app-no"), boots=4))
    expect(page.locator('[data-part="board"]')).to_contain_text("4 boots")
    expect(page.locator("#param-0-0")).to_have_value("Half a na")
    expect(page.locator("#param-0-0")).to_be_focused()
    expect(page.locator("#weather")).to_have_value("drop@")
    expect(page.locator("#map-table")).to_have_attribute("open", "")
    assert page.evaluate("window.sameDocument") is True


def test_what_somebody_ticked_is_ticked_after_the_list_has_changed(page, stage):
    page.goto("/nodes")
    expect(page.locator("#live")).to_have_text("live")
    page.get_by_role("checkbox", name="Choose lamp1").check()
    stage.do(lambda _service: stage.cloud.virtual.put("lamp2"))
    expect(page.get_by_role("row", name="lamp2")).to_be_visible()
    expect(page.get_by_role("checkbox", name="Choose lamp1")).to_be_checked()
    expect(page.locator("#ticked")).to_have_text("(1)")


def test_the_console_follows_its_end_until_somebody_reads_further_up(page, stage):
    lines: list[str] = []
    stage.cloud.virtual.console = lambda _node_id: lines

    def say(*more: str) -> None:
        def said(service) -> None:
            lines.extend(more)  # where the page is rendered, so that it cannot be seen before it is told
            service.live.publish("node", "lamp1")

        stage.do(said)

    say(*(f"I ({number}) boot: line {number}" for number in range(100)))
    console = page.locator("#console")
    expect(console).to_contain_text("line 99")
    gap = "box => Math.round(box.scrollHeight - box.scrollTop - box.clientHeight)"
    assert console.evaluate(gap) <= 1
    say("I (100) boot: line 100")
    expect(console).to_contain_text("line 100")
    assert console.evaluate(gap) <= 1
    console.evaluate("box => { box.scrollTop = 50; }")
    say("I (101) boot: line 101")
    expect(console).to_contain_text("line 101")
    assert console.evaluate("box => box.scrollTop") == 50


def test_a_slider_sets_the_number_beside_it(page, stage):
    page.locator("#param-0-2-range").fill("35")
    expect(page.locator("#param-0-2")).to_have_value("35")


def test_a_preset_is_written_into_the_field_and_set(page, stage):
    page.get_by_role("button", name="Self-test fails").click()
    expect(page.locator("#weather")).to_have_value("app-no")
    page.get_by_role("button", name="Set weather").click()
    expect(page.locator('[data-part="board"]')).to_contain_text("weather: Self-test fails")
    assert stage.cloud.virtual.get("lamp1").dials == Dials(weather="app-no")


def test_a_plan_that_is_none_is_refused_in_words_and_stays_in_its_field(page):
    page.locator("#weather").fill("nonsense@")
    page.get_by_role("button", name="Set weather").click()
    expect(page.get_by_role("alert")).to_contain_text("ot a fault plan")
    expect(page.locator("#weather")).to_have_value("nonsense@")
    page.complaints.clear()  # the browser's own words about 409


def test_an_update_is_started_and_followed_on_the_node_s_page(page, stage):
    stage.do(lambda service: service.images.add("lamp-1.1.0", LAMP))
    page.goto("/nodes/lamp1")
    page.get_by_role("button", name="Start OTA").click()
    expect(page.locator("#jobs")).to_contain_text("OTA URL Sent to Node")
    expect(page).to_have_url(f"{stage.url}/nodes/lamp1#jobs")
