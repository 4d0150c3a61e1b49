"""What ``esp-ota sweep`` puts into folders: one power cut, for a board; a pack of evidence, for who asks for proof."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn

import click

from py_esp_ota import _core
from py_esp_ota._core import inspect_image
from py_esp_ota.cli.files import Unusable, place_folder, print_json, read_input, refuse_used, write_folder
from py_esp_ota.cli.needing import needing
from py_esp_ota.cli.output import say
from py_esp_ota.cli.release import ReleaseDict
from py_esp_ota.sweep import Scene, Story, SweepReport
from py_esp_ota.sweep.export import Export
from py_esp_ota.view.clauses import Facts
from py_esp_ota.view.evidence import MANIFEST, SIGNATURE, evidence_files, manifest
from py_esp_ota.view.sweep_words import runs
from py_esp_ota.view.visible import visible

_LARGEST_KEY = 1 << 16
_EPOCH = "SOURCE_DATE_EPOCH"


def write_export(cut: Export, folder: Path, *, as_json: bool) -> NoReturn:
    """The files of one cut, the lines that use them, and no more: exit 1 when it breaks a promise.

    Raises ``Unusable`` for a folder with something in it.
    """
    refuse_used(folder)
    write_folder(folder, cut.files())
    if as_json:
        print_json(cut.to_dict(str(folder)))
    else:
        say(f"{visible(cut.plan)} ends with: {runs(cut.ending)}", "on a board:", f"  {cut.esptool(str(folder))}")
        say(*(f"  {note}" for note in cut.notes()), "here:", f"  {cut.boot(str(folder))}")
    sys.exit(1 if cut.ending.outcome == "violation" else 0)


# ------------------------------------------------------------------------------------------------------------ evidence


@dataclass(frozen=True, slots=True)
class Cuts:
    """Which power cuts a run tried, as the options of the verb say it."""

    depth: int
    cut: int | None
    shard: str
    seed: int
    limit: int
    _: KW_ONLY
    clean: bool

    @property
    def words(self) -> list[str]:
        """The options."""
        numbers = {"--depth": self.depth, "--shard": self.shard, "--seed": self.seed, "--limit": self.limit}
        words = [str(word) for option in numbers.items() for word in option]
        return words + (["--cut", str(self.cut)] if self.cut is not None else []) + (["--clean"] if self.clean else [])

    @property
    def left_out(self) -> tuple[str, ...]:
        """What a sweep can try and this one did not, in words."""
        said = {
            f"cuts of any operation but operation {self.cut}": self.cut is not None,
            f"cuts outside of shard {self.shard}": self.cut is None and not self.shard.endswith("/1"),
            "cuts inside of operations": self.clean,
            "cuts of the recovery after a cut": self.depth == 1,
            f"cuts of the recovery beyond {self.limit:,}": self.depth > 1,
        }
        return tuple(words for words, left in said.items() if left)


@dataclass(frozen=True, slots=True)
class Pack:
    """One run, as a pack of evidence tells it.

    ``words`` is the command as a case is replayed with it, without what ``cuts`` and ``paced`` add to it. ``inputs``:
    each file by the word that names it, ``None`` for none.
    """

    story: Story
    scene: Scene
    report: SweepReport
    words: str
    cuts: Cuts
    paced: Mapping[str, str | None]
    release: ReleaseDict
    inputs: Mapping[str, Path | None]

    @property
    def command(self) -> str:
        """The line that makes this run again."""
        paced = [word for option in self.paced.items() if option[1] is not None for word in option]
        return f"{self.words} {shlex.join([*self.cuts.words, *map(str, paced)])}"


def read_key(file: Path) -> bytes:
    """A private key of the user that can sign a pack. Raises ``Unusable``."""
    with needing("--evidence-key", "sign"):
        from py_esp_ota.detached import sign_bytes
    key = read_input(file, limit=_LARGEST_KEY, what="a key")
    try:
        sign_bytes(b"", key)
    except ValueError as error:
        raise Unusable(f"{file}: {error}") from error
    return key


def write_evidence(pack: Pack, folder: Path, key: bytes | None) -> None:
    """The pack with its manifest, signed where there is a key; the same bytes for the same run. Raises ``Unusable``."""
    config = pack.story.scene(pack.scene).config
    facts = Facts(
        report=pack.report,
        old=_name(pack.scene.old),
        new=_name(pack.scene.new),
        left_out=pack.cuts.left_out,
        signatures=config.signature_scheme if config.secure_signed_on_boot or config.secure_signed_on_update else None,
        anti_rollback=config.bootloader_app_anti_rollback,
        installs=pack.story.goal == "new",
        reports=pack.story.reports,
    )
    run: dict[str, Any] = {
        "tool": _tool(),
        "command": pack.command,
        "story": {"name": pack.story.name, "text": pack.story.text},
        "release": dict(pack.release),
        "created": _created(),
        "inputs": [_input(word, file) for word, file in pack.inputs.items() if file is not None],
        "signed_by": None,
    }
    if key is not None:
        from py_esp_ota.detached import key_name, sign_bytes

        run["signed_by"] = key_name(key)
    artifact = str(pack.inputs["NEW"])
    parts = evidence_files(facts, run, command=f"{pack.words} --replay", artifact=artifact)
    parts[MANIFEST] = manifest({name: _sha256(data) for name, data in parts.items()})
    if key is not None:
        parts[SIGNATURE] = sign_bytes(parts[MANIFEST], key)
    place_folder(folder, parts)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _name(image: bytes) -> str:
    """``lamp 1.1.0``."""
    desc = inspect_image(image).app_desc
    return visible(f"{desc.project_name} {desc.version}") if desc else "an app"


def _input(word: str, file: Path) -> dict[str, Any]:
    data = read_input(file)
    desc = inspect_image(data).app_desc
    told = {"project_name": desc.project_name, "version": desc.version} if desc else {}
    return {"role": word, "name": str(file), "sha256": _sha256(data), "length": len(data), **told}


def _tool() -> dict[str, Any]:
    """Which program it was: its version, and the bytes that were run, compiled and not."""
    package = files("py_esp_ota")
    sources = hashlib.sha256()
    for path in sorted(Path(str(package)).rglob("*.py")):
        sources.update(path.relative_to(str(package)).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    core = Path(str(_core.__file__))
    return {
        "name": "py_esp_ota",
        "version": version("py_esp_ota"),
        "python_sources_sha256": sources.hexdigest(),
        "core": {"file": core.name, "sha256": _sha256(core.read_bytes())},
        "python": platform.python_version(),
    }


def _created() -> str:
    """Now, or the moment that SOURCE_DATE_EPOCH says, so that a pack can be made again byte for byte."""
    said = os.environ.get(_EPOCH, "")
    if said and not (said.isascii() and said.isdigit()):
        raise click.UsageError(f"{_EPOCH} is {said!r}, which is no number of seconds")
    try:
        moment = time.gmtime(int(said) if said else time.time())
    except (OverflowError, ValueError, OSError) as error:
        raise click.UsageError(f"{_EPOCH} is {said!r}, beyond the years that a clock has") from error
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", moment)
