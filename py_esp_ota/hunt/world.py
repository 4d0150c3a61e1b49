"""A world as a value: which boards, which cloud, and what happens to them when. ``str()`` gives it as one line.

A line says all of it, so that it makes the same world again whatever becomes of the seeds::

    hunt1 cloud=script chip=esp32c3 idf=6.2.0 table=pair boards=1 images=1g,2g 30/job/1 41/0/cut@12:torn 90/0/press

``images`` are numbered from 0, the one that boards leave the factory with; each is a version, a letter for how it
behaves (``QUALITIES``) and, after a dot, its secure version. An act is a second, whom it happens to, and what.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

from py_esp_ota.faults import parse
from py_esp_ota.hunt.kinds import AGENTS, CHIPS, OPTIONS, POLICIES, TABLES, table
from py_esp_ota.releases import RELEASES
from py_esp_ota.sdkconfig import Sdkconfig

Cloud = Literal["script", "real"]

HEAD = "hunt1"
#: How an image behaves: fit, unfit for its self-test, in a panic at each boot, or damaged on its way to the cloud.
QUALITIES = {"g": "good", "u": "unfit", "p": "panics", "d": "damaged"}
MOST_BOARDS, MOST_ACTS, LATEST = 64, 200, 7 * 86_400

_IMAGE = re.compile(r"(\d{1,9})([a-z])(?:\.(\d{1,2}))?", re.ASCII)
_ACT = re.compile(r"(\d{1,6})/([a-z]+|\d{1,2})/(\S+)", re.ASCII)
_OFF = re.compile(r"off\*(\d{1,6})", re.ASCII)
_DOWN = re.compile(r"(?:down|restart)\*(\d{1,6})", re.ASCII)
_JOB = re.compile(r"\d{1,2}(?:\*\d{1,6})?", re.ASCII)
_SET = re.compile(r"set\*(\d{1,9})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Image:
    """One image of a world."""

    version: int
    quality: str = "g"
    secure_version: int = 0

    def __str__(self) -> str:
        return f"{self.version}{self.quality}" + (f".{self.secure_version}" if self.secure_version else "")


@dataclass(frozen=True, slots=True)
class Act:
    """Something that happens: at a second, to ``who``, a board's number, ``cloud``, ``broker`` or ``job``.

    To a board: ``off*S`` the plug is pulled for so long, ``press`` its reset button, ``set*N`` its user changes a
    setting, ``approve`` its user lets its latest job come, else a fault plan of ``py_esp_ota.faults``. To the cloud:
    ``restart*S``, to the broker ``down*S``. A job: the number of an image, which it is about, with ``*S`` valid from S
    seconds on only; or ``cancel``.
    """

    at: int
    who: str
    what: str

    def __str__(self) -> str:
        return f"{self.at}/{self.who}/{self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One world.

    ``seed`` is where it came from, when it came from one, and changes nothing in it. ``policy`` is how jobs come to its
    boards, one of ``POLICIES``; those that come when faults have stopped come at once. ``sized`` is how large its
    images are, ``back`` how many seconds a power cut lasts, ``fuse`` the secure version that its boards have burnt.
    """

    seed: int | None = None
    cloud: Cloud = "script"
    policy: str = ""
    chip: str = "esp32c3"
    idf: str = "6.2.0"
    rainmaker: str = ""
    table: str = "pair"
    options: tuple[str, ...] = ()
    fuse: int = 0
    encrypted: bool = False
    boards: int = 1
    sized: int = 0x2000
    images: tuple[Image, ...] = (Image(1), Image(2))
    back: int = 30
    acts: tuple[Act, ...] = field(default=())

    def __str__(self) -> str:
        usual = World()
        words = [HEAD]
        for name in ("seed", *_TEXTS, *_NUMBERS):
            value = getattr(self, name)
            if value != getattr(usual, name) or name in {"chip", "table"}:
                words.append(f"{name}={value}")
        words += ["encrypted=1"] if self.encrypted else []
        words += [f"options={','.join(self.options)}"] if self.options else []
        words.append(f"images={','.join(map(str, self.images))}")
        return " ".join([*words, *map(str, self.acts)])

    @property
    def target(self) -> int:
        """The image that boards are to run in the end: that of the last job, or the factory's when there is none."""
        jobs = [image_of(act.what) for act in self.acts if act.who == "job" and act.what != "cancel"]
        return jobs[-1] if jobs else 0

    @property
    def ends(self) -> int:
        """The second after which nothing more happens by itself."""
        return max((act.at for act in self.acts), default=0)

    def config(self) -> Sdkconfig:
        """The build of its boards. Raises ``ValueError`` for options that exclude each other."""
        return _build(self.idf, self.rainmaker, self.options, encrypted=self.encrypted)

    def without(self, *acts: Act) -> World:
        """The same without some of what happens."""
        return replace(self, acts=tuple(act for act in self.acts if act not in acts))


def _version(text: str) -> tuple[int, int, int]:
    major, minor, patch = map(int, text.split("."))
    return major, minor, patch


@lru_cache(1 << 10)
def _build(idf: str, rainmaker: str, options: tuple[str, ...], *, encrypted: bool) -> Sdkconfig:
    chosen: dict[str, Any] = {"bootloader_app_rollback_enable": True}
    for option in options:
        name, value = OPTIONS[option]
        chosen[name] = value
    agent = _version(rainmaker) if rainmaker else Sdkconfig().rainmaker_version
    config = replace(
        Sdkconfig(), idf_version=_version(idf), rainmaker_version=agent, secure_flash_enc_enabled=encrypted, **chosen
    )
    config.check()
    return config


