"""Every page for everybody: axe finds nothing, no page is wider than its window, and no id breaks in the middle.

Opening a page and asking axe about its colours is what costs. So each page is opened once, everything is asked of it
there, and axe sees it once: narrow or wide, light or dark, the next page in another of these four looks.
``ESP_OTA_EVERY_LOOK=1``, as ``make pages`` sets it, has it look at all four.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from browsers import IN_A_BROWSER
from few_rehearsals import FewRehearsals
from page_stage import Stage, on_a_socket
from playwright.sync_api import Browser, Page, expect
from stub_nodes import introduce
from test_browser import LAMP

from py_esp_ota.cloud.group_rows import Scope
from py_esp_ota.cloud.group_rules import NodeQuery
from py_esp_ota.cloud.plan import Abort, Amount, Gate, Plan
from py_esp_ota.cloud.virtual_nodes import Dials
from py_esp_ota.ports import Message
from py_esp_ota.rainmaker.messages import OTASTATUS, OtaStatusReport, topic

BOARD = "A1B2C3D4E5F60718293A4B"
"""As long as the ids that RainMaker gives."""
WIDTHS = (390, 768, 1440)
SCHEMES = ("light", "dark")
EVERY_LOOK = "ESP_OTA_EVERY_LOOK" in os.environ

pytestmark = IN_A_BROWSER


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core, as a package for Playwright ships it."""
    spec = find_spec("axe_playwright_python")
    if spec is None or spec.origin is None:
        pytest.skip("axe-playwright-python is not installed")
    return (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with on_a_socket() as stage:
        yield stage


@pytest.fixture(scope="module")
def paths(stage: Stage) -> dict[str, str]:
    """Pages with something of everything on them."""
    virtual = stage.cloud.virtual

    def settle(service) -> str:
        virtual.put("lamp1", dials=Dials(weather="app-no"))
        virtual.put("lamp2", power="off", running="")
        virtual.put("lamp3", running="", slot="", state="")
        virtual.put("lamp4", silent=True)
        virtual.written = 100
        service.intake.on_presence(BOARD, True)
        introduce(service, BOARD)
        service.intake.on_presence("offline-board", False)
        introduce(service, "offline-board")
        service.nodes.add_tags(BOARD, ["room:kitchen"])
        service.nodes.set_metadata(BOARD, {"shelf": 3})
        return service.images.add("lamp-1.1.0", LAMP).ota_image_id

    image = stage.do(settle)
    job = stage.do(
        lambda service: service.jobs.create("Rollout", image, nodes=[BOARD, "lamp1", "lamp2"], force_push=True)
    ).job.ota_job_id
    desk = stage.do(
        lambda service: service.groups.create(Scope(), "Desk", nodes=[BOARD, "lamp1"], description="by the window")
    )
    shelf = stage.do(
        lambda service: service.groups.create(Scope(), "Shelf", parent_group_id=desk.group_id, nodes=["lamp2"])
    )
    lamps = stage.do(
        lambda service: service.groups.create(
            Scope(), "Lamps", query=NodeQuery(node_model="lamp", node_presence="online")
        )
    )
    stage.do(lambda service: service.jobs.create("Desk", image, groups=[desk.group_id]))
    campaign = stage.do(lambda service: held_at_its_gate(service, image))
    aborted = stage.do(lambda service: aborted_by_itself(service, image))
    stage.do(lambda service: service.webhooks.add("http://127.0.0.1:9/told", ["job_*"]))
    stage.cloud.app.state.rehearsals = rehearsals = FewRehearsals()
    stage.do(lambda service: rehearsals.start(service.rehearsing.of_job(job), ota_job_id=job))
    stage.do(lambda service: rehearsals.start(service.rehearsing.of_job(job), ota_job_id=job))
    rehearsals.finish("1")
    return {
        "campaign at its gate": f"/jobs/{campaign}",
        "campaign, searched": f"/jobs/{campaign}?status=missed&reason=rolled_back&q=lamp",
        "campaign that aborted": f"/jobs/{aborted}",
        "jobs that are paused": "/jobs?state=paused",
        "audit": "/audit",
        "audit of a job": f"/audit?ota_job_id={campaign}&actor=node",
        "no audit": "/audit?who=nobody",
        "account": "/account",
        "webhooks": "/account/webhooks",
        "groups": "/groups",
        "no groups": "/groups?q=zebra",
        "add group": "/groups/add?kind=query&node_model=lamp",
        "static group": f"/groups/{desk.group_id}",
        "sub-group": f"/groups/{shelf.group_id}",
        "dynamic group": f"/groups/{lamps.group_id}",
        "overview": "/",
        "nodes": "/nodes",
        "no nodes": "/nodes?q=zebra",
        "virtual node": "/nodes/lamp1",
        "dead node": "/nodes/lamp2",
        "node that boots nothing": "/nodes/lamp3",
        "node that never connected": "/nodes/lamp4",
        "board": f"/nodes/{BOARD}",
        "offline board": "/nodes/offline-board",
        "add": "/virtual/add",
        "dump": "/flash",
        "image": f"/images/{image}",
        "images": "/images",
        "upload": "/images/upload",
        "start": f"/images/{image}/start",
        "jobs": "/jobs",
        "job": f"/jobs/{job}",
        "rehearsals": "/rehearsals",
        "rehearsal": "/rehearsals/1",
        "rehearsal that is played": "/rehearsals/2",
        "nowhere": "/nodes/nobody",
    }


def said(service, job: str, node_id: str, info: str) -> None:
    report = OtaStatusReport(ota_job_id=job, status="rejected", additional_info=info).encode()
    service.intake.handle(Message(topic(node_id, OTASTATUS, basic_ingest=True), report))


def held_at_its_gate(service, image: str) -> str:
    """A campaign in three phases whose first one has failed, for two reasons."""
    plan = Plan(phases=("2", "40%", "rest"), gate=Gate(success=Amount(percent=100.0)), rate=60)
    nodes = ["lamp1", "lamp3", "lamp2", BOARD, "offline-board"]
    job = service.jobs.create("Autumn", image, nodes=nodes, plan=plan, allow_wrong_chip=True).job.ota_job_id
    said(service, job, "lamp1", "Firmware rolled back")
    said(service, job, "lamp3", "Project Name mismatch")
    return job


def aborted_by_itself(service, image: str) -> str:
    plan = Plan(abort=Abort(failed=Amount(1)))
    job = service.jobs.create("Winter", image, nodes=["lamp1", "lamp3"], plan=plan, allow_wrong_chip=True)
    said(service, job.job.ota_job_id, "lamp1", "Same version received")
    return job.job.ota_job_id


@pytest.fixture
def page(browser: Browser, stage: Stage) -> Iterator[Page]:
    context = browser.new_context(base_url=stage.url, reduced_motion="reduce", viewport={"width": 1440, "height": 900})
    yield context.new_page()
    context.close()


def opened(page: Page, path: str) -> None:
    """A page with all that can be opened on it."""
    page.goto(path)
    page.evaluate("document.querySelectorAll('main details').forEach((details) => { details.open = true; })")


def test_the_campaigns_show_phases_reasons_and_what_stopped_them(page, paths):
    page.goto(paths["campaign at its gate"])
    for words in ("Phase 3", "Rolled back", "Other project", "The job is paused."):
        expect(page.get_by_text(words).first).to_be_visible()
    page.goto(paths["campaign that aborted"])
    expect(page.get_by_text("The job aborted itself.")).to_be_visible()


def judge(page: Page, axe: str, *schemes: str) -> list[str]:
    """What axe finds in these colours, or in both, each with the first element that it is about."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(axe)
    said = []
    for scheme in schemes or SCHEMES:
        page.emulate_media(color_scheme=scheme)
        found = page.evaluate("async () => (await axe.run(document, { resultTypes: ['violations'] })).violations")
        said += [
            f"{scheme}: {each['id']}: {json.dumps(each['nodes'][0]['target'])} {each['nodes'][0]['failureSummary']}"
            for each in found
        ]
    return said


def test_axe_finds_nothing_in_a_preview_nor_at_a_field_that_is_wrong(page, paths, axe):
    opened(page, paths["start"])
    page.get_by_label(re.compile("All . nodes")).check()
    expect(page.locator(".reasons")).to_be_visible()
    assert judge(page, axe) == []
    page.get_by_label("Phases").fill("100")
    page.get_by_label("Phases").press("Tab")
    expect(page.locator("#wrong-phases")).not_to_be_empty()
    assert judge(page, axe) == []


def test_axe_finds_nothing_when_a_question_is_open_or_a_dump(page, paths, axe, tmp_path):
    page.goto(paths["virtual node"])
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert judge(page, axe) == []
    page.goto(paths["static group"])
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert judge(page, axe) == []
    page.goto("/nodes")
    page.get_by_role("checkbox", name="Choose lamp1").check()
    page.get_by_role("button", name="Delete …").click()
    expect(page.get_by_role("heading", name="Delete 1 virtual node?")).to_be_visible()
    assert judge(page, axe) == []
    file = tmp_path / "dump.bin"
    file.write_bytes(bytes(0x10000))
    page.goto("/flash")
    page.set_input_files("#file", file)
    page.get_by_role("button", name="Open it").click()
    expect(page.get_by_role("heading", name="dump.bin")).to_be_visible()
    assert judge(page, axe) == []


# Whatever can be pressed or filled in, once: of radio buttons that belong together Tab reaches one.
WITHIN_REACH = """() => {
  const groups = new Set();
  const all = document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']");
  return [...all].filter((each) => {
    if (each.disabled || each.type === "hidden" || !each.checkVisibility({ visibilityProperty: true })) return false;
    if (each.type !== "radio") return true;
    const first = !groups.has(each.name);
    groups.add(each.name);
    return first;
  }).length;
}"""
FOCUSED = """() => {
  const each = document.activeElement;
  if (each === document.body) return null;
  if (!each.dataset.number) each.dataset.number = String(document.querySelectorAll("[data-number]").length + 1);
  const style = getComputedStyle(each);
  const ring = style.outlineStyle !== "none" || style.boxShadow !== "none";
  return [each.dataset.number, ring ? "" : each.outerHTML.slice(0, 120)];
}"""


@pytest.mark.parametrize(
    "name", ["campaign at its gate", "campaign that aborted", "groups", "static group", "start", "audit", "webhooks"]
)
def test_everything_is_within_reach_of_the_keyboard_and_shows_that_it_is(page, paths, name):
    opened(page, paths[name])
    wanted = page.evaluate(WITHIN_REACH)
    looks: dict[str, set[str]] = {}
    for _ in range(5 * wanted):  # a field of a time is a stop for each of its numbers, and one more for its calendar
        page.keyboard.press("Tab")
        if (found := page.evaluate(FOCUSED)) is None:
            break
        looks.setdefault(found[0], set()).add(found[1])
    assert len(looks) == wanted
    assert [look for look in looks.values() if "" not in look] == []


# Ids are looked for in the text itself, wherever it stands: of one that breaks, or is cut, the letters have two lines.
BROKEN = """(ids) => {
  const bad = [];
  const walk = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const { data, parentElement } = walk.currentNode;
    if (!parentElement.checkVisibility() || parentElement.closest("option, .console")) continue;
    for (const id of ids) {
      for (let at = data.indexOf(id); at >= 0; at = data.indexOf(id, at + 1)) {
        const range = document.createRange();
        range.setStart(walk.currentNode, at);
        range.setEnd(walk.currentNode, at + id.length);
        const tops = new Set([...range.getClientRects()].map((rect) => Math.round(rect.top)));
        const cut = parentElement.scrollWidth > parentElement.clientWidth + 1 && parentElement.matches(".id");
        if (tops.size > 1 || cut) bad.push(`${id} in ${parentElement.outerHTML.slice(0, 120)}`);
      }
    }
  }
  return bad;
}"""


CUT = """() => [...document.querySelectorAll('main .card.flush')]
  .filter((card) => card.scrollWidth > card.clientWidth + 1).map((card) => card.outerHTML.slice(0, 120))"""


def looks_of(number: int, width: int) -> tuple[str, ...]:
    """In which colours axe sees the page of this number at a width."""
    if width == 768:
        return ()
    if EVERY_LOOK:
        return SCHEMES
    return (SCHEMES[number // 2 % 2],) if (width == 390) == (number % 2 == 0) else ()


def test_axe_finds_nothing_no_id_breaks_and_no_page_is_wider_than_its_window(page, paths, axe):
    ids = [
        BOARD,
        "offline-board",
        "lamp1",
        "lamp2",
        "lamp3",
        "lamp4",
        *(path.split("/")[2] for path in (paths["image"], paths["job"])),
    ]
    said = {}
    for number, (name, path) in enumerate(paths.items()):
        opened(page, path)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            said[name, width, "broken"] = page.evaluate(BROKEN, ids)
            said[name, width, "wide"] = page.evaluate(f"Math.max(0, document.documentElement.scrollWidth - {width})")
            said[name, width, "cut"] = page.evaluate(CUT)
            if looks := looks_of(number, width):
                said[name, width, "axe"] = judge(page, axe, *looks)
    assert {where: found for where, found in said.items() if found} == {}
