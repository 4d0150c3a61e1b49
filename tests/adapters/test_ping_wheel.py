"""One timer for the keep-alive of a crowd."""

from __future__ import annotations

import asyncio

from py_esp_ota.adapters.memory import run_virtual
from py_esp_ota.adapters.ping_wheel import PingWheel


class Member:
    """Looked at every so many seconds, so many times."""

    def __init__(self, every: float, times: int) -> None:
        self.every, self.times = every, times
        self.looked: list[float] = []

    def look(self, now: float) -> float | None:
        self.looked.append(now)
        return None if len(self.looked) == self.times else now + self.every


def test_each_is_looked_at_when_it_is_due_to_the_second_and_never_before():
    async def story():
        loop, wheel = asyncio.get_running_loop(), PingWheel()
        began = loop.time()
        members = [Member(every, 5) for every in (0.2, 1.0, 7.3, 60.0)]
        for member in members:
            wheel.join(member, began + member.every)
        await asyncio.sleep(400)
        assert len(wheel) == 0
        for member in members:
            gaps = [after - before for before, after in zip([began, *member.looked], member.looked, strict=False)]
            assert len(gaps) == 5
            assert all(member.every <= gap <= member.every + 1.001 for gap in gaps)

    run_virtual(story())


def test_who_leaves_is_looked_at_no_more_and_an_empty_wheel_stands():
    async def story():
        loop, wheel = asyncio.get_running_loop(), PingWheel()
        stays, goes = Member(1, 3), Member(1, 9)

        class Sends:
            """Ends another's connection while it is looked at."""

            def look(self, _now: float) -> None:
                wheel.leave(goes)

        for member in (stays, Sends(), goes):
            wheel.join(member, loop.time() + 1)
        await asyncio.sleep(10)
        assert (len(stays.looked), goes.looked, len(wheel)) == (3, [], 0)
        wheel.leave(goes)
        wheel.join(goes, loop.time())
        wheel.leave(goes)
        await asyncio.sleep(3)
        assert goes.looked == []
        wheel.join(stays, loop.time())
        await asyncio.sleep(2)
        assert len(stays.looked) >= 4

    run_virtual(story())


def test_a_loop_that_was_busy_for_long_looks_at_all_who_were_due_meanwhile():
    async def story():
        loop, wheel = asyncio.get_running_loop(), PingWheel(spoke=0.01)
        members = [Member(0, 1) for _ in range(5)]
        for number, member in enumerate(members):
            wheel.join(member, loop.time() + 0.01 * number)
        import time

        time.sleep(0.1)  # noqa: ASYNC251 - what a busy loop is
        await asyncio.sleep(0.02)
        assert [len(member.looked) for member in members] == [1] * 5

    asyncio.run(story())
