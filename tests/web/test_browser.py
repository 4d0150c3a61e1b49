"""The page in a real browser: what a person clicks, what changes before their eyes, what never happens."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browsers import IN_A_BROWSER
from page_stage import Stage, on_a_socket, reported
from playwright.sync_api import Browser, BrowserContext, Page, expect

from py_esp_ota.cloud.images import SIZE_LIMIT
from py_esp_ota.cloud.web import OneTimeLink
from py_esp_ota.firmware import Firmware

LAMP = Firmware("lamp", "1.1.0", size=0x40000).to_bytes()
SENTENCE = (
    "Cancelling stops new nodes from getting the URL. "
    "Nodes that already hold it will finish, and their reports are still kept."
)

pytestmark = IN_A_BROWSER


@pytest.fixture
def stage() -> Iterator[Stage]:
    with on_a_socket() as stage:
        yield stage


@pytest.fixture
def page(browser: Browser, stage: Stage) -> Iterator[Page]:
    """A page that may only ever talk to the cloud, and that may neither complain nor ask."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=stage.url)
    yield watched(context, stage)
    context.close()


def watched(context: BrowserContext, stage: Stage) -> Page:
    page = context.new_page()
    page.strays, page.complaints = [], []
    page.on(
        "request", lambda request: page.strays.append(request.url) if not request.url.startswith(stage.url) else None
    )
    page.on("console", lambda message: page.complaints.append(message.text) if message.type != "log" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("dialog", lambda dialog: (page.complaints.append(dialog.message), dialog.dismiss()))
    return page


@pytest.fixture(autouse=True)
def _nothing_strays(page: Page) -> Iterator[None]:
    yield
    assert page.strays == []
    assert page.complaints == []


@contextmanager
def without_a_server(page: Page, stage: Stage) -> Iterator[None]:
    """What the browser still wanted, its icon or a script, it misses in words of its own: no fault of ours."""
    with stage.gone():
        yield
    page.complaints[:] = [said for said in page.complaints if "net::ERR_CONNECTION_" not in said]


def choose(page: Page, data: bytes, name: str = "lamp.bin") -> None:
    page.goto("/images/upload")
    page.set_input_files("#file", {"name": name, "mimeType": "application/octet-stream", "buffer": data})


def row(page: Page, node_id: str):
    return page.locator(f'[data-part="nodes/row-{node_id}"]')


def job_for(stage: Stage, *nodes: str, force_push: bool = True) -> str:
    image = stage.do(lambda service: service.images.add("lamp", LAMP)).ota_image_id
    return stage.do(
        lambda service: service.jobs.create("Rollout", image, nodes=nodes, force_push=force_push)
    ).job.ota_job_id


def test_an_image_is_judged_stored_and_rolled_out_while_the_monitor_follows(page, stage, tmp_path):
    node = stage.node("lamp1")
    file = tmp_path / "lamp-1.1.0.bin"
    file.write_bytes(LAMP)
    page.goto("/")
    page.get_by_role("link", name="Firmware Images").click()
    page.get_by_role("link", name="Upload image").first.click()
    page.wait_for_load_state()  # else the file may be there before the scripts are
    page.set_input_files("#file", file)
    expect(page.locator("#verdict")).to_have_text("valid app image")
    expect(page.locator("#preview .facts")).to_contain_text("esp32c3")
    assert stage.do(lambda service: service.images.find().total) == 0

    page.get_by_label("Name").fill("Autumn lamp")
    page.get_by_role("button", name="Store image").click()
    expect(page.locator(".banner[role=status]")).to_contain_text("Stored Autumn lamp.")
    page.get_by_role("link", name="Start OTA").first.click()

    page.get_by_label("Job name").fill("Autumn rollout")
    page.get_by_role("checkbox", name="Force Push").check()
    page.get_by_role("checkbox", name="lamp1").check()
    expect(page.locator("#foretold")).to_contain_text("1 node")  # who presses before it is there sees it first
    page.get_by_role("button", name="Start OTA").click()
    expect(page.get_by_role("heading", name="Autumn rollout")).to_be_visible()
    expect(row(page, "lamp1")).to_contain_text("OTA URL Sent to Node")
    expect(page.locator("#live")).to_have_text("live")

    job = stage.run(node.offered()).ota_job_id
    assert page.url.endswith(job)
    page.evaluate("window.sameDocument = true")
    page.locator("summary").click()
    stage.run(node.report(job, "in-progress", "Downloading Firmware Image"))
    expect(row(page, "lamp1")).to_contain_text("Downloading Firmware Image")
    stage.run(node.report(job, "in-progress", "Downloaded 40% Firmware Image"))
    expect(row(page, "lamp1").get_by_role("progressbar")).to_have_attribute("value", "40")
    expect(page.locator("[data-part=status]")).to_contain_text("in progress")
    stage.run(node.report(job, "success", "OTA Upgrade finished and verified successfully"))
    expect(row(page, "lamp1")).to_contain_text("OTA Upgrade finished and verified successfully")
    expect(page.locator("[data-part=status]")).to_contain_text("completed")
    expect(page.locator(".counts .tone-success b")).to_have_text("1")
    expect(page.locator(".timeline li")).to_have_count(5)  # still open: the history grew under the reader's eyes
    expect(page.locator(".timeline li").last).to_contain_text("finished and verified successfully")
    assert page.evaluate("window.sameDocument") is True


def test_cancelling_is_honest_and_late_reports_still_arrive(page, stage):
    holder = stage.node("lamp1")
    stage.do(lambda service: service.intake.on_presence("lamp2", False))
    job = job_for(stage, "lamp1", "lamp2")
    stage.run(holder.offered())
    page.goto(f"/jobs/{job}")
    expect(page.locator("#live")).to_have_text("live")
    page.get_by_role("button", name="Cancel job").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(SENTENCE)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Cancel job").click()
    dialog.get_by_role("button", name="Cancel job").click()

    expect(page.locator("[data-part=status]")).to_contain_text("cancelled")
    expect(row(page, "lamp2")).to_contain_text("It will not get the URL")
    late = stage.node("lamp2")
    stage.run(late.ask())
    stage.run(holder.report(job, "success", "OTA Upgrade finished and verified successfully"))
    expect(row(page, "lamp1")).to_contain_text("finished and verified successfully")
    expect(row(page, "lamp2")).to_contain_text("triggered")
    page.get_by_role("button", name="Archive job").click()
    expect(page.get_by_text("No job yet")).to_be_visible()
    page.get_by_role("link", name="Archived jobs").click()
    expect(page.get_by_role("link", name="Rollout")).to_be_visible()


def test_a_faulty_file_shows_its_faults_and_a_good_one_in_its_place_is_stored(page, stage):
    choose(page, LAMP[:0x200] + bytes([LAMP[0x200] ^ 1]) + LAMP[0x201:])
    expect(page.locator("#verdict")).to_have_text("2 faults")
    faults = page.locator(".faults tbody tr")
    expect(faults.first).to_contain_text("ESP_ERR_IMAGE_INVALID")
    expect(faults.first).to_contain_text("checksum")
    expect(faults.first).to_contain_text("0x3ffdf")
    expect(page.get_by_role("button", name="Store image")).to_have_count(0)
    page.set_input_files("#file", {"name": "good.bin", "mimeType": "", "buffer": LAMP})
    expect(page.locator("#verdict")).to_have_text("valid app image")
    page.get_by_role("button", name="Store image").click()
    expect(page.locator(".banner[role=status]")).to_contain_text("Stored lamp-1.1.0.")


def test_a_taken_name_can_be_changed_without_choosing_the_file_again(page, stage):
    stage.do(lambda service: service.images.add("lamp-1.1.0", LAMP))
    choose(page, LAMP)
    page.get_by_role("button", name="Store image").click()
    expect(page.get_by_role("alert")).to_contain_text("has this name already")
    assert page.complaints.pop().startswith("Failed to load resource: the server responded with a status of 409")
    page.complaints.clear()  # htmx says the same
    page.get_by_label("Name").fill("another lamp")
    page.get_by_role("button", name="Store image").click()
    expect(page.locator(".banner[role=status]")).to_contain_text("Stored another lamp.")


def test_a_file_that_is_too_large_is_not_even_sent(page, stage, tmp_path):
    sent = []
    page.on("request", lambda request: sent.append(request.method))
    page.goto("/images/upload")
    file = tmp_path / "large.bin"
    file.write_bytes(bytes(SIZE_LIMIT + 1))
    page.set_input_files("#file", file)
    expect(page.get_by_role("alert")).to_contain_text("An image has at most 16 MiB (16,777,216 bytes).")
    assert "POST" not in sent


def test_without_scripts_a_file_that_is_too_large_gets_a_sentence_and_not_a_broken_connection(
    browser, page, stage, tmp_path
):
    file = tmp_path / "large.bin"
    file.write_bytes(bytes(40 << 20))
    context = browser.new_context(base_url=stage.url, java_script_enabled=False)
    plain = context.new_page()
    plain.goto("/images/upload")
    plain.set_input_files("#file", file)
    plain.get_by_role("button", name="Store image").click()
    expect(plain.get_by_role("alert")).to_contain_text("An image has at most 16 MiB")
    context.close()


def test_without_scripts_an_image_is_stored_and_a_job_started(browser, page, stage, tmp_path):
    stage.node("lamp1")
    file = tmp_path / "lamp.bin"
    file.write_bytes(LAMP)
    context = browser.new_context(base_url=stage.url, java_script_enabled=False)
    plain = context.new_page()
    plain.goto("/images/upload")
    plain.set_input_files("#file", file)
    plain.get_by_role("button", name="Store image").click()
    plain.get_by_role("link", name="Start OTA").first.click()
    plain.get_by_role("checkbox", name="lamp1").check()
    plain.get_by_role("button", name="Start OTA").click()
    expect(plain.locator("#foretold")).to_contain_text("1 node")  # the preview is a step of its own
    expect(plain.get_by_role("checkbox", name="lamp1")).to_be_checked()
    plain.get_by_role("button", name="Start OTA").click()
    expect(plain.get_by_role("heading", name="lamp 1.1.0")).to_be_visible()
    context.close()


def test_hostile_words_of_a_node_stay_words(page, stage):
    evil = "<img src=/x onerror=window.pwned=1><script>window.pwned=1</script>"
    node = stage.node("lamp1")
    job = job_for(stage, "lamp1")
    page.goto(f"/jobs/{job}")
    expect(page.locator("#live")).to_have_text("live")
    stage.run(node.report(job, "failed", evil))
    expect(row(page, "lamp1")).to_contain_text(evil)
    stage.run(node.report(job, "failed", "<div hx-get=/nodes hx-trigger=load>"))
    expect(row(page, "lamp1")).to_contain_text("hx-trigger")
    expect(row(page, "lamp1").locator("img, script, div")).to_have_count(0)
    assert page.evaluate("window.pwned") is None


def test_a_broken_stream_comes_back_and_misses_nothing(page, stage):
    node = stage.node("lamp1")
    job = job_for(stage, "lamp1")
    page.goto(f"/jobs/{job}")
    expect(page.locator("#live")).to_have_text("live")
    with without_a_server(page, stage):
        expect(page.locator("#live")).to_have_text("reconnecting")
        expect(page.get_by_role("status").filter(has_text="The server does not answer.")).to_be_visible()
        stage.run(node.report(job, "in-progress", "Said while nobody listened"))
        stage.run(stage.cloud.until(reported(job, "Said while nobody listened")))
        expect(row(page, "lamp1")).not_to_contain_text("Said")
    expect(page.locator("#live")).to_have_text("live")
    expect(row(page, "lamp1")).to_contain_text("Said while nobody listened")


def test_a_service_that_ends_its_streams_is_taken_up_again(page, stage):
    page.goto("/images")
    expect(page.locator("#live")).to_have_text("live")
    stage.do(lambda service: service.live.close())
    stage.do(lambda service: service.images.add("after the end", LAMP))
    expect(page.get_by_role("row", name="after the end")).to_be_visible()
    expect(page.locator("#live")).to_have_text("live")


@pytest.mark.parametrize("path", ["/images", "/images/upload", "/jobs", "/nodes", "/nowhere"])
def test_a_lost_server_is_said_on_every_page(page, stage, path):
    page.goto(path)
    page.complaints.clear()  # the browser's own words about 404
    expect(page.locator("#live")).to_have_text("live")
    with without_a_server(page, stage):
        expect(page.get_by_role("status").filter(has_text="The server does not answer.")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="The server answers again.")).to_be_visible()
    expect(page.locator("#live")).to_have_text("live")


