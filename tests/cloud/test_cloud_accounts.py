"""Sign-up, login, tokens, logout: as the official CLI goes through them."""

from __future__ import annotations

import base64
import json

import pytest
from cloud_bench import ADMIN, NOW, PASSWORD, Bench, refused
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota.cloud.accounts import Accounts
from py_esp_ota.cloud.refusals import Refusal

ANN = "ann@example.com"


def claims(token: str) -> dict[str, object]:
    """As the CLI reads a token: the standard alphabet, the padding put back."""
    header, payload, signature = token.split(".")
    assert header
    assert signature
    found: dict[str, object] = json.loads(base64.b64decode(payload + "=" * (-len(payload) % 4), validate=True))
    return found


def sign_up(bench: Bench, user_name: str = ANN, password: str = PASSWORD) -> None:
    bench.accounts.sign_up(user_name, password)
    bench.accounts.confirm(user_name, bench.mail[-1][1])


def test_tokens_look_like_the_cli_wants_them(bench):
    user = bench.accounts.ensure_admin(ADMIN, PASSWORD)
    tokens = bench.accounts.log_in(ADMIN, PASSWORD)
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
        bench.accounts.ensure_admin(name, PASSWORD)
        assert claims(bench.accounts.log_in(name, PASSWORD).idtoken)["email"] == name
    finally:
        bench.store.close()


def test_an_access_token_tells_who_it_is_until_it_expires(bench):
    bench.accounts.ensure_admin(ADMIN, PASSWORD)
    tokens = bench.accounts.log_in(ADMIN, PASSWORD)
    bench.clock.time += 3599
    user = bench.accounts.user_of(tokens.accesstoken)
    assert user is not None
    assert (user.user_name, user.admin) == (ADMIN, True)
    bench.clock.time += 1
    assert bench.accounts.user_of(tokens.accesstoken) is None
    renewed = bench.accounts.refresh(tokens.refreshtoken)
    assert bench.accounts.user_of(renewed.accesstoken) == user


def test_tokens_are_for_one_purpose_and_only_ours(bench):
    sign_up(bench)
    tokens = bench.accounts.log_in(ANN, PASSWORD)
    head, payload, signature = tokens.accesstoken.split(".")
    forged = base64.urlsafe_b64encode(json.dumps({**claims(tokens.accesstoken), "sub": "localadmin"}).encode())
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    for token in (
        "", "a.b.c", "..", tokens.idtoken, tokens.refreshtoken, f"Bearer {tokens.accesstoken}",
        f"{head}.{forged.decode().rstrip('=')}.{signature}", f"{unsigned}.{payload}.", f"{head}.{payload}.", "\u00fc",
    ):  # fmt: skip
        assert bench.accounts.user_of(token) is None
    with refused(Refusal.WRONG_REFRESH_TOKEN):
        bench.accounts.refresh(tokens.accesstoken)


def test_tokens_survive_a_restart(bench):
    sign_up(bench)
    token = bench.accounts.log_in(ANN, PASSWORD).accesstoken
    again = Accounts(bench.store, clock=bench.clock, token_hex=lambda size: "11" * size, deliver=lambda *_: None)
    assert again.user_of(token) is not None


@pytest.mark.parametrize(("all_logins", "others_live"), [(False, True), (True, False)])
def test_logging_out_ends_the_tokens(bench, all_logins, others_live):
    sign_up(bench)
    mine, other = (bench.accounts.log_in(ANN, PASSWORD) for _ in range(2))
    user = bench.accounts.user_of(mine.accesstoken)
    bench.accounts.log_out(user, all_logins)
    assert bench.accounts.user_of(mine.accesstoken) is None
    with refused(Refusal.WRONG_REFRESH_TOKEN):
        bench.accounts.refresh(mine.refreshtoken)
    assert (bench.accounts.user_of(other.accesstoken) is not None) == others_live


