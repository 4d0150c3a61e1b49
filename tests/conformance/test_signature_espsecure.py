"""espsecure, as a separate program, judges what we sign, and we judge what it signs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from py_esp_ota import signing
from py_esp_ota._core import signature_blocks
from py_esp_ota.firmware import Firmware

SCHEMES = ("rsa3072", "ecdsa192", "ecdsa256", "ecdsa384")
APP = Firmware("lamp", "1.0.0").to_bytes()


def espsecure(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "espsecure", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", params=SCHEMES)
def bench(request, tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp(request.param)
    keys = [signing.generate_key(request.param) for _ in range(2)]
    for number, key in enumerate(keys):
        (folder / f"{number}.pem").write_bytes(signing.save_key(key))
    (folder / "app.bin").write_bytes(APP)
    return folder, request.param, keys


def verified(signed: bytes) -> list[bool]:
    scheme = signature_blocks(signed[-0x1000:])[0].scheme
    blocks = signature_blocks(signed[-0x1000:], signing.image_digest(signed[:-0x1000], scheme))
    return [bool(block.verified) and not block.faults for block in blocks]


def test_espsecure_accepts_what_we_sign(bench):
    folder, _, keys = bench
    ours = folder / "ours.bin"
    ours.write_bytes(signing.sign(APP, *keys))
    for number in range(2):
        done = espsecure("verify-signature", "--version", 2, "--keyfile", folder / f"{number}.pem", ours)
        assert done.returncode == 0, done.stdout + done.stderr
    broken = bytearray(ours.read_bytes())
    broken[0x300] ^= 1
    ours.write_bytes(bytes(broken))
    assert espsecure("verify-signature", "--version", 2, "--keyfile", folder / "0.pem", ours).returncode != 0
    assert verified(bytes(broken)) == [False, False]


def test_we_accept_what_espsecure_signs_and_appends(bench):
    folder, _, _ = bench
    theirs = folder / "theirs.bin"
    signs = ("sign-data", "--version", 2, "--keyfile")
    assert espsecure(*signs, folder / "0.pem", "--output", theirs, folder / "app.bin").returncode == 0
    signed = theirs.read_bytes()
    assert signed[:-0x1000] == signing.padded(APP)
    assert verified(signed) == [True]
    done = espsecure(*signs, folder / "1.pem", "--append-signatures", "--output", folder / "both.bin", theirs)
    assert done.returncode == 0, done.stdout + done.stderr
    assert verified((folder / "both.bin").read_bytes()) == [True, True]


def test_key_digests_are_the_same(bench):
    folder, scheme, keys = bench
    out = folder / "digest.bin"
    done = espsecure("digest-sbv2-public-key", "--keyfile", folder / "0.pem", "--output", out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert out.read_bytes() == signing.public_key_digest(keys[0])
    assert signature_blocks(signing.sign(APP, keys[0])[-0x1000:])[0].key_digest == out.read_bytes(), scheme


def test_version_1(tmp_path):
    key = signing.generate_key("ecdsa256")
    (tmp_path / "key.pem").write_bytes(signing.save_key(key))
    image = Firmware("lamp", "1", chip="esp32").to_bytes()
    (tmp_path / "app.bin").write_bytes(image)
    (tmp_path / "ours.bin").write_bytes(signing.sign_v1(image, key))
    done = espsecure("verify-signature", "--version", 1, "--keyfile", tmp_path / "key.pem", tmp_path / "ours.bin")
    assert done.returncode == 0, done.stdout + done.stderr
