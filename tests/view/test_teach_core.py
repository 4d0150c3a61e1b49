"""The core in a page and the core in Python: the same 2,000 random cases, the same answers, in one Chromium."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from browsers import IN_A_BROWSER
from playwright.sync_api import Browser, Page

from py_esp_ota._core import Flash, active_otadata, inspect_image, read_otadata
from py_esp_ota.errors import EspErr, FlashError, PowerLoss
from py_esp_ota.firmware import Firmware, ota_select_entry
from py_esp_ota.view.teach.page import MODULES, _module, core_wasm

IMAGES, PAIRS, SEQUENCES = 800, 600, 600
SIZE, SECTOR, OTADATA = 1 << 20, 0x1000, 0xD000
TEARS = (
    *("", ":after", ":torn", ":torn-program", ":torn-program/4", ":torn-program/30", ":tail-program", ":bits-program"),
    *(":weak-program", ":torn-erase", ":bits-erase", ":zero-erase", ":weak-erase"),
)

pytestmark = [
    *IN_A_BROWSER,
    pytest.mark.skipif(not core_wasm(), reason="the core was not built as WebAssembly"),
]


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """An empty page with the modules of the real one in it."""
    imports = json.dumps({"imports": {f"teach/{name}": _module(name) for name in MODULES if name in {"bytes", "core"}}})
    page = browser.new_page()
    page.set_content(
        f'<script type="importmap">{imports}</script>'
        '<script type="module">import { Core, Refused } from "teach/core";'
        "Object.assign(globalThis, { Core, Refused });</script>"
    )
    page.wait_for_function("() => Boolean(globalThis.Core)")
    page.evaluate(
        """async (wasm) => {
            globalThis.bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            globalThis.core = await Core.load(bytes(wasm));
        }""",
        sent(core_wasm()),
    )
    yield page
    page.close()


def sent(data: bytes) -> str:
    return base64.b64encode(data).decode()


# -------------------------------------------------------------------------------------------------------------- images


def broken(rng: random.Random) -> bytes:
    """An image that something has happened to."""
    chip = rng.choice(["esp32", "esp32c3", "esp32s3"])
    data = bytearray(
        Firmware("lamp", f"1.{rng.randrange(9)}.0", chip=chip, size=rng.choice([0x400, 0x1000])).to_bytes()
    )
    for _ in range(rng.choice([0, 1, 1, 2, 8])):
        place = rng.choice([rng.randrange(24), rng.randrange(24, 0x120), rng.randrange(len(data))])
        data[place] = rng.choice([0, 0xFF, rng.randrange(256)])
    match rng.randrange(5):
        case 0:
            del data[rng.randrange(len(data)) :]
        case 1:
            data += rng.randbytes(rng.randrange(5000))
        case _:
            pass
    return bytes(data) if rng.random() > 0.03 else rng.randbytes(rng.randrange(400))


def as_python_says(data: bytes) -> dict[str, Any]:
    info = inspect_image(data)
    said = {**info.to_dict(), "signed": bool(info.signature)}
    del said["signature"]
    return json.loads(json.dumps(said))


def named(said: Any) -> Any:
    """Codes by their names, as the page shows them."""
    if isinstance(said, list):
        return [named(each) for each in said]
    if isinstance(said, dict):
        return {key: EspErr(value).name if key == "err" else named(value) for key, value in said.items()}
    return said


def test_images_are_judged_alike(page):
    rng = random.Random(1)
    images = [broken(rng) for _ in range(IMAGES)]
    said = page.evaluate("(all) => all.map((image) => core.inspect(bytes(image)))", [sent(image) for image in images])
    verdicts = [as_python_says(image) for image in images]
    for image, here, there in zip(images, verdicts, map(named, said), strict=True):
        assert there == here, image.hex()
    assert len({verdict["err"] for verdict in verdicts}) > 2
    assert 50 < sum(verdict["valid"] for verdict in verdicts) < IMAGES - 200


# ------------------------------------------------------------------------------------------------------------- otadata


def pair(rng: random.Random) -> bytes:
    """Two sectors with entries, whole, torn or blank."""
    sectors = []
    for _ in range(2):
        seq = rng.choice([1, 2, 3, rng.randrange(1 << 32), 0xFFFFFFFF])
        entry = bytearray(ota_select_entry(seq, rng.choice([0, 1, 2, 3, 4, 0x77, 0xFFFFFFFF])))
        match rng.randrange(5):
            case 0:
                entry[rng.randrange(32)] &= rng.randrange(256)
            case 1:
                entry = bytearray(b"\xff" * 32)
            case _:
                pass
        sectors.append(bytes(entry).ljust(SECTOR, b"\xff"))
    return b"".join(sectors)


def test_otadata_is_read_alike(page):
    rng = random.Random(2)
    pairs = [pair(rng) for _ in range(PAIRS)]
    said = page.evaluate(
        """([all, size, place]) => all.map((pair) => {
            const flash = core.flash(size, bytes(pair)), read = flash.otadata(0);
            flash.drop();
            return read;
        })""",
        [[sent(each) for each in pairs], SIZE, OTADATA],
    )
    for data, there in zip(pairs, said, strict=True):
        entries = read_otadata(Flash.from_bytes(data, size=SIZE), 0)
        active = active_otadata(*entries)
        assert there["active"] == (active if active >= 0 else None)
        assert there["entries"] == [
            {
                "seq": entry.ota_seq,
                "state": entry.ota_state,
                "crc": entry.crc,
                "crc_ok": entry.crc_ok,
                "invalid": entry.invalid,
                "bytes": entry.to_bytes().hex(),
            }
            for entry in entries
        ]
    assert {there["active"] for there in said} == {None, 0, 1}


# --------------------------------------------------------------------------------------------------------------- flash


def sequence(rng: random.Random) -> dict[str, Any]:
    """Programs and erases in two sectors, some refused; a cut somewhere, or two."""
    steps = []
    for _ in range(rng.randrange(1, 9)):
        if rng.random() < 0.35:
            steps.append(["erase", rng.choice([0, SECTOR, 2 * SECTOR, 0x800]), SECTOR])
        else:
            length = rng.choice([1, 32, 256, 300])
            steps.append(["program", rng.randrange(2 * SECTOR - length), sent(rng.randbytes(length))])
    cuts = [f"cut@{rng.randrange(6)}{rng.choice(TEARS)}" for _ in range(rng.randrange(3))]
    return {
        "start": sent(rng.randbytes(2 * SECTOR)),
        "strict": rng.random() < 0.2,
        "plan": "+".join(cuts),
        "steps": steps,
    }


def as_python_does(case: dict[str, Any]) -> list[Any]:
    flash = Flash.from_bytes(base64.b64decode(case["start"]), size=SIZE, strict=case["strict"])
    flash.fault = case["plan"]
    said: list[Any] = []
    for kind, address, what in case["steps"]:
        try:
            if kind == "erase":
                flash.erase(address, what)
            else:
                flash.program(address, base64.b64decode(what))
            said.append(True)
        except FlashError as error:
            said.append(f"{error.fact['found']}, expected {error.fact['expected']}")
        except PowerLoss:
            said.append(False)
            flash.power_on()
            said += [flash.read(0, 2 * SECTOR).hex() for _ in range(2)]  # weak cells have another face each time
    flash.power_off()
    flash.power_on()
    return [*said, flash.read(0, 2 * SECTOR).hex(), list(flash.fill()[:3])]


DO = """(cases) => cases.map((one) => {
    const hex = (all) => Array.from(all, (byte) => byte.toString(16).padStart(2, "0")).join("");
    const flash = core.flash(1 << 20, bytes(one.start), one.strict), said = [];
    if (one.plan) flash.arm(one.plan);
    for (const [kind, address, what] of one.steps) {
        try {
            const done = kind === "erase" ? flash.erase(address, what) : flash.program(address, bytes(what));
            said.push(done);
            if (!done) {
                flash.power(true);
                for (let look = 0; look < 2; look++) said.push(hex(flash.read(0, 8192)));
            }
        } catch (error) {
            if (!(error instanceof Refused)) throw error;
            said.push(error.message.replace(/^.*?: found /, ""));
        }
    }
    flash.power(false);
    flash.power(true);
    const end = [...said, hex(flash.read(0, 8192)), [...flash.fill().slice(0, 3)]];
    flash.drop();
    return end;
})"""


def test_programs_erases_and_torn_cells_end_alike(page):
    rng = random.Random(3)
    cases = [sequence(rng) for _ in range(SEQUENCES)]
    said = page.evaluate(DO, cases)
    for case, there in zip(cases, said, strict=True):
        assert there == as_python_does(case), case
    assert any(False in there for there in said)
    assert any(isinstance(each, str) and "expected" in each for there in said for each in there)


def test_the_page_holds_no_flash_for_ever(page):
    kept = page.evaluate(
        "() => { const flash = core.flash(1 << 20); const { number } = flash; flash.drop(); return number; }"
    )
    assert kept < 5
