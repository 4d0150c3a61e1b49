"""The documentation site: Sphinx over the pages as they stand, from the root of the repository (`make docs`)."""

from __future__ import annotations

import re
from importlib.metadata import version as installed

project = "py_esp_ota"
version = release = installed("py_esp_ota")
copyright = "the authors of py_esp_ota"  # noqa: A001 - Sphinx's word

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
root_doc = "docs/index"
include_patterns = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**.md"]
exclude_patterns = [".venv", "target"]
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

html_theme = "furo"
html_title = f"py_esp_ota {release}"
html_theme_options = {"top_of_page_buttons": []}
html_show_sphinx = False
html_copy_source = False
html_extra_path = ["front"]  # who comes to the site's own address is led to docs/index

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "undoc-members": False, "show-inheritance": True}
autodoc_class_signature = "separated"
napoleon_use_ivar = True  # what a class holds is described once, where it stands


def _markdown_code(_app: object, _what: str, _name: str, _obj: object, _options: object, lines: list[str]) -> None:
    """Docstrings of the core are Markdown, those of Python reStructuredText: one backtick is code in both."""
    for number, line in enumerate(lines):
        lines[number] = re.sub(r"(?<![`:])`([^`]+)`(?!`)", r"``\1``", line)


def setup(app: object) -> None:
    """Sphinx calls this."""
    app.connect("autodoc-process-docstring", _markdown_code)  # type: ignore[attr-defined]
