"""A world from a seed. Swarm testing: each seed first draws which kinds of faults its world has, and how often.

A world in which everything goes wrong at once explores less than many worlds in which some things do: what one kind of
fault hides is found where that kind is switched off (Groce and others, 2012).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from py_esp_ota.hunt.kinds import AGENTS, CHIPS, POLICIES, TABLES
from py_esp_ota.hunt.numbers import Numbers
from py_esp_ota.hunt.world import Act, Image, World, check
from py_esp_ota.releases import RELEASES

#: One world in so many has the cloud of this package in it; all others a script of one, which is ten times as fast.
REAL_ONE_IN: Final = 16
#: Of those one in so many has a policy.
POLICY_ONE_IN: Final = 3

_TEARS: Final = (
    "", "", ":torn", ":after", ":torn-program", ":tail-program", ":bits-program", ":torn-erase", ":bits-erase",
    ":zero-erase",
)  # fmt: skip
_SIZES: Final = (0x800, 0x2000, 0x3000, 0x6000)
_USUAL: Final = (("esp32c3", 6), ("esp32", 3), ("esp32s3", 3))
_TABLES: Final = [(name, 1 if name.startswith("two") else 4) for name in TABLES]  # a large flash takes its time
_MOST_WRITES: Final = 60  # flash operations of a boot, a download and a confirmation, about


def _cut(numbers: Numbers, _size: int) -> str:
    return f"cut@{numbers.below(numbers.of((8, 24, _MOST_WRITES)))}{numbers.of(_TEARS)}"


def _body(word: str) -> Callable[[Numbers, int], str]:
    def make(numbers: Numbers, size: int) -> str:
        return f"{word}@{numbers.below(size)}*{numbers.between(1, 4)}"

    return make


def _message(word: str) -> Callable[[Numbers, int], str]:
    def make(numbers: Numbers, _size: int) -> str:
        row = numbers.of(("", "", "*2", "*4", "*12"))
        return f"{word}@{numbers.below(12)}{row}"

    return make


def _status(numbers: Numbers, _size: int) -> str:
    return f"status@{numbers.of((404, 500, 503, 403, 416))}*{numbers.between(1, 4)}"


def _slow(numbers: Numbers, _size: int) -> str:
    return f"slow@{numbers.of((100, 500, 2000))}*{numbers.between(1, 2)}"


def _delay(numbers: Numbers, _size: int) -> str:
    return f"mqtt-delay@{numbers.below(12)}:{numbers.of((1, 20, 100, 700))}{numbers.of(('', ':down'))}"


def _down(word: str) -> Callable[[Numbers, int], str]:
    def make(numbers: Numbers, _size: int) -> str:
        return f"{word}@{numbers.below(4)}:down"

    return make


def _jump(numbers: Numbers, _size: int) -> str:
    return f"clock-jump@{numbers.below(120)}:{numbers.of((3600, -3600, 86_400, -(10**8), 10**6))}"


def _crash(numbers: Numbers, _size: int) -> str:
    return f"app-crash@{numbers.of((1, 4, 60))}*{numbers.between(1, 3)}"


def _glitch(numbers: Numbers, _size: int) -> str:
    return f"glitch@{numbers.below(4)}"


def _text(text: str) -> Callable[[Numbers, int], str]:
    return lambda _numbers, _size: text


#: Each kind of fault of one board, and how one of it is drawn.
FAULTS: Final[Mapping[str, Callable[[Numbers, int], str]]] = {
    "cut": _cut,
    "drop": _body("drop"),
    "stall": _body("stall"),
    "flip": _body("flip"),
    "short": _body("short"),
    "status": _status,
    "slow": _slow,
    "connect": _text("connect@111*2"),
    "no-range": _text("no-range*1"),
    "redirect": _text("redirect-loop*2"),
    "mqtt-lose": _message("mqtt-lose"),
    "mqtt-twice": _message("mqtt-twice"),
    "mqtt-puback": _message("mqtt-puback"),
    "mqtt-cut": _message("mqtt-cut"),
    "mqtt-delay": _delay,
    "lose-down": _down("mqtt-lose"),
    "twice-down": _down("mqtt-twice"),
    "mqtt-refuse": _text("mqtt-refuse*4"),
    "mqtt-budget": _text("mqtt-budget@2"),
    "clock-unset": _text("clock-unset@200"),
    "clock-jump": _jump,
    "glitch": _glitch,
    "app-no": _text("app-no"),
    "app-no-mqtt": _text("app-no@mqtt"),
    "app-raises": _text("app-raises"),
    "app-silent": _text("app-silent"),
    "app-crash": _crash,
}
#: What happens to a board besides, and to what is around it.
HAPPENS: Final = ("off", "press", "set", "restart", "down")
_FLASHS_OWN: Final = "cut"


def draw(seed: int) -> World:
    """The world of a seed."""
    numbers = Numbers(seed)
    cloud = "real" if numbers.chance(REAL_ONE_IN) else "script"
    chip = numbers.of(CHIPS) if numbers.chance(3) else numbers.weighted(_USUAL)
    idf = numbers.of(RELEASES[-12:]) if numbers.chance(3) else (6, 2, 0)
    options = _options(numbers, real=cloud == "real")
    fuse = numbers.below(3) if "anti-rollback" in options else 0
    sized = numbers.of(_SIZES)
    boards = numbers.of((1, 1, 1, 1, 1, 2, 3)) if cloud == "script" else numbers.of((1, 1, 2, 4))
    images = _images(numbers, fuse, guarded="anti-rollback" in options)
    world = World(
        seed=seed,
        cloud=cloud,  # type: ignore[arg-type]
        chip=chip,
        idf=".".join(map(str, idf)),
        rainmaker=numbers.of(AGENTS) if numbers.chance(4) else "",
        table=numbers.weighted(_TABLES),
        options=options,
        fuse=fuse,
        encrypted=numbers.chance(16),
        boards=boards,
        sized=sized,
        images=images,
        back=numbers.of((1, 10, 30, 300)),
        acts=_acts(numbers, boards, len(images), sized),
    )
    world = _with_policy(Numbers(~seed), world) if cloud == "real" else world
    check(world)
    return world


def _with_policy(numbers: Numbers, world: World) -> World:
    """One real cloud in a few has a policy. By numbers of its own, so that all other worlds of seeds stay as they were.

    In half of them a question for jobs goes without an answer, which else is as rare as one world in 2,000.
    """
    if not numbers.chance(POLICY_ONE_IN):
        return world
    policy = numbers.of([policy for policy in POLICIES if policy])
    boards = world.boards if policy == "approval" else max(world.boards, numbers.of((2, 2, 3)))
    acts = list(world.acts)
    if numbers.chance(2):  # a board that boots asks after five seconds
        acts += [Act(world.ends + 1, "0", "press"), Act(world.ends + 4, "0", "mqtt-cut@0*12")]
    if policy == "phases" and numbers.chance(2):
        acts.append(Act(19, "0", "app-no"))  # whoever is the first says no
    for act in world.acts:
        if policy == "approval" and act.who == "job" and act.what != "cancel":
            asked = [board for board in range(boards) if not numbers.chance(4)]
            acts += [Act(act.at + numbers.of((1, 10, 60, 300)), str(board), "approve") for board in asked]
    return replace(world, policy=policy, boards=boards, acts=tuple(sorted(acts, key=lambda act: act.at)))


def _options(numbers: Numbers, *, real: bool) -> tuple[str, ...]:
    found = [
        option
        for option, one_in in (
            ("anti-rollback", 5), ("pieces-16k", 2), ("no-resume", 4), ("report-failed", 4), ("progress", 6),
            ("asks-hourly", 4), ("waits-30s", 5), ("one-attempt", 5), ("retries-soon", 3), ("no-time", 8),
            ("no-budget", 8), ("any-version", 8), ("skip-validate", 16),
        )
        if numbers.chance(one_in)
    ]  # fmt: skip
    if "anti-rollback" not in found and numbers.chance(12):
        found.append("no-rollback")
    if real and numbers.chance(3):
        found.append("over-mqtt")
    return tuple(found)


def _images(numbers: Numbers, fuse: int, *, guarded: bool) -> tuple[Image, ...]:
    """The factory's, which is good, and one to three for jobs; the last of them is good most of the time."""
    secure, found = fuse, [Image(1, "g", fuse)]
    for version in range(2, 2 + numbers.of((1, 1, 1, 1, 2, 3))):
        secure += guarded and numbers.chance(2)
        lower = guarded and secure > 0 and numbers.chance(8)
        found.append(Image(version, numbers.of("upd") if numbers.chance(4) else "g", secure - lower))
    return tuple(found)


