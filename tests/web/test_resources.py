"""What the page is made of: vendored scripts unchanged, nothing from outside, nothing the policy would block."""

from __future__ import annotations

import hashlib
import re

from py_esp_ota.cloud.web.site import HERE

STATIC, VENDOR, TEMPLATES = HERE / "static", HERE / "static/vendor", sorted((HERE / "templates").glob("*.html"))
TABLE = re.findall(
    r"\| `([\w.]+)` \| `[\w.-]+` \| ([\d.]+) \| 0BSD \| `([0-9a-f]{64})` \|", (VENDOR / "README.md").read_text()
)


def test_every_vendored_script_has_its_hash_and_its_licence():
    assert {name for name, _, _ in TABLE} == {path.name for path in VENDOR.glob("*.js")}
    for name, _, sha256 in TABLE:
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == sha256
        assert "BSD" in (VENDOR / f"{name}.LICENSE").read_text()


def test_htmx_is_the_version_that_is_written_down():
    version = next(version for name, version, _ in TABLE if name == "htmx.min.js")
    assert f'version:"{version}"' in (VENDOR / "htmx.min.js").read_text()


def test_every_field_has_the_look_of_the_page():
    fields = {field for path in TEMPLATES for field in re.findall(r"<input\b[^>]*>", path.read_text())}
    assert [field for field in fields if " type=" not in field] == []
    kinds = {kind for field in fields for kind in re.findall(r' type="(\w[\w-]*)"', field)}
    styles = "".join(path.read_text() for path in STATIC.glob("*.css"))
    assert {kind for kind in kinds if f'[type="{kind}"]' not in styles} <= {"hidden", "file"}


UNSAFE = (
    r"<script(?![^>]*\ssrc=\"/static/)",
    r"<style",
    r"\sstyle=",
    r"\s(on\w+|hx-on[\w:-]*)=",
    r"\|\s*safe",
    r"autoescape",
)
OUTSIDE = (r"(https?:)?//[\w.-]+\.\w+", r"@import")


def found(paths, patterns):
    """What is in these files and should not be, each by its name."""
    return [(path.name, pattern) for path in paths for pattern in patterns if re.search(pattern, path.read_text())]


def test_no_template_needs_an_unsafe_policy():
    assert found(TEMPLATES, UNSAFE) == []


def test_nothing_is_fetched_from_outside():
    assert found([*TEMPLATES, *STATIC.glob("*.css"), *STATIC.glob("*.js")], OUTSIDE) == []


def test_in_the_dark_a_page_has_other_colours_and_nothing_else():
    """So what a page is wide, and where it breaks, is looked at in the light alone."""
    styles = "".join(path.read_text() for path in STATIC.glob("*.css"))
    assert styles.count("prefers-color-scheme") == 1
    dark = re.search(r"@media \(prefers-color-scheme: dark\) \{\n  :root \{\n(.*?)  \}\n\}\n", styles, re.DOTALL)[1]
    colour = r"    --(?:\w|-)+: (?:#[0-9a-f]{6}|\d+%|none|0 \d+px \d+px rgb\(0 0 0 / \d+%\));"
    assert [line for line in dark.splitlines() if line and not re.fullmatch(colour, line)] == []


def test_every_icon_that_is_used_exists():
    used = {name for path in TEMPLATES for name in re.findall(r"(?:icon|empty)\(\"(\w+)\"", path.read_text())}
    drawn = set(re.findall(r'id="(\w+)"', (STATIC / "icons.svg").read_text()))
    assert used <= drawn
