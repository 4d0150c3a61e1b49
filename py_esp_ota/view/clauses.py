"""What a sweep says about clauses of the EU's Cyber Resilience Act and of UN Regulation No 156, and what it does not.

A clause is named and its subject told in our own words; the text that counts is the published one. A sweep is a test of
a model: it can show that something held in it, or that it did not, and about most of a clause it says nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from py_esp_ota.sweep.result import SweepReport
from py_esp_ota.view.time_words import pace_words, takes_words

CRA = "Regulation (EU) 2024/2847 (Cyber Resilience Act)"
R156 = "UN Regulation No 156 (software update)"

#: ``held``: in the model, in every case that was cut. ``not held``: in some case it was not. ``recorded``: the pack
#: holds it. ``not shown``: the run is not about it.
Answer = Literal["held", "not held", "recorded", "not shown"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a statement may lean on: the report, how much was cut, and how the device was built."""

    report: SweepReport
    old: str
    new: str
    left_out: tuple[str, ...]
    signatures: str | None
    anti_rollback: bool
    installs: bool
    reports: bool

    @property
    def cuts(self) -> int:
        """How many power cuts were judged."""
        return len(self.report.cases)

    @property
    def dead(self) -> int:
        """After how many of them nothing boots."""
        return sum(self.report.endings[case.ending].partition is None for case in self.report.cases)

    @property
    def broken(self) -> int:
        """After how many of them a promise is broken, be it by ESP-IDF itself."""
        return self.report.outcomes["violation"] + self.report.outcomes["as_the_chip"]


