"""Virtual time: an asyncio event loop whose clock moves only when nobody has anything left to do.

A day of waiting costs as much as a second: one step of the loop. The order of everything is a function of the program
alone, so that a run with ten thousand devices repeats itself exactly. What would break that is refused by name:
threads, sockets, child processes.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_ASYNCIO = str(Path(asyncio.__file__).parent)
_TEN_YEARS = 10 * 366 * 86400.0
_FEW_TIMERS = 100


class VirtualTask(asyncio.Task[T]):
    """A task that hashes by its number, not by its address.

    Sets of tasks are walked when a ``TaskGroup`` aborts and when a loop ends. By address, each run would cancel in
    another order.
    """

    def __init__(self, number: int, coro: Coroutine[Any, Any, T], **options: Any) -> None:
        self._number = number  # first: asyncio's constructor already puts the task into a set
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop under virtual time; ``asyncio.Runner(loop_factory=VirtualLoop)`` drives it.

    Timers fire in the order of their time, those of one instant in the order in which they were set.

    Args:
        start: what ``time()`` says at the beginning, in seconds.
    """

    # asyncio's own, not in its published types
    _ready: deque[asyncio.Handle]
    _stopping: bool
    _closed: bool
    _debug: bool
    _check_closed: Callable[[], None]

    def __init__(self, start: float = 0.0) -> None:
        super().__init__()
        self._now = start
        # Adding a short delay to a long time loses digits; a timer as near as that loss is due.
        self._grain = math.ulp(start + _TEN_YEARS)
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._cancelled_timers = 0
        self._timers_set = 0
        self._tasks_made = 0
        self._thread_count = threading.active_count()

    def time(self) -> float:
        """Seconds of virtual time."""
        return self._now

    def create_task(
        self, coro: Coroutine[Any, Any, T] | Generator[Any, None, T], *, name: object = None, **options: Any
    ) -> asyncio.Task[T]:
        """``loop.create_task``; the default name counts within this loop."""
        self._tasks_made += 1
        name = f"Task-{self._tasks_made}" if name is None else str(name)
        return VirtualTask(self._tasks_made, coro, loop=self, name=name, **options)  # type: ignore[arg-type]

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """``loop.call_soon``; only a loop in debug mode or closed looks at what it is given."""
        if self._debug or self._closed:
            return super().call_soon(callback, *args, context=context)
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """``loop.call_at``."""
        self._check_closed()
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._timers_set += 1
        heapq.heappush(self._timers, (when, self._timers_set, timer))
        return timer

    def close(self) -> None:
        """``loop.close``."""
        self._timers.clear()
        super().close()

    def _timer_handle_cancelled(self, _handle: asyncio.TimerHandle) -> None:
        """A timer is being cancelled; most time-outs are, so they must not pile up."""
        self._cancelled_timers += 1
        if self._cancelled_timers > _FEW_TIMERS and 2 * self._cancelled_timers > len(self._timers):
            # A timer is marked only after this call: the one at hand stays until it is due or swept by the next sweep.
            self._timers = [entry for entry in self._timers if not entry[2].cancelled()]
            heapq.heapify(self._timers)
            self._cancelled_timers = 0

    def _run_once(self) -> None:
        """One step: run what is ready; when nothing is, move the clock to the next timer."""
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        ready = self._ready
        if not ready and not self._stopping:
            if threading.active_count() != self._thread_count:
                self._refuse_pool_threads()
            if not timers:
                raise RuntimeError(self._standstill())
            self._now = max(self._now, timers[0][0])
        due = self._now + self._grain
        while timers and timers[0][0] <= due:
            timer = heapq.heappop(timers)[2]
            if not timer.cancelled():
                ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:  # noqa: SLF001 - asyncio's own loops read it so
                handle._run()  # noqa: SLF001

    def _write_to_self(self) -> None:
        """Wake a sleeping loop: this one never sleeps."""

    def _standstill(self) -> str:
        waiting = [task for task in sorted(asyncio.all_tasks(self), key=hash) if not task.done()]
        shown = "".join(f"\n  {task.get_name()} waits at {_where(task)}" for task in waiting[:10])
        more = f"\n  and {len(waiting) - 10} more" if len(waiting) > 10 else ""
        return f"virtual time stands still: nothing is ready, no timer is set, and nobody can wake\n{shown[1:]}{more}"

    def _refuse_pool_threads(self) -> None:
        # anyio starts its workers without asking the loop. Each knows which loop it works for.
        self._thread_count = threading.active_count()
        if any(getattr(thread, "loop", None) is self for thread in threading.enumerate()):
            raise RuntimeError(
                "virtual time cannot wait for a thread, but anyio started one: "
                "an endpoint or dependency that is not 'async def', or a file sent from disk?"
            )


_REFUSED = {
    "run_in_executor": "threads",
    "getaddrinfo": "network",
    "create_connection": "sockets",
    "create_server": "sockets",
    "create_datagram_endpoint": "sockets",
    "create_unix_connection": "sockets",
    "create_unix_server": "sockets",
    "sock_connect": "sockets",
    "add_reader": "file descriptors",
    "add_writer": "file descriptors",
    "connect_read_pipe": "pipes",
    "connect_write_pipe": "pipes",
    "subprocess_exec": "processes",
    "subprocess_shell": "processes",
}


def _refusal(what: str) -> Callable[..., NoReturn]:
    def refuse(_loop: VirtualLoop, *_args: object, **_options: object) -> NoReturn:
        raise RuntimeError(f"virtual time has no {what}; use the adapters in memory, or run on a real event loop")

    return refuse


for _name, _what in _REFUSED.items():
    setattr(VirtualLoop, _name, _refusal(_what))


def run_virtual(main: Coroutine[Any, Any, T], *, start: float = 0.0) -> T:
    """``asyncio.run`` under virtual time: a fresh loop, whatever is left at the end is cancelled.

    Args:
        main: the coroutine to complete.
        start: what the loop's ``time()`` says at the beginning.

    Raises:
        RuntimeError: everybody waits and nobody can wake; the message says who waits where. Also when the program needs
            a thread, a socket or a process, and inside a running event loop.
    """
    if _is_running():
        main.close()
        raise RuntimeError("run_virtual() starts a loop of its own: inside a running event loop just await")
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(start)) as runner:
        return runner.run(main)


def _is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _where(task: asyncio.Task[Any]) -> str:
    """The innermost line of a suspended task that is not asyncio's own."""
    found = "?"
    awaited: object = task.get_coro()
    while awaited is not None:
        frame: FrameType | None = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame and not frame.f_code.co_filename.startswith(_ASYNCIO):
            found = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return found
