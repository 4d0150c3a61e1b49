"""Take the pictures of the web page again: ``make picture`` writes docs/overview.png, docs/node.png and docs/book.

They are of ``esp-ota serve --demo`` as it runs: nothing in them is arranged by hand, so that they are never stale.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Page, sync_playwright

from tools import book

_OVERVIEW, _NODE = Path("docs/overview.png"), Path("docs/node.png")
_LARGEST = 250_000  # bytes
_WIDTH, _HEIGHT = 1280, 860
_READY = "All of it is alive"
_SHOWN = "Porch lamp"  # its update came to nothing: both slots are in use, and otadata tells of it
_MARGIN = 14


@contextmanager
def demo() -> Iterator[tuple[str, str]]:
    """The demo, from the end of its story on: the addresses of the page, and of the lamp to show."""
    with TemporaryDirectory() as folder:
        command = [str(Path(sys.executable).with_name("esp-ota")), "serve", "--demo", "--data", folder]
        ports = ["--port", "0", "--https-port", "0", "--mqtt-port", "0", "--broker", "embedded"]
        with subprocess.Popen([*command, *ports], stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - ours
            said = ""
            try:
                while _READY not in said and (line := server.stdout.readline() if server.stdout else ""):
                    said += line
                page = re.search(r"^web page +(\S+)", said, re.MULTILINE)
                lamp = re.search(rf"{_SHOWN}.*\n +(\S+)", said)
                if page is None or lamp is None:
                    raise SystemExit(f"the demo came to no end:\n{said}")
                yield page[1], lamp[1]
            finally:
                server.terminate()
                server.communicate()


def _take(page: Page, url: str, target: Path, sections: tuple[str, str] | None = None) -> int:
    """A picture of a page's beginning, or from one section of it to another; its bytes."""
    page.goto(url)
    page.locator('#live[data-state="on"]').wait_for()
    if sections is None:
        page.screenshot(path=target)
    else:
        tops = "([first, last]) => [first, last].map((name) => document.querySelector(name).getBoundingClientRect())"
        top, bottom = page.evaluate(tops, list(sections))
        place = {"x": top["x"] - _MARGIN, "y": top["y"] - _MARGIN + page.evaluate("scrollY")}
        size = {"width": top["width"] + 2 * _MARGIN, "height": bottom["bottom"] - top["top"] + 2 * _MARGIN}
        page.screenshot(path=target, full_page=True, clip=place | size)
    count = target.stat().st_size
    print(f"{target}: {count} bytes")
    return count


@contextmanager
def visitor(url: str) -> Iterator[Page]:
    """Somebody who looks at the page. Raises ``SystemExit`` where there is no Chromium."""
    # The shell draws the same at half the work.
    chromium = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if chromium is None:
        raise SystemExit("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        look = {"viewport": {"width": _WIDTH, "height": _HEIGHT}, "color_scheme": "light", "reduced_motion": "reduce"}
        yield browser.new_page(base_url=url, **look)  # type: ignore[arg-type]
        browser.close()


def main() -> int:
    """Play the demo, look at its overview and at one of its lamps, and do what the book does."""
    with demo() as (url, lamp), visitor(url) as page:
        sizes = [
            _take(page, url, _OVERVIEW),
            _take(page, lamp, _NODE, ("#flash", "section:has([data-part=otadata])")),
        ]
        book.FOLDER.mkdir(exist_ok=True)
        pictures = book.take_all(page, book.FOLDER)
    large = [picture for picture in pictures if picture.stat().st_size > book.LARGEST]
    for picture in large:
        print(f"{picture}: larger than {book.LARGEST} bytes", file=sys.stderr)
    return 0 if max(sizes) <= _LARGEST and not large else 1


if __name__ == "__main__":
    sys.exit(main())
