"""What must hold after any power cut, and where the chip itself does not hold it."""

from __future__ import annotations

from dataclasses import dataclass

from py_esp_ota._core import OtaSelectEntry, active_otadata, ota_slot
from py_esp_ota.errors import EspError
from py_esp_ota.idf.bootloader.start import BootReport
from py_esp_ota.idf.rollback import OtaImgState
from py_esp_ota.sweep.life import Left, Life, Past, left_on
from py_esp_ota.sweep.scene import Scene
from py_esp_ota.sweep.stories import Settings, Story


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise that does not hold. ``as_the_chip`` says which upstream function breaks it, ``""`` when none does."""

    why: str
    as_the_chip: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a story's own run tells of its promises: where it may run, and what the app may find in NVS."""

    story: Story
    scene: Scene
    places: frozenset[str]
    settings: tuple[Settings, Settings]


def check_boot(life: Life, terms: Terms, left: Left) -> Broken | None:
    """One boot that found ``left``."""
    report = life.report
    if report.partition is None:
        return Broken(f"nothing boots: {report.why[-1]}")
    label = report.partition.label
    new = life.runs(terms.scene.new)
    others = (terms.scene.old, terms.scene.recovery)
    if not new and not any(image and life.runs(image) for image in others):
        return Broken(f"{label} boots, and holds neither the old image nor the new one")
    burnt = life.chip.efuse.secure_version
    if life.config.bootloader_app_anti_rollback and report.app_desc and report.app_desc.secure_version < burnt:
        return Broken(f"{label} boots with secure version {report.app_desc.secure_version}, the eFuse says {burnt}")
    if terms.story.places and label not in terms.places:
        why = f"{label} boots, which is neither where the device ran nor where it was to go"
        return Broken(why, _as_otadata_says(life, left.otadata) if terms.story.chip_loses_places else "")
    refused = next((reason for reason in report.why if "is not bootable" in reason), None)
    if refused is not None:
        return Broken(f"otadata chooses a slot that does not boot: {refused}")
    if new and not left.confirmed and life.config.bootloader_app_rollback_enable and _ran_before(life):
        why = f"the new image in {label} boots once more, and never confirmed itself"
        led = life.has_factory or any(e.valid for e in left_on(life.flash, life.config, Past()).otadata)
        return Broken(why, "" if led else _NO_ENTRY)
    if new and report.state == "VALID" and not left.confirmed:
        return Broken(
            f"the new image in {label} is VALID, and never confirmed itself", _self_healed(report, left.otadata)
        )
    return None


_NO_ENTRY = (
    "bootloader_utility_load_boot_image tries every slot in turn when otadata names none and there is no factory"
)


def _ran_before(life: Life) -> bool:
    """Whether the boot before this one started the same partition on trial."""
    if len(life.boots) < 2:
        return False
    before, now = life.boots[-2:]
    return before.partition == now.partition and before.state == "PENDING_VERIFY"


def _as_otadata_says(life: Life, left: tuple[OtaSelectEntry, ...]) -> str:
    """An entry is erased before it is written, so for a while the other one decides, or none."""
    partition, count = life.report.partition, life.slots
    if len(left) != 2 or partition is None or count == 0:
        return ""
    if any(write.entry.ota_state == OtaImgState.ABORTED for write in life.report.otadata_writes):
        return "esp_ota_set_boot_partition makes the app that runs prove itself again, and this boot it had not"
    active = active_otadata(*left)
    if active < 0:
        return "rewrite_ota_seq erases an entry before it writes it, and no other one is valid"
    if partition.ota_slot != ota_slot(left[active].ota_seq, count):
        return ""
    return f"rewrite_ota_seq erases an entry before it writes it: for a while entry {active} alone decides"


def _self_healed(report: BootReport, left: tuple[OtaSelectEntry, ...]) -> str:
    if any(entry.valid for entry in left) or not report.otadata_writes:
        return ""
    return "set_actual_ota_seq makes a VALID entry for the slot that boots when otadata is blank"


def check_settings(life: Life, terms: Terms, left: Left) -> Broken | None:
    """Each value the app keeps is the old one or the new one."""
    if terms.story.settings is None:
        return None
    try:
        found = terms.story.settings(life)
    except EspError as error:
        return Broken(f"NVS cannot be read: {error}")
    before, after = terms.settings
    for key, value in found.items():
        if value not in (before[key], after[key]):
            lost = value is None and isinstance(before[key], bytes)
            reason = "Page::mLoadEntryTable erases the chunks of a blob whose index was not written" if lost else ""
            why = f"NVS has {value!r} for {key}, neither the old value nor the new one"
            return Broken(why, left.nvs_flaw or reason)
    return None


def tell_again(life: Life, terms: Terms) -> Broken | None:
    """The story can be told after the cut."""
    try:
        terms.story.act(life, terms.scene)
    except EspError as error:
        return Broken(f"the story cannot be finished: {error}")
    return None


def check_end(life: Life, terms: Terms, left: Left) -> Broken | None:
    """Told again, it has come to its goal."""
    story, scene = terms.story, terms.scene
    if not life.runs(scene.new if story.goal == "new" else scene.old):
        runs = life.report.partition.label if life.report.partition else "nothing"
        return Broken(f"the story cannot be finished: at its end {runs} runs, not the {story.goal} image")
    # Weak cells read otherwise at each look; what is on trial says so each time.
    if story.goal == "new" and all(life.state == "PENDING_VERIFY" for _ in range(4)):
        return Broken("the story cannot be finished: at its end the new image is still on trial")
    burnt, wanted = life.chip.efuse.secure_version, life.report.app_desc.secure_version if life.report.app_desc else 0
    if life.config.bootloader_app_anti_rollback and story.goal == "new" and burnt != wanted:
        return Broken(f"the story cannot be finished: the eFuse is at {burnt}, the new image at {wanted}")
    return _unheard(life, left) if story.reports else check_settings(life, terms, left)


def _unheard(life: Life, left: Left) -> Broken | None:
    """A node says that all went well as the very last thing, and what it needs to know for that is in NVS."""
    if life.heard[-1:] == ["success"]:
        return None
    last = life.heard[-1] if life.heard else "nothing"
    why = f"the new image runs, and the last that the cloud hears after the cut is {last}"
    if left.confirmed:
        return Broken(why, "esp_rmaker_ota_manage_rollback confirms the app and forgets the job before it reports")
    return Broken(why, left.nvs_flaw)
