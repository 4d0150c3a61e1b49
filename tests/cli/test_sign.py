"""``esp-ota sign``: keys, signing, appending, looking; one sentence for what cannot be done."""

from __future__ import annotations

import json
import sys

import pytest
from click.testing import CliRunner
from signed_images import APP, BLOCK, SECTOR, changed, key

from py_esp_ota.cli import main
from py_esp_ota.signing import public_key, public_key_digest, sign, v1_public_key


def run(*words):
    result = CliRunner().invoke(main, ["sign", *map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def work(tmp_path):
    (tmp_path / "app.bin").write_bytes(APP)
    (tmp_path / "key.pem").write_bytes(key())
    (tmp_path / "other.pem").write_bytes(key(number=1))
    (tmp_path / "rsa.pem").write_bytes(key("rsa3072"))
    (tmp_path / "public.pem").write_bytes(public_key(key()))
    return tmp_path


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path):
    path = tmp_path / "new.pem"
    made = json.loads(run("--generate-key", "ecdsa384", path, "--json").output)
    assert made == {"key": str(path), "scheme": "ecdsa384", "key_digest": public_key_digest(path.read_bytes()).hex()}
    assert path.stat().st_mode & 0o777 == 0o600
    again = run("--generate-key", "ecdsa256", path)
    assert (again.exit_code, "exists already" in again.output) == (2, True)


def test_signing_writes_what_the_forge_makes(work):
    result = run(work / "app.bin", "--key", work / "key.pem", "-o", work / "signed.bin")
    assert result.exit_code == 0
    assert (work / "signed.bin").read_bytes() == sign(APP, key())
    assert (work / "app.bin").read_bytes() == APP
    assert f"Public key digest: {public_key_digest(key()).hex()}" in result.output
    assert run(work / "signed.bin", "--verify").exit_code == 0


def test_the_json_of_a_look_has_the_documented_keys(work):
    (work / "signed.bin").write_bytes(sign(APP, key(), key("rsa3072")))
    result = run(work / "signed.bin", "--verify", "-k", work / "public.pem", "--json")
    told = json.loads(result.output)
    assert set(told) == {"file", "version", "valid", "signed_bytes", "blocks", "faults"}
    assert (result.exit_code, told["valid"], told["signed_bytes"], told["faults"]) == (0, True, SECTOR, [])
    first, second = told["blocks"]
    assert set(first) == {
        *("offset", "valid", "scheme", "version", "crc_ok", "verified"),
        *("key_digest", "key", "image_digest", "faults"),
    }
    assert (first["key"], second["key"]) == (str(work / "public.pem"), None)
    assert (first["scheme"], second["scheme"], second["offset"]) == ("ecdsa256", "rsa3072", SECTOR + BLOCK)


def test_every_fault_of_every_block_is_named(work):
    signed = changed(sign(APP, key(), key(number=1)), 0x300)
    (work / "signed.bin").write_bytes(changed(signed, SECTOR + 700))
    told = run(work / "signed.bin", "--verify", "--json")
    assert told.exit_code == 1
    faults = [
        (fault["field"], fault["offset"]) for block in json.loads(told.output)["blocks"] for fault in block["faults"]
    ]
    assert faults == [
        ("signature crc", SECTOR + 1196),
        ("signature image digest", SECTOR + 4),
        ("signature value", SECTOR + 101),
        ("signature image digest", SECTOR + BLOCK + 4),
        ("signature value", SECTOR + BLOCK + 101),
    ]
    text = run(work / "signed.bin", "--verify").output
    assert f"ESP_ERR_IMAGE_INVALID: signature crc at 0x{SECTOR + 1196:x}: found 0x" in text


def test_a_key_that_did_not_sign_is_a_finding(work):
    (work / "signed.bin").write_bytes(sign(APP, key()))
    for words in (("-k", work / "other.pem"), ("--scheme", "rsa3072")):
        assert run(work / "signed.bin", "--verify", *words).exit_code == 1
    assert run(work / "app.bin", "--verify").exit_code == 1
    (work / "full.bin").write_bytes(bytes(2 * SECTOR))
    assert run(work / "full.bin", "--verify").exit_code == 1


def test_a_chip_looks_behind_the_image_whatever_else_the_file_holds(work):
    (work / "dump.bin").write_bytes(sign(APP, key()) + b"\xff" * 5000)
    assert run(work / "dump.bin", "--verify", "-k", work / "key.pem").exit_code == 0
    result = run(work / "dump.bin", "--append", "-k", work / "other.pem", "-o", work / "two.bin")
    assert result.exit_code == 0
    assert (work / "two.bin").read_bytes() == sign(APP, key(), key(number=1))


def test_a_signed_image_is_not_signed_again_by_accident(work):
    (work / "signed.bin").write_bytes(sign(APP, key()))
    refused = run(work / "signed.bin", "-k", work / "other.pem", "-o", work / "two.bin")
    assert (refused.exit_code, "--append keeps that" in refused.output) == (2, True)
    assert not (work / "two.bin").exists()
    assert run(work / "signed.bin", "--append", "-k", work / "other.pem", "-o", work / "signed.bin").exit_code == 0
    (work / "broken.bin").write_bytes(changed(sign(APP, key()), SECTOR + 700))
    refused = run(work / "broken.bin", "--append", "-k", work / "other.pem", "-o", work / "two.bin")
    assert "the first signature is broken" in refused.output


def test_version_1(work):
    assert run(work / "app.bin", "--version", 1, "-k", work / "key.pem", "-o", work / "v1.bin").exit_code == 0
    (work / "raw.bin").write_bytes(v1_public_key(key()))
    for name in ("key.pem", "public.pem", "raw.bin"):
        assert run(work / "v1.bin", "--version", 1, "--verify", "-k", work / name).exit_code == 0
    assert run(work / "v1.bin", "--version", 1, "--verify", "-k", work / "other.pem").exit_code == 1
    assert run(work / "app.bin", "--version", 1, "--verify", "-k", work / "key.pem").exit_code == 1
    (work / "tiny.bin").write_bytes(b"abc")
    tiny = run(work / "tiny.bin", "--version", 1, "--verify", "-k", work / "key.pem")
    assert (tiny.exit_code, "3 bytes are less than the 68" in tiny.output) == (1, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("app.bin",), "name a key with --key"),
        (("app.bin", "-k", "key.pem"), "say with --output"),
        (("app.bin", "-k", "app.bin", "-o", "x"), "app.bin: no key in PEM"),
        (("app.bin", "-k", "public.pem", "-o", "x"), "holds a public key"),
        (("app.bin", "-k", "missing.pem", "-o", "x"), "missing.pem: No such file"),
        (("app.bin", "-k", "key.pem", "-o", "key.pem"), "is a key"),
        (("app.bin", "-k", "key.pem", "--scheme", "rsa3072", "-o", "x"), "the key is for ecdsa256, not rsa3072"),
        (("app.bin", "-k", "rsa.pem", "--version", "1", "-o", "x"), "the key is for rsa3072, not ecdsa256"),
        (("app.bin", *["-k", "key.pem"] * 4, "-o", "x"), "a sector holds 3"),
        (("app.bin", *["-k", "key.pem"] * 2, "--version", "1", "-o", "x"), "one, by one key"),
        (("app.bin", "--verify", "--version", "1"), "names no key"),
        (("app.bin", "--verify", "-o", "x"), "--output means nothing with --verify"),
        (("app.bin", "--generate-key", "rsa3072", "--verify"), "exclude each other"),
        (("app.bin", "--generate-key", "rsa3072", "-k", "key.pem"), "--key means nothing with --generate-key"),
    ],
)
def test_misuse_is_one_sentence(work, monkeypatch, words, said):
    monkeypatch.chdir(work)
    before = {path.name: path.read_bytes() for path in work.iterdir()}
    result = run(*words)
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output
    assert {path.name: path.read_bytes() for path in work.iterdir()} == before


def test_looking_needs_no_extra_and_signing_says_which(work, monkeypatch):
    (work / "signed.bin").write_bytes(sign(APP, key()))
    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.delitem(sys.modules, "py_esp_ota.signing")
    monkeypatch.delattr("py_esp_ota.signing", raising=False)
    for module in [name for name in sys.modules if name.startswith("cryptography.")]:
        monkeypatch.setitem(sys.modules, module, None)
    assert run(work / "signed.bin", "--verify").exit_code == 0
    refused = run(work / "app.bin", "-k", work / "key.pem", "-o", work / "x.bin")
    assert (refused.exit_code, "pip install 'py_esp_ota[sign]'" in refused.output) == (2, True)
