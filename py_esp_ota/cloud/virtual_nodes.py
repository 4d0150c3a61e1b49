"""Virtual nodes as the cloud's API and pages see them: the words, and the one door behind which they live.

The cloud treats their messages as those of any board. What it can show and do beyond that, because the board is
simulated beside it, goes through ``VirtualNodes``; who has none serves real boards alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from py_esp_ota.cloud.boards import BoardFacts, TableRow

Power = Literal["on", "off"]


class Act(StrEnum):
    """What a hand can do to a board."""

    POWER_ON = "power_on"
    POWER_OFF = "power_off"
    POWER_CUT = "power_cut"
    """At the next flash operation, in the middle of it; the board lies dead until ``POWER_ON``."""
    RESET = "reset"
    ERASE_FLASH = "erase_flash"
    """With the plug pulled, as a programmer does it; after ``POWER_ON`` nothing boots."""
    REFLASH = "reflash"
    """As it left the factory: bootloader, table, first image, blank otadata and NVS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dials:
    """The circumstances of a board: a fault plan in the grammar of ``py_esp_ota.faults``; empty is fine weather."""

    weather: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNodes:
    """An order for virtual nodes: ``count`` of them, alike but for their ids."""

    count: int
    ota_image_id: str  # the image they leave the factory with
    partitions: str = ""  # a built-in table by name; empty is the usual one for the image's chip and size
    name: str = ""  # of the node; with several, " 1", " 2" ... is added
    prefix: str = ""  # of the node ids; empty takes the image's project name
    type: str = "Lightbulb"
    rollback: bool = True  # CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE
    dials: Dials = Dials()


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualNode:
    """One virtual node as it stands now."""

    node_id: str
    chip: str
    partitions: str
    flash_size: int  # bytes
    power: Power
    cut_armed: bool  # the next flash operation is its last
    dials: Dials
    boots: int  # since the server started
    running: str  # "lamp 1.0.0" or "" when nothing runs
    slot: str  # label of the partition that was booted; "" when nothing boots
    state: str  # the otadata state of that slot, as it stands in flash now


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """One piece of a flash, from the first byte to the last, in the order of addresses and without gaps."""

    label: str
    kind: Literal["bootloader", "table", "otadata", "nvs", "app", "data", "free"]
    offset: int  # bytes
    size: int  # bytes
    note: str  # what is in it, in words: "lamp 1.1.0, runs", "erased", "no image: magic 0x00"
    fill: Sequence[int]  # per sector of 4096 bytes: 0 is erased, 1 to 8 how many eighths of its bytes are not 0xFF
    erases: Sequence[int]  # per sector: how often it was erased since the server started; empty when nobody counted


@dataclass(frozen=True, slots=True, kw_only=True)
class OtadataEntry:
    """One of the two otadata sectors."""

    sequence: int | None  # None when erased
    slot: str  # the partition that the sequence number names
    state: str  # "NEW", "PENDING_VERIFY", ... "" when erased
    crc: int  # as stored
    crc_good: bool
    active: bool  # the one that the bootloader goes by
    why: str  # one sentence: why it is, or is not


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One app partition and the image in it."""

    label: str
    offset: int
    size: int
    runs: bool
    boots_next: bool
    state: str
    project: str
    version: str
    secure_version: int | None
    idf_version: str
    sha256: str  # hex, of the image; "" when there is none
    faults: Sequence[str]  # what is wrong with the image, each in the words of image-info; empty when sound


@dataclass(frozen=True, slots=True, kw_only=True)
class NvsItem:
    """One value in NVS."""

    namespace: str
    key: str
    type: str
    value: str  # as text, cut at 64 characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """The latest boot, and what the chip printed since."""

    number: int  # since the server started
    why: Sequence[str]  # the bootloader's decisions in order, each with the upstream function that takes it
    console: Sequence[str]  # the newest lines, boot log and app


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashLook:
    """A flash opened up: a virtual node's, or a dump of a real board."""

    chip: str
    size: int  # bytes
    operations: int | None  # writes and erases since the server started; None of a dump
    regions: Sequence[Region]
    otadata: Sequence[OtadataEntry]  # two, or none when the table has no otadata
    slots: Sequence[Slot]
    nvs: Sequence[NvsItem]
    trouble: Sequence[str]  # what could not be read, one sentence each
    boot: Boot | None  # of a dump: what its bootloader would decide, with the console it would print
    table: Sequence[TableRow] = ()  # as the bootloader walks it
    bootloader_idf: str = ""  # the release that the bootloader says it is from


class VirtualNodes(Protocol):
    """Virtual nodes beside the cloud. Changes are published to ``Live`` as those of the node.

    Every method raises ``CloudError``: VIRTUAL_NODE_UNKNOWN for an id that is none of these, VIRTUAL_NODE_REFUSED with
    one sentence for what cannot be done.
    """

    def all(self) -> Sequence[VirtualNode]:
        """All of them, by id."""

    def get(self, node_id: str) -> VirtualNode | None:
        """One of them; ``None`` when the node is a real board or unknown."""

    async def add(self, order: NewNodes) -> Sequence[str]:
        """Make nodes and switch them on; their ids. All or none."""

    async def act(self, node_ids: Sequence[str], act: Act) -> None:
        """Do something to each of them. All or none."""

    async def turn(self, node_ids: Sequence[str], dials: Dials) -> None:
        """Set the dials of each of them."""

    async def remove(self, node_ids: Sequence[str]) -> None:
        """Take them away, with their flash; what the cloud knows of the nodes is the caller's to forget."""

    def look(self, node_id: str) -> FlashLook:
        """Its flash now."""

    def facts(self, node_id: str) -> BoardFacts | None:
        """What its board is, cheaply; ``None`` when the node is a real board or unknown."""

    def look_at(self, dump: bytes) -> FlashLook:
        """A flash dump from address 0 of a real board, whose chip its bootloader or an app in it tells."""
