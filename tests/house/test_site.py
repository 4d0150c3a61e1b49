"""The documentation as a site: who comes to its address finds it, and the workflow publishes what `make docs` makes."""

from __future__ import annotations

import re
import runpy

import pytest
from pages import ROOT

yaml = pytest.importorskip("yaml")


def test_the_site_has_a_first_page():
    conf = runpy.run_path(str(ROOT / "docs/conf.py"), run_name="conf")
    (front,) = [ROOT / "docs" / folder / "index.html" for folder in conf.get("html_extra_path", [])]
    for link in re.findall(r'(?:url=|href=")([^"]+)"', front.read_text()):
        assert link == f"{conf['root_doc']}.html"


def test_the_workflow_publishes_the_folder_that_make_docs_fills():
    flow = yaml.safe_load((ROOT / ".github/workflows/docs.yml").read_text())
    steps = flow["jobs"]["build"]["steps"]
    assert {"run": "make docs"} in steps
    (upload,) = [step for step in steps if "upload-pages-artifact" in step.get("uses", "")]
    rule = (ROOT / "Makefile").read_text().partition("\ndocs: ")[2].partition("\n\n")[0]
    assert rule.rstrip().endswith(f" docs . {upload['with']['path']}")
    assert flow["jobs"]["publish"]["needs"] == "build"
