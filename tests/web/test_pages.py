"""The pages, in process: what they show, what they refuse, what they never let through."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape

import pytest
from page_stage import Cloud, Node, in_process, reported

from py_esp_ota.cloud.images import SIZE_LIMIT
from py_esp_ota.cloud.jobs import MAX_NODES
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.web.site import HEADERS
from py_esp_ota.firmware import Firmware, bootloader
from py_esp_ota.ports import Message
from py_esp_ota.rainmaker.messages import CONFIG, topic

LAMP = Firmware("lamp", "1.1.0").to_bytes()
SENTENCE = (
    "Cancelling stops new nodes from getting the URL. "
    "Nodes that already hold it will finish, and their reports are still kept."
)
HTMX = {"HX-Request": "true"}
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def faulty(data: bytes = LAMP) -> bytes:
    """An image with one bit flipped: checksum and hash disagree."""
    return data[:0x140] + bytes([data[0x140] ^ 1]) + data[0x141:]


def words(html: str) -> str:
    """The text of a page, as a person reads it."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def file(data: bytes, name: str = "lamp.bin") -> dict[str, tuple[str, bytes]]:
    return {"file": (name, data)}


def introduce(service: CloudService, node_id: str, info: dict[str, str]) -> None:
    """A node sends its config."""
    document = {"node_id": node_id, "config_version": "2020-03-20", "info": info}
    service.intake.handle(Message(topic(node_id, CONFIG), json.dumps(document).encode()))


def fill(cloud: Cloud) -> tuple[str, str]:
    """A node, an image and a job; the ids of the latter two."""
    service = cloud.service
    service.intake.on_presence("lamp1", True)
    info = {"name": "Lamp", "fw_version": "1.0.0", "type": "lamp", "model": "lamp"}
    introduce(service, "lamp1", info)
    image = service.images.add("lamp-1.1.0", LAMP).ota_image_id
    return image, service.jobs.create("Rollout", image, nodes=["lamp1"]).job.ota_job_id


# ----------------------------------------------------------------------------------------------------------- every page

PAGES: dict[str, tuple[Callable[[str, str], str], str]] = {
    "images": (lambda _image, _job: "/images", "lamp-1.1.0"),
    "archived images": (lambda _image, _job: "/images?archived=1", "The archive is empty"),
    "image search": (lambda _image, _job: "/images?q=MP-1.1", "lamp-1.1.0"),
    "image search without result": (lambda _image, _job: "/images?q=zebra", "Nothing is called that"),
    "stored": (lambda image, _job: f"/images?stored={image}", "Stored lamp-1.1.0"),
    "upload": (lambda _image, _job: "/images/upload", "Drop a firmware image here"),
    "start": (lambda image, _job: f"/images/{image}/start", "Force Push"),
    "jobs": (lambda _image, _job: "/jobs", "Rollout"),
    "job search": (lambda _image, _job: "/jobs?q=roll", "Rollout"),
    "job search without result": (lambda _image, _job: "/jobs?q=zebra", "Nothing is called that"),
    "archived jobs": (lambda _image, _job: "/jobs?archived=1", "The archive is empty"),
    "monitor": (lambda _image, job: f"/jobs/{job}", SENTENCE),
    "monitor of one status": (lambda _image, job: f"/jobs/{job}?status=failed", "No node is failed"),
    "nodes": (lambda _image, _job: "/nodes", "lamp1"),
    "online nodes": (lambda _image, _job: "/nodes?show=online", "lamp1"),
    "API": (lambda _image, _job: "/docs", "POST /v1/login2"),
    "offline nodes": (lambda _image, _job: "/nodes?show=offline", "No node is like that"),
}


def test_every_page_shows_its_content_under_a_strict_policy_and_no_outside_resource():
    async def story(cloud, client):
        image, job = fill(cloud)
        for name, (path, expected) in PAGES.items():
            answer = await client.get(path(image, job))
            assert answer.status_code == 200, name
            assert expected in words(answer.text), name
            for header, value in HEADERS.items():
                assert answer.headers[header] == value, name
            resources = re.findall(r'\s(?:src|href|action|hx-get|hx-post|data-view)="([^"]*)"', answer.text)
            assert all(url.startswith(("/", "#")) and not url.startswith("//") for url in resources), name

    in_process(story)


