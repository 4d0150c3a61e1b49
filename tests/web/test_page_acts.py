"""Who acts on a page stands in the log: by name where people log in, and as the admin where nobody does."""

from __future__ import annotations

from test_login import ADMIN, OWN, log_in, visited
from test_pages import fill

from py_esp_ota.cloud.event_log import Wanted
from py_esp_ota.cloud.events import Actor, By
from py_esp_ota.cloud.group_rows import Scope
from py_esp_ota.firmware import Firmware


async def press_everything(mine, cloud) -> None:
    """Every button that leaves something in the log."""
    service = cloud.service
    image, job = fill(cloud)
    file = ("lamp.bin", Firmware("lamp", "7.0.0").to_bytes())
    spare = service.images.add("spare", Firmware("lamp", "8.0.0").to_bytes()).ota_image_id

    async def press(path: str, status: int = 303, **data: object) -> None:
        answer = await mine.post(path, data=data, headers=OWN)
        assert answer.status_code == status, (path, answer.text)

    assert (await mine.post("/images/upload", files={"file": file}, headers=OWN)).status_code == 303
    await press(f"/images/{spare}/archive")
    await press(f"/images/{spare}/unarchive")
    await press(f"/images/{spare}/delete")
    await press(f"/jobs/{job}/pause")
    await press(f"/jobs/{job}/resume")
    await press(f"/jobs/{job}/retry", node_id="lamp1")
    await press(f"/jobs/{job}/cancel")
    await press(f"/jobs/{job}/archive")
    await press(f"/jobs/{job}/unarchive")
    await press(f"/jobs/{job}/delete")
    page = await mine.post(f"/images/{image}/start/preview", data={"job_name": "x", "nodes": "lamp1"}, headers=OWN)
    seen = page.text.split('name="seen" value="')[1].split('"')[0]
    await press(f"/images/{image}/start", job_name="x", nodes="lamp1", seen=seen)
    await press("/nodes/lamp1/start", ota_image_id=image)
    await press("/groups/add", group_name="Desk", nodes="lamp1")
    group = service.groups.find(Scope()).items[0].group.group_id
    await press(f"/groups/{group}/edit", group_name="Table")
    await press(f"/groups/{group}/take", nodes="lamp1")
    await press(f"/groups/{group}/add", nodes="lamp1")
    await press(f"/groups/{group}/delete")
    await press("/nodes/lamp1/forget")


def told(cloud, since: int) -> set[tuple[str, By]]:
    """What admins did after an event."""
    entries, _ = cloud.service.log.newest(Wanted(actor=Actor.ADMIN), num_records=1000)
    return {(entry.event.kind.value, entry.event.by) for entry in entries if entry.number > since}


def check_acts(name: str, *, login: bool) -> None:
    async def story(browser, cloud):
        mine = browser()
        if login:
            await log_in(mine)
        fill_marks = {"image_uploaded", "job_created"}  # by `fill` too, which is no button
        await press_everything(mine, cloud)
        acts = told(cloud, 0)
        kinds = {kind for kind, _ in acts}
        assert kinds >= {
            "image_uploaded", "image_archived", "image_unarchived", "image_deleted", "job_created", "job_paused",
            "job_resumed", "retried", "job_cancelled", "job_archived", "job_unarchived", "job_deleted",
            "group_created", "group_changed", "group_deleted", "node_forgotten",
        }  # fmt: skip
        assert {by.who for kind, by in acts if kind not in fill_marks} == {name}
        assert all((kind, By(Actor.ADMIN, name)) in acts for kind in fill_marks)

    visited(story, login=login)


def test_with_a_login_it_is_the_name_of_who_has_logged_in():
    check_acts(ADMIN, login=True)


def test_without_one_nobody_has_a_name():
    check_acts("", login=False)
