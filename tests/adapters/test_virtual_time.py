"""Virtual time: waiting is free, order is fixed, and what would break either is refused by name."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import time

import anyio
import anyio.to_thread
import pytest

from py_esp_ota.adapters.virtual_time import VirtualLoop, run_virtual
from py_esp_ota.errors import PowerLoss, Restart

DAY = 86400


def now() -> float:
    return asyncio.get_running_loop().time()


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


# --------------------------------------------------------------------------------------------------------- the clock


def test_a_week_of_sleep_passes_at_once():
    async def story():
        await asyncio.sleep(7 * DAY)
        return now()

    begun = time.process_time()
    assert run_virtual(story()) == 7 * DAY
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("start", [0.0, 1234.5, 1_767_225_600.0])
def test_time_begins_where_told_and_short_sleeps_end(start):
    async def story():
        times = [now()]
        for _ in range(3):
            await asyncio.sleep(1e-7)
            await asyncio.sleep(0.05)
            times.append(now())
        return times

    times = run_virtual(story(), start=start)
    assert times[0] == start
    assert times[-1] - start == pytest.approx(0.15, abs=1e-5)


def test_the_clock_stands_while_somebody_can_run():
    async def story():
        sleeper = asyncio.create_task(asyncio.sleep(1))
        for _ in range(1000):
            await asyncio.sleep(0)
        return now(), sleeper.done()

    assert run_virtual(story()) == (0.0, False)


def test_a_timer_in_the_past_does_not_turn_time_back():
    async def story():
        await asyncio.sleep(10)
        fired = asyncio.Event()
        asyncio.get_running_loop().call_at(3, fired.set)
        await fired.wait()
        return now()

    assert run_virtual(story()) == 10


def test_a_cancelled_timer_does_not_move_the_clock():
    async def story():
        asyncio.get_running_loop().call_later(500, print).cancel()
        async with asyncio.timeout(300):
            await asyncio.sleep(2)
        await asyncio.sleep(1)
        return now()

    assert run_virtual(story()) == 3


def test_sleepers_of_one_instant_wake_in_the_order_they_went_to_sleep():
    async def story():
        woken = []

        async def sleeper(number):
            await asyncio.sleep(5)
            woken.append(number)

        await asyncio.gather(*(sleeper(number) for number in range(200)))
        return woken

    assert run_virtual(story()) == list(range(200))


def test_timers_fire_by_time_whatever_the_order_they_were_set_in():
    async def story():
        fired = []
        loop = asyncio.get_running_loop()
        for delay in (7, 3, 9, 1, 5, 3.5):
            loop.call_later(delay, fired.append, delay)
        await asyncio.sleep(10)
        return fired

    assert run_virtual(story()) == [1, 3, 3.5, 5, 7, 9]


# --------------------------------------------------------------------------------------------------- asyncio and anyio


def test_timeouts_queues_and_task_groups_work():
    async def story():
        queue: asyncio.Queue[int] = asyncio.Queue()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await queue.get()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queue.get(), 2)

        async def producer():
            for number in range(3):
                await asyncio.sleep(10)
                await queue.put(number)

        async with asyncio.TaskGroup() as group:
            group.create_task(producer())
            got = [await queue.get() for _ in range(3)]
        return got, now()

    assert run_virtual(story()) == ([0, 1, 2], 37.0)


def test_anyio_works():
    async def story():
        with anyio.move_on_after(4) as scope:
            await anyio.sleep(100)
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 3)
        return scope.cancelled_caught, now(), anyio.current_time()

    assert run_virtual(story()) == (True, 7.0, 7.0)


def test_the_result_and_the_exception_come_out():
    async def answer():
        return 42

    async def fail():
        raise KeyError("lost")

    assert run_virtual(answer()) == 42
    with pytest.raises(KeyError, match="lost"):
        run_virtual(fail())


@pytest.mark.parametrize("end", [PowerLoss, Restart])
def test_the_end_of_a_devices_life_does_not_end_the_world(end):
    async def die():
        await asyncio.sleep(1)
        raise end

    async def story():
        device, other = asyncio.create_task(die()), asyncio.create_task(asyncio.sleep(2, "alive"))
        with pytest.raises(end):
            await device
        with pytest.raises(BaseExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                group.create_task(die())
        return await other, type(caught.value.exceptions[0])

    assert run_virtual(story()) == ("alive", end)


@pytest.mark.parametrize("end", [PowerLoss, Restart, KeyboardInterrupt])
def test_it_comes_out_of_the_main_coroutine_as_well(end):
    async def story():
        await asyncio.sleep(1)
        raise end

    with pytest.raises(end):
        run_virtual(story())


# ------------------------------------------------------------------------------------------------------------- the end


def test_what_is_left_at_the_end_is_cancelled_and_may_clean_up():
    ended = []

    async def left_over(number):
        try:
            await for_ever()
        finally:
            await asyncio.sleep(5)
            ended.append(number)

    async def generator():
        try:
            yield 1
            yield 2
        finally:
            ended.append("generator")

    async def story():
        numbers = generator()
        await anext(numbers)
        tasks = [asyncio.create_task(left_over(number)) for number in range(3)]
        await asyncio.sleep(1)
        return tasks, numbers

    tasks, _numbers = run_virtual(story())
    assert all(task.cancelled() for task in tasks)
    assert sorted(ended[:3]) == [0, 1, 2]
    assert ended[3:] == ["generator"]


def test_the_loop_is_closed():
    async def story():
        return asyncio.get_running_loop()

    loop = run_virtual(story())
    assert loop.is_closed()
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_later(1, print)
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_soon(print)
    del loop
    gc.collect()


def test_a_runner_keeps_its_tasks_between_two_calls():
    async def start():
        return asyncio.create_task(asyncio.sleep(100, "done"))

    async def finish(task):
        return await task, now()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        task = runner.run(start())
        assert runner.run(finish(task)) == ("done", 100.0)


def test_it_works_in_asyncios_debug_mode(monkeypatch):
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")

    async def story():
        async with asyncio.timeout(3):
            await asyncio.sleep(2)
        with pytest.raises(TypeError):
            asyncio.get_running_loop().call_soon("no function")
        return now(), asyncio.get_running_loop().get_debug()

    assert run_virtual(story()) == (2.0, True)


# ----------------------------------------------------------------------------------------------------------- standstill


def test_nobody_can_wake_is_an_error_that_names_who_waits_where():
    async def reader():
        await asyncio.Queue().get()

    async def story():
        asyncio.create_task(reader(), name="the reader")  # noqa: RUF006
        await asyncio.sleep(3)
        await for_ever()

    with pytest.raises(RuntimeError) as caught:
        run_virtual(story())
    text = str(caught.value)
    assert "virtual time stands still" in text
    line = next(line for line in text.splitlines() if "the reader" in line)
    assert f"{__file__}:" in line
    assert line.endswith("in reader")
    assert "in for_ever" in text


def test_a_standstill_of_thousands_is_described_briefly():
    async def story():
        await asyncio.gather(*(for_ever() for _ in range(3000)))

    with pytest.raises(RuntimeError, match="and 2991 more") as caught:
        run_virtual(story())
    assert len(str(caught.value).splitlines()) == 12


def test_after_a_standstill_the_tasks_still_clean_up():
    ended = []

    async def story():
        try:
            await for_ever()
        finally:
            await asyncio.sleep(1)
            ended.append(now())

    with pytest.raises(RuntimeError, match="stands still"):
        run_virtual(story())
    assert ended == [1.0]


# ------------------------------------------------------------------------------------------------------------- refusals


async def connect():
    await asyncio.open_connection("127.0.0.1", 9)


async def listen():
    await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)


async def run_program():
    await asyncio.create_subprocess_exec("true")


async def resolve():
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)


async def watch():
    asyncio.get_running_loop().add_reader(0, print)


async def use_thread():
    await asyncio.to_thread(time.sleep, 0)


async def use_anyio_thread():
    await anyio.to_thread.run_sync(time.sleep, 0)


@pytest.mark.parametrize(
    ("wish", "what"),
    [
        (connect, "no sockets"),
        (listen, "no sockets"),
        (run_program, "no processes"),
        (resolve, "no network"),
        (watch, "no file descriptors"),
        (use_thread, "no threads"),
        (use_anyio_thread, "anyio started one"),
    ],
)
def test_what_lives_in_real_time_is_refused_by_name(wish, what):
    with pytest.raises(RuntimeError, match=what):
        run_virtual(wish())


def test_it_does_not_run_inside_another_loop():
    async def outer():
        run_virtual(asyncio.sleep(1))

    with pytest.raises(RuntimeError, match="running event loop"):
        asyncio.run(outer())


# ---------------------------------------------------------------------------------------------------------- repeatable

ABORT = """
import asyncio
from py_esp_ota.adapters.virtual_time import run_virtual

