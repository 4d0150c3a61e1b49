"""Causes in the partition table and the images: what keeps an app from being started."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from py_esp_ota.field.explain.cause import AGAIN as _AGAIN
from py_esp_ota.field.explain.cause import Found, Known, Rule, line
from py_esp_ota.field.explain.course import Step
from py_esp_ota.field.explain.facts import Boot, Fact

_BLANK = 0xFFFFFFFF


def _table_magic(*, blank: bool) -> Callable[[Known], Found | None]:
    def find(known: Known) -> Found | None:
        rows = [fact for fact in known.story.all("table_row_magic") if fact.number("magic") is not None]
        shown = [fact for fact in rows if (fact.number("magic") == 0xFFFF and fact.number("row") == 0) == blank]
        if blank:  # before v5.5 an erased table is one without rows, and not refused
            shown += [
                step.boot.all("table_end", "nothing_bootable")[0]
                for step in known.steps
                if step.boot.first("table")  # where the log begins behind it, its rows may stand before
                and not step.boot.table
                and step.boot.first("table_end")
                and step.boot.first("nothing_bootable")
            ]
        return Found(shown[:2], dict(shown[0].values)) if shown else None

    return find


def _encryption(known: Known) -> Found | None:
    """Something unreadable on a chip that has said that its flash is encrypted."""
    story = known.story
    says = story.all("encrypted", "encryption_refused", "encryption_plain", "encryption_required", "encryption_failed")
    if not says:
        return None
    hard = [fact for fact in says if fact.kind != "encrypted"]
    unread = [
        fact
        for fact in story.all("image_magic", "table_row_magic", "bad_header")
        if fact.number("magic") != 0xFFFF and fact.number("found") != _BLANK
    ]
    shown = [*hard, *unread]
    return Found([*shown[:3], *says[:1]], dict(shown[0].values)) if shown else None


#: Lines of an image that is refused, each the reason of the ``not_bootable`` behind it.
REFUSALS = frozenset({
    "image_magic", "image_count", "image_read", "image_segment", "image_mapping", "image_address", "image_description",
    "image_checksum", "image_length", "image_hash", "image_signature", "image_unsigned", "chip_id", "revision_low",
    "revision_high", "block_low", "block_high", "secure_version_low", "no_description", "map_failed",
})  # fmt: skip


def refusals(boot: Boot) -> Iterator[tuple[Fact | None, Fact]]:
    """Each app that the bootloader passed over: the first line that says why, and the one that says so."""
    why: Fact | None = None
    for fact in boot.by_bootloader:
        if fact.kind in REFUSALS and why is None:
            why = fact
        elif fact.kind == "not_bootable":
            yield why, fact
            why = None
        elif fact.kind == "loaded":
            why = None


def place_of(known: Known, step: Step, fact: Fact) -> str:
    """Who refuses which image, as the beginning of a sentence."""
    if fact in step.boot.by_app:
        return "the app refuses the image that it has written"
    for why, passed in refusals(step.boot):
        if why is fact:
            return f"the bootloader refuses {_called(known, passed)}"
    return "the bootloader refuses an app" if step.boot.first("bootloader", "rom") else "an image is refused"


def _called(known: Known, passed: Fact) -> str:
    slot = passed.number("slot")
    if slot is None:
        return "the factory app"
    row = next((row for row in known.story.table if row.ota_slot == slot), None)
    return f"OTA slot {slot}" if row is None else f"{row.label} at 0x{row.offset:x}"


def image(*kinds: str) -> Callable[[Known], Found | None]:
    """A rule for images that are refused with one of these lines; only the first line of each refusal counts."""

    def find(known: Known) -> Found | None:
        for step in known.steps:
            first = {id(why): passed for why, passed in refusals(step.boot)}
            app = {id(fact) for fact in step.boot.by_app}
            for fact in step.boot.facts:
                if fact.kind not in kinds:
                    continue
                passed = first.get(id(fact))
                if passed is not None or id(fact) in app or step.decision != "nothing":
                    shown = [fact, *([passed] if passed else [])]
                    return Found(shown, {**fact.values, "place": place_of(known, step, fact)})
        return None

    return find


def _old_version(known: Known) -> Found | None:
    """With anti-rollback an app whose secure version is too low is passed over without a line of its own."""
    for step in known.steps:
        burnt = step.boot.first("secure_version")
        for why, passed in refusals(step.boot):
            if why is None and burnt is not None:
                fill = {**burnt.values, "place": f"the bootloader refuses {_called(known, passed)}"}
                return Found([passed, burnt], fill)
    return None


def _no_app_rows(known: Known) -> Found | None:
    for step in known.steps:
        end = step.boot.first("nothing_bootable")
        if (
            end
            and step.boot.table
            and not step.boot.first("not_bootable")
            and not any(row.is_app for row in step.boot.table)
        ):
            return Found([end], {})
    return None


def _nothing(known: Known) -> Found | None:
    shown = known.story.all("nothing_bootable")
    return Found(shown[:2], {}) if shown else None


_SAME_SLOT = (
    "Build it again for this chip and write it, over the air or with `esp-ota write-flash`; ask `esp-ota "
    "image-info` about the .bin first."
)

RULES: tuple[Rule, ...] = (
    Rule(
        "encrypted-plain",
        "fault",
        _encryption,
        "what lies in the flash is not what this chip decrypts: plain bytes on a chip with flash encryption, or "
        "another key's",
        "Write it with `esptool write-flash --encrypt`, or over the air, which encrypts by itself; an image that "
        "was encrypted for another chip is of no use.",
        "",
        6,
    ),
    Rule(
        "table-missing",
        "fault",
        _table_magic(blank=True),
        "there is no partition table where the bootloader looks for it: the flash is erased there",
        "Write partition-table.bin to 0x8000, or to what CONFIG_PARTITION_TABLE_OFFSET says in the bootloader's "
        "own build.",
        "",
        5,
    ),
    Rule(
        "table-garbage",
        "fault",
        _table_magic(blank=False),
        "row {row} of the partition table is none: it begins with 0x{magic:x}, not with 0x50aa",
        "Something was written over the table, a bootloader that is too large for instance, or bootloader and "
        "table were built with different offsets.",
        "",
        5,
    ),
    Rule(
        "table-exceeds-flash",
        "fault",
        line("table_row_size"),
        "partition {row} ends behind the flash: the bootloader's header says 0x{flash:x} bytes, and it needs "
        "0x{size:x} from 0x{offset:x}",
        "Set CONFIG_ESPTOOLPY_FLASHSIZE to the flash that is there, or write with --flash-size detect; or take a "
        "table that fits.",
        "",
        5,
    ),
    Rule(
        "table-md5",
        "fault",
        line("table_md5", "table_md5_twice"),
        "the partition table is damaged: its MD5 does not fit its rows",
        "Write partition-table.bin again; `esp-ota partition-table` checks it.",
        "",
        5,
    ),
    Rule(
        "table-no-end",
        "fault",
        line("table_no_end"),
        "the partition table has no end: all rows are in use, or it was written over",
        "Write partition-table.bin again.",
        "",
        5,
    ),
    Rule(
        "table-refused",
        "fault",
        line("table_refused", "load_table_failed"),
        "the bootloader refuses the partition table",
        "Write partition-table.bin again; `esp-ota partition-table` checks it.",
        "",
        5,
    ),
    Rule(
        "otadata-too-small",
        "fault",
        line("otadata_small"),
        "the otadata partition has {size} bytes and needs 0x2000: the bootloader starts nothing",
        "Give otadata 0x2000 bytes in the partition table.",
        "",
        5,
    ),
    Rule(
        "chip-id",
        "fault",
        image("chip_id"),
        "{place}: it was built for another chip, with id {found} in the place of {expected}",
        "Build for this chip (idf.py set-target) and send that .bin.",
        "",
        7,
    ),
    Rule(
        "chip-revision",
        "fault",
        image("revision_low", "revision_high"),
        "{place}: it wants a chip revision of another kind, {wanted}, and this chip is {found}",
        "Lower CONFIG_ESP_REV_MIN (CONFIG_ESP32_REV_MIN before v5.0) in its build, or take a newer chip.",
        "",
        7,
    ),
    Rule(
        "efuse-block-revision",
        "fault",
        image("block_low", "block_high"),
        "{place}: it wants an eFuse block revision of {wanted}, and this chip has {found}",
        "Build it with another CONFIG_ESP_EFUSE_BLOCK_REV_MIN_FULL.",
        "",
        7,
    ),
    Rule(
        "image-too-long",
        "fault",
        image("image_length"),
        "{place}: it has {length} bytes with hash and signature, and its partition {room}",
        "Make the app smaller or the slots larger; a new table needs a cable, and both slots have to hold the app.",
        "",
        7,
    ),
    Rule(
        "image-segments",
        "fault",
        image("image_segment", "image_address", "image_mapping", "image_count", "image_description"),
        "{place}: its segments are not what an app of this chip has, so it was cut short, damaged or built for "
        "another layout",
        _SAME_SLOT,
        "",
        7,
    ),
    Rule(
        "image-unreadable",
        "fault",
        image("image_read", "map_failed"),
        "{place}: the flash cannot be read there",
        "Check that the table fits the flash, and the flash itself.",
        "",
        7,
    ),
    Rule(
        "image-checksum",
        "fault",
        image("image_checksum"),
        "{place}: its bytes are not those that were built, the checksum is 0x{calculated:x} and not 0x{read:x}",
        _SAME_SLOT,
        "",
        7,
    ),
    Rule(
        "image-hash",
        "fault",
        image("image_hash"),
        "{place}: its bytes are not those that were built, the SHA-256 behind it does not fit",
        "It was changed after it was built, or not all of it was written. " + _SAME_SLOT,
        "",
        7,
    ),
    Rule(
        "image-signature",
        "fault",
        image("image_signature", "image_unsigned", "signature_digests"),
        "{place}: it is not signed with a key that this chip trusts",
        "Sign it with the key whose digest is burnt: `esp-ota sign`; with --verify it judges beforehand.",
        "",
        7,
    ),
    Rule(
        "secure-version",
        "fault",
        _old_version,
        "{place}: its secure version is below the {version} that is burnt in the eFuses",
        "Raise CONFIG_BOOTLOADER_APP_SECURE_VERSION; what is burnt is burnt.",
        "check_anti_rollback",
        7,
    ),
    Rule(
        "no-app-partition",
        "fault",
        _no_app_rows,
        "the partition table has no app partition that the bootloader starts",
        "Put a factory or an OTA row into the table.",
        "",
        7,
    ),
    Rule(
        "image-missing",
        "fault",
        image("image_magic"),
        "{place}: there is no image, the first byte at 0x{offset:x} is not 0xE9",
        "Write an app there; if it came over the air, the slot was erased for an update that did not come to its end.",
        "",
        8,
    ),
    Rule(
        "nothing-bootable",
        "fault",
        _nothing,
        "the bootloader finds no app that it may start, and resets for ever",
        _AGAIN,
        "",
        9,
    ),
    Rule(
        "secure-boot-first",
        "fault",
        line("secure_boot_failed"),
        "Secure Boot could not be switched on at the first boot",
        "See which signature or eFuse it names; nothing may be burnt by hand before.",
        "",
        9,
    ),
)
