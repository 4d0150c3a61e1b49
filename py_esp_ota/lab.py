"""The lab: a cloud, a broker, devices and time in one room. The only place where device and cloud meet.

::

    async with Lab() as lab:                      # inside run_virtual(...), or over sockets
        lamp = lab.device("two_ota", firmware=old)
        lamp.power_on()
        reports = await lab.update(new, name="1.1.0")

    with Lab() as lab:                            # the synchronous face, under virtual time
        reports = lab.run(lab.update(new, name="1.1.0"))
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from itertools import count, pairwise
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from py_esp_ota._core import EFuse, PartitionTable, whole
from py_esp_ota.adapters.counted import CountedFetch, Progress
from py_esp_ota.adapters.link import Link, SlowFetch
from py_esp_ota.adapters.repeatable import Repeatable
from py_esp_ota.adapters.virtual_time import VirtualLoop
from py_esp_ota.apps import Apps
from py_esp_ota.device import Device, Diagnostics, Doors
from py_esp_ota.exposed import Exposed
from py_esp_ota.faults import Plan, parse
from py_esp_ota.flash_timing import FlashTiming
from py_esp_ota.ports import Bytes
from py_esp_ota.rainmaker.ota import OtaType
from py_esp_ota.rainmaker.params import ParamDevice
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.world import ADMIN, EPOCH, LAB_HOST, OpenWorld, World, memory_world

if TYPE_CHECKING:
    import httpx2
    from fastapi import FastAPI

    from py_esp_ota.cloud.logins import User
    from py_esp_ota.cloud.service import CloudService

T = TypeVar("T")

_LOOK = 5.0  # seconds between two looks at a condition while the cloud has nothing to tell
_SETTLED = 6.0  # seconds after which a node that connected has made its fetch of the boot
_UPLOAD_PIECE = 16 << 10
_FINAL = frozenset({"success", "rejected"})


class Lab:
    """A cloud and its devices.

    >>> from py_esp_ota import Firmware, Lab
    >>> old, new = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))
    >>> with Lab() as lab:
    ...     lamp = lab.device("two_ota_large", firmware=old, node_id="lamp1")
    ...     report = lamp.power_on()
    ...     said = lab.run(lab.update(new, name="lamp-1.1.0"))["lamp1"]
    >>> said[-1]["status"], lamp.running.version
    ('success', '1.1.0')

    Args:
        world: which doors; in memory under virtual time by default, ``socket_world(...)`` for real sockets.
        database: an SQLAlchemy URL; in memory by default.
        token_hex: where ids and keys come from; repeatable by default, so pass ``secrets.token_hex`` where strangers
            can reach the cloud.
        admin_password: the password of ``ADMIN``; made up when not given.
        deliver: brings verification codes to users who sign up: ``deliver(user_name, code)``.
    """

    world: World
    service: CloudService
    app: FastAPI

    def __init__(
        self,
        world: OpenWorld | None = None,
        *,
        database: str = "sqlite://",
        token_hex: Callable[[int], str] | None = None,
        admin_password: str | None = None,
        deliver: Callable[[str, str], None] | None = None,
    ) -> None:
        self._open_world = world or partial(memory_world, epoch=EPOCH)
        self._database = database
        self._token_hex = token_hex or Repeatable().token_hex
        self._admin_password = admin_password
        self._deliver = deliver or (lambda _user_name, _code: None)
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[Any]] = []
        self._places: dict[str, Exposed] = {}
        self._runner: asyncio.Runner | None = None
        self._headers: dict[str, str] = {}
        self._user: User | None = None  # the lab's own login

    def __repr__(self) -> str:
        if "world" not in vars(self):
            return "<Lab, not open>"
        devices = ", ".join(self._places) or "no devices"
        return f"<Lab with {devices}; broker: {self.world.broker}>"

    # ------------------------------------------------------------------------------------------------------- opening

    async def __aenter__(self) -> Self:
        # Half a second of imports, for those who open a lab and not for all who name one.
        from py_esp_ota.cloud_world import open_cloud  # noqa: PLC0415

        self._loop = asyncio.get_running_loop()
        made_up = self._admin_password is None
        self._admin_password = self._admin_password or self._token_hex(16)
        cloud = await self._stack.enter_async_context(
            open_cloud(
                self._open_world,
                database=self._database,
                token_hex=self._token_hex,
                admin_password=self._admin_password,
                made_up=made_up,
                deliver=self._deliver,
                allowed_hosts=[LAB_HOST],
            )
        )
        self.world, self.service, self.app, self._accounts = cloud.world, cloud.service, cloud.app, cloud.accounts
        self._tasks.append(cloud.life)
        self._changed = asyncio.Condition()
        self._start(self._listen(), "the cloud's listener")
        await self._log_in()
        return self

    async def __aexit__(self, *_raised: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            self._log_out()
        finally:
            await self._stack.aclose()

    def __enter__(self) -> Self:
        self._runner = asyncio.Runner(loop_factory=VirtualLoop)
        self._runner.__enter__()
        return self._runner.run(self.__aenter__())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner:
            self._runner.run(self.__aexit__(kind, error, trace))
            self._runner.__exit__(kind, error, trace)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The synchronous face: run a coroutine to its end while the lab lives."""
        if self._runner is None:
            raise RuntimeError("run() belongs to `with Lab()`; inside `async with Lab()` just await")
        return self._runner.run(coroutine)

    def _start(self, life: Coroutine[Any, Any, Any], name: str) -> None:
        # The synchronous face makes devices while its loop stands still.
        task = self._loop.create_task(life, name=name)
        self._tasks.append(task)

    # ------------------------------------------------------------------------------------------------------- devices

    def device(
        self,
        partitions: PartitionTable | str = "two_ota_large",
        *,
        firmware: Bytes,
        node_id: str | None = None,
        config: Sdkconfig | None = None,
        bootloader: Bytes | None = None,
        efuse: EFuse | None = None,
        name: str = "ESP RainMaker Device",
        type: str = "Lightbulb",  # noqa: A002 - the reference's word
        devices: Sequence[ParamDevice] | None = None,
        connectivity: bool = False,
        groups: bool = False,
        thread_partition_id: int = 0,
        ota_type: OtaType = OtaType.TOPICS,
        ota_diag: Diagnostics | None = None,
        apps: Apps | None = None,
        nvs_residents: bool = False,
        flash_timing: FlashTiming | str | None = None,
        link: Link | None = None,
        console: Callable[[str], None] | None = None,
        on_download: Progress | None = None,
    ) -> Device:
        """A device in this world, without power yet: ``power_on()`` brings it to life.

        ``on_download(done, total)`` is told of each piece of a download, which comes over ``link``, at once without
        one; for the rest see ``Device``. Raises
        ``ValueError`` for a ``node_id`` that another device has, and for an app that takes images over MQTT streams
        where the broker does not deliver them.
        """
        node_id = node_id or self._free_node_id()
        if node_id in self._places:
            raise ValueError(f"node_id {node_id!r} is another device's in this lab already")
        if config is not None and config.esp_rmaker_ota_use_mqtt and not self.world.basic_ingest:
            raise ValueError(f"OTA over MQTT streams needs Mosquitto: {self.world.broker} delivers no $aws/things/...")
        config = replace(config or Sdkconfig(), esp_rmaker_mqtt_use_basic_ingest_topics=self.world.basic_ingest)
        table = PartitionTable.builtin(partitions) if isinstance(partitions, str) else partitions
        outside = Doors(
            mqtt=self.world.mqtt,
            fetch=SlowFetch(self.world.fetch, link) if link else self.world.fetch,
            clock=self.world.clock,
        )
        make = partial(
            Device,
            table,
            firmware=firmware,
            bootloader=bootloader,
            efuse=efuse,
            config=config,
            node_id=node_id,
            name=name,
            type=type,
            devices=devices,
            connectivity=connectivity,
            groups=groups,
            thread_partition_id=thread_partition_id,
            ota_type=ota_type,
            apps=apps,
            nvs_residents=nvs_residents,
            flash_timing=flash_timing,
            console=console,
        )
        exposed = self._places[node_id] = Exposed(table, outside, make, ota_diag=ota_diag)
        device, doors = exposed.device, exposed.doors
        if on_download:
            doors = replace(doors, fetch=CountedFetch(doors.fetch, on_download))
        self._start(device.live(doors), f"device {node_id}")
        return device

    def _free_node_id(self) -> str:
        names = (f"node{number:06d}" for number in count(len(self._places) + 1))
        return next(name for name in names if name not in self._places)

    def faults(self, device: Device, plan: str | Plan) -> Plan:
        """Let ``plan`` happen to ``device`` from now on, on every side at once: ``cut@37+drop@65536*1+mqtt-lose@2``.

        It takes the place of the plan before it; ``""`` mends everything. ``py_esp_ota.faults`` lists the forms.
        Raises ``ValueError`` for a plan that does not parse; nothing has changed then.
        """
        plan = parse(plan) if isinstance(plan, str) else plan
        self._places[device.node_id].suffer(plan)
        return plan

    def is_online(self, node_id: str) -> bool:
        """Whether the cloud sees the node connected."""
        return self.service.nodes.is_online(node_id)

    async def settled(self, node_id: str, *, seconds: float) -> None:
        """Wait until the node has been online for long enough to have made the fetch that follows each boot.

        A job pushed before that is served twice, as by the real cloud: now, and again when the node asks 5 s after its
        boot. It takes the second offer too when the first is already written and waits for its reboot.
        Raises ``TimeoutError`` when the node does not come online within ``seconds``.
        """
        while True:
            await self.until(partial(self.is_online, node_id), seconds=seconds, what=f"{node_id} is online")
            online_for = (self.service.ground.now_ms() - self.service.nodes.get(node_id).connectivity_timestamp) / 1000
            if online_for >= _SETTLED:
                return
            await asyncio.sleep(_SETTLED - online_for)

    # ----------------------------------------------------------------------------------------------------- the cloud

    async def upload(self, firmware: Bytes, *, name: str, on_progress: Progress | None = None) -> str:
        """Upload an image as the dashboard does (request, put, confirm); its ``ota_image_id``.

        Raises ``LabError`` with the cloud's own words when it refuses.
        """
        request = await self._call("GET", "admin/otaimage/upload_request", params={"image_name": name})
        url = request["upload_url"]
        answer = await self.world.api.put(url, content=_pieces(whole(firmware), on_progress))
        _checked(answer)
        body = {"ota_image_id": request["ota_image_id"]}
        await self._call("POST", "admin/otaimage/upload_confirm", json=body)
        return str(request["ota_image_id"])

    async def start_job(
        self,
        name: str,
        image_id: str,
        *,
        nodes: Sequence[str],
        force_push: bool = True,
        metadata: Mapping[str, object] | None = None,
    ) -> str:
        """Create an OTA job; its ``ota_job_id``."""
        body = {"ota_job_name": name, "ota_image_id": image_id, "nodes": list(nodes), "metadata": dict(metadata or {})}
        query = {"force_push": "true" if force_push else "false"}
        return str((await self._call("POST", "admin/otajob", params=query, json=body))["ota_job_id"])

    async def cancel_job(self, job_id: str) -> None:
        """Cancel a job: no new node gets the URL, nodes that hold it finish."""
        await self._call("PUT", "admin/otajob", json={"ota_job_id": job_id})

    async def job_status(self, job_id: str) -> str:
        """``triggered``, ``in_progress``, ``completed`` or ``cancelled``."""
        return str((await self._call("GET", "admin/otajob", params={"ota_job_id": job_id}))["status"])

    def reports(self, job_id: str, node_id: str) -> list[dict[str, str]]:
        """Everything that was said about a job on a node, oldest first: ``status`` and ``additional_info``."""
        return [
            {"status": report.status, "additional_info": report.additional_info}
            for report in self.service.jobs.history(job_id, node_id)
        ]

    def phases(self, job_id: str, node_id: str) -> list[tuple[str, float]]:
        """How long each part of a job took on a node: what was said, and the seconds until the next word."""
        said = self.service.jobs.history(job_id, node_id)
        return [
            (line.additional_info or line.status, (after.timestamp - line.timestamp) / 1000)
            for line, after in pairwise(said)
        ]

    async def update(
        self, firmware: Bytes, *, name: str, nodes: Sequence[str] | None = None, seconds: float = 600.0
    ) -> dict[str, list[dict[str, str]]]:
        """Upload, push and wait for every node's last word; the reports by node. Raises ``TimeoutError``."""
        targets = list(nodes or self._places)
        for node in targets:
            await self.settled(node, seconds=seconds)
        image_id = await self.upload(firmware, name=name)
        job_id = await self.start_job(name, image_id, nodes=targets)
        for node in targets:
            await self.until(partial(self._is_final, job_id, node), seconds=seconds, what=f"the last word of {node}")
        return {node: self.reports(job_id, node) for node in targets}

    def _is_final(self, job_id: str, node_id: str) -> bool:
        state = self.service.jobs.state(job_id, node_id)
        return state is not None and state.status.value in _FINAL

    async def until(self, condition: Callable[[], bool], *, seconds: float, what: str = "the condition") -> None:
        """Wait until ``condition()`` holds; a device or cloud that died of a mistake raises it here.

        Raises ``TimeoutError`` after ``seconds``.
        """
        deadline = self._loop.time() + seconds
        while not condition():
            self.check()
            if self._loop.time() >= deadline:
                raise TimeoutError(f"waited {seconds:g} s in vain until {what}")
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK), self._changed:
                    await self._changed.wait()

    def check(self) -> None:
        """Raise the mistake that a device or the cloud died of, if one did."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def _listen(self) -> None:
        """Wake everybody who waits for the cloud to change."""
        async for _notice in self.service.live.subscribe():
            async with self._changed:
                self._changed.notify_all()

    async def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer = await self.world.api.request(method, f"/v1/{path}", headers=self._headers, **options)
        if answer.status_code == HTTPStatus.UNAUTHORIZED:  # the token has grown old
            await self._log_in()
            answer = await self.world.api.request(method, f"/v1/{path}", headers=self._headers, **options)
        return _checked(answer)

    def _log_out(self) -> None:
        """A login that nobody needs any more would be on the list for a month."""
        from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 - as the imports of a lab that opens

        if self._user is not None:
            with suppress(DBAPIError):  # then it stays there
                self._accounts.logins.log_out(self._user)

    async def _log_in(self) -> None:
        self._log_out()
        login = {"user_name": ADMIN, "password": self._admin_password}
        answer = _checked(await self.world.api.post("/v1/login2", json=login))
        self._headers = {"Authorization": answer["accesstoken"]}
        self._user = self._accounts.logins.user_of(answer["accesstoken"])


class LabError(Exception):
    """The cloud refused a request of the lab; the message is the cloud's own."""


def _checked(answer: httpx2.Response) -> dict[str, Any]:
    body: dict[str, Any] = answer.json() if answer.content else {}
    if answer.is_error:
        raise LabError(f"{answer.status_code}: {body.get('description') or body.get('message')}")
    return body


async def _pieces(data: bytes, on_progress: Progress | None) -> AsyncIterator[bytes]:
    for start in range(0, len(data), _UPLOAD_PIECE):
        yield data[start : start + _UPLOAD_PIECE]
        if on_progress:
            on_progress(min(start + _UPLOAD_PIECE, len(data)), len(data))
