"""Small files in one folder, each written beside and renamed: who is killed leaves the old one or the new one."""

from __future__ import annotations

from pathlib import Path


class KeptFiles:
    """Files by name, for their owner alone.

    Args:
        folder: made when the first file comes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self, ending: str) -> list[str]:
        """The names of the files that end so, without that, in order."""
        return sorted(file.name.removesuffix(ending) for file in self.folder.glob(f"[!.]*{ending}"))

    def read(self, name: str) -> bytes | None:
        """What a file holds; ``None`` when there is none. Raises ``OSError``."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Make a file, or put another content in its place. Raises ``OSError``; then nothing has changed."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = self.folder / f".{name}.new"
        partial.touch(0o600)
        partial.write_bytes(content)
        partial.replace(self.folder / name)

    def remove(self, name: str) -> None:
        """Take a file away; one that is not there is no error."""
        (self.folder / name).unlink(missing_ok=True)