def test_ten_tabs_have_one_stream_and_all_of_them_are_live(browser, page, stage):
    tabs = [page, *(watched(page.context, stage) for _ in range(9))]
    for tab in tabs:
        tab.goto("/images")
    for tab in tabs:
        expect(tab.locator("#live")).to_have_text("live")
    stage.do(lambda service: service.images.add("for all", LAMP))
    for tab in tabs:
        expect(tab.get_by_role("row", name="for all")).to_be_visible()
        assert tab.complaints == []
    assert stage.do(lambda _service: len(stage.cloud.app.state.views._streams)) == 1


def test_without_a_shared_worker_a_tab_has_a_stream_while_it_is_looked_at(page, stage):
    page.add_init_script("delete window.SharedWorker")
    page.goto("/images")
    assert page.evaluate("typeof SharedWorker") == "undefined"
    expect(page.locator("#live")).to_have_text("live")
    hide = (  # the page is told once: what evaluates to a function is called by itself
        "(yes) => { Object.defineProperty(document, 'hidden', { value: yes, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')); }"
    )
    page.evaluate(hide, True)
    for _ in range(600):  # five seconds, and what a machine takes that has other things to do
        if not stage.do(lambda _service: stage.cloud.app.state.views.watched):
            break
        page.wait_for_timeout(100)
    assert not stage.do(lambda _service: stage.cloud.app.state.views.watched)
    stage.do(lambda service: service.images.add("unseen", LAMP))
    page.evaluate(hide, False)
    expect(page.get_by_role("row", name="unseen")).to_be_visible()