class Said(NamedTuple):
    """An answer, what the run shows, and what it does not show."""

    answer: Answer
    shows: str
    open: str


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause: where it stands, what it is about in our words, and what a run says to it."""

    document: str
    number: str
    about: str
    say: Callable[[Facts], Said]


def _held(facts: Facts, failures: int) -> Answer:
    return "held" if failures == 0 and facts.cuts else "not held"


def _whole(facts: Facts) -> str:
    total = facts.report.outcomes
    return (
        f"After {total['old']:,} of {facts.cuts:,} power cuts the old image runs, after {total['new']:,} the new one,"
        f" whole and verified; {total['as_the_chip']:,} break a promise that ESP-IDF itself does not keep, and"
        f" {total['violation']:,} break another one. After {facts.dead:,} nothing boots."
    )


def _updates(facts: Facts) -> Said:
    still_open = (
        "That the update closes a vulnerability; automatic installation, the opt-out, the notification of users, and"
        " the possibility to postpone."
    )
    if not facts.installs:
        return Said("not shown", f"The story {facts.report.story} installs no update.", still_open)
    return Said(
        _held(facts, facts.broken),
        f"The update from {facts.old} to {facts.new} was interrupted {facts.cuts:,} times, and told again afterwards."
        f" {facts.cuts - facts.broken:,} times every promise was kept, among them that it then comes to its end.",
        still_open,
    )


def _integrity(facts: Facts) -> Said:
    if facts.signatures is None:
        checks = "The software that was swept checks no signatures: checksum and SHA-256 find damage, not forgery."
    else:
        checks = f"The software that was swept checks {facts.signatures} signatures; no forged image was tried here."
    guard = " Anti-rollback is on." if facts.anti_rollback else ""
    return Said(
        _held(facts, facts.broken),
        f"After {facts.cuts - facts.broken:,} of {facts.cuts:,} power cuts what runs is the old or the new image, whole"
        f" and verified, and every other promise holds. {checks}{guard}",
        "Protection against manipulation on the way, in the factory or by hand; who holds the signing keys.",
    )


def _availability(facts: Facts) -> Said:
    return Said(
        _held(facts, facts.dead),
        f"{_whole(facts)}{_time_at_risk(facts)}",
        "What the application does for its user; attacks that deny a service; faults other than a loss of power.",
    )


def _time_at_risk(facts: Facts) -> str:
    windows = [window for _outcome, _why, window in facts.report.windows()]
    if facts.report.timeline is None:
        return ""
    if not windows:
        return " There is no time at which a cut breaks a promise."
    usual, longest = sum(window.seconds for window in windows), sum(window.worst for window in windows)
    return f" A cut breaks a promise during {takes_words(usual, longest)} of the story, counted once for each promise."


def _restore(facts: Facts) -> Said:
    still_open = (
        "That the previous version, or the safe state, is safe for the vehicle; other control units; an update that"
        " fails for another reason, unless the story is about one."
    )
    if not facts.installs and facts.report.story != "reject":
        return Said("not shown", f"The story {facts.report.story} installs no update.", still_open)
    return Said(_held(facts, facts.broken), f"Interrupted: {_whole(facts)}", still_open)


def _tests(facts: Facts) -> Said:
    return Said(
        "recorded",
        f"One test: {facts.cuts:,} power cuts of the story {facts.report.story}. run.json has the command that repeats"
        " it, and the SHA-256 of everything that went into it.",
        "That tests are regular and sufficient; every other test and review.",
    )


def _versions(facts: Facts) -> Said:
    return Said(
        "recorded",
        f"run.json has the SHA-256 and the length of the images {facts.old} and {facts.new}.",
        "The process that identifies versions and hardware in the field.",
    )


def _validated(facts: Facts) -> Said:
    return Said(
        "recorded",
        f"This pack is the record of one verification of this update: {facts.cuts:,} power cuts, judged one by one.",
        "The other parts of verification and validation, and who confirms them.",
    )


def _duration(facts: Facts) -> Said:
    timeline = facts.report.timeline
    if timeline is None:
        return Said("not shown", "The run was told no flash chip (--flash-timing).", "How long the update takes.")
    took = takes_words(timeline.seconds, timeline.worst)
    return Said(
        "recorded",
        f"By data sheets the story takes {took} ({pace_words(timeline)}).",
        "What computing, encryption of the transport and waiting add; a measurement on the product.",
    )


def _power(facts: Facts) -> Said:
    timeline = facts.report.timeline
    needs = ""
    if timeline is not None:
        needs = f"The flash operations need power for {takes_words(timeline.seconds, timeline.worst)} in all. "
    return Said(
        "not shown",
        f"{needs}What a lack of power leads to is what the run is about; see 7.2.2.1.1.",
        "That the update starts only when there is enough power.",
    )


def _told(facts: Facts) -> Said:
    if not facts.reports:
        return Said("not shown", "The story has no network.", "That the user learns of success or failure.")
    return Said(
        _held(facts, facts.broken),
        f"{facts.cuts - facts.broken:,} times of {facts.cuts:,} every promise was kept, among them that the device"
        " tells its cloud of the success in the end.",
        "That the cloud tells the user.",
    )


def _nothing(subject: str) -> Callable[[Facts], Said]:
    return lambda _facts: Said("not shown", "Nothing: a sweep looks at the device alone.", subject)


CLAUSES = (
    Clause(CRA, "Annex I, Part I, point 2(c)", "vulnerabilities can be addressed by security updates", _updates),
    Clause(CRA, "Annex I, Part I, point 2(f)", "the integrity of programs and configuration is protected", _integrity),
    Clause(
        CRA, "Annex I, Part I, point 2(h)", "essential functions stay available, also after an incident", _availability
    ),
    Clause(CRA, "Annex I, Part II, point 3", "the security of the product is tested and reviewed", _tests),
    Clause(
        CRA,
        "Annex I, Part II, point 7",
        "updates are distributed by secure mechanisms",
        _nothing("Servers, transport, and how soon an update is there."),
    ),
    Clause(
        CRA,
        "Annex I, Part II, point 8",
        "security updates are disseminated without delay and free of charge",
        _nothing("Delay, charge, and the messages that come with an update."),
    ),
    Clause(R156, "7.1.1.2", "software versions and their integrity data are identified", _versions),
    Clause(R156, "7.1.2.5(i)", "an update has passed verification and validation", _validated),
    Clause(R156, "7.2.1.1", "authenticity and integrity of updates are protected", _integrity),
    Clause(R156, "7.2.2.1.1", "a failed or interrupted update ends in the previous version or a safe state", _restore),
    Clause(R156, "7.2.2.1.2", "an update is executed only with enough power", _power),
    Clause(R156, "7.2.2.2(c)", "the expected time to complete an update can be told", _duration),
    Clause(R156, "7.2.2.4(a)", "the user can be told whether an update succeeded", _told),
    Clause(R156, "7.2.2.5", "preconditions are met before an update is executed", _nothing("The preconditions.")),
)
