"""Sign-up, login, tokens, logout: as the official CLI goes through them."""

from __future__ import annotations

import base64
import json

import pytest
from cloud_bench import ADMIN, NOW, PASSWORD, Bench, done, refused
from databases import dump
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota.cloud.accounts import Accounts, derive_here
from py_esp_ota.cloud.refusals import Refusal
from py_esp_ota.cloud.roles import Role

pytestmark = pytest.mark.both_databases

ANN = "ann@example.com"


def claims(token: str) -> dict[str, object]:
    """As the CLI reads a token: the standard alphabet, the padding put back."""
    header, payload, signature = token.split(".")
    assert header
    assert signature
    found: dict[str, object] = json.loads(base64.b64decode(payload + "=" * (-len(payload) % 4), validate=True))
    return found


def sign_up(bench: Bench, user_name: str = ANN, password: str = PASSWORD) -> None:
    done(bench.accounts.sign_up(user_name, password))
    bench.accounts.confirm(user_name, bench.mail[-1][1])


def test_tokens_look_like_the_cli_wants_them(bench):
    user = done(bench.accounts.ensure_admin(ADMIN, PASSWORD))
    tokens = done(bench.accounts.log_in(ADMIN, PASSWORD))
    access, identity = claims(tokens.accesstoken), claims(tokens.idtoken)
    assert access["exp"] == NOW + 3600
    assert (identity["email"], identity["custom:user_id"]) == (ADMIN, user.user_id)
    assert len(tokens.refreshtoken.split(".")) == 3
    assert not any(
        "-" in token.split(".")[1] or "_" in token.split(".")[1] for token in (tokens.idtoken, tokens.accesstoken)
    )


@given(st.text('~>?\u00ffab@.\\"', min_size=1, max_size=12))
def test_any_name_gives_a_payload_in_the_standard_alphabet(name):
    bench = Bench()
    try:
        done(bench.accounts.ensure_admin(name, PASSWORD))
        assert claims(done(bench.accounts.log_in(name, PASSWORD)).idtoken)["email"] == name
    finally:
        bench.store.close()


def test_an_access_token_tells_who_it_is_until_it_expires(bench):
    done(bench.accounts.ensure_admin(ADMIN, PASSWORD))
    tokens = done(bench.accounts.log_in(ADMIN, PASSWORD))
    bench.clock.time += 3599
    user = bench.accounts.logins.user_of(tokens.accesstoken)
    assert user is not None
    assert (user.user_name, user.role) == (ADMIN, Role.SUPER_ADMIN)
    bench.clock.time += 1
    assert bench.accounts.logins.user_of(tokens.accesstoken) is None
    renewed = bench.accounts.logins.refresh(tokens.refreshtoken)
    assert bench.accounts.logins.user_of(renewed.accesstoken) == user


def test_tokens_are_for_one_purpose_and_only_ours(bench):
    sign_up(bench)
    tokens = done(bench.accounts.log_in(ANN, PASSWORD))
    head, payload, signature = tokens.accesstoken.split(".")
    forged = base64.urlsafe_b64encode(json.dumps({**claims(tokens.accesstoken), "sub": "localadmin"}).encode())
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    for token in (
        "", "a.b.c", "..", tokens.idtoken, tokens.refreshtoken, f"Bearer {tokens.accesstoken}",
        f"{head}.{forged.decode().rstrip('=')}.{signature}", f"{unsigned}.{payload}.", f"{head}.{payload}.", "\u00fc",
    ):  # fmt: skip
        assert bench.accounts.logins.user_of(token) is None
    with refused(Refusal.WRONG_REFRESH_TOKEN):
        bench.accounts.logins.refresh(tokens.accesstoken)


def test_tokens_survive_a_restart(bench):
    sign_up(bench)
    token = done(bench.accounts.log_in(ANN, PASSWORD)).accesstoken
    again = Accounts(bench.store, clock=bench.clock, token_hex=lambda size: "11" * size, deliver=lambda *_: None)
    assert again.logins.user_of(token) is not None


@pytest.mark.parametrize(("all_logins", "others_live"), [(False, True), (True, False)])
def test_logging_out_ends_the_tokens(bench, all_logins, others_live):
    sign_up(bench)
    mine, other = (done(bench.accounts.log_in(ANN, PASSWORD)) for _ in range(2))
    user = bench.accounts.logins.user_of(mine.accesstoken)
    bench.accounts.logins.log_out(user, all_logins)
    assert bench.accounts.logins.user_of(mine.accesstoken) is None
    with refused(Refusal.WRONG_REFRESH_TOKEN):
        bench.accounts.logins.refresh(mine.refreshtoken)
    assert (bench.accounts.logins.user_of(other.accesstoken) is not None) == others_live


