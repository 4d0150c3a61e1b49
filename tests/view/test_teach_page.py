"""The page "Pull the plug" in a real browser: dragged, cut, powered again; by mouse, by keyboard, by address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from browsers import IN_A_BROWSER
from playwright.sync_api import Browser, Page, expect

from py_esp_ota.firmware import Firmware
from py_esp_ota.sweep import STORIES, Scene, sweep
from py_esp_ota.view.sweep_html import sweep_html
from py_esp_ota.view.teach import Limits, core_wasm, fragment, teach_page

OLD, NEW = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))
SCENE = Scene(OLD, NEW)

pytestmark = IN_A_BROWSER
with_core = pytest.mark.skipif(not core_wasm(), reason="the core was not built as WebAssembly")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with pages."""
    folder = tmp_path_factory.mktemp("pages")
    first = teach_page(STORIES["first-ota"], SCENE, beside=[STORIES["confirm"]])
    (folder / "first.html").write_text(first, encoding="utf-8")
    (folder / "same.html").write_text(teach_page(STORIES["same-slot"], SCENE, limits=Limits(depth=1)), encoding="utf-8")
    bare = teach_page(STORIES["confirm"], SCENE, limits=Limits(depth=1), wasm=b"")
    (folder / "bare.html").write_text(bare, encoding="utf-8")
    return folder


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that may ask nobody and complain about nothing."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    trouble: list[str] = []
    page.on("request", lambda asked: None if asked.url.startswith(("file:", "data:")) else trouble.append(asked.url))
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    yield page
    context.close()
    assert trouble == []


def show(page: Page, file: Path, address: str = "") -> None:
    page.goto(f"{file.as_uri()}#{address}")
    page.wait_for_function("() => globalThis.teach?.page.shown")


def drag(page: Page, stop: int) -> None:
    page.locator("#slider").fill(str(stop))
    page.wait_for_function(f"() => teach.page.shown.stop === {stop}")


@with_core
def test_a_plug_is_pulled_and_power_comes_back(page, made):
    show(page, made / "first.html")
    expect(page.locator("#count")).to_have_text("0 of 74 operations done.")
    drag(page, 73)
    expect(page.locator("#place")).to_have_text("program 0x00d000..0x00d01f")
    page.locator("#tear").select_option(":torn-program/4")
    page.get_by_role("button", name="Pull the plug").click()
    expect(page.locator("#replay")).to_contain_text("--story first-ota --replay cut@73:torn-program/4")
    expect(page.locator(".card").first).to_contain_text("does not fit")
    expect(page.locator("#decides")).to_have_text("No entry is valid: the bootloader falls back to factory.")
    expect(page.locator("#console")).to_contain_text("── no power ──")
    page.get_by_role("button", name="Power back").click()
    expect(page.locator("#fate-words")).to_contain_text("1.0.0 from factory")
    expect(page.locator("#slots-words")).to_contain_text("Runs: 1.0.0 from factory.")
    expect(page.locator("#console")).to_contain_text("── power back ──")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#slots-words")).to_contain_text("Runs: 1.1.0 from ota_0")
    page.wait_for_function("() => location.hash.includes('then=story')")


@with_core
def test_the_self_test_says_yes_or_no_and_a_second_cut_falls(page, made):
    show(page, made / "first.html", "replay=cut@70&then=boot")
    expect(page.locator("#slots-words")).to_contain_text("Runs: 1.1.0 from ota_0, PENDING_VERIFY.")
    page.get_by_role("button", name="Self-test: no").click()
    expect(page.locator("#slots-words")).to_contain_text("Runs: 1.0.0 from factory.")
    expect(page.locator(".card").first).to_contain_text("INVALID")
    page.get_by_role("button", name="Self-test: yes").click()
    expect(page.locator(".card").first).to_contain_text("VALID")
    expect(page.locator("#decides")).to_have_text("Entry 0 decides: sequence 1 names ota_0.")
    show(page, made / "first.html", "replay=cut@70+cut@1:torn-program/28&then=story,boot")
    expect(page.locator("#trouble")).to_be_empty()
    expect(page.locator("#slots-words")).to_contain_text("from factory")


@with_core
def test_the_keyboard_does_it_all(page, made):
    show(page, made / "first.html", "at=69")
    page.locator("#slider").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#count")).to_have_text("70 of 74 operations done.")
    page.keyboard.press("p")
    expect(page.locator("#count")).to_have_text("The power went at operation 70 of 74.")
    expect(page.get_by_role("button", name="Power back")).to_be_focused()
    page.keyboard.press("Enter")
    page.locator("#slider").focus()
    page.keyboard.press("n")
    expect(page.locator("#slots-words")).to_contain_text("1.0.0 from factory")
    page.wait_for_function("() => document.getElementById('said').textContent.includes('Runs: 1.0.0 from factory')")