def test_a_form_that_could_not_be_sent_says_so_keeps_its_words_and_can_be_pressed_again(page, stage):
    stage.node("lamp1")
    image = stage.do(lambda service: service.images.add("lamp", LAMP)).ota_image_id
    page.goto(f"/images/{image}/start")
    page.get_by_label("Job name").fill("Typed with care")
    page.get_by_role("checkbox", name="lamp1").check()
    expect(page.locator("#foretold")).to_contain_text("1 node")
    with stage.gone():
        page.get_by_role("button", name="Start OTA").click()
        expect(page.get_by_role("alert")).to_contain_text("nothing was sent")
        assert page.url.endswith("/start")
    assert stage.do(lambda service: service.jobs.find().total) == 0
    assert any("ERR_CONNECTION_REFUSED" in said for said in page.complaints)
    page.complaints.clear()
    page.get_by_role("button", name="Start OTA").click()
    expect(page.get_by_role("heading", name="Typed with care")).to_be_visible()


def test_an_upload_that_could_not_be_sent_says_so_and_can_be_pressed_again(page, stage):
    choose(page, LAMP)
    page.get_by_label("Name").fill("Typed with care")
    with stage.gone():
        page.get_by_role("button", name="Store image").click()
        expect(page.get_by_role("alert")).to_contain_text("did not answer")
    page.complaints.clear()
    page.get_by_role("button", name="Store image").click()
    expect(page.locator(".banner[role=status]")).to_contain_text("Stored Typed with care.")


