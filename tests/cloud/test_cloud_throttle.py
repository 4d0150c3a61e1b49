"""How often somebody may try: the clock is turned by hand."""

from __future__ import annotations

import asyncio

import pytest
from cloud_bench import NOW, PASSWORD, Clock, done, expect, failure, refused, user_token
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota.cloud.accounts import Accounts, scrypt
from py_esp_ota.cloud.logins import Caller
from py_esp_ota.cloud.refusals import Refusal
from py_esp_ota.cloud.throttle import KEYS, Rate, Throttle, Try, after, network, wait

ANN, BOB, NOBODY = (f"{name}@example.com" for name in ("ann", "bob", "nobody"))
HERE, THERE = Caller("10.0.0.1"), Caller("10.0.0.2")


def guess(bench, name=ANN, password="wrong password", caller=HERE):
    return bench.accounts.log_in(name, password, caller)


def exhaust(bench, times, name=ANN, caller=HERE):
    for _ in range(times):
        with refused(Refusal.WRONG_PASSWORD):
            done(guess(bench, name, caller=caller))


@pytest.mark.parametrize("name", [ANN, NOBODY])
def test_ten_wrong_passwords_and_then_one_in_half_a_minute(bench, name):
    user_token(bench, ANN)
    exhaust(bench, 10, name)
    for caller in (HERE, THERE):  # from wherever
        with refused(Refusal.TOO_OFTEN):
            done(guess(bench, name, PASSWORD, caller))
    bench.clock.time += 29.9
    with refused(Refusal.TOO_OFTEN):
        done(guess(bench, name))
    bench.clock.time += 0.1
    exhaust(bench, 1, name)
    with refused(Refusal.TOO_OFTEN):
        done(guess(bench, name))
    bench.clock.time += 300
    exhaust(bench, 10, name)


def test_who_is_throttled_is_told_for_how_long_and_costs_no_hash(bench, monkeypatch):
    user_token(bench, ANN)
    exhaust(bench, 10, caller=Caller("127.0.0.1"))

    async def none(*_args):
        raise AssertionError("a hash was made")

    monkeypatch.setattr(bench.accounts, "_derive", none)
    answer = bench.call("POST", "/v1/login2", token="", json={"user_name": ANN, "password": PASSWORD})
    assert failure(answer) == expect(Refusal.TOO_OFTEN) == (429, 101020)
    assert answer.headers["retry-after"] == str(answer.json()["retry_after"]) == "31"


def test_an_address_has_fifty_for_all_names(bench):
    user_token(bench, ANN)
    for number in range(50):
        exhaust(bench, 1, f"{number}@example.com")
    with refused(Refusal.TOO_OFTEN):
        done(guess(bench, ANN, PASSWORD))
    assert done(guess(bench, ANN, PASSWORD, THERE))
    bench.clock.time += 5
    assert done(guess(bench, ANN, PASSWORD))


def test_a_right_password_does_not_count(bench):
    user_token(bench, ANN)
    for _ in range(100):
        assert done(guess(bench, password=PASSWORD))
    exhaust(bench, 10)


def test_guesses_at_the_same_time_count_before_they_are_judged(bench):
    user_token(bench, ANN)

    async def story():
        together = asyncio.Event()

        async def slow(password, salt, n):
            await together.wait()
            return scrypt(password, salt, n)

        accounts = Accounts(
            bench.store, clock=bench.clock, token_hex=lambda size: "11" * size, deliver=print, scrypt_n=2, derive=slow
        )
        guesses = [asyncio.create_task(accounts.log_in(ANN, "wrong password", HERE)) for _ in range(12)]
        await asyncio.sleep(0)
        together.set()
        return [error.refusal for error in await asyncio.gather(*guesses, return_exceptions=True)]

    assert asyncio.run(story()) == [Refusal.WRONG_PASSWORD] * 10 + [Refusal.TOO_OFTEN] * 2


@pytest.mark.parametrize("name", [ANN, NOBODY])
def test_codes_are_sent_three_times_and_then_one_in_five_minutes(bench, name):
    user_token(bench, ANN)
    bench.clock.time += 3600
    for _ in range(3):
        bench.accounts.forgot_password(name, HERE)
    with refused(Refusal.TOO_OFTEN):
        bench.accounts.forgot_password(name, THERE)
    bench.clock.time += 300
    bench.accounts.forgot_password(name, HERE)


def test_sign_ups_send_no_more_codes_than_that(bench):
    for _ in range(3):
        done(bench.accounts.sign_up(ANN, PASSWORD, HERE))
    with refused(Refusal.TOO_OFTEN):
        done(bench.accounts.sign_up(ANN, PASSWORD, HERE))
    assert len(bench.mail) == 3
    for number in range(17):
        done(bench.accounts.sign_up(f"{number}@example.com", PASSWORD, HERE))
    with refused(Refusal.TOO_OFTEN):
        done(bench.accounts.sign_up(BOB, PASSWORD, HERE))
    done(bench.accounts.sign_up(BOB, PASSWORD, THERE))


def test_new_codes_give_no_endless_guesses(bench):
    """Each code survives four errors, so that who asks for code after code would guess for ever."""
    user_token(bench, ANN)
    bench.clock.time += 3600
    guesses = 0
    with refused(Refusal.TOO_OFTEN):
        while True:
            bench.accounts.forgot_password(ANN, HERE)
            for _ in range(5):
                with refused(Refusal.WRONG_CODE):
                    bench.accounts.confirm(ANN, "nope", HERE)
                guesses += 1
    assert guesses == 15
    with refused(Refusal.TOO_OFTEN):
        done(bench.accounts.reset_password(ANN, "a new secret", "nope", HERE))


@given(st.lists(st.floats(-500_000_000, 500_000_000), max_size=20))
def test_whatever_the_clock_does_nobody_waits_longer_than_a_burst(steps):
    rate, now, full_at = Rate(3, 60), NOW, NOW
    for step in steps:
        now += step
        seconds = wait(full_at, now, rate)
        assert 0 <= seconds <= rate.every + 1e-6
        if seconds == 0:
            full_at = after(full_at, now, rate)


def test_only_so_many_names_are_remembered():
    clock = Clock()
    throttle = Throttle(clock)
    for number in range(KEYS + 5):
        throttle.count(Try.LOGIN, str(number), "")
    assert len(throttle._full_at) == KEYS
    clock.time += 31
    throttle.count(Try.LOGIN, "one more", "")
    assert len(throttle._full_at) == 1


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("10.0.0.1", "10.0.0.1"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::/64"), ("testclient", "testclient"),
    ],
)  # fmt: skip
def test_a_household_is_one_address(address, counted):
    assert network(address) == counted