def _acts(numbers: Numbers, boards: int, images: int, sized: int) -> tuple[Act, ...]:
    """One job after another, and what happens meanwhile: of some kinds only, each with a weight of its own."""
    kinds = [(kind, numbers.of((0, 0, 1, 4))) for kind in (*FAULTS, *HAPPENS)]
    kinds.append((_FLASHS_OWN, numbers.of((0, 8, 40))))
    if not sum(weight for _, weight in kinds):
        kinds = [(_FLASHS_OWN, 1)]
    acts: list[Act] = []
    now = 20
    for image in range(1, images):
        for _ in range(numbers.of((1, 1, 2, 3))):
            at = now - numbers.below(15) if numbers.chance(1.5) else now + numbers.below(numbers.of((10, 30, 120, 900)))
            acts += _happening(numbers, numbers.weighted(kinds), kinds, at, boards, sized)
        acts.append(Act(now, "job", f"{image}*{numbers.of((30, 200, 900))}" if numbers.chance(10) else str(image)))
        if numbers.chance(12):
            acts.append(Act(now + numbers.below(60), "job", "cancel"))
        if numbers.chance(12):
            acts.append(Act(now + numbers.of((40, 100)), "job", str(image)))
        now += numbers.of((5, 60, 400, 1200))
    return tuple(sorted(acts, key=lambda act: act.at))


def _happening(
    numbers: Numbers, kind: str, kinds: list[tuple[str, int]], at: int, boards: int, sized: int
) -> list[Act]:
    who = str(numbers.below(boards))
    if kind == "off":
        return [Act(at, who, f"off*{numbers.of((1, 5, 60, 600))}")]
    if kind == "press":
        return [Act(at, who, "press")]
    if kind == "set":
        cut = [Act(at, who, f"cut@{numbers.below(13)}{numbers.of(_TEARS)}")] if numbers.chance(2) else []
        return [*cut, Act(at, who, f"set*{numbers.between(1, 999)}")]
    if kind == "restart":
        return [Act(at, "cloud", f"restart*{numbers.of((1, 20, 200))}")]
    if kind == "down":
        return [Act(at, "broker", f"down*{numbers.of((1, 20, 200))}")]
    plans = [FAULTS[kind](numbers, sized)]
    for _ in range(numbers.below(2)):
        other = numbers.weighted(kinds)
        if other in FAULTS and other != kind:
            plans.append(FAULTS[other](numbers, sized))
    return [Act(at, who, "+".join(plans))]
