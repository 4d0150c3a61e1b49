"""Images: what is let in, what it is called, and when it may go."""

from __future__ import annotations

import hashlib
import re

import pytest
from cloud_bench import refused
from sqlalchemy import func, select

from py_esp_ota.cloud.images import SIZE_LIMIT
from py_esp_ota.cloud.models import BlobRow, UploadRow
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.firmware import Firmware, bootloader

pytestmark = pytest.mark.both_databases


def rows(bench, table) -> int:
    with bench.store.begin() as tx:
        return tx.scalar(select(func.count()).select_from(table)) or 0


def test_an_image_tells_its_own_version_and_project(bench, lamp):
    image = bench.service.images.add("first", lamp)
    assert (image.fw_version, image.model, image.type, image.chip) == ("1.1.0", "lamp", "lamp", "esp32c3")
    assert (image.file_size, image.file_md5) == (len(lamp), hashlib.md5(lamp).hexdigest())
    assert image.file_sha256 == hashlib.sha256(lamp).hexdigest()
    assert re.fullmatch(r"[0-9A-Za-z_-]{9}", image.ota_image_id)
    assert not image.archived


def test_what_the_request_says_overrides_the_image(bench, lamp):
    image = bench.service.images.add("first", lamp, fw_version="9", model="m", type="Lightbulb")
    assert (image.fw_version, image.model, image.type) == ("9", "m", "Lightbulb")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda image: b"", "ESP_ERR_IMAGE_INVALID: image header at offset 0x0 is 0 bytes"),
        (lambda image: b"\xe9", "ESP_ERR_IMAGE_INVALID: image header at offset 0x0 is 1 bytes"),
        (lambda image: b"PK\x03\x04" + image[4:], "ESP_ERR_IMAGE_INVALID: magic at offset 0x0 is 0x50, expected 0xe9"),
        (lambda image: image[:-1], "ESP_ERR_IMAGE_INVALID: hash at offset 0x"),
        (lambda image: image[: len(image) // 2], "ESP_ERR_IMAGE_INVALID: segment "),
        (lambda image: image[:5000] + bytes([image[5000] ^ 1]) + image[5001:], "ESP_ERR_IMAGE_INVALID: checksum at"),
        (lambda image: bootloader(), "ESP_ERR_NOT_FOUND: no app descriptor at offset 0x20, this is a bootloader image"),
        (lambda image: b"\x00" * 4096, "ESP_ERR_IMAGE_INVALID: magic at offset 0x0"),
    ],
)
def test_what_is_no_app_image_is_refused_by_name_and_place(bench, lamp, spoil, sentence):
    with pytest.raises(CloudError) as caught:
        bench.service.images.add("first", spoil(lamp))
    assert caught.value.refusal is Refusal.NOT_AN_APP_IMAGE
    assert caught.value.description.startswith(sentence)
    assert rows(bench, BlobRow) == bench.service.images.find(archived=None).total == 0


def test_all_faults_come_along(bench, lamp):
    with pytest.raises(CloudError) as caught:
        bench.service.images.add("first", lamp[:5000] + b"\xa5" + lamp[5001:])
    fields = [fault["field"] for fault in caught.value.extra["faults"]]
    assert fields == ["checksum", "hash"]
    assert caught.value.description.endswith("(and 1 more)")


def test_the_size_has_a_limit(bench):
    with refused(Refusal.IMAGE_TOO_LARGE):
        bench.service.images.add("first", bytes(SIZE_LIMIT + 1))


def test_an_image_without_a_version_needs_one(bench):
    nameless = Firmware("lamp", "").to_bytes()
    with pytest.raises(CloudError, match="fw_version") as caught:
        bench.service.images.add("first", nameless)
    assert caught.value.refusal is Refusal.IMAGE_UNDESCRIBED
    assert bench.service.images.add("first", nameless, fw_version="7").fw_version == "7"


@pytest.mark.parametrize("name", ["", "x" * 129, "a\nb", "a\x00", "\ud800"])
def test_a_name_is_one_line_of_text(bench, lamp, name):
    with refused(Refusal.INVALID_REQUEST):
        bench.service.images.add(name, lamp)
    with refused(Refusal.INVALID_REQUEST):
        bench.service.images.request_upload(name)