def test_a_search_that_is_refused_leaves_the_list_and_says_why(page, stage):
    stage.do(lambda service: service.images.add("alpha", LAMP))
    page.goto("/images")
    page.evaluate("document.querySelector('form.search').insertAdjacentHTML('beforeend', '<input name=trail value=x>')")
    page.get_by_label("Search by name").fill("alp")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("row", name="alpha")).to_be_visible()
    page.complaints.clear()


def test_what_is_under_the_finger_or_has_the_focus_is_still_there_when_it_is_pressed(page, stage):
    first = stage.do(lambda service: service.images.add("first", LAMP)).ota_image_id
    other = watched(page.context, stage)
    for tab in (other, page):
        tab.goto("/images")
        expect(tab.locator("#live")).to_have_text("live")
    page.evaluate("row = document.querySelector('tbody tr')")
    page.get_by_role("button", name="Archive first").hover()
    page.mouse.down()
    stage.do(lambda service: service.images.add("second", LAMP))
    expect(other.get_by_role("row", name="second")).to_be_visible()
    assert page.evaluate("row.isConnected")
    page.mouse.up()
    page.wait_for_url("/images")
    expect(page.get_by_role("row", name="first")).to_have_count(0)
    assert stage.do(lambda service: service.images.get(first).archived)

    page.locator("tbody .icon-only").focus()
    stage.do(lambda service: service.images.add("third", LAMP))
    expect(page.get_by_role("row", name="third")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("row", name="second")).to_have_count(0)


