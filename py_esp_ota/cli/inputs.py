"""What a verb is pointed at, as one flash: a merged image that starts at flash address 0.

Other forms of input (a build directory, separate parts, an image that starts at 0x1000) come in through here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from py_esp_ota._core import Flash, Target
from py_esp_ota.cli.files import Unusable, read_input, write_output
from py_esp_ota.idf.detect import detect_target, load_flash
from py_esp_ota.sdkconfig import Sdkconfig


@dataclass(frozen=True)
class FlashInput:
    """A flash and where it came from.

    ``start`` is the flash address of the file's first byte; ``length`` is how many bytes the file had.
    """

    path: Path
    flash: Flash
    config: Sdkconfig
    start: int
    length: int

    def target(self, chip: str = "auto") -> Target:
        """The chip: named, or told by the images. Raises ``Unusable`` when nothing tells it."""
        if chip != "auto":
            if chip not in Target.names():
                raise click.BadParameter(f"{chip!r} is none of {', '.join(Target.names())}", param_hint="--chip")
            return Target(chip)
        detected = detect_target(self.flash, self.config.partition_table_offset)
        if detected is None:
            raise Unusable(
                f"{self.path}: no image tells which chip this is for; say it with --chip, for example --chip esp32c3"
            )
        return detected

    def save(self) -> None:
        """Write the flash back in the form it came: beside, then renamed."""
        write_output(self.path, self.flash.to_bytes()[self.start : self.start + self.length])


def open_flash(path: Path, *, chip: str = "auto", config: Sdkconfig | None = None) -> FlashInput:  # noqa: ARG001
    """The flash in a file. Raises ``Unusable`` with one sentence for what is none."""
    config = config or Sdkconfig()
    data = read_input(path)
    return FlashInput(path, load_flash(data, config.partition_table_offset), config, 0, len(data))
