"""The grammar of a fault plan: which forms there are, and a plan as a value that gives its text back.

``FORMS`` is the whole language apart from the flash's own faults: a part whose word stands in no form is shown to the
flash, and belongs to it when its parser takes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal

from py_esp_ota._core import Flash

Side = Literal["network", "mqtt", "clock", "app", "judge", "flash"]
Times = Literal["none", "first", "row"]

_PART = re.compile(r"([a-z]+(?:-[a-z]+)*)(?:@([^*]*))?(?:\*(.*))?", re.ASCII | re.DOTALL)
_NATURAL = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Number:
    """A number after ``@`` or ``:``, in its one spelling."""

    name: str
    low: int = 0
    high: int = 10**18 - 1

    def read(self, text: str) -> int | None:
        """The number, or ``None`` when the text is none that is allowed here."""
        if not (_WHOLE if self.low < 0 else _NATURAL).fullmatch(text):
            return None
        value = int(text)
        return value if self.low <= value <= self.high else None


@dataclass(frozen=True, slots=True)
class Word:
    """A word that may stand there; leaving it out is the other choice."""

    name: str

    def read(self, text: str) -> str | None:
        """The word, or ``None`` for anything else."""
        return text if text == self.name else None


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of fault: its word, what must and what may follow it, and what ``*K`` means."""

    side: Side
    word: str
    must: tuple[Number, ...] = ()
    may: tuple[Number | Word, ...] = ()
    times: Times = "first"

    @property
    def usage(self) -> str:
        """How it is written, optional parts in brackets: ``mqtt-lose@N[:down][*K]``."""
        text, join = self.word, "@"
        for arg in self.must:
            text += join + arg.name
            join = ":"
        for option in self.may:
            text += f"[{join}{option.name}]"
            join = ":"
        return text + ("" if self.times == "none" else "[*K]")

    def read(self, texts: list[str]) -> tuple[int | str, ...] | None:
        """The arguments in order, or ``None`` when they do not fit."""
        allowed = (*self.must, *self.may)
        if not len(self.must) <= len(texts) <= len(allowed):
            return None
        found = [arg.read(text) for arg, text in zip(allowed, texts, strict=False)]
        values = tuple(value for value in found if value is not None)
        return values if len(values) == len(found) else None


_TIMES: Final = {"first": Number("K", 1, 10**9 - 1), "row": Number("K", 2, 10**9 - 1)}  # a row of one goes without *K
_N, _S = Number("N"), Number("S")
_DOWN = Word("down")

_TABLE: Final = (
    Form("network", "connect", (Number("ERRNO"),)),
    Form("network", "status", (Number("NNN", 200, 599),)),
    Form("network", "redirect-loop"),
    Form("network", "redirect-close"),
    Form("network", "no-range"),
    Form("network", "wrong-range", (_N,)),
    Form("network", "content-range", (_N,)),
    Form("network", "short", (_N,)),
    Form("network", "chunked"),
    Form("network", "slow", (Number("N", 1),)),
    Form("network", "drop", (_N,)),
    Form("network", "stall", (_N,)),
    Form("network", "flip", (_N,)),
    Form("mqtt", "mqtt-lose", (_N,), (_DOWN,), "row"),
    Form("mqtt", "mqtt-twice", (_N,), (_DOWN,), "row"),
    Form("mqtt", "mqtt-delay", (_N, Number("S", 1)), (_DOWN,), "row"),
    Form("mqtt", "mqtt-puback", (_N,), (), "row"),
    Form("mqtt", "mqtt-cut", (_N,), (_DOWN,), "row"),
    Form("mqtt", "mqtt-refuse"),
    Form("mqtt", "mqtt-budget", (_N,), (), "none"),
    Form("clock", "clock-unset", (), (_S,), "none"),
    Form("clock", "clock-jump", (_S, Number("D", 1 - 10**18)), (), "none"),
    Form("app", "app-no", (), (Word("mqtt"),), "none"),
    Form("app", "app-raises", (), (Word("mqtt"),), "none"),
    Form("app", "app-silent", (), (), "none"),
    Form("app", "app-crash", (), (Number("S", 1),)),
    Form("judge", "glitch", (_N,), (), "row"),
    Form("judge", "swap", (_N,), (Word("before"),), "none"),
)
FORMS: Final = {form.word: form for form in _TABLE}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; ``str()`` gives its text back. Raises ``ValueError`` for what has no text.

    Args:
        word: which form.
        args: what follows ``@``, in order.
        times: ``*K``; ``None`` without it.
    """

    word: str
    args: tuple[int | str, ...] = ()
    times: int | None = None

    def __post_init__(self) -> None:
        form = FORMS.get(self.word)
        if form is None:
            raise ValueError(_no_word(str(self), self.word))
        if _read(form, str(self)) != (self.args, self.times):
            raise ValueError(_no_fault(str(self), form))

    @property
    def side(self) -> Side:
        """Where it strikes."""
        return FORMS[self.word].side

    @property
    def at(self) -> int:
        """The first number, 0 without one."""
        return self.number(0)

    def number(self, index: int) -> int:
        """The argument at ``index`` when it is a number, else 0."""
        value = self.args[index] if index < len(self.args) else 0
        return value if isinstance(value, int) else 0

    def __str__(self) -> str:
        args = "@" + ":".join(map(str, self.args)) if self.args else ""
        return self.word + args + ("" if self.times is None else f"*{self.times}")


@dataclass(frozen=True, slots=True)
class FlashFault:
    """A part that the flash understands: ``cut@37:torn``."""

    text: str
    side: Side = "flash"

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Plan:
    """Faults of all sides for one device; ``str()`` gives the text back, ``+`` puts plans together."""

    parts: tuple[Fault | FlashFault, ...] = ()

    def __str__(self) -> str:
        return "+".join(map(str, self.parts))

    def __add__(self, other: Plan | Fault) -> Plan:
        # By the text, so that the flash is asked whether it takes both.
        return parse(f"{self}+{other}" if self.parts and str(other) else f"{self}{other}")

    def of(self, side: Side) -> tuple[Fault, ...]:
        """The faults of one side, in order."""
        return tuple(part for part in self.parts if isinstance(part, Fault) and part.side == side)

    @property
    def flash(self) -> str:
        """The flash's own plan, as text."""
        return "+".join(part.text for part in self.parts if isinstance(part, FlashFault))

    def only(self, side: Side) -> Plan:
        """The plan without the other sides."""
        return Plan(tuple(part for part in self.parts if part.side == side))


