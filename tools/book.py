"""The management part of the book, done by hand in a browser, with a picture of each statement: ``docs/book``.

Everything is pressed as a reader would press it, at the page of ``esp-ota serve --demo``, and no picture is taken of a
page that does not say what the statement says.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import FloatRect, Page, expect
from playwright.sync_api import TimeoutError as TooLate

from py_esp_ota.firmware import Firmware

FOLDER = Path("docs/book")
LARGEST = 80_000
"""Bytes of a picture."""

_CHIP, _SIZE = "esp32c3", 0x18000
_SLOW = "slow@8192"
_REFUSES = "status@503"
_MARGIN = 14
_QUALITY = 50
_PATIENCE_MS = 90_000
_PATIENCE_S = 10  # for what is put in anew just now


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of the book: what is done, from which element to which the picture is, and what it must say."""

    picture: str
    words: str
    act: Callable[[Page], None]
    first: str
    last: str
    says: Sequence[str]


def prepare(page: Page) -> None:
    """Lamps of our own in the demo, and a fan: what becomes of them is in nobody else's hands."""
    _store(page, "fan", "1.0.0")
    for prefix, count, image in (
        ("kitchen", 3, f"lamp-1.0.0-{_CHIP} ({_CHIP})"),
        ("fan", 1, f"fan-1.0.0 ({_CHIP})"),
    ):
        page.goto("/virtual/add")
        page.get_by_label("How many").fill(str(count))
        page.get_by_label("Running").select_option(label=image)
        page.get_by_label("Name", exact=True).fill(f"{prefix.capitalize()}")
        page.get_by_label("Ids begin with").fill(prefix)
        page.get_by_role("button", name="Add nodes").click()
        page.wait_for_url(re.compile(r"/nodes[/?]"))
    _weather(page, "hall-0001", _REFUSES)
    _weather(page, "kitchen-0002", _SLOW)
    for node_id in ("kitchen-0001", "kitchen-0002", "kitchen-0003", "fan-0001"):
        page.goto(f"/nodes/{node_id}")
        expect(page.locator("main .presence").first).to_contain_text("online", timeout=_PATIENCE_MS)
        if node_id == "kitchen-0003":
            page.get_by_role("button", name="Pull the plug").click()
            expect(page.locator("main .presence").first).to_contain_text("offline", timeout=_PATIENCE_MS)
    _start(page, "lamp-1.0.0-esp32", "A server that is down", "hall-0001")
    _start(page, f"lamp-1.1.0-{_CHIP}", "To whom it is of no use", "desk-0001", "fan-0001")


def take(page: Page, statement: Statement, folder: Path) -> Path:
    """Do it, see that the page says it, and take the picture. Raises ``AssertionError``."""
    statement.act(page)
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    room, begin, end = _seen(page, statement)
    clip = {
        "x": room["x"],
        "y": begin + page.evaluate("scrollY"),
        "width": room["width"],
        "height": end - begin,
        "scale": 1,
    }
    asked = {"format": "webp", "quality": _QUALITY, "clip": clip, "captureBeyondViewport": True}
    shot = page.context.new_cdp_session(page).send("Page.captureScreenshot", asked)
    target = folder / f"{statement.picture}.webp"
    target.write_bytes(base64.b64decode(shot["data"]))
    return target


def _seen(page: Page, statement: Statement) -> tuple[FloatRect, float, float]:
    """The room of the page, and from where to where it says the statement.

    What is live on it is put in anew while one looks, and is not there for a moment: so one looks again.
    """
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return _seen_now(page, statement)
        except (AssertionError, TooLate):
            if time.monotonic() > until:
                raise
        page.wait_for_timeout(100)


def _seen_now(page: Page, statement: Statement) -> tuple[FloatRect, float, float]:
    room, top, bottom = _place(page, "main"), _place(page, statement.first), _place(page, statement.last)
    begin, end = top["y"] - _MARGIN, bottom["y"] + bottom["height"] + _MARGIN
    for words in statement.says:
        shown = [found.bounding_box(timeout=1000) for found in page.locator("main").get_by_text(words).all()]
        if not any(box and begin <= box["y"] and box["y"] + box["height"] <= end for box in shown):
            raise AssertionError(f"{statement.picture} does not show {words!r}")
    return room, begin, end


def _place(page: Page, selector: str) -> FloatRect:
    box = page.locator(selector).first.bounding_box()
    if box is None:
        raise AssertionError(f"{selector} is not shown")
    return box


def take_all(page: Page, folder: Path) -> list[Path]:
    """The whole of it, in the order of the book."""
    prepare(page)
    return [take(page, statement, folder) for statement in STATEMENTS]


# ---------------------------------------------------------------------------------------------------------------- hands


def _file(project: str, version: str) -> dict[str, object]:
    image = Firmware(project, version, chip=_CHIP, size=_SIZE).to_bytes()
    return {"name": f"{project}-{version}-{_CHIP}.bin", "mimeType": "application/octet-stream", "buffer": image}


def _store(page: Page, project: str, version: str) -> None:
    page.goto("/images/upload")
    page.set_input_files("#file", _file(project, version))  # type: ignore[arg-type]
    page.get_by_role("button", name="Store image").click()
    expect(page.get_by_text(f"Stored {project}-{version}")).to_be_visible()


def _weather(page: Page, node_id: str, plan: str) -> None:
    page.goto(f"/nodes/{node_id}")
    page.locator("#weather").fill(plan)
    page.get_by_role("button", name="Set weather").click()
    expect(page.get_by_text("weather:")).to_be_visible()