@pytest.mark.parametrize("name", ["../../etc/passwd", "CON", "%2e%2e/x", "a b", "\u7167\u660e", "<script>"])
def test_a_strange_name_is_only_a_name(bench, lamp, name):
    image = bench.service.images.add(name, lamp)
    assert image.image_name == name
    assert name not in bench.service.images.url(image.ota_image_id)


def test_names_are_unique(bench):
    first = bench.image("1.0.0", name="fw")
    with refused(Refusal.IMAGE_NAME_TAKEN):
        bench.image("2.0.0", name="fw")
    assert bench.service.images.find().items == [first]


def test_equal_bytes_are_stored_once_and_go_with_the_last_image(bench, lamp):
    first = bench.service.images.add("first", lamp)
    second = bench.service.images.add("second", lamp)
    assert rows(bench, BlobRow) == 1
    bench.service.images.delete(first.ota_image_id)
    assert rows(bench, BlobRow) == 1
    bench.service.images.delete(second.ota_image_id)
    assert rows(bench, BlobRow) == 0


# --------------------------------------------------------------------------------------------------- pre-signed uploads


def token_of(url: str) -> str:
    return url.partition("?token=")[2]


def test_an_upload_in_three_steps(bench, lamp):
    ota_image_id, url = bench.service.images.request_upload("fw")
    assert url.startswith(f"http://cloud.lab/v1/ota/upload/{ota_image_id}?token=")
    assert bench.service.images.find(archived=None).total == 0
    bench.service.images.put_upload(ota_image_id, token_of(url), b"half of it")
    bench.service.images.put_upload(ota_image_id, token_of(url), lamp)  # sent again before the confirmation
    image = bench.service.images.confirm_upload(ota_image_id, type="Lightbulb")
    assert (image.ota_image_id, image.type, image.fw_version) == (ota_image_id, "Lightbulb", "1.1.0")
    assert rows(bench, UploadRow) == 0
    with refused(Refusal.UPLOAD_UNKNOWN):
        bench.service.images.confirm_upload(ota_image_id)
    with refused(Refusal.UPLOAD_UNKNOWN):
        bench.service.images.put_upload(ota_image_id, token_of(url), lamp)


def test_bytes_that_are_no_image_can_be_uploaded_again(bench, lamp):
    ota_image_id, url = bench.service.images.request_upload("fw")
    with refused(Refusal.UPLOAD_EMPTY):
        bench.service.images.confirm_upload(ota_image_id)
    bench.service.images.put_upload(ota_image_id, token_of(url), b"not this")
    with refused(Refusal.NOT_AN_APP_IMAGE):
        bench.service.images.confirm_upload(ota_image_id)
    with refused(Refusal.UPLOAD_EMPTY):  # the bytes are gone
        bench.service.images.confirm_upload(ota_image_id)
    bench.service.images.put_upload(ota_image_id, token_of(url), lamp)
    assert bench.service.images.confirm_upload(ota_image_id).image_name == "fw"


def test_an_upload_link_works_for_an_hour_and_for_one_image(bench, lamp):
    ota_image_id, url = bench.service.images.request_upload("fw")
    other_id, _ = bench.service.images.request_upload("other")
    for token in ("", "0.", "ffffffff." + "0" * 64, token_of(url)[:-1], "\u00e9.\u00e9"):
        with refused(Refusal.LINK_REFUSED):
            bench.service.images.put_upload(ota_image_id, token, lamp)
    with refused(Refusal.LINK_REFUSED):
        bench.service.images.put_upload(other_id, token_of(url), lamp)
    bench.clock.time += 3599
    bench.service.images.put_upload(ota_image_id, token_of(url), lamp)
    bench.clock.time += 1
    with refused(Refusal.LINK_REFUSED):
        bench.service.images.put_upload(ota_image_id, token_of(url), lamp)


def test_a_download_link_is_no_upload_link(bench, lamp):
    image = bench.service.images.add("fw", lamp)
    with refused(Refusal.LINK_REFUSED):
        bench.service.images.put_upload(
            image.ota_image_id, token_of(bench.service.images.url(image.ota_image_id)), lamp
        )


