"""What the devices of a fleet tell a cloud that we cannot look into: seen on the wire, judged as our cloud judges."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace

from py_esp_ota.cloud.jobs import NodeState, NodeStatus, OtaJob, Report, hand_out
from py_esp_ota.fleet.members import JobOrder, Member
from py_esp_ota.fleet.result import MemberResult
from py_esp_ota.ports import Fetch, Message, Mqtt, MqttConnect, Response
from py_esp_ota.rainmaker.messages import OTASTATUS, OTAURL, PARAMS_LOCAL_INIT, OtaStatusReport, parse_topic
from py_esp_ota.rehearsal.climate import met

_STATUSES = {status.value: status for status in NodeStatus}


class Witness:
    """Sees what passes between one device and its cloud, and knows from that how the device stands.

    Args:
        member: the device.
        order: the job that it waits for.
        now: seconds on a clock that only goes forward.
    """

    def __init__(self, member: Member, order: JobOrder, now: Callable[[], float]) -> None:
        self.there = False  # it has told its params
        self.turn: float | None = None  # when it was given the URL for the first time
        self.state = NodeState(member.node_id)
        self._member = member
        self._now = now
        self._said: float | None = None
        self._done = self._before = 0  # bytes of this download, and of those before it
        self._job = OtaJob(
            ota_job_id="",
            ota_job_name=order.name,
            ota_image_id="",
            fw_version="",
            triggered_timestamp=0,
            max_fetch_cycles=order.max_fetch_cycles,
        )

    def up(self, topic: str, payload: bytes) -> None:
        """The broker has acknowledged a message of the device."""
        _, suffix = parse_topic(topic) or ("", "")
        if suffix == PARAMS_LOCAL_INIT:
            self.there = True
        elif suffix == OTASTATUS:
            with suppress(ValueError):  # cut off by the node: the cloud makes nothing of it either
                said = OtaStatusReport.decode(payload)
                self._said = self._now()
                report = Report(_STATUSES.get(said.status), said.additional_info, 1)
                self.state = self._job.apply(self.state, report)

    def down(self, topic: str) -> None:
        """A message for the device has come."""
        _, suffix = parse_topic(topic) or ("", "")
        if suffix == OTAURL:
            self._said = self._now()
            self.turn = self._said if self.turn is None else self.turn
            if not self.state.closed:
                self.state = hand_out(self.state, 1)

    def downloaded(self, piece: bytes, *, first: bool) -> None:
        """A piece of a download has come."""
        if first:
            self._before += self._done
            self._done = 0
        self._done += len(piece)

    def result(self, zero: float, boots: int) -> MemberResult:
        """How it stands, in seconds from ``zero`` on."""
        state = self.state
        return MemberResult(
            node_id=self._member.node_id,
            kind=self._member.kind.name,
            status=state.status.value,
            additional_info=state.additional_info,
            reason=str(state.reason),
            closed=state.closed,
            turn=None if self.turn is None else max(round(self.turn - zero), 0),
            seconds=None if self._said is None else max(round(self._said - zero), 0),
            boots=boots,
            bytes=self._before + self._done,
            met=met(self._member.plan),
        )

    # ------------------------------------------------------------------------------------------------------- the doors

    def mqtt(self, mqtt: MqttConnect) -> MqttConnect:
        """The same broker, with this witness in between."""

        @asynccontextmanager
        async def connected(client_id: str, will: Message | None = None) -> AsyncIterator[Mqtt]:
            async with mqtt(client_id, will) as link:
                yield _Seen(link, self)

        return connected

    def fetch(self, fetch: Fetch) -> Fetch:
        """The same downloads, with this witness in between."""

        def asked(url: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[Response]:
            return self._asked(fetch, url, headers)

        return asked

    @asynccontextmanager
    async def _asked(self, fetch: Fetch, url: str, headers: Mapping[str, str]) -> AsyncIterator[Response]:
        async with fetch(url, headers) as response:
            yield _Read(response, self)


class _Seen:
    """``Mqtt`` over another one."""

    __slots__ = ("_mqtt", "_witness")

    def __init__(self, mqtt: Mqtt, witness: Witness) -> None:
        self._mqtt = mqtt
        self._witness = witness

    async def publish(self, topic: str, payload: bytes, *, dup: bool = False) -> None:
        await self._mqtt.publish(topic, payload, dup=dup)
        self._witness.up(topic, payload)

    async def subscribe(self, topic_filter: str) -> None:
        await self._mqtt.subscribe(topic_filter)

    async def unsubscribe(self, topic_filter: str) -> None:
        await self._mqtt.unsubscribe(topic_filter)

    async def messages(self) -> AsyncIterator[Message]:
        async for message in self._mqtt.messages():
            self._witness.down(message.topic)
            yield message


class _Read:
    """``Response`` over another one."""

    def __init__(self, response: Response, witness: Witness) -> None:
        self._response = response
        self._witness = witness
        self._first = True
        self.status = response.status
        self.headers = response.headers

    async def read(self, limit: int) -> bytes:
        data = await self._response.read(limit)
        self._witness.downloaded(data, first=self._first)
        self._first = False
        return data


def unseen(member: Member) -> MemberResult:
    """A device that nobody has begun with."""
    return replace(Witness(member, JobOrder(image=b""), lambda: 0.0).result(0.0, 0))