EMPTY = {
    "/images": "Upload the .bin file that idf.py build wrote",
    "/jobs": "Choose a firmware image and press Start OTA",
    "/nodes": "A node appears here as soon as it connects",
}


@pytest.mark.parametrize("path", EMPTY)
def test_an_empty_page_says_what_to_do_next(path):
    async def story(_cloud, client):
        assert EMPTY[path] in words((await client.get(path)).text)

    in_process(story)


LOST = {
    "/images/none/start": 404,
    "/images?stored=none": 404,
    "/jobs/none": 404,
    "/jobs/none/events": 404,
    "/images?archived=perhaps": 400,
    "/images?trail=x": 400,
    "/images/x/y": 404,
    "/jobs/none/none": 404,
    "/nodes/": 404,
    "/static/none.css": 404,
    "/images/x/archive": 405,
}


def test_a_wrong_address_is_answered_with_a_page():
    async def story(_cloud, client):
        for path, status in LOST.items():
            answer = await client.get(path)
            assert answer.status_code == status, path
            assert answer.headers["content-type"].startswith("text/html"), path
            assert answer.headers["x-frame-options"] == "DENY", path

    in_process(story)


@pytest.mark.parametrize(
    ("path", "accept", "kind"),
    [
        ("/imagse", "text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("/imagse", "*/*", "application/json"),
        ("/v1/none", "text/html,*/*;q=0.8", "application/json"),
        ("/v1/admin/otajob/", "*/*", "application/json"),
    ],
)
def test_an_address_that_is_nobody_s_is_a_page_for_a_browser_and_json_for_a_program(path, accept, kind):
    async def story(_cloud, client):
        answer = await client.get(path, headers={"Accept": accept})
        assert answer.headers["content-type"].startswith(kind)
        assert answer.status_code == (404 if kind == "text/html" else 403)
        assert ("There is no page at this address." in words(answer.text)) == (kind == "text/html")

    in_process(story)


def test_a_mistake_of_the_server_is_a_page_too(monkeypatch, caplog):
    async def story(cloud, client):
        monkeypatch.setattr(cloud.service.jobs, "find", lambda **_: 1 // 0)
        answer = await client.get("/jobs")
        assert answer.status_code == 500
        assert "The server made a mistake." in words(answer.text)
        assert "ZeroDivisionError" in caplog.text

    in_process(story)


def test_static_files_are_served_with_the_policy_and_nothing_else_is():
    async def story(_cloud, client):
        for name in ("style.css", "app.js", "icon.svg", "icons.svg", "live.js", "page.js", "vendor/htmx.min.js"):
            answer = await client.get(f"/static/{name}")
            assert answer.status_code == 200, name
            assert answer.headers["x-content-type-options"] == "nosniff"
        for name in ("../site.py", "%2e%2e/site.py", "..%2f..%2fservice.py", "none.css"):
            answer = await client.get(f"/static/{name}")
            assert answer.status_code in {403, 404}, name

    in_process(story)


# ------------------------------------------------------------------------------------------------------------ strangers

CHANGES: dict[str, Callable[[str, str], str]] = {
    "store": lambda _image, _job: "/images/upload",
    "archive image": lambda image, _job: f"/images/{image}/archive",
    "start": lambda image, _job: f"/images/{image}/start",
    "cancel": lambda _image, job: f"/jobs/{job}/cancel",
    "archive job": lambda _image, job: f"/jobs/{job}/archive",
}


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_a_page_of_another_origin_changes_nothing(origin):
    async def story(cloud, client):
        image, job = fill(cloud)
        for name, path in CHANGES.items():
            answer = await client.post(
                path(image, job),
                headers={"Origin": origin},
                data={"job_name": "x", "nodes": "lamp1", "name": "x"},
                files=file(LAMP),
            )
            assert answer.status_code == 403, name
        assert cloud.service.images.find().total == 1
        assert cloud.service.jobs.find().total == 1
        assert cloud.service.jobs.get(job).job.cancelled_timestamp is None
        assert not cloud.service.images.get(image).archived

    in_process(story)


@pytest.mark.parametrize("name", CHANGES)
def test_nothing_is_changed_by_following_a_link(name):
    async def story(cloud, client):
        image, job = fill(cloud)
        await client.get(CHANGES[name](image, job))
        assert not cloud.service.images.get(image).archived
        assert cloud.service.jobs.find().total == 1
        assert cloud.service.jobs.get(job).job.cancelled_timestamp is None

    in_process(story)


def test_a_foreign_host_name_sees_nothing():
    async def story(cloud, client):
        fill(cloud)
        answer = await client.get("/images", headers={"Host": "rebound.example"})
        assert answer.status_code == 403
        assert "lamp" not in answer.text

    in_process(story)


def test_what_a_node_says_is_shown_and_never_run():
    async def story(cloud, client):
        image, job = fill(cloud)
        async with cloud.broker("lamp1") as mqtt:
            node = Node("lamp1", mqtt)
            await node.introduce(name=EVIL, fw_version=EVIL, model=EVIL)
            await node.report(job, "failed", EVIL)
            await node.report(job, EVIL[:32], '"><svg onload=alert(3)>')
            await cloud.until(reported(job, EVIL))
        pages = [
            (await client.get(path)).text for path in ("/nodes", f"/jobs/{job}", f"/images/{image}/start", "/jobs")
        ]
        for page in pages[:3]:
            assert EVIL in unescape(page)
        for page in pages:
            assert "<script>" not in page
            assert "<img src=x" not in page
            assert "<svg onload" not in page

    in_process(story)


def test_names_that_people_type_are_escaped_too():
    async def story(cloud, client):
        _, job = fill(cloud)
        image = cloud.service.images.add(EVIL, LAMP).ota_image_id
        evil_job = cloud.service.jobs.create(EVIL, image, nodes=["lamp1"]).job.ota_job_id
        paths = (
            "/images",
            f"/images?stored={image}",
            f"/images/{image}/start",
            "/jobs",
            f"/jobs/{evil_job}",
            f"/jobs/{job}",
        )
        for path in (*paths, f"/images?q={EVIL}", f"/jobs?q={EVIL}"):
            page = (await client.get(path)).text
            assert "<script>" not in page
            assert "<img src=x" not in page

    in_process(story)


# --------------------------------------------------------------------------------------------------------------- upload


def test_the_preview_shows_what_is_in_the_file_and_stores_nothing():
    async def story(cloud, client):
        answer = await client.post("/images/preview", files=file(LAMP), headers=HTMX)
        text = words(answer.text)
        assert answer.status_code == 200
        for fact in ("lamp.bin", "valid app image", "Project lamp", "Version 1.1.0", "Chip esp32c3", "ESP-IDF v6.1"):
            assert fact in text
        assert "SHA-256 valid" in text
        assert 'value="lamp-1.1.0"' in answer.text
        assert "Store image" in text
        assert cloud.service.images.find().total == 0

    in_process(story)


def test_a_name_typed_for_one_file_is_not_proposed_for_the_next():
    async def story(_cloud, client):
        answer = await client.post("/images/preview", files=file(LAMP), data={"name": "typed"}, headers=HTMX)
        assert 'value="lamp-1.1.0"' in answer.text

    in_process(story)


BAD = {
    "one flipped bit": (faulty(), ["ESP_ERR_IMAGE_INVALID", "checksum", "hash", "0x3fdf", "0x3fe0", "2 faults"]),
    "cut off": (LAMP[:300], ["ESP_ERR_IMAGE_INVALID", "segment 1 data", "0x128", "4 bytes", "32"]),
    "text": (b"this is no firmware", ["ESP_ERR_IMAGE_INVALID", "1 fault"]),
    "bootloader": (bootloader(), ["This is a bootloader image", "not an app image"]),
    "no version": (Firmware("lamp", "").to_bytes(), ["names no project or no version"]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_good_image_shows_why_and_cannot_be_stored(name):
    data, expected = BAD[name]

    async def story(cloud, client):
        preview = await client.post("/images/preview", files=file(data), headers=HTMX)
        assert preview.status_code == 200
        for fact in ("This image cannot be stored.", *expected):
            assert fact in words(preview.text)
        assert "Store image" not in preview.text
        for headers in (HTMX, {}):
            refused = await client.post("/images/upload", files=file(data), data={"name": "x"}, headers=headers)
            assert refused.status_code == (400 if name == "no version" else 422)
            assert "This image cannot be stored." in words(refused.text)
        assert cloud.service.images.find().total == 0

    in_process(story)


@pytest.mark.parametrize("path", ["/images/preview", "/images/upload"])
def test_a_file_above_the_limit_is_refused_in_words(path):
    async def story(cloud, client):
        for extra in (1, 10 << 20):
            answer = await client.post(path, files=file(bytes(SIZE_LIMIT + extra)), headers=HTMX)
            assert answer.status_code == 413
            assert "at most 16 MiB (16,777,216 bytes)" in words(answer.text)
        assert cloud.service.images.find().total == 0

    in_process(story)


def test_an_image_of_exactly_the_limit_is_stored():
    data = Firmware("lamp", "9.9.9", size=SIZE_LIMIT).to_bytes()

    async def story(cloud, client):
        answer = await client.post("/images/upload", files=file(data), data={"name": "large"}, headers=HTMX)
        assert answer.status_code == 200
        assert cloud.service.images.find().items[0].file_size == SIZE_LIMIT

    in_process(story)


NO_UPLOAD = {
    "no file": {"files": {"file": ("", b"")}},
    "another field": {"files": {"fire": ("lamp.bin", LAMP)}},
    "two files": {"files": [("file", ("a.bin", LAMP)), ("file", ("b.bin", LAMP))]},
    "not multipart": {"content": LAMP},
    "broken multipart": {"content": b"--x\r\nnonsense", "headers": {"content-type": "multipart/form-data; boundary=x"}},
    "no boundary": {"content": b"x", "headers": {"content-type": "multipart/form-data"}},
    "text instead of a file": {"data": {"file": "lamp"}, "files": {"x": ("x", b"")}},
}


@pytest.mark.parametrize("path", ["/images/preview", "/images/upload"])
def test_a_form_without_a_file_is_a_sentence_not_a_crash(path):
    async def story(cloud, client):
        for name, form in NO_UPLOAD.items():
            answer = await client.post(path, **form)
            assert answer.status_code == 400, name
            assert "Not stored." in words(answer.text), name
        assert cloud.service.images.find().total == 0

    in_process(story)


def test_storing_leads_back_to_the_list_with_and_without_scripts():
    async def story(cloud, client):
        plain = await client.post("/images/upload", files=file(LAMP), data={"name": "  one "})
        assert plain.status_code == 303
        scripted = await client.post("/images/upload", files=file(LAMP), data={"name": "two"}, headers=HTMX)
        assert scripted.status_code == 200
        assert [image.image_name for image in cloud.service.images.find().items] == ["two", "one"]
        for url in (plain.headers["location"], scripted.headers["hx-redirect"]):
            assert "Stored" in words((await client.get(url)).text)

    in_process(story)


def test_a_taken_name_is_said_beside_the_preview():
    async def story(cloud, client):
        fill(cloud)
        answer = await client.post("/images/upload", files=file(LAMP), data={"name": "lamp-1.1.0"}, headers=HTMX)
        assert answer.status_code == 409
        assert "has this name already" in words(answer.text)
        assert "Store image" in words(answer.text)

    in_process(story)


def test_an_image_goes_to_the_archive_and_back():
    async def story(cloud, client):
        image, _ = fill(cloud)
        assert (await client.post(f"/images/{image}/archive")).headers["location"] == "/images"
        assert "lamp-1.1.0" not in (await client.get("/images")).text
        assert "lamp-1.1.0" in (await client.get("/images?archived=1")).text
        refused = await client.post(f"/images/{image}/start", data={"job_name": "x", "nodes": "lamp1"})
        assert refused.status_code == 409
        assert "an archived image starts no job" in words(refused.text).lower()
        await client.post(f"/images/{image}/unarchive")
        assert "lamp-1.1.0" in (await client.get("/images")).text

    in_process(story)


def test_paging_reaches_every_image_once_and_comes_back():
    async def story(cloud, client):
        names = {cloud.service.images.add(f"image-{number:02d}", LAMP).image_name for number in range(23)}
        url, seen, urls = "/images", [], []
        while url:
            page = (await client.get(url)).text
            urls.append(url)
            seen += re.findall(r"image-\d\d(?=</a><small)", page)
            assert f"Page {len(urls)} of 3" in words(page)
            following = re.search(r'id="next" href="([^"]*)"', page)
            url = unescape(following[1]) if following else ""
        assert sorted(seen) == sorted(names)
        for expected in reversed(urls[:-1]):
            back = re.search(r'id="previous" href="([^"]*)"', page)
            assert unescape(back[1]) == expected
            page = (await client.get(expected)).text

    in_process(story)


# ------------------------------------------------------------------------------------------------------------ Start OTA


def test_start_ota_tells_what_to_know_about_each_node():
    async def story(cloud, client):
        image, _ = fill(cloud)
        service = cloud.service
        for node_id, model, version, online in (
            ("done", "lamp", "1.1.0", True),
            ("away", "lamp", "1.0.0", False),
            ("fan", "fan", "1.1.0", True),
        ):
            service.intake.on_presence(node_id, online)
            introduce(service, node_id, {"model": model, "fw_version": version})
        service.intake.on_presence("new", True)
        page = (await client.get(f"/images/{image}/start")).text
        rows = {
            row[1]: words(row[0])
            for row in re.findall(r'(<tr>\s*<td class="tick">.*?value="(\w+)".*?</tr>)', page, re.DOTALL)
        }
        assert "Already on 1.1.0" in rows["done"]
        assert "Offline: asks at its next boot" in rows["away"]
        assert "Other project (fan): it will refuse" in rows["fan"]
        assert "Already on" not in rows["fan"]
        assert "Has not said what it runs" in rows["new"]
        assert "ready" in rows["lamp1"]
        assert "this can take a while" in words(page)

    in_process(story)


async def start(client, image, form):
    """Look at the preview, and press Start OTA."""
    page = (await client.post(f"/images/{image}/start/preview", data=form)).text
    seen = re.search(r'name="seen" value="([^"]*)"', page)
    assert seen, words(page)
    headers = {"Origin": "http://127.0.0.1"}
    return await client.post(f"/images/{image}/start", data={**form, "seen": unescape(seen[1])}, headers=headers)


@pytest.mark.parametrize("force_push", [True, False])
def test_force_push_decides_whether_the_url_goes_out_now(force_push):
    async def story(cloud, client):
        image, _ = fill(cloud)
        form = {"job_name": "x", "nodes": "lamp1"} | ({"force_push": "true"} if force_push else {})
        answer = await start(client, image, form)
        assert answer.status_code == 303
        job = answer.headers["location"].removeprefix("/jobs/")
        assert cloud.service.jobs.node_status(job).items[0].status == ("started" if force_push else "triggered")

    in_process(story)


def test_all_nodes_means_all_nodes():
    async def story(cloud, client):
        image, _ = fill(cloud)
        cloud.service.intake.on_presence("lamp2", False)
        answer = await start(client, image, {"job_name": "x", "target": "all"})
        job = answer.headers["location"].removeprefix("/jobs/")
        assert [state.node_id for state in cloud.service.jobs.node_status(job).items] == ["lamp1", "lamp2"]

    in_process(story)


REFUSED_STARTS = {
    "no node": ({"job_name": "my job"}, "a job needs nodes or groups"),
    "no name": ({"job_name": " ", "nodes": "lamp1"}, "ota_job_name has 1 to 128 characters"),
    "unknown node": ({"job_name": "my job", "nodes": ["lamp1", "ghost"]}, "unknown nodes: ghost"),
    "too many": (
        {"job_name": "my job", "nodes": [f"n{i}" for i in range(MAX_NODES + 1)]},
        "a job has at most 100 nodes",
    ),
}


@pytest.mark.parametrize("name", REFUSED_STARTS)
def test_a_refused_start_keeps_what_was_filled_in(name):
    form, expected = REFUSED_STARTS[name]

    async def story(cloud, client):
        image, _ = fill(cloud)
        answer = await client.post(f"/images/{image}/start", data={**form, "force_push": "true"})
        assert answer.status_code == 400
        assert expected.lower() in words(answer.text).lower()
        assert f'value="{form["job_name"]}"' in answer.text
        assert re.search(r'name="force_push"[^>]* checked', answer.text)
        assert bool(re.search(r'id="node-lamp1" checked', answer.text)) == ("lamp1" in form.get("nodes", ()))
        assert cloud.service.jobs.find().total == 1

    in_process(story)


# ----------------------------------------------------------------------------------------------------------------- jobs


def test_the_monitor_shows_the_facts_the_node_s_own_words_and_its_whole_history():
    async def story(cloud, client):
        image, _ = fill(cloud)
        async with cloud.broker("lamp1") as mqtt:
            node = Node("lamp1", mqtt)
            await node.introduce()
            job = cloud.service.jobs.create("Now", image, nodes=["lamp1"], force_push=True).job.ota_job_id
            await node.offered()
            for info in ("Downloading Firmware Image", "Downloaded 40% Firmware Image"):
                await node.report(job, "in-progress", info)
            await cloud.until(reported(job, "Downloaded 40% Firmware Image"))
            page = (await client.get(f"/jobs/{job}")).text
        text = words(page)
        for fact in (job, image, "lamp-1.1.0", "Force Push", "in progress", "0 of 1 node succeeded"):
            assert fact in text
        for said in (
            "Job created",
            "OTA URL Sent to Node",
            "Downloading Firmware Image",
            "Downloaded 40% Firmware Image",
        ):
            assert said in text
        assert '<progress max="100" value="40"' in page

    in_process(story)


def test_cancel_then_archive_and_late_reports_are_still_shown():
    async def story(cloud, client):
        _, job = fill(cloud)
        early = await client.post(f"/jobs/{job}/archive")
        assert early.status_code == 409
        assert "cancel it first" in words(early.text)
        async with cloud.broker("lamp1") as mqtt:
            node = Node("lamp1", mqtt)
            await node.introduce()
            await node.ask()
            await node.offered()
            assert (await client.post(f"/jobs/{job}/cancel")).status_code == 303
            page = (await client.get(f"/jobs/{job}")).text
            assert "Archive job" in page
            assert "Cancel job" not in page
            await node.report(job, "success", "OTA Upgrade finished and verified successfully")
            await cloud.until(reported(job, "OTA Upgrade finished and verified successfully"))
        text = words((await client.get(f"/jobs/{job}")).text)
        assert "OTA Upgrade finished and verified successfully" in text
        assert "1 of 1 node succeeded" in text
        assert (await client.post(f"/jobs/{job}/archive")).headers["location"] == "/jobs"
        assert "Rollout" not in (await client.get("/jobs")).text
        assert "Rollout" in (await client.get("/jobs?archived=1")).text
        assert "archived" in words((await client.get(f"/jobs/{job}")).text)

    in_process(story)


def test_a_job_outlives_its_image():
    async def story(cloud, client):
        image, job = fill(cloud)
        cloud.service.jobs.cancel(job)
        cloud.service.images.delete(image, force=True)
        assert "deleted" in words((await client.get(f"/jobs/{job}")).text)
        assert "deleted image" in words((await client.get("/jobs")).text)

    in_process(story)


def test_the_monitor_pages_through_many_nodes():
    async def story(cloud, client):
        image, _ = fill(cloud)
        for number in range(60):
            cloud.service.intake.on_presence(f"n{number:02d}", False)
        job = cloud.service.jobs.create("many", image, groups=["FFFF-FFFF"]).job.ota_job_id
        page = (await client.get(f"/jobs/{job}")).text
        assert "Page 1 of 3" in words(page)
        following = re.search(r'id="next" href="([^"]*)"', page)
        second = (await client.get(unescape(following[1]))).text
        shown = re.findall(r'data-part="nodes/row-(\w+)"', second)
        assert len(shown) == 25
        assert not set(shown) & set(re.findall(r'data-part="nodes/row-(\w+)"', page))

    in_process(story)
