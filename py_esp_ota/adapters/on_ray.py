"""Work in the workers of a Ray cluster, or of a Ray that is started on this machine for it."""

from __future__ import annotations

import os
import re
import secrets
import socket
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from py_esp_ota.adapters.processes import cores
from py_esp_ota.extras import missing
from py_esp_ota.work import Done, Lost, Next, Packed, Stranger, Work, WorkError
from py_esp_ota.work.packed import opened

OLDEST = (2, 50)
_ADDRESS = "RAY_ADDRESS"
_PLACE = re.compile(r"(?:ray://)?(?P<host>[^\s/:@]+):(?P<port>[0-9]{1,5})", re.ASCII)
_PATIENCE = 5.0  # seconds
_STORE = 80 << 20  # bytes of shared memory: Ray's least, and reports are small


def _our_own() -> dict[str, str]:
    """What a Ray is told that we start: to listen on loopback only, to let in us alone, to tell nobody that it runs."""
    return {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # its name for everything but loopback
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # or it warns of what it will change
    }


@dataclass(frozen=True, slots=True)
class OnRay:
    """``address`` as Ray has it, ``ray://HOST:PORT`` say.

    Without one it is that of the environment variable RAY_ADDRESS, and where that is not set either, a Ray is started
    here and ends with the work. ``jobs`` workers; one for each processor of the cluster when it is ``None``.
    """

    address: str | None = None
    jobs: int | None = None

    @property
    def cluster(self) -> str | None:
        """The address of the cluster; ``None`` when a Ray is started here."""
        return self.address or os.environ.get(_ADDRESS)

    @contextmanager
    def open(self, work: Work[Any, Any], /) -> Iterator[_Actors]:
        """The workers are ended with the block. Raises ``WorkError``: no Ray, another version of it, nobody there."""
        packed = Packed.of(work)
        address = self.cluster
        if address is not None:
            _knock(address)
        ray = _ray(ours=address is None)
        with _joined(ray, address, self.jobs or cores()):
            has = int(ray.cluster_resources().get("CPU", 0))
            if has < (self.jobs or 1):
                raise WorkError(f"this Ray has {has} processors: {self.jobs} workers do not fit")
            path = sys.path if address is None else []  # elsewhere other folders are
            actors = _Actors(ray, packed, path, self.jobs or has)
            try:
                actors.start()
                yield actors
            finally:
                actors.end()