async def member(number, ended):
    try:
        await asyncio.sleep(100)
    finally:
        ended.append(number)

async def story():
    ended = []
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(40):
                group.create_task(member(number, ended))
            await asyncio.sleep(1)
            raise ValueError
    except* ValueError:
        pass
    return ended

padding = [object() for _ in range({padding})]
print(run_virtual(story()))
"""


def test_a_task_group_aborts_in_the_same_order_in_every_process():
    orders = {
        subprocess.run(
            [sys.executable, "-c", ABORT.format(padding=padding)], capture_output=True, text=True, check=True
        ).stdout
        for padding in (0, 1000, 12345)
    }
    assert len(orders) == 1
    assert sorted(eval(orders.pop())) == list(range(40))


# ---------------------------------------------------------------------------------------------------------------- cheap


def test_cancelled_timeouts_do_not_pile_up():
    async def story():
        loop = asyncio.get_running_loop()
        for _ in range(10_000):
            async with asyncio.timeout(5):
                await asyncio.sleep(0)
        return len(loop._timers)

    assert run_virtual(story()) < 1000


def test_ten_thousand_sleepers_and_a_day_of_timers_are_cheap():
    async def crowd():
        await asyncio.gather(*(asyncio.sleep(1 + number % 7) for number in range(10_000)))

    async def day():
        for _ in range(DAY // 5):
            await asyncio.sleep(5)
        return now()

    begun = time.process_time()
    run_virtual(crowd())
    assert run_virtual(day()) == DAY
    assert time.process_time() - begun < 5  # some 0.3 s on an idle machine