def parse(text: str) -> Plan:
    """A plan from its text; ``""`` is the plan in which nothing goes wrong.

    Raises:
        ValueError: a part is no fault, or does not go with those before it; the sentence names it.
    """
    parts: list[Fault | FlashFault] = []
    flash = ""
    for part in text.split("+") if text else []:
        word = part.partition("@")[0].partition("*")[0]
        form = FORMS.get(word)
        if form is None:
            flash = _with(flash, part, word)
            parts.append(FlashFault(part))
            continue
        found = _read(form, part)
        if found is None:
            raise ValueError(_no_fault(part, form))
        parts.append(Fault(form.word, *found))
    return Plan(tuple(parts))


def parse_own(plan: str | Plan, side: Side) -> Plan:
    """A plan for one side only. Raises ``ValueError`` for a fault of another."""
    whole = parse(plan) if isinstance(plan, str) else plan
    for part in whole.parts:
        if part.side != side:
            raise ValueError(f"{str(part)!r} is a fault of the {part.side}, not of the {side}")
    return whole


def _read(form: Form, part: str) -> tuple[tuple[int | str, ...], int | None] | None:
    found = _PART.fullmatch(part)
    if not found:
        return None
    _, texts, repeats = found.groups()
    args = form.read([] if texts is None else texts.split(":"))
    if args is None or (texts is not None and not args):
        return None
    if repeats is None:
        return args, None
    times = None if form.times == "none" else _TIMES[form.times].read(repeats)
    return None if times is None else (args, times)


def _no_fault(part: str, form: Form) -> str:
    limits = ""
    for arg in (*form.must, *form.may, *([_TIMES["row"]] if form.times == "row" else [])):
        if isinstance(arg, Number) and arg.low > 0:
            limits += f", {arg.name} from {arg.low}" + (f" to {arg.high}" if arg.high < 1000 else "")
    return f"{part!r} is no fault: expected {form.usage}{limits}"


def _no_word(part: str, word: str) -> str:
    near = get_close_matches(word, FORMS, n=1)
    if near:
        return f"{part!r} is no fault: nothing is called {word!r}, perhaps {near[0]}"
    return f"{part!r} is no fault: expected one of {', '.join(FORMS)}, or of the flash's, like cut"


def _with(flash: str, part: str, word: str) -> str:
    """The flash's plan with one more part. Raises ``ValueError`` when the flash does not take it."""
    refused = _refused_by_flash(part)
    if refused:
        is_its_word = word and f"{word}@" in refused.replace(part, "")
        raise ValueError(f"{part!r} is no fault: to the flash it is {refused}" if is_its_word else _no_word(part, word))
    longer = f"{flash}+{part}" if flash else part
    refused = _refused_by_flash(longer)
    if refused:
        raise ValueError(f"{part!r} does not go with {flash!r}: together they are {refused}")
    return longer


def _refused_by_flash(plan: str) -> str:
    """Why the flash does not take a text, ``""`` when it does. Only its parser knows its own faults, so it is asked."""
    try:
        Flash(1 << 20).fault = plan
    except ValueError as error:
        return str(error)
    return "" if plan else "no fault"
