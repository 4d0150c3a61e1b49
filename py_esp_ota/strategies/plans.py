"""Fault plans: what goes wrong and when, as the one line that replays it."""

from __future__ import annotations

from collections.abc import Collection

from hypothesis import strategies as st

from py_esp_ota.faults import FORMS, Form
from py_esp_ota.strategies.arguments import need, need_flag, some_of

#: What becomes of the operation that a power cut falls on, as it stands behind ``cut@N``.
CUT_MODELS: tuple[str, ...] = (
    "",
    ":torn",
    ":after",
    ":torn-program",
    ":tail-program",
    ":bits-program",
    ":weak-program",
    ":torn-erase",
    ":bits-erase",
    ":zero-erase",
    ":weak-erase",
)

#: The sides of a device that a fault can strike from, the plainest first; the flash's own faults are cuts.
FAULT_SIDES: tuple[str, ...] = ("network", "mqtt", "clock", "app")

#: The plainest fault of each side comes first, so that plans shrink to it.
_PLAINEST = ("drop", "mqtt-lose", "clock-unset", "app-no")
_WORDS = sorted(FORMS, key=lambda word: (word not in _PLAINEST, list(FORMS).index(word)))

#: ECONNREFUSED, ECONNRESET, ETIMEDOUT, EHOSTUNREACH.
_ERRNO = st.sampled_from((111, 104, 110, 113))
_STATUS = st.sampled_from((404, 500, 503, 401, 403, 416, 304, 200, 206, 302)) | st.integers(200, 599)
_MESSAGES = st.integers(0, 20)
_SECONDS = st.integers(1, 24 * 3600)
_JUMP = st.sampled_from((3600, -3600)) | st.integers(-(10**6), 10**6).filter(bool)
_REPEATS = st.sampled_from(("*2", "", "*3"))
_FIRST = st.sampled_from(("*1", "*2", "*3", ""))


@st.composite
def fault_plans(
    draw: st.DrawFn,
    *,
    operations: int = 1000,
    body: int = 0x10000,
    cuts: bool | None = None,
    models: Collection[str] | None = None,
    faults: bool | None = None,
    sides: Collection[str] | None = None,
    max_faults: int = 2,
) -> str:
    """Plans of a power cut and of faults on other sides, joined by ``+``: ``cut@12:torn+drop@4096*1+mqtt-lose@2``.

    A plan of cuts alone is for ``Flash.fault``, the others are for ``Lab.faults``. They shrink to
    ``""``, which is no fault at all, or to what was asked for.

    Args:
        operations: the flash operations of the story; a cut leaves 0 to ``operations - 1`` of them done.
        body: bytes of the download, which faults of the network fall into.
        cuts: with a power cut.
        models: what becomes of the operation that it falls on, of ``CUT_MODELS``; all when not given.
        faults: with faults of other sides.
        sides: of which ``FAULT_SIDES``; all when not given.
        max_faults: at most so many of them.

    ``None`` for a flag is either. Raises ``InvalidArgument`` when drawn from arguments that no plan meets.
    """
    need_flag("cuts", cuts)
    need_flag("faults", faults)
    for name, value in (("operations", operations), ("body", body), ("max_faults", max_faults)):
        need(isinstance(value, int) and value >= 0, f"{name} is {value!r}, expected a number from 0 on")
    tears = some_of("models", models, CUT_MODELS)
    wanted = some_of("sides", sides, FAULT_SIDES)
    need(not (cuts and operations == 0), "operations is 0: there is none for a power cut to fall on")
    need(
        body > 0 or not (faults and wanted == ("network",)),
        "body is 0: there is no byte for a network fault to fall on",
    )
    need(not (faults and max_faults == 0), "faults is True and max_faults is 0")
    parts: list[str] = []
    if operations and cuts is not False and (cuts or draw(st.booleans())):
        parts.append(f"cut@{draw(st.integers(0, operations - 1))}{draw(st.sampled_from(tears))}")
    forms = [
        form for form in map(FORMS.__getitem__, _WORDS) if form.side in wanted and (body or form.side != "network")
    ]
    if forms and faults is not False:
        chosen = st.lists(st.sampled_from(forms), min_size=int(faults is True), max_size=max_faults, unique=True)
        parts += [_fault(draw, form, body) for form in draw(chosen)]
    return "+".join(parts)


def _fault(draw: st.DrawFn, form: Form, body: int) -> str:
    values = [draw(_number(form, arg.name, body)) for arg in form.must]
    args = [str(value) for value in values]
    for option in form.may:
        if option.name in {"down", "mqtt", "before"} and draw(st.booleans()):
            args.append(option.name)
        elif option.name == "S" and draw(st.booleans()):
            args.append(str(draw(_SECONDS)))
    times = "" if form.times == "none" else draw(_FIRST if form.times == "first" else _REPEATS)
    return form.word + ("@" + ":".join(args) if args else "") + times


def _number(form: Form, name: str, body: int) -> st.SearchStrategy[int]:
    """Where a fault strikes: a number of the kind that its form asks for."""
    kinds = {"ERRNO": _ERRNO, "NNN": _STATUS, "S": _SECONDS, "D": _JUMP}
    if name in kinds:
        return kinds[name]
    if form.side != "network":
        return _MESSAGES
    return st.integers(1, body) if form.word == "slow" else st.integers(0, body - 1)