def _form(page: Page, image: str, name: str, *node_ids: str) -> None:
    page.goto(f"/images?q={image}")
    page.locator("tr", has=page.get_by_role("link", name=image, exact=True)).get_by_text("Start OTA").click()
    page.get_by_label("Job name").fill(name)
    for node_id in node_ids:
        page.locator(f"#node-{node_id}").check()
    page.get_by_label("Force Push").check()


def _start(page: Page, image: str, name: str, *node_ids: str) -> None:
    _form(page, image, name, *node_ids)
    _press_start(page)


def _press_start(page: Page) -> None:
    expect(page.locator("input[name=seen]")).to_be_attached()
    page.get_by_role("button", name="Start OTA").click()
    expect(page.get_by_role("heading", name="Nodes, worst first")).to_be_visible()


def _job(page: Page, name: str) -> None:
    page.goto("/jobs")
    page.get_by_role("link", name=name, exact=True).first.click()


def _row(page: Page, node_id: str, words: str) -> None:
    """Wait until a node has said it, without loading the page again."""
    expect(page.locator(f'[data-part="nodes/row-{node_id}"]')).to_contain_text(words, timeout=_PATIENCE_MS)


# ----------------------------------------------------------------------------------------------------------------- acts

_NEW = "lamp-1.3.0"
_ROLLOUT = "Kitchen lamps to 1.3.0"


def _upload(page: Page) -> None:
    page.goto("/images/upload")
    page.set_input_files("#file", _file("lamp", "1.3.0"))  # type: ignore[arg-type]
    expect(page.locator("#verdict")).to_be_visible()


def _list(page: Page) -> None:
    page.get_by_role("button", name="Store image").click()


def _fill_in(page: Page) -> None:
    _form(page, _NEW, _ROLLOUT, "kitchen-0001", "kitchen-0002", "kitchen-0003")
    page.get_by_label("Filter nodes").fill("kitchen")
    expect(page.locator(".sums")).to_contain_text("offline")


def _nothing(_page: Page) -> None:
    pass


def _watch(page: Page) -> None:
    _press_start(page)
    _row(page, "kitchen-0002", "Downloading")


def _look_over(page: Page) -> None:
    page.locator("#history-kitchen-0001 summary").click()
    expect(page.locator("#history-kitchen-0001")).to_contain_text("Rebooting", timeout=_PATIENCE_MS)


def _cancel(page: Page) -> None:
    page.locator("#history-kitchen-0001 summary").click()
    page.locator("#cancel-job").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel job").click()
    expect(page.get_by_text("no further node gets the URL")).to_be_visible()
    _row(page, "kitchen-0002", "verified successfully")


def _statuses(page: Page) -> None:
    page.goto("/nodes")
    expect(page.locator("tr", has=page.locator("#node-hall-0001"))).to_contain_text("failed", timeout=_PATIENCE_MS)


def _refused(page: Page) -> None:
    _job(page, "To whom it is of no use")
    _row(page, "desk-0001", "rejected")
    _row(page, "fan-0001", "rejected")


def _from_where(page: Page) -> None:
    page.goto("/nodes/kitchen-0001")
    page.get_by_text("URL: https://").scroll_into_view_if_needed()


def _rolled_back(page: Page) -> None:
    _job(page, "lamp 1.2.0 for esp32s3")


STATEMENTS: Sequence[Statement] = (
    Statement(
        "upload", "upload new firmware (figure 11.5)", _upload, "main h1", "#preview",
        ("valid app image", "1.3.0", "Store image"),
    ),
    Statement(
        "images", "the list of firmware", _list, "main h1", "#list",
        (f"Stored {_NEW}.", "Start OTA", "Uploaded at"),
    ),
    Statement(
        "start", "choose firmware, Start OTA, fill in the task, choose nodes (figure 11.6)", _fill_in, "main h1", "#go",
        ("Job name", "kitchen-0003", "Roll out in phases, and stop by itself", "nothing known against it"),
    ),
    Statement(
        "policy", "Force Push: nodes that are online at once; else by their policy, perhaps late", _nothing,
        "#policy", "#policy", ("With it", "get the URL now", "Without it", "5 seconds after a boot"),
    ),
    Statement(
        "monitor", "the OTA Job Monitor, live, with what the device reports (figure 11.7)", _watch, "main h1",
        "#job-nodes", ("in progress", "Downloading Firmware Image", "Offline."),
    ),
    Statement(
        "overview", "an overview of the task, and the status of each node", _look_over, "[data-part=overview]",
        "#job-nodes", ("kitchen-0001", "Firmware Image download complete", "triggered"),
    ),
    Statement(
        "cancel", "cancel midway; nodes that have the URL go on", _cancel, "main h1", "[data-part=actions]",
        ("cancelled", "OTA Upgrade finished and verified successfully", "no further node gets the URL", "triggered"),
    ),
    Statement(
        "statuses", "in progress, success, failed, delayed (and rejected)", _statuses, "main h1", "#list",
        ("in-progress", "success", "failed", "delayed", "rejected"),
    ),
    Statement(
        "refused", "the same version and another project are refused", _refused, "main h1", "#job-nodes",
        ("Same version received", "Project Name mismatch"),
    ),
    Statement(
        "download", "an object store, and a certificate that is pinned for downloads", _from_where,
        "section:has(#console)", "section:has(#console)", ("URL: https://", "File MD5"),
    ),
    Statement(
        "rollback", "rollback after the self-test", _rolled_back, "main h1", "#job-nodes",
        ("Firmware rolled back", "What", "porch-0001"),
    ),
)  # fmt: skip
