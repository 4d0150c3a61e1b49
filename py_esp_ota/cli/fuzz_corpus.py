"""``esp-ota fuzz-corpus``: images for a fuzzer of any language to start from, sound ones and ones with one fault."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from py_esp_ota.cli.complete import chip_option
from py_esp_ota.cli.files import Unusable, print_json, refuse_used, write_output
from py_esp_ota.cli.output import say

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

#: What Hypothesis makes one example of: more than any image asks for.
_CHOICES = 4096
#: Draws in a row that give nothing new before there is held to be nothing more.
_PATIENCE = 1000


@click.command("fuzz-corpus")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--count", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="Files of each sort.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another seed, other images.")
@chip_option("Images for this chip alone; auto is all of them.")
@click.option("--fault", "faults", multiple=True, metavar="KIND", help="Faults of this kind alone; more than once.")
@click.option("--json", "as_json", is_flag=True, help="Print what each file is, as a JSON list.")
def command(folder: Path, count: int, seed: int, chip: str, faults: tuple[str, ...], as_json: bool) -> None:
    """Write DIR/valid and DIR/corrupted: images that a chip takes, and images that it refuses for one fault each.

    The same seed gives the same files, as long as Hypothesis is the same release. A file is named by its fault, its
    chip and its SHA-256. None is signed, and none needs a device to be judged.
    """
    refuse_used(folder)
    chips = None if chip == "auto" else [chip]
    rows = [_written(folder, image) for image in _images(chips, faults, seed, count)]
    if as_json:
        print_json(rows)
    else:
        valid = sum(row["fault"] is None for row in rows)
        say(f"Wrote {valid} files to {folder / 'valid'} and {len(rows) - valid} to {folder / 'corrupted'}")


def _images(chips: list[str] | None, faults: tuple[str, ...], seed: int, count: int) -> Iterator[Any]:
    """``count`` valid ones, and as many with a fault, each kind in its turn."""
    try:
        from py_esp_ota.strategies import DEVICE_FAULT_KINDS, FAULT_KINDS, corrupted_images, images
    except ModuleNotFoundError as missing:
        raise Unusable(str(missing)) from None
    from hypothesis.errors import InvalidArgument

    for kind in faults:
        if kind in DEVICE_FAULT_KINDS:
            raise click.BadParameter(f"{kind} needs a device: no file alone shows it", param_hint="--fault")
    kinds: list[str] = []
    for kind in dict.fromkeys(faults or [kind for kind in FAULT_KINDS if kind not in DEVICE_FAULT_KINDS]):
        try:  # not every chip has every rule
            next(_drawn(corrupted_images(chips=chips, faults=[kind]), kind, 1))
        except InvalidArgument as error:
            if faults:
                raise Unusable(str(error)) from error
        else:
            kinds.append(kind)
    yield from _drawn(images(chips=chips, signed=False), str(seed), count)
    for index, kind in enumerate(kinds):
        share = count // len(kinds) + (index < count % len(kinds))
        yield from _drawn(corrupted_images(chips=chips, faults=[kind]), f"{seed} {kind}", share)


def _drawn(strategy: SearchStrategy[Any], seed: str, count: int) -> Iterator[Any]:
    """So many examples that differ, or all that are found."""
    from hypothesis import HealthCheck, given, settings

    drawn: list[Any] = []

    @settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def take(example: Any) -> None:
        drawn.append(example)

    choices, idle = random.Random(seed), 0  # noqa: S311 (nothing here is secret)
    seen: set[bytes] = set()
    while len(seen) < count and idle < _PATIENCE:
        drawn.clear()
        take.hypothesis.fuzz_one_input(choices.randbytes(_CHOICES))  # type: ignore[attr-defined]
        idle += 1
        for example in drawn:
            if bytes(getattr(example, "data", example)) not in seen:
                seen.add(bytes(getattr(example, "data", example)))
                idle = 0
                yield example


def _written(folder: Path, example: Any) -> dict[str, Any]:
    """The file of one example, and what it is."""
    from py_esp_ota.strategies import CorruptedImage, bench_of

    if isinstance(example, CorruptedImage):
        data, fault, chip = bytes(example.data), example.fault, example.bench.chip
        facts: dict[str, str | None] = {
            "fault": fault.kind,
            "what": fault.what,
            "err": fault.err.name,
            "field": fault.field,
        }
    else:
        data, chip = bytes(example), bench_of(example).chip
        facts = dict.fromkeys(("fault", "what", "err", "field"))
    place = "corrupted" if facts["fault"] else "valid"
    words = [facts["fault"] or "", chip, hashlib.sha256(data).hexdigest()[:16]]
    path = folder / place / f"{'-'.join(filter(None, words))}.bin"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unusable(f"{path.parent}: {error.strerror}") from error
    write_output(path, data)
    return {"file": f"{place}/{path.name}", "chip": chip, **facts}
