"""What the page is made of: vendored scripts unchanged, nothing from outside, nothing the policy would block."""

from __future__ import annotations

import hashlib
import re

import pytest

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


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_needs_an_unsafe_policy(path):
    text = path.read_text()
    assert not re.search(r"<script(?![^>]*\ssrc=\"/static/)", text)
    assert "<style" not in text
    assert not re.search(r"\sstyle=", text)
    assert not re.search(r"\s(on\w+|hx-on[\w:-]*)=", text)
    assert "|safe" not in text.replace(" ", "")
    assert "autoescape" not in text


@pytest.mark.parametrize("path", [*TEMPLATES, *STATIC.glob("*.css"), *STATIC.glob("*.js")], ids=lambda path: path.name)
def test_nothing_is_fetched_from_outside(path):
    assert not re.search(r"(https?:)?//[\w.-]+\.\w+", path.read_text())
    assert "@import" not in path.read_text()


def test_every_icon_that_is_used_exists():
    used = {name for path in TEMPLATES for name in re.findall(r"(?:icon|empty)\(\"(\w+)\"", path.read_text())}
    drawn = set(re.findall(r'id="(\w+)"', (STATIC / "icons.svg").read_text()))
    assert used <= drawn
