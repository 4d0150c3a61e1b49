"""Chromium for the tests, without a window."""

from __future__ import annotations

import shutil

import pytest

#: The shell draws as the whole browser does, at half the work: no window, extensions or accounts stand behind it.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-prefers-reduced-motion",  # a dot that breathes is drawn again sixty times in each second of waiting
)

IN_A_BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
