"""The Python of README and the how-to pages is typed as strictly as the package."""

from __future__ import annotations

import re
import subprocess
import sys

from pages import ROOT, blocks

FOLDERS = ("docs/howto", "docs/tutorial", "docs/lessons")
PAGES = [ROOT / "README.md", *sorted(page for folder in FOLDERS for page in (ROOT / folder).glob("*.md"))]


def test_every_block_passes_mypy_strict(tmp_path):
    for page in PAGES:
        for number, block in enumerate(blocks(page.read_text())):
            if block.language == "python":
                name = re.sub(r"\W", "_", f"{page.stem}_{number}")
                (tmp_path / f"{name}.py").write_text(block.text)
                if block.file and not block.file.startswith("test_"):
                    (tmp_path / block.file).write_text(block.text)  # a module that later blocks import
    # The package's own options and cache: what `make types` has looked at is not looked at again.
    call = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml"), str(tmp_path)]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
