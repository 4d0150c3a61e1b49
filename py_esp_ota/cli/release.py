"""Which release of ESP-IDF is meant, and who says so: the user, an sdkconfig, or the images themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict, TypeVar

import click

from py_esp_ota._core import Target
from py_esp_ota.cli.files import Unusable
from py_esp_ota.cli.inputs import ConfigFile, FlashInput
from py_esp_ota.idf.bootloader.build_release import told_by_app, told_by_flash
from py_esp_ota.releases import Version, release_of, release_text
from py_esp_ota.sdkconfig import Sdkconfig

_F = TypeVar("_F", bound=Callable[..., Any])


class ReleaseDict(TypedDict):
    """The key ``release``."""

    version: str
    source: str


@dataclass(frozen=True)
class Release:
    """A release, and in words who says it."""

    version: Version
    source: str
    #: What an image says, where that is no release.
    text: str = ""

    def __str__(self) -> str:
        return f"ESP-IDF {release_text(self.version)}, {self._source}"

    @property
    def _source(self) -> str:
        return f"{self.source}, which says {self.text}" if self.text else self.source

    def to_dict(self) -> ReleaseDict:
        """As JSON-ready values."""
        return {"version": release_text(self.version), "source": self._source}

    def refuse_other(self, asked: str | None) -> None:
        """Machine code is of the release it is of. Raises ``Unusable`` when another was asked for."""
        wanted = said(asked)
        if wanted is not None and wanted.version not in {self.version, release_of(self.text.partition("-")[0])}:
            raise Unusable(f"--idf-version {asked} contradicts the flash: {self}; machine code cannot be of another")


def idf_version_option(text: str) -> Callable[[_F], _F]:
    """``--idf-version``."""
    return click.option("--idf-version", "asked", metavar="VERSION", help=text)


def said(asked: str | None) -> Release | None:
    """What ``--idf-version`` says. Raises ``click.BadParameter``."""
    if asked is None:
        return None
    version = release_of(asked)
    if version is None:
        raise click.BadParameter(f"{asked!r} is no release, for example v5.5.1", param_hint="--idf-version")
    return Release(version, "by --idf-version")


def in_heading(config: ConfigFile | None) -> Release | None:
    """What an sdkconfig says."""
    if config is None or not config.says_release:
        return None
    return Release(config.config.idf_version, f"by the heading of {config.path}")


def in_app(data: bytes, name: str) -> Release | None:
    """What the descriptor of an app says, the beginning of which is ``data``."""
    told = told_by_app(data, name)
    return None if told is None else Release(*told)


def in_flash(given: FlashInput, target: Target) -> Release | None:
    """What the bootloader's descriptor says, else the first app's that says it."""
    told = told_by_flash(given.flash, target, given.config.partition_table_offset)
    return None if told is None else Release(*told)


def release(asked: str | None, config: ConfigFile | None, found: Release | None) -> Release:
    """The user's word first, then an sdkconfig's heading, then what was ``found`` in an image, else the newest."""
    newest = Release(Sdkconfig().idf_version, "the newest, as nothing says another")
    return said(asked) or in_heading(config) or found or newest
