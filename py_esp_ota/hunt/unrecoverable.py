"""Whether a board will ever run its target again, once faults have stopped: all that can be tried without a cable.

::

    said = prove(Wreck.of(device, new, offers=[new]))
    said.recovers, said.way        # True, ("the cloud offers the target",)
    said.reason.function           # or the upstream function that leaves no way

From the wreck each rescue is tried, from each state that one leads to each again, until no new state comes: then there
is no way, however long somebody goes on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from py_esp_ota._core import EFuse, Flash, PartitionTable, Sectors
from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspError
from py_esp_ota.hunt.evidence import Evidence
from py_esp_ota.hunt.reasons import Reason, reason_for
from py_esp_ota.hunt.rescue import After, Rescue, Wreck, rescues, try_rescue
from py_esp_ota.idf.nvs import nvs_flash_init

#: More states than any board was seen to have; beyond, nothing is proven.
MOST_STATES = 32
_DATA, _NVS = 1, 2


@dataclass(frozen=True, slots=True)
class Prognosis:
    """What becomes of a wreck.

    Attributes:
        recovers: whether it can run its target.
        way: the rescues that bring it there, in order; none when there are none.
        proven: every state that rescues lead to was tried. A way that was found needs no other proof.
        states: how many there were.
        tried: how many rescues were tried.
        reason: why not; ``None`` for a board that recovers, and for one that nothing of upstream accounts for.
        shown: what shows the reason.
        needed: the sectors of the wreck that all this depended on.
    """

    recovers: bool
    way: tuple[str, ...]
    proven: bool
    states: int
    tried: int
    reason: Reason | None
    shown: str
    needed: Sectors

    @property
    def accounted(self) -> bool:
        """Whether it recovers, or is proven lost by a function of upstream."""
        return self.recovers or (self.proven and self.reason is not None)

    def __str__(self) -> str:
        if self.recovers:
            return "recovers: " + ", then ".join(self.way)
        if not self.proven:
            return f"is not proven lost: after {self.states} states there were still new ones"
        if self.reason is None:
            return f"is lost, and no function of upstream accounts for it: {self.tried} rescues do not help"
        function = f" ({self.reason.function}, {self.reason.file})" if self.reason.function else ""
        return f"is lost: {self.reason.text}{function}: {self.shown}"


@dataclass(frozen=True, slots=True)
class _State:
    flash: Flash
    efuse: EFuse
    way: tuple[str, ...]


def prove(wreck: Wreck) -> Prognosis:
    """Try all rescues of a board, and of each board that one makes of it."""
    offered: After | None = None
    plain: After | None = None
    needed: Sectors | None = None
    todo = deque([_State(wreck.flash, wreck.efuse, ())])
    known = {_key(wreck, wreck.flash, wreck.efuse)}
    acts, tried = rescues(wreck), 0
    while todo and len(known) <= MOST_STATES:
        state = todo.popleft()
        for act in _likely_first(acts, wreck):
            after = try_rescue(wreck, state.flash, state.efuse, act)
            tried += 1
            seen = after.flash.needed()
            needed = seen if needed is None else needed | seen
            way = (*state.way, act.text)
            if after.reached:
                return Prognosis(True, way, True, len(known), tried, None, "", needed)
            if not state.way:
                plain = after if act == acts[0] else plain
                offered = after if act.offer == wreck.goal else offered
            key = _key(wreck, after.flash, after.efuse)
            if key not in known:
                known.add(key)
                todo.append(_State(after.flash, after.efuse, way))
    if plain is None or needed is None:
        raise AssertionError  # there is always power to be had
    found = reason_for(Evidence(wreck, plain, offered))
    reason, shown = found or (None, "")
    return Prognosis(False, (), not todo, len(known), tried, reason, shown, needed)


def _likely_first(acts: tuple[Rescue, ...], wreck: Wreck) -> list[Rescue]:
    """The target on offer first: mostly it is enough."""
    return sorted(acts, key=lambda act: act.offer != wreck.goal)


def _key(wreck: Wreck, flash: Flash, efuse: EFuse) -> tuple[bytes | None, bytes, str]:
    """What tells one state from another: every byte but NVS's, of which the values count and not where they lie."""
    look = flash.fork()
    look.fault = ""
    look.power_on()
    chip = Chip(wreck.chip, flash=look, efuse=efuse.copy())
    values, apart = b"", range(0)
    try:
        table = PartitionTable.from_bytes(look.mmap(wreck.config.partition_table_offset, 0xC00))
        row = table.find(type=_DATA, subtype=_NVS)
        if row is not None:
            values, apart = _values(chip, wreck), range(row.offset, row.offset + row.size)
    except EspError:  # no table, or an NVS that does not start: its bytes count then
        values = b""
    return _name(flash, apart), values, efuse.to_json()


def _name(flash: Flash, apart: range) -> bytes | None:
    """What all bytes of a flash but those have in common with no others."""
    look = flash.fork()
    look.power_on()
    look.power_off()
    look.power_on()  # weak cells settle
    look.watch()
    look.read(0, apart.start)
    look.read(apart.stop, flash.size - apart.stop)
    return look.fingerprint(look.needed())


def _values(chip: Chip, wreck: Wreck) -> bytes:
    """Each value of the default NVS partition. Raises ``NvsError``."""
    nvs = nvs_flash_init(chip, wreck.config)
    found = []
    for entry in nvs.entries():
        handle = nvs.open(entry.namespace)
        found.append(f"{entry.namespace}/{entry.key}={handle.get(entry.key, entry.type)!r}")
    return "\n".join(sorted(found)).encode()
