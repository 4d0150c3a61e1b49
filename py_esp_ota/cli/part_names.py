"""Names of files for what lies in a flash: its labels may say anything, and a folder must hold each once."""

from __future__ import annotations

import string

_PLAIN = frozenset(string.ascii_letters + string.digits + "_-.")


class PartNames:
    """Gives each part a file name of its own, apart from the others on file systems that ignore case, too."""

    def __init__(self, *taken: str) -> None:
        """``taken``: names that no part gets."""
        self._taken = {name.lower() for name in taken}

    def of(self, label: str) -> str:
        """``label.bin``; what is no plain letter becomes ``_``, and a second of the same name gets a number."""
        plain = "".join(letter if letter in _PLAIN else "_" for letter in label).strip(".") or "partition"
        name, number = f"{plain}.bin", 0
        while name.lower() in self._taken:
            number += 1
            name = f"{plain}-{number}.bin"
        self._taken.add(name.lower())
        return name