@pytest.mark.parametrize(
    ("user_name", "password"), [(ADMIN, "wrong password"), ("nobody@example.com", PASSWORD), (ADMIN, "")]
)
def test_a_wrong_password_and_an_unknown_user_look_alike(bench, user_name, password):
    done(bench.accounts.ensure_admin(ADMIN, PASSWORD))
    with refused(Refusal.WRONG_PASSWORD):
        done(bench.accounts.log_in(user_name, password))


def test_every_login_costs_one_hash_whoever_it_is(bench):
    sign_up(bench)
    done(bench.accounts.sign_up("bob@example.com", PASSWORD))
    costs: list[int] = []

    async def counted(password: str, salt: bytes, n: int) -> bytes:
        costs.append(n)
        return await derive_here(password, salt, n)

    accounts = Accounts(
        bench.store, clock=bench.clock, token_hex=lambda size: "11" * size, deliver=print, scrypt_n=2, derive=counted
    )
    done(accounts.log_in(ANN, PASSWORD))
    for user_name, password, refusal in [
        (ANN, "wrong password", Refusal.WRONG_PASSWORD),
        ("nobody@example.com", PASSWORD, Refusal.WRONG_PASSWORD),
        ("bob@example.com", "wrong password", Refusal.WRONG_PASSWORD),
        ("bob@example.com", PASSWORD, Refusal.NOT_VERIFIED),
    ]:
        with refused(refusal):
            done(accounts.log_in(user_name, password))
    assert costs == [2] * 5
    for user_name in (ANN, "bob@example.com"):  # and so does every sign-up
        with refused(Refusal.USER_EXISTS):
            done(accounts.sign_up(user_name, "another password"))
    done(accounts.sign_up("carl@example.com", PASSWORD))
    assert costs == [2] * 8


def test_a_password_that_changes_while_a_login_is_worked_out_ends_it(bench):
    sign_up(bench)
    accounts = bench.accounts

    async def slow(password: str, salt: bytes, n: int) -> bytes:
        accounts.forgot_password(ANN)
        await accounts.reset_password(ANN, "a new secret", bench.mail[-1][1])
        return await derive_here(password, salt, n)

    again = Accounts(
        bench.store, clock=bench.clock, token_hex=lambda size: "11" * size, deliver=print, scrypt_n=2, derive=slow
    )
    with refused(Refusal.WRONG_PASSWORD):
        done(again.log_in(ANN, PASSWORD))


def test_an_account_works_once_its_code_came_back(bench):
    done(bench.accounts.sign_up(ANN, PASSWORD))
    with refused(Refusal.NOT_VERIFIED):
        done(bench.accounts.log_in(ANN, PASSWORD))
    ((to, code),) = bench.mail
    assert to == ANN
    assert len(code) == 6
    assert code.isdigit()
    bench.accounts.confirm(ANN, code)
    user = bench.accounts.logins.user_of(done(bench.accounts.log_in(ANN, PASSWORD)).accesstoken)
    assert user is not None
    assert user.role is Role.USER
    with refused(Refusal.WRONG_CODE):  # once
        bench.accounts.confirm(ANN, code)
    with refused(Refusal.USER_EXISTS):
        done(bench.accounts.sign_up(ANN, "another password"))


def test_signing_up_again_before_that_sends_the_code_again(bench):
    done(bench.accounts.sign_up(ANN, PASSWORD))
    bench.clock.time += 600
    done(bench.accounts.sign_up(ANN, PASSWORD))
    (_, first), (_, second) = bench.mail
    assert first == second
    bench.clock.time += 301  # and it does not live longer for that
    with refused(Refusal.WRONG_CODE):
        bench.accounts.confirm(ANN, first)


def test_a_stranger_who_signs_up_second_changes_nothing(bench):
    done(bench.accounts.sign_up(ANN, PASSWORD))
    with refused(Refusal.USER_EXISTS):
        done(bench.accounts.sign_up(ANN, "the stranger's"))
    ((_, code),) = bench.mail
    bench.accounts.confirm(ANN, code)
    with refused(Refusal.WRONG_PASSWORD):
        done(bench.accounts.log_in(ANN, "the stranger's"))
    assert done(bench.accounts.log_in(ANN, PASSWORD))


