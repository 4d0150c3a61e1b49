"""Take the picture of the sweep's page again: ``make picture`` writes docs/sweep.png."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright

from py_esp_ota.firmware import Firmware
from py_esp_ota.sweep import STORIES, Scene, sweep
from py_esp_ota.view.sweep_html import sweep_html

_TARGET = Path("docs/sweep.png")
_LARGEST = 150_000  # bytes
_WIDTH = 1000


def main() -> int:
    """Sweep, open the page, look at the last write of otadata, take the picture."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("chromium is not installed", file=sys.stderr)
        return 2
    old, new = (Firmware("lamp", version, size=0x4000).to_bytes() for version in ("1.0.0", "1.1.0"))
    report = sweep(STORIES["second-ota"], Scene(old, new))
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "sweep.html"
        file.write_text(sweep_html(report), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": _WIDTH, "height": 900}, color_scheme="light")
        page.goto(file.as_uri())
        page.locator("#number").fill(str(len(report.operations) - 1))
        page.locator("#number").blur()
        height = page.locator("#close").evaluate("canvas => canvas.getBoundingClientRect().top")
        page.screenshot(path=_TARGET, clip={"x": 0, "y": 0, "width": _WIDTH, "height": height})
        browser.close()
    size = _TARGET.stat().st_size
    print(f"{_TARGET}: {size} bytes")
    return 0 if size <= _LARGEST else 1


if __name__ == "__main__":
    sys.exit(main())
