"""Logins as a list: seen, ended one by one or all, kept over restarts, over when their time is."""

from __future__ import annotations

import pytest
from cloud_bench import ADMIN, NOW, PASSWORD, Bench, done, expect, failure, refused, user_token

from py_esp_ota.cloud.accounts import Accounts
from py_esp_ota.cloud.logins import Caller, LoginKind
from py_esp_ota.cloud.refusals import Refusal
from py_esp_ota.cloud.store import Store
from py_esp_ota.lab import Lab

ANN = "ann@example.com"
DAY = 86_400


def log_in(bench, client="curl", name=ANN):
    return done(bench.accounts.log_in(name, PASSWORD, Caller("10.0.0.1", client)))


def sessions(bench, token):
    return bench.ok("GET", "/v1/user/sessions", token=token)["sessions"]


def test_a_user_sees_the_own_logins_and_ends_them(bench):
    first = user_token(bench)
    bench.clock.time += 5
    second = log_in(bench, "rainmaker\ncli" + "x" * 300).accesstoken
    assert bench.token  # somebody else's
    newest, oldest = sessions(bench, second)
    assert newest == {
        "session_id": newest["session_id"], "kind": "api", "address": "10.0.0.1",
        "client": "rainmaker\ufffdcli" + "x" * 187, "started_timestamp": NOW + 5, "used_timestamp": NOW + 5,
        "expires_timestamp": NOW + 5 + 30 * DAY, "current": True,
    }  # fmt: skip
    assert not oldest["current"]
    bench.ok("DELETE", f"/v1/user/sessions?session_id={oldest['session_id']}", token=second)
    assert bench.call("GET", "/v1/user", token=first).status_code == 401
    assert [each["session_id"] for each in sessions(bench, second)] == [newest["session_id"]]


def test_nobody_ends_somebody_elses_login(bench):
    user_token(bench)
    (mine,) = sessions(bench, log_in(bench, name=ANN).accesstoken)[1:]
    answer = bench.call("DELETE", f"/v1/user/sessions?session_id={mine['session_id']}")
    assert failure(answer) == expect(Refusal.SESSION_UNKNOWN)
    assert len(sessions(bench, log_in(bench).accesstoken)) == 3


def test_all_end_at_once(bench):
    user_token(bench)
    tokens = [log_in(bench).accesstoken for _ in range(3)]
    user = bench.accounts.logins.user_of(tokens[0])
    bench.accounts.logins.end_others(user)
    alive = [bench.accounts.logins.user_of(token) is not None for token in tokens]
    assert alive == [True, False, False]
    bench.ok("POST", "/v1/logout2?logout_all=true", token=tokens[0])
    assert bench.accounts.logins.of(user.user_id) == []


def test_a_login_ends_after_a_month_however_often_it_is_renewed(bench):
    user_token(bench)
    tokens = log_in(bench)
    bench.clock.time += 30 * DAY - 10
    renewed = bench.accounts.logins.refresh(tokens.refreshtoken)
    (seen, _) = sessions(bench, renewed.accesstoken)
    assert seen["used_timestamp"] == NOW + 30 * DAY - 10
    bench.clock.time += 10
    assert bench.accounts.logins.user_of(renewed.accesstoken) is None
    with refused(Refusal.WRONG_REFRESH_TOKEN):
        bench.accounts.logins.refresh(tokens.refreshtoken)
    assert len(sessions(bench, log_in(bench).accesstoken)) == 1  # and its row is gone with the next login


def test_the_oldest_logins_end_when_there_are_too_many(bench, monkeypatch):
    monkeypatch.setattr("py_esp_ota.cloud.logins.LOGINS_LIMIT", 3)
    first = user_token(bench)
    kept = []
    for _ in range(3):
        bench.clock.time += 1
        kept.append(log_in(bench).accesstoken)
    assert bench.accounts.logins.user_of(first) is None
    assert all(bench.accounts.logins.user_of(token) for token in kept)


def test_a_page_is_another_door_than_the_api(bench):
    user_token(bench)
    user = done(bench.accounts.let_in(ANN, PASSWORD, LoginKind.PAGE, Caller("10.0.0.1", "browser")))
    cookie = bench.accounts.logins.cookie(user)
    logins = bench.accounts.logins
    assert (logins.user_of_cookie(cookie), logins.user_of(cookie)) == (user, None)
    assert logins.user_of_cookie(log_in(bench).accesstoken) is None
    bench.clock.time += 12 * 3600
    assert logins.user_of_cookie(cookie) is None


def test_that_a_page_is_looked_at_is_noted_now_and_then(bench):
    user_token(bench)
    user = done(bench.accounts.let_in(ANN, PASSWORD, LoginKind.PAGE, Caller()))
    cookie = bench.accounts.logins.cookie(user)

    def used():
        return next(login.used for login in bench.accounts.logins.of(user.user_id) if login.kind == "page")

    for seconds, noted in ((299, NOW), (1, NOW + 300), (-200, NOW + 100)):
        bench.clock.time += seconds
        bench.accounts.logins.user_of_cookie(cookie)
        assert used() == noted


@pytest.mark.parametrize("same", [True, False])
def test_logins_survive_a_restart_and_the_admins_too_unless_the_password_is_another(tmp_path, same):
    url, bench = f"sqlite:///{tmp_path / 'cloud.db'}", Bench()
    bench.store.close()

    def start(password):
        store = Store(url)
        accounts = Accounts(store, clock=bench.clock, token_hex=iter_hex(), deliver=lambda *_: None, scrypt_n=2)
        done(accounts.ensure_admin(ADMIN, password))
        return store, accounts

    numbers = iter(range(10_000))

    def iter_hex():
        return lambda size: f"{next(numbers):0{2 * size}x}"

    store, accounts = start(PASSWORD)
    tokens = done(accounts.log_in(ADMIN, PASSWORD))
    store.close()
    store, accounts = start(PASSWORD if same else "another secret")
    assert (accounts.logins.user_of(tokens.accesstoken) is not None) == same
    if same:
        assert accounts.logins.refresh(tokens.refreshtoken)
    store.close()


def test_a_lab_leaves_no_login_behind(tmp_path):
    url = f"sqlite:///{tmp_path / 'cloud.db'}"
    for _ in range(2):
        with Lab(database=url) as lab:
            assert len(lab._accounts.logins.of("localadmin")) == 1