def test_a_stranger_cannot_free_the_place_by_guessing(bench):
    done(bench.accounts.sign_up(ANN, PASSWORD))
    for _ in range(9):
        with refused(Refusal.WRONG_CODE):
            bench.accounts.confirm(ANN, "nope")
    with refused(Refusal.USER_EXISTS):
        done(bench.accounts.sign_up(ANN, "the stranger's"))


def test_a_stranger_who_signs_up_first_gets_nothing_from_it(bench):
    done(bench.accounts.sign_up(ANN, "the stranger's"))
    with refused(Refusal.USER_EXISTS):  # so that Ann knows that the code in her mailbox is not hers
        done(bench.accounts.sign_up(ANN, PASSWORD))
    bench.accounts.forgot_password(ANN)
    done(bench.accounts.reset_password(ANN, PASSWORD, bench.mail[-1][1]))
    with refused(Refusal.WRONG_PASSWORD):
        done(bench.accounts.log_in(ANN, "the stranger's"))
    assert done(bench.accounts.log_in(ANN, PASSWORD))


def test_a_sign_up_that_nobody_confirmed_makes_room(bench):
    done(bench.accounts.sign_up(ANN, "the stranger's"))
    bench.clock.time += 900
    done(bench.accounts.sign_up(ANN, PASSWORD))
    with refused(Refusal.WRONG_CODE):
        bench.accounts.confirm(ANN, bench.mail[0][1])
    bench.accounts.confirm(ANN, bench.mail[1][1])
    assert done(bench.accounts.log_in(ANN, PASSWORD))


def test_a_code_lives_a_quarter_of_an_hour(bench):
    done(bench.accounts.sign_up(ANN, PASSWORD))
    bench.clock.time += 900
    with refused(Refusal.WRONG_CODE):
        bench.accounts.confirm(ANN, bench.mail[0][1])


def test_a_code_cannot_be_guessed(bench):
    done(bench.accounts.sign_up(ANN, PASSWORD))
    for _ in range(5):
        with refused(Refusal.WRONG_CODE):
            bench.accounts.confirm(ANN, "nope")
    with refused(Refusal.WRONG_CODE):
        bench.accounts.confirm(ANN, bench.mail[0][1])


def test_a_forgotten_password_is_set_anew_and_ends_every_login(bench):
    sign_up(bench)
    token = done(bench.accounts.log_in(ANN, PASSWORD)).accesstoken
    bench.accounts.forgot_password(ANN)
    done(bench.accounts.reset_password(ANN, "a new secret", bench.mail[-1][1]))
    assert bench.accounts.logins.user_of(token) is None
    with refused(Refusal.WRONG_PASSWORD):
        done(bench.accounts.log_in(ANN, PASSWORD))
    assert done(bench.accounts.log_in(ANN, "a new secret"))


def test_nobody_learns_who_has_an_account(bench):
    bench.accounts.forgot_password("nobody@example.com")
    assert bench.mail == []
    with refused(Refusal.WRONG_CODE):
        done(bench.accounts.reset_password("nobody@example.com", "a new secret", "123456"))


@pytest.mark.parametrize(
    ("user_name", "password", "refusal"),
    [
        ("no mail", PASSWORD, Refusal.EMAIL_FORMAT),
        ("a@b\n", PASSWORD, Refusal.INVALID_REQUEST),
        ("", PASSWORD, Refusal.INVALID_REQUEST),
        ("a" * 200 + "@b", PASSWORD, Refusal.INVALID_REQUEST),
        (ANN, "short", Refusal.INVALID_REQUEST),
        (ANN, "x" * 257, Refusal.INVALID_REQUEST),
    ],
)
def test_sign_up_is_particular(bench, user_name, password, refusal):
    with refused(refusal):
        done(bench.accounts.sign_up(user_name, password))
    assert bench.mail == []


def test_the_admin_gets_a_new_password_and_name(bench):
    first = done(bench.accounts.ensure_admin(ADMIN, PASSWORD))
    token = done(bench.accounts.log_in(ADMIN, PASSWORD)).accesstoken
    second = done(bench.accounts.ensure_admin("root@example.com", "a new secret"))
    assert first.user_id == second.user_id
    assert bench.accounts.logins.user_of(token) is None
    assert done(bench.accounts.log_in("root@example.com", "a new secret"))
    sign_up(bench)
    with refused(Refusal.USER_EXISTS):
        done(bench.accounts.ensure_admin(ANN, PASSWORD))


def test_no_password_is_stored(bench):
    sign_up(bench)
    done(bench.accounts.ensure_admin(ADMIN, PASSWORD))
    text = "\n".join(dump(bench.store))
    assert PASSWORD not in text
    assert "scrypt$2$" in text