def _knock(address: str) -> None:
    """Raises ``WorkError`` when nobody listens there: Ray itself tries for minutes."""
    place = _PLACE.fullmatch(address)
    if place is None:  # "auto", say, which Ray knows about
        return
    try:
        socket.create_connection((place["host"], int(place["port"])), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise WorkError(f"Ray at {address}: {getattr(error, 'strerror', None) or error}") from error


def _ray(*, ours: bool) -> Any:
    """The module. Raises ``WorkError`` without one that we can use."""
    if ours and "ray" not in sys.modules:  # it reads this once, when it is imported
        for name, value in _our_own().items():
            os.environ.setdefault(name, value)
    try:
        import ray  # noqa: PLC0415 - half a second, and an extra
    except ModuleNotFoundError as error:
        raise WorkError(str(missing("work on Ray", "ray", error))) from None
    except ImportError as error:
        raise WorkError(f"Ray cannot be imported here: {_in_short(error)}") from error
    found = tuple(int(part) for part in ray.__version__.split(".")[:2])
    if found < OLDEST:
        raise WorkError(f"Ray is {ray.__version__} here: py_esp_ota needs {'.'.join(map(str, OLDEST))} or later")
    return ray


@contextmanager
def _joined(ray: Any, address: str | None, size: int) -> Iterator[None]:
    """In a cluster; one that the program is in already stays as it is. Raises ``WorkError``."""
    if ray.is_initialized():
        yield
        return
    quiet = {"configure_logging": False, "log_to_driver": False}
    try:
        if address is None:
            ray.init("local", num_cpus=size, object_store_memory=_STORE, include_dashboard=False, **quiet)
        else:
            ray.init(address, **quiet)
    except ModuleNotFoundError as error:  # ray:// needs more of it than Ray itself
        raise WorkError(str(missing("work on Ray", "ray", error))) from None
    except (ConnectionError, RuntimeError, ValueError, AssertionError, ray.exceptions.RayError) as error:
        raise WorkError(_refused(error, address, ray.__version__)) from error
    try:
        yield
    finally:
        ray.shutdown()


class Worker:
    """One worker, as Ray has it: what it is made of goes with each answer."""

    def __init__(self, packed: Packed, path: Sequence[str]) -> None:
        """Unpack the work, whose module is found in ``path`` if nowhere else."""
        sys.path.extend(folder for folder in path if folder not in sys.path)
        self._answer = packed.worker()

    def ready(self) -> Stranger:
        """What it is made of."""
        return Stranger.myself()

    def answer(self, shard: int) -> tuple[Stranger, bytes]:
        """The answer for a shard."""
        return Stranger.myself(), self._answer(shard)


class _Actors:
    def __init__(self, ray: Any, packed: Packed, path: Sequence[str], size: int) -> None:
        self.size = size
        self._ray = ray
        self._first = ray.put(packed), path
        self._made = ray.remote(num_cpus=1)(Worker)
        self._free: deque[Any] = deque()
        self._busy: dict[Any, tuple[Any, int]] = {}

    def start(self) -> None:
        self._free.extend(self._actor() for _ in range(self.size))
        try:
            self._ray.get(self._free[0].ready.remote()).refuse("a worker of this Ray")
        except (self._ray.exceptions.RayError, ConnectionError) as error:
            raise WorkError(f"a worker of this Ray cannot begin: {_lines(error)[-1]}") from error

    def give(self, shard: int) -> None:
        actor = self._free.popleft()
        self._busy[actor.answer.remote(shard)] = actor, shard

    def next(self) -> Next:
        try:
            (ready, *_), _ = self._ray.wait(list(self._busy))
            actor, shard = self._busy.pop(ready)
            return self._heard(ready, actor, shard)
        except (ConnectionError, self._ray.exceptions.RaySystemError) as error:
            raise WorkError(f"Ray is gone: {_in_short(error)}") from error

    def end(self) -> None:
        for actor in (*self._free, *(actor for actor, _ in self._busy.values())):
            with suppress(Exception):  # it is gone, or all of Ray is
                self._ray.kill(actor)

    def _heard(self, ready: Any, actor: Any, shard: int) -> Next:
        try:
            stranger, answer = self._ray.get(ready)
        except self._ray.exceptions.RaySystemError:
            raise
        except self._ray.exceptions.RayError as error:
            self._free.append(self._actor())
            return Lost(shard, f"died: {_in_short(error)}")
        stranger.refuse("a worker of this Ray")
        self._free.append(actor)
        try:
            return Done(shard, opened(answer))
        except Exception as error:  # noqa: BLE001 - what the work raised there
            return Done(shard, error=error)

    def _actor(self) -> Any:
        return self._made.remote(*self._first)


def _refused(error: BaseException, address: str | None, version: str) -> str:
    """Why there is no joining. A cluster of another version has hardly ever a word for it."""
    if address is None:
        return f"no Ray can be started here: {_in_short(error)}"
    here = f"Ray {version} on Python {Stranger.myself().python}"
    return f"Ray at {address}: {_in_short(error)} (here is {here}, and both sides need the same)"


def _in_short(error: BaseException) -> str:
    """Its first line, as Ray explains itself at length; the last one where only that says what was wrong."""
    lines = _lines(error)
    return f"{lines[0]} {lines[-1]}" if lines[0].endswith(":") else lines[0]


def _lines(error: BaseException) -> list[str]:
    lines = [line.strip() for line in str(error).splitlines()]
    return [line for line in lines if line] or [type(error).__name__]
