"""Fault plans: what goes wrong and when, as the one line that replays it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hypothesis import strategies as st

from py_esp_ota.strategies.arguments import need, need_flag

#: What becomes of the operation that a power cut falls on, as it stands behind ``cut@N``.
CUT_MODELS: tuple[str, ...] = ("", ":torn")


class NetworkModel(NamedTuple):
    """A kind of network fault, and how its place is drawn for a body of so many bytes."""

    kind: str
    places: Callable[[int], st.SearchStrategy[int]]


def _in_body(body: int) -> st.SearchStrategy[int]:
    return st.integers(0, body - 1)


#: ECONNREFUSED, ECONNRESET, ETIMEDOUT, EHOSTUNREACH.
_ERRNO = st.sampled_from((111, 104, 110, 113))
_STATUS = st.sampled_from((404, 500, 503, 401, 403, 416, 304, 200, 206, 302)) | st.integers(200, 599)

#: Every network fault of ``py_esp_ota.faults``, the plainest first.
NETWORK_FAULTS: tuple[NetworkModel, ...] = (
    NetworkModel("drop", _in_body),
    NetworkModel("flip", _in_body),
    NetworkModel("stall", _in_body),
    NetworkModel("status", lambda _: _STATUS),
    NetworkModel("connect", lambda _: _ERRNO),
)

_REQUESTS = st.sampled_from(("*1", "*2", "*3", ""))


@st.composite
def fault_plans(
    draw: st.DrawFn,
    *,
    operations: int = 1000,
    body: int = 0x10000,
    cuts: bool | None = None,
    network: bool | None = None,
    max_network_faults: int = 2,
) -> str:
    """Plans of a power cut and of network faults, joined by ``+``: ``cut@12:torn+drop@4096*1``.

    A plan of cuts alone is for ``Flash.fault``, the others are for ``py_esp_ota.faults``. They shrink to ``""``, which
    is no fault at all, or to what was asked for.

    Args:
        operations: the flash operations of the story; a cut leaves 0 to ``operations - 1`` of them done.
        body: bytes of the download, which network faults fall into.
        cuts: with a power cut.
        network: with network faults.
        max_network_faults: at most so many of them.

    ``None`` for a flag is either. Raises ``InvalidArgument`` when drawn from arguments that no plan meets.
    """
    need_flag("cuts", cuts)
    need_flag("network", network)
    for name, value in (("operations", operations), ("body", body), ("max_network_faults", max_network_faults)):
        need(isinstance(value, int) and value >= 0, f"{name} is {value!r}, expected a number from 0 on")
    need(not (cuts and operations == 0), "operations is 0: there is none for a power cut to fall on")
    need(not (network and body == 0), "body is 0: there is no byte for a network fault to fall on")
    need(not (network and max_network_faults == 0), "network is True and max_network_faults is 0")
    faults: list[str] = []
    if operations and cuts is not False and (cuts or draw(st.booleans())):
        faults.append(f"cut@{draw(st.integers(0, operations - 1))}{draw(st.sampled_from(CUT_MODELS))}")
    if body and network is not False:
        count = draw(st.integers(1 if network else 0, max_network_faults))
        faults += [_network_fault(draw, body) for _ in range(count)]
    return "+".join(faults)


def _network_fault(draw: st.DrawFn, body: int) -> str:
    model = draw(st.sampled_from(NETWORK_FAULTS))
    return f"{model.kind}@{draw(model.places(body))}{draw(_REQUESTS)}"