def test_a_confirmed_upload_replaces_an_unused_image_of_the_same_name(bench, lamp):
    old = bench.image("1.0.0", name="fw")
    ota_image_id, url = bench.service.images.request_upload("fw")
    assert bench.service.images.get(old.ota_image_id) == old  # until the confirmation
    bench.service.images.put_upload(ota_image_id, token_of(url), lamp)
    bench.service.images.confirm_upload(ota_image_id)
    assert [image.ota_image_id for image in bench.service.images.find().items] == [ota_image_id]
    assert rows(bench, BlobRow) == 1


def test_an_image_that_a_job_uses_is_not_replaced(bench, lamp):
    bench.join("n1")
    ota_image_id, url = bench.service.images.request_upload("fw")
    bench.service.images.put_upload(ota_image_id, token_of(url), lamp)
    bench.job("n1", image=bench.image("1.0.0", name="fw"))
    with refused(Refusal.IMAGE_NAME_TAKEN):
        bench.service.images.confirm_upload(ota_image_id)
    with refused(Refusal.IMAGE_NAME_TAKEN):
        bench.service.images.request_upload("fw")


def test_forgotten_uploads_are_swept(bench, lamp):
    ota_image_id, url = bench.service.images.request_upload("fw")
    bench.service.images.put_upload(ota_image_id, token_of(url), lamp)
    bench.clock.time += 2 * 86_400
    bench.service.images.request_upload("other")
    assert rows(bench, UploadRow) == 1


# --------------------------------------------------------------------------------------------------- archive and delete


def test_an_image_in_use_is_not_deleted(bench):
    bench.join("n1")
    image = bench.image()
    job = bench.job("n1", image=image)
    for force in (False, True):
        with refused(Refusal.IMAGE_IN_USE):
            bench.service.images.delete(image.ota_image_id, force)
    bench.service.jobs.cancel(job)
    with refused(Refusal.IMAGE_IN_USE):
        bench.service.images.delete(image.ota_image_id)
    bench.service.images.delete(image.ota_image_id, force=True)
    with refused(Refusal.IMAGE_UNKNOWN):
        bench.service.images.get(image.ota_image_id)
    assert bench.service.jobs.get(job).job.fw_version == "1.1.0"  # the job still reads well


def test_an_archived_image_is_hidden_and_still_downloads(bench, lamp):
    image = bench.service.images.add("fw", lamp)
    bench.join("n1")
    bench.job("n1", image=image)
    bench.service.images.archive(image.ota_image_id)
    assert bench.service.images.find().total == 0
    assert bench.service.images.find(archived=True).total == bench.service.images.find(archived=None).total == 1
    (offer,) = bench.fetch("n1")
    assert bench.service.images.download(image.ota_image_id, token_of(offer["url"])).data == lamp


@pytest.mark.parametrize("action", ["get", "archive", "delete"])
def test_an_unknown_image_is_refused(bench, action):
    with refused(Refusal.IMAGE_UNKNOWN):
        getattr(bench.service.images, action)("nothing")


def test_images_are_found_by_name_type_and_model(bench):
    bench.image("1", name="lamp one")
    bench.image("2", name="lamp two")
    bench.image("1", name="plug", project="plug")
    names = lambda **wanted: [image.image_name for image in bench.service.images.find(**wanted).items]  # noqa: E731
    assert names() == ["plug", "lamp two", "lamp one"]
    assert names(name="lamp") == []
    assert names(name="LAMP", contains=True) == ["lamp two", "lamp one"]
    assert names(name="%", contains=True) == []
    assert names(model="plug") == names(type="plug") == ["plug"]


def test_images_come_in_pages(bench):
    ids = [bench.image(str(number), name=f"image {number}").ota_image_id for number in range(5)]
    first = bench.service.images.find(num_records=3)
    rest = bench.service.images.find(num_records=3, start_id=first.next_id)
    assert [image.ota_image_id for image in [*first.items, *rest.items]] == ids[::-1]
    assert (first.total, rest.total, rest.next_id) == (5, 5, None)
