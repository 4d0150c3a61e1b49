"""Stands for pip in the pages: what they install is this package, with extras that it has; nothing is installed."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]

asked = re.fullmatch(r"py_esp_ota(?:\[([\w,]+)\])?", " ".join(sys.argv[2:]))
extras = set(asked[1].split(",")) if asked and asked[1] else set()
sys.exit(0 if sys.argv[1] == "install" and asked and extras <= set(PROJECT["optional-dependencies"]) else 1)