def test_a_case_of_a_sweep_opens_there(page, made):
    report = sweep(STORIES["same-slot"], SCENE)
    address = f"same.html#{fragment('same-slot', OLD, NEW)}"
    (made / "report.html").write_text(sweep_html(report, teach=address), encoding="utf-8")
    page.goto((made / "report.html").as_uri())
    case, ending = next(iter(report.findings("as_the_chip")))
    page.get_by_role("button", name=case.plan, exact=True).click()
    page.get_by_role("link", name="Pull the plug there").click()
    page.wait_for_function("() => globalThis.teach?.page.shown")
    expect(page.locator("#trouble")).to_be_empty()
    expect(page.locator("#replay")).to_contain_text(f"--replay {case.plan}")
    page.get_by_role("button", name="Power back").click()
    expect(page.locator("#fate-words")).to_contain_text(ending.why)


@pytest.mark.parametrize("name", ["anti-rollback", "encrypted-ota"])
def test_an_address_is_good_where_a_story_makes_other_images_or_fuses(page, made, name):
    """The story of anti-rollback gives the new image a secure version: an address is of the image that was named."""
    text = teach_page(STORIES[name], SCENE, limits=Limits(depth=1))
    (made / "other.html").write_text(text, encoding="utf-8")
    show(page, made / "other.html", fragment(name, OLD, NEW, "cut@8"))
    expect(page.locator("#trouble")).to_be_empty()
    expect(page.locator("#replay")).to_contain_text("--replay cut@8")


@with_core
def test_the_slots_say_what_otadata_has_of_them(page, made):
    """Trial, confirmation and rejection on the line of time, of slots that do not run, too."""
    show(page, made / "first.html", "at=70")
    expect(page.locator("#slots-words")).to_contain_text("otadata: ota_0 is NEW.")
    along = page.evaluate("() => teach.page.line.map(({ states }) => states?.ota_0 ?? '')")
    assert list(dict.fromkeys(along)) == ["", "NEW", "PENDING_VERIFY", "VALID"]
    show(page, made / "first.html", "replay=cut@70&then=no")
    expect(page.locator("#slots-words")).to_contain_text("Runs: 1.0.0 from factory.")
    expect(page.locator("#slots-words")).to_contain_text("otadata: ota_0 is INVALID.")
    show(page, made / "first.html", "replay=cut@72&then=boot")
    expect(page.locator("#slots-words")).to_contain_text("otadata: ota_0 is ABORTED.")
    show(page, made / "bare.html")
    expect(page.locator("#slots-words")).not_to_contain_text("otadata")


def test_a_lesson_leads_into_the_page(page, made):
    show(page, made / "first.html")
    folded = page.locator("#lesson-nor")
    folded.locator("summary").click()
    folded.get_by_role("link").click(timeout=5000)
    expect(page.locator("#replay")).to_contain_text("--replay cut@8:bits-program")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("v=1&story=reject", "This address is of another story, reject."),
        ("v=2&story=first-ota", "This address is of a newer version of the page."),
        ("v=x", "This address is of another version of the page."),
        ("images=00000000-11111111", "This address is of other images."),
        ("replay=cut@75", "cut@75 is beyond the last of 74 flash operations."),
        ("replay=cut@0:weak-program", "cut@0:weak-program does not fit: operation 0 is an erase."),
        ("replay=stuck0@0x10.1", "stuck0@0x10.1 is no replay line of power cuts."),
        ("replay=cut@1&then=yes", "After cut@1, it cannot go on by yes."),
        ("replay=%E0%A4%A", "%E0%A4%A is no replay line of power cuts."),
    ],
)
def test_an_address_that_leads_nowhere_is_a_sentence_and_the_start(page, made, address, said):
    show(page, made / "first.html", address)
    expect(page.locator("#trouble")).to_have_text(f"{said} Here is first-ota from its start.")
    expect(page.locator("#count")).to_have_text("0 of 74 operations done.")


@with_core
def test_every_stop_has_an_address_that_leads_back(page, made):
    show(page, made / "first.html")
    found = page.evaluate(
        """() => {
            const { story, Path } = teach, wrong = [];
            const start = Path.start(story);
            start.segments[0].told.operations.forEach((operation, at) => {
                for (const tear of operation.tears) {
                    const cut = start.cut(at, tear), stop = cut.stops - 1;
                    const again = Path.from([story], cut.fragment(stop));
                    const same = again.stop === stop && again.path.fragment(stop) === cut.fragment(stop);
                    if (again.trouble || !same) wrong.push(cut.plan);
                    for (const life of Object.keys(story.lives(cut.wreckAfter(0)))) {
                        const on = cut.goOn(life), back = Path.from([story], on.fragment(0));
                        if (back.trouble || back.path.fragment(0) !== on.fragment(0)) wrong.push(on.fragment(0));
                    }
                }
            });
            return wrong;
        }"""
    )
    assert found == []