def test_an_open_history_stays_open_when_the_table_is_another(page, stage):
    nodes = [stage.node("lamp1"), stage.node("lamp2")]
    job = job_for(stage, "lamp1", "lamp2")
    page.goto(f"/jobs/{job}?status=started")
    page.locator("summary").first.click()
    stage.run(nodes[1].report(job, "failed", "No room"))
    expect(page.locator(".monitor tr[data-part]")).to_have_count(1)
    expect(page.locator("details[open] li").first).to_be_visible()


def test_a_page_that_is_left_leaves_nothing_behind(page, stage):
    job = job_for(stage, stage.node("lamp1").node_id)
    for path in (f"/jobs/{job}", "/nodes", "/images"):
        page.goto(path)
        page.wait_for_timeout(100)
    page.goto("/images/upload")
    for _ in range(100):
        if not stage.do(lambda _service: stage.cloud.app.state.views.watched):
            break
        page.wait_for_timeout(100)
    assert not stage.do(lambda _service: stage.cloud.app.state.views.watched)


def test_lists_are_live_and_keep_their_search(page, stage):
    page.goto("/nodes")
    expect(page.get_by_text("No node yet")).to_be_visible()
    stage.node("lamp1")
    expect(page.get_by_role("row", name="lamp1")).to_contain_text("online")
    page.goto("/images")
    stage.do(lambda service: service.images.add("alpha", LAMP))
    expect(page.get_by_role("row", name="alpha")).to_be_visible()
    page.get_by_role("searchbox").press_sequentially("bet")
    expect(page.get_by_text("Nothing is called that")).to_be_visible()
    expect(page).to_have_url(re.compile(r"q=bet"))
    stage.do(lambda service: service.images.add("beta", LAMP))
    expect(page.get_by_role("row", name="beta")).to_be_visible()
    expect(page.get_by_role("row", name="alpha")).to_have_count(0)
    expect(page.get_by_role("searchbox")).to_have_value("bet")


def test_many_nodes_can_be_filtered_and_ticked(page, stage):
    for number in range(3):
        stage.node(f"lamp{number}")
    stage.do(lambda service: service.intake.on_presence("away", False))
    image = stage.do(lambda service: service.images.add("lamp", LAMP)).ota_image_id
    page.goto(f"/images/{image}/start")
    page.get_by_role("button", name="Tick online").click()
    expect(page.locator("#ticked")).to_have_text("3 ticked")
    expect(page.get_by_role("checkbox", name="away")).not_to_be_checked()
    page.get_by_role("button", name="Tick none").click()
    page.get_by_label("Filter nodes").fill("lamp1")
    expect(page.get_by_role("checkbox", name="lamp2")).to_be_hidden()
    page.get_by_role("button", name="Tick online").click()
    expect(page.locator("#ticked")).to_have_text("1 ticked")
    page.get_by_label("Filter nodes").press("Enter")
    page.get_by_label("All 4 nodes").check()
    expect(page.locator("#ticked")).to_have_text("all nodes")
    expect(page.locator("#foretold")).to_contain_text("4 nodes")
    page.get_by_role("button", name="Start OTA").click()
    expect(page.locator(".monitor tr[data-part]")).to_have_count(4)


