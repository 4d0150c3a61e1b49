"""``esp-ota sign``: sign, append, verify, make a key; and every way it refuses."""

from __future__ import annotations

import json
import stat

import pytest
from click.testing import CliRunner

from py_esp_ota.cli import main
from py_esp_ota.firmware import Firmware


def run(*words: object):
    return CliRunner().invoke(main, ["sign", *map(str, words)])


@pytest.fixture
def bench(tmp_path):
    (tmp_path / "app.bin").write_bytes(Firmware("lamp", "1.0.0").to_bytes())
    for name in ("a.pem", "b.pem"):
        assert run("--generate-key", "ecdsa256", tmp_path / name).exit_code == 0
    return tmp_path


def test_a_new_key_is_its_owners_alone_and_never_overwritten(bench):
    assert stat.S_IMODE((bench / "a.pem").stat().st_mode) == 0o600
    before = (bench / "a.pem").read_bytes()
    again = run("--generate-key", "ecdsa256", bench / "a.pem")
    assert (again.exit_code, (bench / "a.pem").read_bytes()) == (2, before)


def test_sign_append_verify(bench):
    one, two = bench / "one.bin", bench / "two.bin"
    assert run(bench / "app.bin", "--key", bench / "a.pem", "-o", one).exit_code == 0
    assert run(one, "--key", bench / "b.pem", "--append", "-o", two).exit_code == 0
    done = run(two, "--verify", "--json")
    assert done.exit_code == 0
    shown = json.loads(done.output)["signatures"]
    assert [(row["index"], row["scheme"], row["valid"]) for row in shown] == [
        (0, "ecdsa256", True),
        (1, "ecdsa256", True),
    ]
    broken = bytearray(two.read_bytes())
    broken[0x400] ^= 1
    two.write_bytes(bytes(broken))
    done = run(two, "--verify")
    assert done.exit_code == 1
    assert "Signature block 0: ecdsa256, INVALID" in done.output


def test_signing_a_signed_image_replaces_its_signatures(bench):
    one, again = bench / "one.bin", bench / "again.bin"
    run(bench / "app.bin", "--key", bench / "a.pem", "-o", one)
    run(one, "--key", bench / "b.pem", "-o", again)
    shown = json.loads(run(again, "--verify", "--json").output)["signatures"]
    assert len(shown) == 1
    assert again.stat().st_size == one.stat().st_size


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("app.bin", "-o", "x"), "say with --key"),
        (("app.bin", "--key", "a.pem"), "say with --key"),
        (("app.bin", "--key", "app.bin", "-o", "x"), "no private key in PEM"),
        (("a.pem", "--key", "a.pem", "-o", "x"), "magic"),
        (("gone.bin", "--key", "a.pem", "-o", "x"), "No such file"),
        (("app.bin", "--key", "a.pem", "--append", "-o", "x"), "no signature sector"),
        (("app.bin", "--key", "a.pem", "--key", "b.pem", "--version", "1", "-o", "x"), "one signature"),
        (("gone.pem", "--verify"), "No such file"),
        (("a.pem", "--verify"), "magic"),
    ],
)
def test_refusals_are_one_sentence(bench, monkeypatch, words, says):
    monkeypatch.chdir(bench)
    done = run(*words)
    assert done.exit_code == 2
    assert says in done.output
    assert "Traceback" not in done.output
    assert not (bench / "x").exists()


def test_an_unsigned_image_has_no_signature_that_holds(bench):
    done = run(bench / "app.bin", "--verify")
    assert (done.exit_code, "no signature block" in done.output) == (1, True)
