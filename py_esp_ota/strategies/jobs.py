"""OTA jobs as an admin asks the cloud for them, and as the cloud tells a node."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from py_esp_ota.rainmaker.messages import OtaUrl
from py_esp_ota.strategies.arguments import need

#: 1 January 2026, in seconds since 1970.
NOW = 1_767_225_600
_DAY = 86_400
_TEN_YEARS = 10 * 365 * _DAY
_LAST = 2**32

_LINES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=40)
_LINES_ANY = _LINES | st.text(st.characters(categories=["L", "N", "P", "S"], codec="utf-8"), min_size=1, max_size=20)
_MINUTES = st.integers(0, 1439)
_WINDOWS = st.fixed_dictionaries({"start": _MINUTES, "end": _MINUTES})
_ALNUM = st.sampled_from("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_JOB_IDS = st.lists(_ALNUM, min_size=22, max_size=22).map("".join)
_OWN_VALUES = st.booleans() | st.integers(-(2**31), 2**31 - 1) | _LINES_ANY
_OWN = st.dictionaries(_LINES.map("x-{}".format), _OWN_VALUES, max_size=2)


@dataclass(frozen=True, slots=True)
class OtaJobRequest:
    """``POST admin/otajob``: the JSON body, and the flags of the query."""

    body: Mapping[str, Any]
    force_push: bool = False
    user_approval: bool = False

    @property
    def query(self) -> dict[str, str]:
        """The flags as they stand behind the ``?``; one that is off is not there."""
        flags = {"force_push": self.force_push, "user_approval": self.user_approval}
        return {name: "true" for name, on in flags.items() if on}


@st.composite
def _metadata(draw: st.DrawFn, now: int) -> dict[str, Any]:
    """The keys a node understands, as a dashboard fills them in, and some of the app's own."""
    metadata: dict[str, Any] = {}
    if draw(st.booleans()):
        # It may have begun, may not have, and may never end; it has not ended yet.
        start = draw(st.none() | st.integers(-30, 30).map(lambda days: max(0, now + days * _DAY)))
        ends = st.integers(max(start or 0, now), now + _TEN_YEARS)
        end = draw(st.none() | ends)
        metadata["validity"] = {key: value for key, value in (("start", start), ("end", end)) if value is not None}
    if draw(st.booleans()):
        metadata["download_window"] = draw(_WINDOWS)
    return metadata | draw(_OWN)


@st.composite
def ota_jobs(
    draw: st.DrawFn,
    *,
    ota_image_id: str = "image",
    nodes: Collection[str] = ("node",),
    now: int = NOW,
) -> OtaJobRequest:
    """Jobs that the cloud accepts: targets, validity, daily window, priority, timeout, force push and user approval.

    They shrink to a name, an image and the first node.

    Args:
        ota_image_id: the image that every job is for.
        nodes: who there is; a job is for some of them, or for all by the group ``FFFF-FFFF``.
        now: seconds since 1970. A validity that is drawn ends later.

    Raises ``InvalidArgument`` when drawn from arguments that no job meets.
    """
    names = list(dict.fromkeys(nodes))
    need(not isinstance(nodes, str), f"nodes is the text {nodes!r}, expected a collection of node ids")
    need(0 < len(names) <= 100, f"nodes has {len(names)} node ids, expected 1 to 100")
    _need_time(now)
    body: dict[str, Any] = {"ota_job_name": draw(_LINES_ANY), "ota_image_id": ota_image_id}
    some = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    body |= {"groups": ["FFFF-FFFF"]} if draw(st.booleans()) else {"nodes": some}
    optional = {
        "metadata": _metadata(now),
        "description": _LINES_ANY,
        "priority": st.integers(1, 9),
        "timeout": st.integers(1, _TEN_YEARS),
    }
    body |= draw(st.fixed_dictionaries({}, optional=optional))
    return OtaJobRequest(body, force_push=draw(st.booleans()), user_approval=draw(st.booleans()))


@st.composite
def ota_urls(draw: st.DrawFn, *, url: str = "https://cloud.test/v1/ota/download/image", now: int = NOW) -> OtaUrl:
    """``otaurl`` messages: what a node hears of a job. ``encode()`` gives the payload.

    ``url`` is the link in each, ``now`` seconds since 1970, before which no validity has ended. They shrink to a job id
    and the link.

    Raises ``InvalidArgument`` when drawn for another ``now``.
    """
    _need_time(now)
    metadata = draw(st.none() | _metadata(now))
    return OtaUrl(
        ota_job_id=draw(_JOB_IDS),
        url=url,
        fw_version=draw(st.none() | _LINES),
        file_size=draw(st.integers(0, 0x1000000)),
        file_md5=draw(st.none() | st.binary(min_size=16, max_size=16).map(bytes.hex)),
        metadata=None if metadata is None else json.dumps(metadata, separators=(",", ":"), ensure_ascii=False),
    )


def _need_time(now: int) -> None:
    need(
        isinstance(now, int) and 0 <= now < _LAST - _TEN_YEARS,
        f"now is {now!r}, expected seconds since 1970, ten years before 32 bits are full",
    )