def test_a_job_is_foretold_while_it_is_filled_in_and_started_by_keyboard(page, stage):
    stage.node("lamp1")
    image = stage.do(lambda service: service.images.add("lamp", LAMP)).ota_image_id
    page.goto(f"/images/{image}/start")
    page.get_by_role("checkbox", name="lamp1").press("Space")
    expect(page.locator("#foretold")).to_contain_text("1 node")
    page.locator("#rollout summary").press("Enter")
    page.get_by_label("Phases").fill("5")
    page.get_by_label("Phases").press("Tab")
    expect(page.locator("#wrong-phases")).to_contain_text("phase 1 takes 5 nodes")
    page.get_by_label("Phases").fill("")
    page.get_by_label("Phases").press("Tab")
    expect(page.locator("#wrong-phases")).to_be_empty()
    expect(page.locator("#foretold")).to_contain_text("1 node")
    page.get_by_role("button", name="Start OTA").press("Enter")
    expect(page).to_have_url(re.compile("/jobs/"))


def test_no_page_is_wider_than_its_window_whatever_names_it_shows(page, stage, tmp_path):
    long_word = "x" * 128
    stage.node("n" * 64, name=long_word, model=long_word, fw_version=long_word)
    image = stage.do(lambda service: service.images.add(long_word, LAMP)).ota_image_id
    job = stage.do(
        lambda service: service.jobs.create(long_word, image, nodes=["n" * 64], force_push=True)
    ).job.ota_job_id
    for path in ("/images", "/images/upload", f"/images/{image}/start", "/jobs", f"/jobs/{job}", "/nodes", "/docs"):
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        for width, scheme in ((1280, "light"), (420, "dark")):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
            picture = Path(tmp_path / f"{path.replace('/', '-')}-{width}.png")
            page.screenshot(path=picture, full_page=True)
            assert picture.stat().st_size > 5000


def test_a_call_of_the_api_is_tried_after_a_login(page, stage):
    stage.run(stage.cloud.accounts.ensure_admin("ann@example.com", "a long secret"))
    stage.node("lamp1")
    page.goto("/docs")
    page.get_by_label("Filter calls").fill("admin/nodes")
    expect(page.locator("section:visible details:visible")).to_have_count(2)
    page.locator("summary:visible").filter(has_text="GET").click()
    call = page.locator("form.try:visible")
    page.get_by_label("User name", exact=True).fill("ann@example.com")
    page.get_by_label("Password", exact=True).fill("a long secret")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#token")).to_contain_text("Logged in as ann@example.com")
    call.get_by_label("num_records").fill("1")
    call.get_by_role("button", name="Send").click()
    expect(call.locator(".answer p")).to_contain_text("200")
    assert json.loads(call.locator(".answer pre").inner_text())["nodes"] == ["lamp1"]


def test_a_one_time_link_lets_this_browser_in_and_no_other(browser):
    link = OneTimeLink(lambda size: "5a" * size)
    with on_a_socket(link) as stage:
        mine, other = (browser.new_context(base_url=stage.url) for _ in range(2))
        page = watched(mine, stage)
        page.goto(link.path)
        expect(page).to_have_url(f"{stage.url}/")
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        stage.do(lambda service: service.images.add("live", LAMP))
        expect(page.get_by_text("live").first).to_be_visible()  # the stream of events is let in too
        (cookie,) = mine.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["expires"]) == (True, "Strict", -1)
        assert page.evaluate("document.cookie") == ""
        stranger = other.new_page()
        for path in (link.path, "/images"):
            answer = stranger.goto(path)
            assert answer is not None
            assert answer.status == 403
        expect(stranger.get_by_text("works once, in one browser")).to_be_visible()
        mine.close()
        other.close()


def test_the_monitor_is_walked_by_keyboard(page, stage):
    stage.node("lamp1")
    stage.node("lamp2")
    job = job_for(stage, "lamp1", "lamp2")
    page.goto(f"/jobs/{job}")
    expect(page.locator("#live")).to_have_text("live")
    page.keyboard.press("j")
    expect(page.locator("#node-lamp1")).to_be_focused()
    page.keyboard.press("j")
    expect(page.locator("#node-lamp2")).to_be_focused()
    page.keyboard.press("h")
    expect(page.locator("#history-lamp2")).to_have_attribute("open", "")
    page.keyboard.press("/")
    page.keyboard.type("jk")
    expect(page.locator("#q")).to_have_value("jk")
    page.keyboard.press("Escape")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/nodes/lamp2$"))
