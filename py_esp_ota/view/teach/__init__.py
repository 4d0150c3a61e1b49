"""The page "Pull the plug": a story that a reader drags along its flash operations, and cuts wherever they like.

``teach_page(STORIES["first-ota"], Scene(old, new))`` makes it. ``told`` keeps what a device says and does, ``wrecks``
boots what every cut leaves, ``pack`` writes it down, ``page`` puts the page together; its own half is in ``page/``.
``LESSONS`` names the stories that the lessons are shown in.
"""

from __future__ import annotations

from py_esp_ota.view.teach.lessons import STORIES as LESSONS
from py_esp_ota.view.teach.page import core_wasm, fragment, teach_page
from py_esp_ota.view.teach.wrecks import Limits

__all__ = ["LESSONS", "Limits", "core_wasm", "fragment", "teach_page"]
