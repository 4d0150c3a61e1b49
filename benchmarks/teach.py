"""The default page of `esp-ota teach`, by a hand: `python -m benchmarks.teach`. Exit 1 when a goal is missed."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from py_esp_ota.firmware import Firmware
from py_esp_ota.sweep import STORIES, Scene
from py_esp_ota.view.teach import LESSONS, teach_page

_QUIET = ("--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-sync")
_FRAMES = """() => {
    globalThis.frames60 = [];
    let last = performance.now();
    const frame = (now) => { frames60.push(now - last); last = now; requestAnimationFrame(frame); };
    requestAnimationFrame(frame);
}"""


def main() -> int:
    """Make the page, open it, drag from end to end for four seconds; print what it took."""
    pair = Scene(Firmware("lamp", "1.0.0").to_bytes(), Firmware("lamp", "1.1.0").to_bytes())
    started = time.perf_counter()
    page = teach_page(STORIES["first-ota"], pair, beside=[STORIES[name] for name in LESSONS]).encode()
    made_s = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "page.html"
        file.write_bytes(page)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(_QUIET))
        seen = browser.new_page(viewport={"width": 1280, "height": 900})
        seen.goto(file.as_uri())
        seen.wait_for_function("() => globalThis.teach?.page.shown")
        ready_ms = seen.evaluate("() => performance.now()")
        box = seen.locator("#slider").bounding_box()
        assert box is not None
        seen.mouse.move(box["x"] + 11, box["y"] + box["height"] / 2)
        seen.mouse.down()
        seen.evaluate(_FRAMES)
        until, step = time.perf_counter() + 4, 0
        while time.perf_counter() < until:
            step += 1
            seen.mouse.move(box["x"] + 11 + (step * 7) % (box["width"] - 22), box["y"] + box["height"] / 2)
        frames = sorted(seen.evaluate("() => frames60"))
        browser.close()
    rate = 1000 * len(frames) / sum(frames)
    late = sum(frame > 25 for frame in frames) / len(frames)
    goals = {
        f"made in {made_s:.2f} s (below 10)": made_s < 10,
        f"{len(page) / 1024:.0f} KiB (below 600)": len(page) < 600 << 10,
        f"first interaction after {ready_ms:.0f} ms (below 1000)": ready_ms < 1000,
        f"{rate:.0f} frames a second while dragging, {late:.1%} of them late (60)": rate > 58,
    }
    for words, met in goals.items():
        print("  " if met else "! ", words)
    return 0 if all(goals.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
