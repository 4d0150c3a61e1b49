"""What would keep a node from an image, foretold before anything is sent: rules over facts. No I/O and no clock.

Each rule is one line of a table, in the order in which a node meets them: first what the cloud itself does, then the
checks of the agent and of ESP-IDF in a default build. The first one that applies is the one that the node will speak
of. What is not known of a board foretells nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from py_esp_ota.cloud.boards import NOTHING_KNOWN, BoardFacts, TableRow

NO_LIMIT = 0xFFFF
"""``max_chip_rev_full`` of an image that knows no highest revision."""
_PENDING = "PENDING_VERIFY"


class Certainty(StrEnum):
    """What an obstacle comes to."""

    WILL_REFUSE = "will_refuse"
    MAY_REFUSE = "may_refuse"  # a default build does, or what is known may be old
    UNKNOWN = "unknown"
    WAITS = "waits"  # it refuses nothing, and has to wait
    NOTHING_TO_DO = "nothing_to_do"
    RISK = "risk"  # it takes the image, and has no way back


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What an image says of itself."""

    project: str
    version: str
    chip: str  # "" when its header names a chip that nobody knows
    size: int  # bytes of the file
    secure_version: int = 0
    min_chip_revision: int = 0  # major * 100 + minor
    max_chip_revision: int = NO_LIMIT
    signed: bool = False  # by Secure Boot V2; of ESP32's first scheme nobody can tell


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What the cloud knows of a node."""

    version: str = ""
    project: str = ""
    chip: str = ""
    online: bool = False
    has_user: bool = False  # besides the local admin
    before: str = ""  # the open job of higher priority that it has before this one
    board: BoardFacts = NOTHING_KNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the job is to be started, as far as nodes notice."""

    force_push: bool = False
    user_approval: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Why a node will not take the image, or not now."""

    reason: str
    sentence: str
    certainty: Certainty
    advice: str
    refused_by: str = ""  # the function upstream; empty of what the cloud decides itself
    reported: str = ""  # in the node's words


@dataclass(frozen=True, slots=True)
class _Rule:
    reason: str
    certainty: Certainty
    applies: Callable[[ImageFacts, NodeFacts, Options], bool]
    sentence: Callable[[ImageFacts, NodeFacts], str]
    advice: str
    refused_by: str = ""
    reported: str = ""


def obstacles(image: ImageFacts, node: NodeFacts, options: Options) -> tuple[Obstacle, ...]:
    """What would keep a node from an image, in the order in which the node meets it; empty for one that takes it."""
    return tuple(
        Obstacle(
            reason=rule.reason,
            sentence=rule.sentence(image, node),
            certainty=rule.certainty,
            advice=rule.advice,
            refused_by=rule.refused_by,
            reported=rule.reported,
        )
        for rule in _RULES
        if rule.applies(image, node, options)
    )


def wrong_chip(image_chip: str, node_chip: str) -> bool:
    """Whether an image is for another chip, as far as both are known."""
    return bool(image_chip and node_chip) and image_chip != node_chip


# --------------------------------------------------------------------------------------------------------------- facts


def _chip(node: NodeFacts) -> str:
    return node.chip or node.board.chip


def _silent(node: NodeFacts) -> str:
    """What a node has not said of itself."""
    words = {"version": node.version, "project": node.project, "chip": _chip(node)}
    return " and ".join(name for name, value in words.items() if not value)


def _same_version(image: ImageFacts, node: NodeFacts) -> bool:
    return node.version == image.version


def _pushed(node: NodeFacts, options: Options) -> bool:
    """Whether it gets the URL without asking, and so whatever it runs."""
    return node.online and (options.force_push or options.user_approval)


def _free(node: NodeFacts) -> TableRow | None:
    return node.board.free_slot


def _too_small(image: ImageFacts, node: NodeFacts) -> bool:
    free = _free(node)
    return free is not None and free.size < image.size


def _unconfirmed(node: NodeFacts) -> bool:
    """Whether the running app still waits for its self-test: the entry with the highest sequence says so."""
    written = [entry for entry in node.board.otadata if entry.sequence is not None]
    return bool(written) and max(written, key=lambda entry: entry.sequence or 0).state == _PENDING


def _slot_sentence(image: ImageFacts, node: NodeFacts) -> str:
    free = _free(node)
    return f"The image has {image.size:,} bytes, its slot {free.label} {free.size:,}" if free else ""


def _revision(revision: int) -> str:
    return f"v{revision // 100}.{revision % 100}"


# --------------------------------------------------------------------------------------------------------------- rules

_WILL, _MAY = Certainty.WILL_REFUSE, Certainty.MAY_REFUSE
_RULES: tuple[_Rule, ...] = (
    _Rule(
        "up_to_date",
        Certainty.NOTHING_TO_DO,
        lambda image, node, options: _same_version(image, node) and not _pushed(node, options),
        lambda image, _node: f"It runs {image.version} already: when it asks, the job ends there as a success",
        "Nothing, or leave it out.",
    ),
    _Rule(
        "no_user",
        Certainty.WAITS,
        lambda _image, node, options: options.user_approval and not node.has_user,
        lambda _image, _node: "It has no user but the local admin who could approve the update",
        "Have its user add the node, or start the job without user approval.",
    ),
    _Rule(
        "earlier_job",
        Certainty.WAITS,
        lambda _image, node, _options: bool(node.before),
        lambda _image, node: f"Job {node.before} has a higher priority and comes first",
        "Let that job end or cancel it, or give this one a higher priority: 1 is the highest.",
    ),
    _Rule(
        "offline",
        Certainty.WAITS,
        lambda _image, node, _options: not node.online,
        lambda _image, _node: "It is offline and asks for updates when it connects after its next boot",
        "Nothing: it comes by itself. With CONFIG_ESP_RMAKER_OTA_AUTOFETCH_PERIOD it asks every so many hours, too.",
    ),
    _Rule(
        "not_introduced",
        Certainty.UNKNOWN,
        lambda _image, node, _options: bool(_silent(node)),
        lambda _image, node: f"It has not said its {_silent(node)}, so that nobody knows what it will do",
        "Wait until it has connected once, or leave it out.",
    ),
    _Rule(
        "no_slot",
        _WILL,
        lambda _image, node, _options: bool(node.board.table) and not node.board.ota_slots,
        lambda _image, _node: "Its partition table has no OTA slot at all",
        "Flash it by cable with a table that has two OTA slots.",
        "esp_https_ota_begin",
        "OTA Begin failed: ESP_FAIL",
    ),
    _Rule(
        "project",
        _WILL,
        lambda image, node, _options: bool(node.project and image.project) and node.project != image.project,
        lambda image, node: f"The image is of project {image.project}, the node runs {node.project}",
        "Choose the image of its project. Only a build with CONFIG_ESP_RMAKER_SKIP_PROJECT_NAME_CHECK takes another.",
        "validate_image_header",
        "Project Name mismatch",
    ),
    _Rule(
        "same_version",
        _WILL,
        lambda image, node, options: _same_version(image, node) and _pushed(node, options),
        lambda image, _node: f"It runs {image.version} already and refuses what is pushed to it",
        "Leave it out, or do not push: a node that asks is told that it is up to date.",
        "validate_image_header",
        "Same version received",
    ),
    _Rule(
        "secure_version",
        _WILL,
        lambda image, node, _options: (node.board.secure_version or 0) > image.secure_version,
        lambda image, node: (
            f"The image has secure version {image.secure_version}, its eFuses ask for {node.board.secure_version}"
        ),
        "Build the image with CONFIG_BOOTLOADER_APP_SECURE_VERSION at least as high.",
        "validate_image_header",
        "Lower secure version received",
    ),
    _Rule(
        "one_slot",
        _WILL,
        lambda _image, node, _options: (
            len(node.board.ota_slots) == 1 and node.board.runs == node.board.ota_slots[0].label
        ),
        lambda _image, node: f"It runs from {node.board.runs}, its only OTA slot",
        "Flash it by cable with a table that has two OTA slots.",
        "esp_ota_begin",
        "OTA failed: ESP_ERR_OTA_PARTITION_CONFLICT",
    ),
    _Rule(
        "unconfirmed",
        _MAY,  # it may have confirmed itself since
        lambda _image, node, _options: _unconfirmed(node),
        lambda _image, _node: "The app that runs has not confirmed itself yet",
        "Wait until its self-test is through.",
        "esp_ota_begin",
        "OTA failed: ESP_ERR_OTA_ROLLBACK_INVALID_STATE",
    ),
    _Rule(
        "chip",
        _WILL,
        lambda image, node, _options: wrong_chip(image.chip, _chip(node)),
        lambda image, node: f"The image is for {image.chip}, the node is an {_chip(node)}",
        "Choose the image that was built for its chip.",
        "esp_ota_check_image_validity",
        "Chip revision mismatch",
    ),
    _Rule(
        "chip_revision",
        _WILL,
        lambda image, node, _options: (
            node.board.chip_revision is not None and node.board.chip_revision < image.min_chip_revision
        ),
        lambda image, node: (
            f"The image needs chip revision {_revision(image.min_chip_revision)}, "
            f"this chip is {_revision(node.board.chip_revision or 0)}"
        ),
        "Build it for older revisions: CONFIG_<CHIP>_REV_MIN.",
        "esp_ota_check_image_validity",
        "Chip revision mismatch",
    ),
    _Rule(
        "chip_revision_above",
        _MAY,  # a fuse can tell the chip not to look at it
        lambda image, node, _options: (
            image.max_chip_revision not in {0, NO_LIMIT} and (node.board.chip_revision or 0) > image.max_chip_revision
        ),
        lambda image, node: (
            f"The image knows chips up to revision {_revision(image.max_chip_revision)}, "
            f"this one is {_revision(node.board.chip_revision or 0)}"
        ),
        "Build it with an ESP-IDF that knows this revision.",
        "esp_ota_check_image_validity",
        "Chip revision mismatch",
    ),
    _Rule(
        "slot_too_small",
        _WILL,
        lambda image, node, _options: _too_small(image, node),
        _slot_sentence,
        "Make the image smaller, or flash the node by cable with a table that has larger slots.",
        "esp_ota_write",
        "OTA failed: ESP_ERR_INVALID_SIZE",
    ),
    _Rule(
        "unsigned",
        _WILL,
        lambda image, node, _options: node.board.secure_boot is True and not image.signed,
        lambda _image, _node: "Secure Boot is on, and no Secure Boot V2 signature is behind the image",
        "Sign the image with a key whose digest is in its eFuses.",
        "esp_ota_end",
        "Image validation failed",
    ),
    _Rule(
        "no_rollback",
        Certainty.RISK,
        lambda _image, node, _options: node.board.rollback is False,
        lambda _image, _node: "Its bootloader cannot roll back: an image that fails its self-test stays",
        "Try the image on other nodes first. A bootloader with CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE comes by cable.",
        "esp_ota_mark_app_invalid_rollback_and_reboot",
    ),
)

REASONS: tuple[str, ...] = tuple(rule.reason for rule in _RULES)
"""The short names of all of them, in their order."""
