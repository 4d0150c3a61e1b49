"""Pull the plug at every flash operation of somebody's test; the test must be correct when it is started again.

A :class:`Bench` holds what survives between two starts of a test: the flashes it acts on. The pytest plugin runs the
test once to count, then once for each plan of :func:`plans`, and once more after each cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from py_esp_ota._core import EFuse, Flash, FlashOp

if TYPE_CHECKING:
    from py_esp_ota.device import Device

_Test = TypeVar("_Test", bound=Callable[..., Any])

#: How an operation is cut: before it, by half, and right behind it.
MODELS = ("", ":torn", ":after")

_FIRST_CUT = re.compile(r"cut@(\d+)")


@overload
def every_power_cut(test: _Test, /) -> _Test: ...
@overload
def every_power_cut(*, limit: int | None = None) -> Callable[[_Test], _Test]: ...
def every_power_cut(test: _Test | None = None, /, *, limit: int | None = None) -> _Test | Callable[[_Test], _Test]:
    """Decorate a pytest test: run it under every power cut. The same as ``pytest.mark.every_power_cut``.

    ``limit`` is how many cuts are tried at most, spread evenly over the test. Raises ``TypeError`` for one that is no
    number.
    """
    import pytest  # noqa: PLC0415 - the package does not need it, only tests do

    limit_of_mark((), {"limit": limit})
    if test is not None and not callable(test):
        raise TypeError(f"every_power_cut got {test!r}; expected a test, or limit=...")

    mark = pytest.mark.every_power_cut(limit=limit)
    return mark if test is None else mark(test)


def limit_of_mark(args: Sequence[object], options: Mapping[str, object]) -> int | None:
    """The one argument that the mark takes, ``limit``. Raises ``TypeError`` naming any other, or what is no number."""
    unknown = [*map(repr, args), *(f"{name}={value!r}" for name, value in options.items() if name != "limit")]
    if unknown:
        raise TypeError(f"every_power_cut got {', '.join(unknown)}; it takes limit=... and nothing else")
    limit = options.get("limit")
    if limit is not None and type(limit) is not int:
        raise TypeError(f"every_power_cut got limit={limit!r}, of type {type(limit).__name__}; expected int or None")
    return limit


def plans(operations: int, *, limit: int | None = None, shard: tuple[int, int] = (1, 1)) -> list[str]:
    """Every cut of a test with so many flash operations, or an even choice of ``limit``; of those shard K of N.

    Raises ``ValueError`` for a limit or a shard that is none.
    """
    part, parts = shard
    if not 1 <= part <= parts:
        raise ValueError(f"shard {part}/{parts} is none: K/N needs 1 <= K <= N")
    if limit is not None and limit < 1:
        raise ValueError(f"limit {limit} is none: at least one cut is tried")
    total = operations * len(MODELS)
    if limit is None or limit >= total:
        every = [f"cut@{number}{model}" for number in range(operations) for model in MODELS]
    else:
        # The models take turns, for an even step could always meet the same one.
        every = [f"cut@{index * operations // limit}{MODELS[index % len(MODELS)]}" for index in range(limit)]
    return every[part - 1 :: parts]


class Bench:
    """The flashes of one test, in the order in which it takes them.

    ``begin()`` puts new ones on the bench, ``restart()`` keeps those that are there; then the test runs and takes them
    with ``flash()`` and ``device()``.
    """

    def __init__(self) -> None:
        self.devices: list[Device] = []
        self.flashes: list[Flash] = []
        #: The devices of the run that was cut, for their consoles.
        self.cut_devices: list[Device] = []
        #: Operations of each flash, as counted.
        self.counts: list[int] = []
        #: What the test did in the counted run, flash by flash.
        self.operations: list[FlashOp] = []
        self.plan = ""
        #: Whether the test was broken off because the power had gone.
        self.interrupted = False
        self._efuses: list[EFuse | None] = []
        self._kept: list[tuple[Flash, EFuse | None]] = []
        self._starts: list[int] = []
        self._armed: tuple[int, str] | None = None
        self._as_armed = ""
        self._counting = False

    # ----------------------------------------------------------------------------------------------- between two runs

    def begin(self, *, counting: bool = False) -> None:
        """The next run starts with new flashes and without a fault."""
        self._kept, self._armed, self._as_armed, self.plan = [], None, "", ""
        self.cut_devices = []
        self._counting = counting
        self._clear()

    def arm(self, plan: str) -> None:
        """The next run starts with new flashes and is cut as planned.

        The number counts the operations of all flashes of the test, those of the first flash first. Raises
        ``ValueError`` when it lies behind the last one, or the plan is none.
        """
        first = _FIRST_CUT.match(plan)
        if first is None:
            raise ValueError(f"{plan!r} is no power cut: expected cut@N, cut@N:torn or cut@N:after")
        number = left = int(first[1])
        for index, count in enumerate(self.counts):
            if left < count:
                local = f"cut@{left}{plan[first.end() :]}"
                Flash(0x100000).fault = local  # raises ValueError for what does not parse
                self.begin()
                self.plan, self._armed = plan, (index, local)
                return
            left -= count
        raise ValueError(f"cut@{number} is behind the last flash operation: the test does {sum(self.counts)}")

    def restart(self) -> None:
        """Power comes back: the next run starts with the flashes as they are."""
        self._kept = list(zip(self.flashes, self._efuses, strict=True))
        self.cut_devices = self.devices
        self._clear()

    def counted(self) -> None:
        """The run that was to be counted is over."""
        self.counts = [flash.operations - start for flash, start in zip(self.flashes, self._starts, strict=True)]
        self.operations = [operation for flash in self.flashes for operation in flash.journal()]
        self._counting = False

    def _clear(self) -> None:
        self.devices, self.flashes, self._efuses, self._starts = [], [], [], []
        self.interrupted = False

    # -------------------------------------------------------------------------------------------------- during a run

    @property
    def cut(self) -> bool:
        """Whether the power went, as planned, since the test was started the last time."""
        if self._armed is None or len(self.flashes) <= self._armed[0]:
            return False
        return self._as_armed not in {"", self.flashes[self._armed[0]].fault}

    @property
    def dark(self) -> bool:
        """Whether the power went, as planned, and is still away: nobody noticed, as when it went in the background."""
        return self.cut and self._armed is not None and not self.flashes[self._armed[0]].powered

    def flash(self, flash: Flash) -> Flash:
        """Take the next flash: ``flash`` itself, or the one that the test had in its place before the power went."""
        return self._take(flash, None)[0]

    def device(self, device: Device) -> Device:
        """Take the next device: with flash and eFuses of the one that the test had in its place."""
        flash, efuse = self._take(device.flash, device.chip.efuse)
        if efuse is not None:
            device.chip.flash, device.chip.efuse = flash, efuse
            device.chip.latch_efuses()
        self.devices.append(device)
        return device

    def _take(self, flash: Flash, efuse: EFuse | None) -> tuple[Flash, EFuse | None]:
        index = len(self.flashes)
        armed = self._armed is not None and self._armed[0] == index
        if index < len(self._kept):
            kept, kept_efuse = self._kept[index]
            if (kept.size, kept_efuse is None) != (flash.size, efuse is None):
                raise ValueError(f"started again, the test takes another flash as its number {index + 1} than before")
            flash, efuse = kept, kept_efuse
            flash.power_on()
        elif armed and self._armed:
            flash.fault = self._armed[1]
        if armed:
            self._as_armed = flash.fault
        if self._counting:
            flash.record(True)
        self.flashes.append(flash)
        self._efuses.append(efuse)
        self._starts.append(flash.operations)
        return flash, efuse