@pytest.mark.parametrize(
    ("user_name", "password"), [(ADMIN, "wrong password"), ("nobody@example.com", PASSWORD), (ADMIN, "")]
)
def test_a_wrong_password_and_an_unknown_user_look_alike(bench, user_name, password):
    bench.accounts.ensure_admin(ADMIN, PASSWORD)
    with refused(Refusal.WRONG_PASSWORD):
        bench.accounts.log_in(user_name, password)


def test_an_account_works_once_its_code_came_back(bench):
    bench.accounts.sign_up(ANN, PASSWORD)
    with refused(Refusal.NOT_VERIFIED):
        bench.accounts.log_in(ANN, PASSWORD)
    ((to, code),) = bench.mail
    assert to == ANN
    assert len(code) == 6
    assert code.isdigit()
    bench.accounts.confirm(ANN, code)
    user = bench.accounts.user_of(bench.accounts.log_in(ANN, PASSWORD).accesstoken)
    assert user is not None
    assert not user.admin
    with refused(Refusal.WRONG_CODE):  # once
        bench.accounts.confirm(ANN, code)
    with refused(Refusal.USER_EXISTS):
        bench.accounts.sign_up(ANN, "another password")


def test_signing_up_again_before_that_sends_a_new_code(bench):
    bench.accounts.sign_up(ANN, PASSWORD)
    bench.accounts.sign_up(ANN, "another password")
    (_, old), (_, new) = bench.mail
    with refused(Refusal.WRONG_CODE):
        bench.accounts.confirm(ANN, old)
    bench.accounts.confirm(ANN, new)
    assert bench.accounts.log_in(ANN, "another password")


def test_a_code_lives_a_quarter_of_an_hour(bench):
    bench.accounts.sign_up(ANN, PASSWORD)
    bench.clock.time += 900
    with refused(Refusal.WRONG_CODE):
        bench.accounts.confirm(ANN, bench.mail[0][1])


def test_a_code_cannot_be_guessed(bench):
    bench.accounts.sign_up(ANN, PASSWORD)
    for _ in range(5):
        with refused(Refusal.WRONG_CODE):
            bench.accounts.confirm(ANN, "nope")
    with refused(Refusal.WRONG_CODE):
        bench.accounts.confirm(ANN, bench.mail[0][1])


def test_a_forgotten_password_is_set_anew_and_ends_every_login(bench):
    sign_up(bench)
    token = bench.accounts.log_in(ANN, PASSWORD).accesstoken
    bench.accounts.forgot_password(ANN)
    bench.accounts.reset_password(ANN, "a new secret", bench.mail[-1][1])
    assert bench.accounts.user_of(token) is None
    with refused(Refusal.WRONG_PASSWORD):
        bench.accounts.log_in(ANN, PASSWORD)
    assert bench.accounts.log_in(ANN, "a new secret")


def test_nobody_learns_who_has_an_account(bench):
    bench.accounts.forgot_password("nobody@example.com")
    assert bench.mail == []
    with refused(Refusal.WRONG_CODE):
        bench.accounts.reset_password("nobody@example.com", "a new secret", "123456")


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
        bench.accounts.sign_up(user_name, password)
    assert bench.mail == []


def test_the_admin_gets_a_new_password_and_name(bench):
    first = bench.accounts.ensure_admin(ADMIN, PASSWORD)
    token = bench.accounts.log_in(ADMIN, PASSWORD).accesstoken
    second = bench.accounts.ensure_admin("root@example.com", "a new secret")
    assert first.user_id == second.user_id
    assert bench.accounts.user_of(token) is None
    assert bench.accounts.log_in("root@example.com", "a new secret")
    sign_up(bench)
    with refused(Refusal.USER_EXISTS):
        bench.accounts.ensure_admin(ANN, PASSWORD)


def test_no_password_is_stored(bench):
    sign_up(bench)
    bench.accounts.ensure_admin(ADMIN, PASSWORD)
    with bench.store.begin() as tx:
        dump = "\n".join(tx.connection().connection.driver_connection.iterdump())
    assert PASSWORD not in dump
    assert "scrypt$2$" in dump