@with_core
def test_the_flash_in_the_page_is_what_the_sweep_found(page, made):
    """At every cut the flash that the core keeps here has the entries of the ending that was recorded there."""
    show(page, made / "first.html")
    found = page.evaluate(
        """() => {
            const { story, Path, page } = teach, start = Path.start(story), wrong = [];
            const state = (word) => story.states[word] ?? `0x${word.toString(16).padStart(8, "0")}`;
            const spell = (entry) => /^(ff)*$/.test(entry.bytes) ? "-"
                : `${entry.seq}/${state(entry.state)}${entry.crc_ok ? "" : "!"}`;
            start.segments[0].told.operations.forEach((operation, at) => {
                for (const tear of operation.tears) {
                    if (tear.startsWith(":weak")) continue; // neither of them reads the same twice
                    const cut = start.cut(at, tear);
                    page.film.follow(cut);
                    const { flash } = page.film.at(cut.stops - 1);
                    const here = flash.otadata(story.otadata).entries.map(spell).join();
                    const there = story.ending(cut.wreckAfter(0)).otadata.join();
                    if (here !== there) wrong.push([cut.plan, here, there]);
                }
            });
            return wrong;
        }"""
    )
    assert found == []


@with_core
def test_an_image_is_judged_here_and_no_other_file(page, made, tmp_path):
    show(page, made / "first.html")
    broken = bytearray(NEW)
    broken[0x200] ^= 1
    for name, data, said in [
        ("good.bin", NEW, "good.bin: An app for esp32c3, sound."),
        ("broken.bin", bytes(broken), "broken: ESP_ERR_IMAGE_INVALID"),
        ("empty.bin", b"", "empty.bin: The file is empty."),
        ("app.zip", b"PK\x03\x04" + bytes(60), "This is a ZIP archive"),
        ("app.png", b"\x89PNG\r\n\x1a\n" + bytes(60), "This is a PNG picture"),
        ("noise.bin", bytes(range(100)), "No firmware image, broken"),
        ("<img src=x onerror=alert(1)>.bin", b"", "The file is empty."),
    ]:
        page.locator("#file").set_input_files({"name": name, "mimeType": "application/octet-stream", "buffer": data})
        expect(page.locator("#verdict")).to_contain_text(said)
    huge = tmp_path / "huge.bin"
    with huge.open("wb") as file:
        file.truncate(1 << 30)
    page.locator("#file").set_input_files(huge)
    expect(page.locator("#verdict")).to_contain_text("has 1,073,741,824 bytes; an app has no more than 16,777,216.")


@with_core
def test_it_says_which_engine_answers_and_how_far(page, made):
    show(page, made / "first.html")
    said = expect(page.locator("#engines"))
    said.to_contain_text("what boots of a flash that you have touched: the Rust core of py_esp_ota, as WebAssembly")
    said.to_contain_text("recorded, not calculated here")
    said.to_contain_text("Whatever a cut leaves, and a second one after it, is among them.")
    page.locator("#stories").select_option("confirm")
    said.to_contain_text("of second cuts a part")
    show(page, made / "same.html")
    said.to_contain_text("What a second cut leaves is not among them.")


def test_without_the_core_it_says_so_and_goes_on(page, made):
    show(page, made / "bare.html")
    expect(page.locator("#engines")).to_contain_text("made without the Rust core")
    expect(page.locator("#verdict")).to_contain_text("judges no images")
    drag(page, 3)
    page.get_by_role("button", name="Pull the plug").click()
    page.get_by_role("button", name="Power back").click()
    expect(page.locator("#slots-words")).to_contain_text("Runs: 1.0.0 from factory")
    expect(page.locator("#file")).to_be_disabled()


def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(browser, made):
    spec = find_spec("axe_playwright_python")
    if spec is None or spec.origin is None:
        pytest.skip("axe-playwright-python is not installed")
    axe = (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")
    for width, address in ((390, "replay=cut@73:torn-program/4"), (1280, "replay=cut@70&then=boot"), (768, "v=2")):
        context = browser.new_context(viewport={"width": width, "height": 844}, bypass_csp=True)
        page = context.new_page()
        show(page, made / "first.html", address)
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.evaluate(axe)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.wait_for_timeout(300)
            found = page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
            assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == [], (width, scheme)
        context.close()


@with_core
def test_it_is_small_soon_there_and_smooth(browser, made):
    """With room for a busy machine: `benchmarks` has the figures."""
    assert (made / "first.html").stat().st_size < 600 << 10
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    show(page, made / "first.html")
    ready = page.evaluate("() => performance.now()")
    assert ready < 5_000
    spent = page.evaluate(
        """() => {
            const took = [];
            for (let stop = 0; stop < teach.page.path.stops; stop++) {
                teach.page.stop = stop;
                const start = performance.now();
                teach.page.draw();
                took.push(performance.now() - start);
            }
            return took.sort((a, b) => a - b)[Math.floor(took.length / 2)];
        }"""
    )
    assert spent < 16
    page.close()


def test_no_part_of_the_page_can_end_its_scripts():
    text = teach_page(replace_name('</script><b id="x">'), SCENE, limits=Limits(depth=1), wasm=b"")
    assert '<b id="x">' not in text
    assert len(re.findall("</script>", text)) == 5


def replace_name(name):
    from dataclasses import replace

    return replace(STORIES["reject"], name=name)
