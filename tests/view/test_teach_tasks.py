"""The eight lessons in the page: each leads to its state, and its task is done when the engines say so, not before."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsers import IN_A_BROWSER
from playwright.sync_api import Browser, Page, expect

from py_esp_ota import Chip, Device, Firmware, Sdkconfig
from py_esp_ota._core import EFuse
from py_esp_ota.firmware import ota_select_entry
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.idf.rollback import BEFORE_SELECTION
from py_esp_ota.sweep import STORIES, Scene
from py_esp_ota.view.lessons import NAMES
from py_esp_ota.view.teach import LESSONS, Limits, core_wasm, fragment, teach_page

OLD, NEW = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))
STEP = 10_000  # milliseconds, on a busy machine

pytestmark = [
    *IN_A_BROWSER,
    pytest.mark.skipif(not core_wasm(), reason="the core was not built as WebAssembly"),
]


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    """The page that `esp-ota teach` makes when nothing is named; before the browser, as the agent has a loop, too.

    No task asks for a second cut, which takes most of the making: that pages go as far as that, other tests ask.
    """
    file = tmp_path_factory.mktemp("page") / "page.html"
    beside = [STORIES[name] for name in LESSONS]
    one_cut = Limits(depth=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("py_esp_ota.view.teach.page._BESIDE", one_cut)
        text = teach_page(STORIES["first-ota"], Scene(OLD, NEW), limits=one_cut, beside=beside)
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def browsed(file: Path, browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page.set_default_timeout(STEP)
    yield page
    page.close()


@pytest.fixture
def page(file: Path, browsed: Page) -> Page:
    """All lessons unfolded, no task done."""
    browsed.goto("about:blank")
    browsed.goto(file.as_uri())
    browsed.wait_for_function("() => globalThis.teach?.page.shown")
    browsed.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    return browsed


def there(page: Page) -> None:
    """Wait until the page shows what its address says, which a link has changed at once."""
    page.wait_for_function("() => location.hash.slice(1) === teach.page.path.fragment(teach.page.stop)")
    expect(page.locator("#trouble")).to_be_empty()


def go(page: Page, address: str) -> None:
    page.evaluate("(address) => teach.page.open(address)", address)
    there(page)


def program(page: Page, at: int, data: bytes) -> None:
    page.locator("#touch-at").fill(hex(at))
    page.locator("#touch-bytes").fill(data.hex(" "))
    page.get_by_role("button", name="Program").click()


def task(page: Page, name: str) -> object:
    return expect(page.locator(f"[data-task={name}]"))


@pytest.mark.parametrize("name", NAMES)
def test_every_lesson_leads_to_its_state(page, name):
    page.locator(f"#lesson-{name} a").click()
    page.wait_for_function("() => location.hash.includes('at=')")
    there(page)
    story = page.locator("#story-name").inner_text()
    assert page.locator("#stories").input_value() == story
    assert page.evaluate("location.hash").startswith(f"#{fragment(story, OLD, NEW)}")
    task(page, name).to_be_visible()


def test_each_state_is_the_one_that_is_spoken_of(page):
    page.locator("#lesson-image a").click()
    expect(page.locator("#images")).to_contain_text("ota_0: lamp 1.1.0: checksum is")
    expect(page.locator("#console")).to_contain_text("New image failed verification")
    page.locator("#lesson-otadata a").click()
    expect(page.locator(".card").first).to_contain_text("does not fit")
    page.locator("#lesson-anti-rollback a").click()
    page.get_by_role("button", name="Power back").click()
    expect(page.locator("#console")).to_contain_text("Anti-rollback is set. eFuse field is updated(1).")
    page.locator("#lesson-the-whole-job a").click()
    expect(page.locator("#console")).to_contain_text("Starting OTA Upgrade")


def test_a_story_is_chosen(page):
    page.locator("#stories").select_option("reject")
    expect(page.locator("#count")).to_have_text("0 of 4 operations done.")
    assert page.title() == "Pull the plug: reject"
    expect(page.locator("#engines")).to_contain_text("different wrecks of this story")
    page.get_by_role("button", name="One operation on").click()
    page.get_by_role("button", name="Pull the plug").click()
    page.get_by_role("button", name="From the start").click()
    expect(page.locator("#story-name")).to_have_text("reject")


def test_make_it_brick_with_one_byte(page):
    task(page, "nor").to_have_text("Not yet.")
    program(page, 0x9000, b"\0")
    task(page, "nor").to_have_text("Not yet: factory boots.")
    page.get_by_role("button", name="Undo").click()
    program(page, 0x8000, b"\0")
    expect(page.locator("#touch-boots")).to_contain_text("Nothing boots: ")
    task(page, "nor").to_contain_text("Done. ")
    task(page, "nor").to_contain_text("magic number")


def test_break_it_so_that_the_hash_alone_sees_it(page):
    program(page, 0x10200, b"\0")
    task(page, "image").to_contain_text("checksum")
    page.get_by_role("button", name="Undo").click()
    at = next(
        place
        for place in range(0x200, 0x300)
        if OLD[place] & 1 and OLD[place + 1] & 1  # the same bit of two bytes
    )
    program(page, 0x10000 + at, bytes([OLD[at] & 0xFE, OLD[at + 1] & 0xFE]))
    task(page, "image").to_have_text("Done. In factory the hash alone says no.")


def test_write_a_table(page):
    answer = page.locator("#answer-partition-table")
    for csv, said in (
        ("nvs,data,nvs,0x9000,16K\n", "there is no otadata"),
        ("otadata,data,ota,,8K\nfactory,app,factory,0x10000,1M\nota_0,app,ota_0,,900K\n", "there is one slot"),
        ("otadata,data,ota,,8K\nota_0,app,ota_0,,640K\nota_1,app,ota_1,,960K\n", "ota_0 has 640 KiB"),
        ("otadata,data,ota,,8K\nota_0,app,ota_0,,1M\nota_1,app,ota_1,,1M\n", "the flash at 2,097,152"),
        ("otadata,data,ota,0x9000,4K\n", "otadata partition must have size = 0x2000"),
        ("otadata,data,ota,,8K\nota_0,app,ota_0,,960K\nota_1,app,ota_1,,960K\n", "Done. It fits"),
    ):
        answer.fill(csv)
        task(page, "partition-table").to_contain_text(said)


def test_try_a_rejected_version_once_more(page):
    go(page, "story=reject&at=4")
    expect(page.locator(".card").first).to_contain_text("INVALID")
    page.locator("#touch-at").fill("0xd000")
    page.get_by_role("button", name="Erase its sector").click()
    task(page, "otadata").to_have_text("Not yet: you have no erase.")
    page.get_by_role("button", name="Undo").click()
    program(page, 0xD018, b"\0\0\0\0")
    expect(page.locator(".card").first).to_contain_text("NEW")
    expect(page.locator("#touch-boots")).to_have_text("ota_0 boots.")
    task(page, "otadata").to_contain_text("Done. ")


def test_lead_an_update_into_four_states(page):
    name = "the-life-of-a-slot"
    go(page, "story=confirm&at=2")
    task(page, name).to_have_text("Not yet: VALID, INVALID, ABORTED.")
    go(page, "story=confirm&at=4")
    task(page, name).to_have_text("Not yet: INVALID, ABORTED.")
    go(page, "story=confirm&replay=cut@0&then=no")
    task(page, name).to_have_text("Not yet: ABORTED.")
    go(page, "story=confirm&replay=cut@2&then=boot")
    task(page, name).to_contain_text("Done. ")


def test_lose_a_version_that_works(page):
    go(page, "story=confirm&replay=cut@0&then=no")
    task(page, "who-confirms").to_have_text("Not yet.")  # it was told to say no
    go(page, "story=confirm&replay=cut@0&then=boot")
    task(page, "who-confirms").to_have_text("Not yet: 1.1.0 runs.")
    go(page, "story=confirm&replay=cut@3&then=boot")
    task(page, "who-confirms").to_have_text("Done. It worked, and 1.0.0 runs.")


def test_lock_yourself_out(page):
    go(page, "story=anti-rollback&at=74")
    for version, said in (("1", "Not yet."), ("5", "a smaller number does it, too"), ("2", "Done. At 2 nothing boots")):
        page.locator("#touch-fuse").fill(version)
        task(page, "anti-rollback").to_contain_text(said)


def test_leave_the_cloud_without_an_answer(page):
    name = "the-whole-job"
    go(page, "story=agent-job&replay=cut@40&then=story")
    task(page, name).to_have_text("Not yet: the cloud heard success.")
    go(page, "story=agent-job&replay=cut@90&then=story")
    task(page, name).to_contain_text("Done. ")


def test_what_is_typed_wrong_is_a_sentence_and_what_is_touched_is_gone_at_another_stop(page):
    for at, data, said in (
        ("here", "00", '"here" is no address: 0xd018, say.'),
        ("0x400000", "00", "0x400000 is beyond the 0x400000 bytes of the flash."),
        ("0x3fffff", "00 00", "0x3fffff is beyond the 0x400000 bytes of the flash."),
        ("0x8000", "0", "Bytes are two digits each, 00 to ff, 256 of them at most."),
        ("0x8000", "00" * 257, "Bytes are two digits each, 00 to ff, 256 of them at most."),
        ("0x10000", "ff", "Bits that were 0 have stayed 0: only an erase lifts them."),
    ):
        page.locator("#touch-at").fill(at)
        page.locator("#touch-bytes").fill(data)
        page.get_by_role("button", name="Program").click()
        expect(page.locator("#touch-said")).to_have_text(said)
    program(page, 0x8000, b"\0")
    expect(page.locator("#touch-list")).to_have_text("programmed 1 at 0x010000; programmed 1 at 0x008000")
    page.get_by_role("button", name="One operation on").click()
    expect(page.locator("#touch-boots")).to_have_text("factory boots.")


def sent(data: bytes) -> str:
    return base64.b64encode(data).decode()


def touched(rng: random.Random) -> list[tuple[int, bytes]]:
    """Entries, and programs at places that matter."""
    touches = []
    for sector in (0xD000, 0xE000):
        if rng.random() < 0.7:
            state = rng.choice([0, 1, 2, 3, 4, 0xFFFFFFFF])
            entry = bytearray(ota_select_entry(rng.choice([1, 2, 3, 4]), state))
            if rng.random() < 0.2:
                entry[rng.randrange(32)] &= rng.randrange(256)
            touches.append((sector, bytes(entry)))
    for _ in range(rng.choice([0, 0, 1, 2])):
        near = rng.choice([0x8000, 0x10000, 0x110000])
        touches.append((near + rng.choice([0, 12, 23, rng.randrange(0x200)]), bytes([rng.randrange(256)])))
    return touches


def as_python_boots(flash, touches, config, efuse) -> str | None:
    fork = flash.fork()
    for at, data in touches:
        fork.program(at, data)
    chip = Chip("esp32c3", flash=fork, efuse=efuse.copy())
    report = boot(chip, config)
    # A trial that is begun does not end here: what boots first is what the page tells.
    return report.partition.label if report.partition else None


@pytest.mark.parametrize("rollback", [True, False])
def test_the_page_boots_what_the_package_boots(page, rollback):
    rng = random.Random(4)
    life = Scene(OLD, NEW).life()
    life.flash.power_on()
    life.flash.program(0x110000, NEW)
    flash, config = life.flash, Sdkconfig(bootloader_app_rollback_enable=rollback)
    unconfirmed = next(iter(BEFORE_SELECTION.items())) if rollback else (0, 0)
    cases = [touched(rng) for _ in range(300)]
    said = page.evaluate(
        """([image, cases, unconfirmed]) => {
            const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            const { story, page } = teach, base = page.film.base.fork();
            base.power(true);
            base.program(0x110000, bytes(image));
            return cases.map((touches) => {
                const flash = base.fork();
                for (const [at, data] of touches) flash.program(at, bytes(data));
                const { boots } = flash.boot(story.chip, { table: story.table, anti: false, secure: 0, unconfirmed });
                flash.drop();
                return boots;
            });
        }""",
        [sent(NEW), [[(at, sent(data)) for at, data in case] for case in cases], unconfirmed],
    )
    for case, there in zip(cases, said, strict=True):
        assert there == as_python_boots(flash, case, config, EFuse()), case
    assert {None, "factory", "ota_0"} <= set(said)


def test_the_device_of_the_first_lesson_is_brick():
    lamp = Device("two_ota_large", firmware=OLD)
    lamp.flash.program(0x8000, b"\0")
    assert lamp.power_on().partition is None