_TEXTS = ("cloud", "policy", "chip", "idf", "rainmaker", "table")
_NUMBERS = ("fuse", "boards", "sized", "back")


def read_world(line: str) -> World:
    """A world from its line. Raises ``ValueError``, which names the word that is wrong."""
    head, *words = line.split() or [""]
    if head != HEAD:
        raise ValueError(f"a world begins with {HEAD}, not with {head[:40]!r}")
    found: dict[str, Any] = {}
    acts: list[Act] = []
    for word in words:
        name, equals, value = word.partition("=")
        if "/" in name or not equals:
            acts.append(_act(word))
        elif name in found:
            raise ValueError(f"{word!r}: {name} is said twice")
        else:
            found[name] = _value(name, value, word)
    world = World(**found, acts=tuple(acts))
    check(world)
    return world


def check(world: World) -> None:
    """Raise ``ValueError`` for a world that cannot be."""
    known = {"chip": CHIPS, "table": TABLES, "cloud": ("script", "real"), "policy": POLICIES}
    for name, words in known.items():
        if getattr(world, name) not in words:
            raise ValueError(f"{name}={getattr(world, name)}: expected one of {', '.join(filter(None, words))}")
    if world.policy and world.cloud != "real":
        raise ValueError(f"policy={world.policy}: the script of a cloud has none; cloud=real has")
    if world.idf not in {".".join(map(str, release)) for release in RELEASES}:
        raise ValueError(f"idf={world.idf}: no release of ESP-IDF is called that; three numbers, as in 5.5.1")
    if world.rainmaker and world.rainmaker not in AGENTS:
        raise ValueError(f"rainmaker={world.rainmaker}: expected one of {', '.join(AGENTS)}")
    for option in world.options:
        if option not in OPTIONS:
            raise ValueError(f"options={option}: expected some of {', '.join(OPTIONS)}")
    config = world.config()
    if config.esp_rmaker_ota_use_mqtt and world.cloud != "real":
        raise ValueError("options=over-mqtt: the script of a cloud has no streams; cloud=real has")
    room = min(row.size for row in table(world.table) if row.type == 0)
    if not 0x400 <= world.sized <= room - 0x2000 or world.sized % 0x10:
        raise ValueError(f"sized={world.sized}: expected a multiple of 16 from 1024 to {room - 0x2000}")
    if not 1 <= world.boards <= MOST_BOARDS or not 1 <= len(world.images) <= MOST_BOARDS:
        raise ValueError(f"boards={world.boards}: expected 1 to {MOST_BOARDS} of boards and of images")
    if len(world.acts) > MOST_ACTS:
        raise ValueError(f"{len(world.acts)} acts are more than {MOST_ACTS}")
    if len({image.version for image in world.images}) != len(world.images):
        raise ValueError(f"images={','.join(map(str, world.images))}: two of them have one version")
    for act in world.acts:
        _check_act(act, world)


def _value(name: str, value: str, word: str) -> object:
    if name in _TEXTS:
        return value
    if name in {*_NUMBERS, "seed"}:
        if not (value.isascii() and value.isdigit() and len(value) < 20):
            raise ValueError(f"{word!r}: {value!r} is no number")
        return int(value)
    if name == "encrypted":
        return value == "1"
    if name == "options":
        return tuple(value.split(","))
    if name == "images":
        return tuple(_image(part, word) for part in value.split(","))
    raise ValueError(f"{word!r}: nothing is called {name[:40]!r}")


def _image(text: str, word: str) -> Image:
    found = _IMAGE.fullmatch(text)
    if found is None or found[2] not in QUALITIES:
        raise ValueError(f"{word!r}: {text[:40]!r} is no image; expected a version and one of {''.join(QUALITIES)}")
    return Image(int(found[1]), found[2], int(found[3] or 0))


def _act(word: str) -> Act:
    found = _ACT.fullmatch(word)
    if found is None:
        raise ValueError(f"{word[:80]!r} is neither a fact nor an act: expected name=value or SECOND/WHO/WHAT")
    return Act(int(found[1]), found[2], found[3])


def _check_act(act: Act, world: World) -> None:
    if act.at > LATEST:
        raise ValueError(f"'{act}': nothing happens after {LATEST} s")
    who, what = act.who, act.what
    if who in {"cloud", "broker"}:
        if not _DOWN.fullmatch(what) or what.startswith("restart") != (who == "cloud"):
            raise ValueError(f"'{act}': expected {'restart*S' if who == 'cloud' else 'down*S'}")
    elif who == "job":
        if what != "cancel" and not (_JOB.fullmatch(what) and image_of(what) < len(world.images)):
            raise ValueError(f"'{act}': expected cancel, or the number of an image below {len(world.images)}")
    elif not who.isdigit() or int(who) >= world.boards:
        raise ValueError(f"'{act}': nobody is called {who}; there are {world.boards} boards")
    elif what == "approve":
        if world.policy != "approval":
            raise ValueError(f"'{act}': nobody is asked; users are with policy=approval")
    elif not (_OFF.fullmatch(what) or _SET.fullmatch(what) or what == "press"):
        try:
            parse(what)
        except ValueError as error:
            raise ValueError(f"'{act}': {error}") from error


def seconds_of(what: str) -> int:
    """The number behind the star: how long, or how soon; 0 without one."""
    return int(what.partition("*")[2] or 0)


def image_of(what: str) -> int:
    """Which image a job is about."""
    return int(what.partition("*")[0])
