"""espsecure, run as a separate program, and we: each verifies what the other signed, and both refuse the same."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from signed_images import ALL, APP, BLOCK, SECTOR, changed, key

from py_esp_ota._core import signature_blocks, verify_signature_v1
from py_esp_ota.errors import EspErr
from py_esp_ota.signing import public_key, public_key_digest, sign, sign_v1, v1_public_key

# One process for all calls: `espsecure WORDS` for each, its console and whether it was content.
RUNNER = """
import contextlib, io, json, sys
import espsecure
for line in sys.stdin:
    console, code = io.StringIO(), 0
    with contextlib.redirect_stdout(console), contextlib.redirect_stderr(console):
        try:
            espsecure.main(json.loads(line))
        except SystemExit as end:
            code = end.code or 0
        except Exception as error:
            code = str(error) or type(error).__name__
    print(json.dumps([not code, console.getvalue()]), flush=True)
"""


@pytest.fixture(scope="module")
def espsecure() -> Iterator[Callable[[list[list[object]]], list[tuple[bool, str]]]]:
    with subprocess.Popen(
        [sys.executable, "-c", RUNNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def told(call: list[object]) -> tuple[bool, str]:
            process.stdin.write(json.dumps([str(word) for word in call]) + "\n")
            process.stdin.flush()
            return tuple(json.loads(process.stdout.readline()))

        yield lambda calls: [told(call) for call in calls]
        process.stdin.close()


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("espsecure")
    for scheme in ALL:
        for number in range(2):
            (path / f"{scheme}-{number}.pem").write_bytes(key(scheme, number))
            (path / f"{scheme}-{number}-public.pem").write_bytes(public_key(key(scheme, number)))
    (path / "app.bin").write_bytes(APP)
    return path


def verify(work, name, keyname, version=2):
    return ["verify-signature", "--version", version, "--keyfile", work / f"{keyname}.pem", work / name]


def test_it_verifies_what_we_sign(espsecure, work):
    calls, expected = [], []
    for scheme in ALL:
        signed = sign(APP, key(scheme))
        versions = {
            "good": signed,
            "image": changed(signed, 0x300),
            "fill": changed(signed, SECTOR - 1),
            "value": changed(signed, SECTOR + 150),
            "two": sign(signed, key(scheme, 1), append=True),
        }
        for what, data in versions.items():
            (work / f"ours-{scheme}-{what}.bin").write_bytes(data)
            for number in range(2):
                calls.append(verify(work, f"ours-{scheme}-{what}.bin", f"{scheme}-{number}-public"))
                blocks = signature_blocks(data)
                wanted = public_key_digest(key(scheme, number))
                expected.append(any(block.valid and block.key_digest == wanted for block in blocks))
    told = espsecure(calls)
    assert [content for content, _console in told] == expected
    assert expected.count(True) == len(ALL) * 3


def test_we_verify_what_it_signs(espsecure, work):
    calls = []
    for scheme in ALL:
        first, second = work / f"{scheme}-0.pem", work / f"{scheme}-1.pem"
        one, two, both = (work / f"theirs-{scheme}-{what}.bin" for what in ("one", "two", "both"))
        calls += [
            ["sign-data", "--version", 2, "--keyfile", first, "--output", one, work / "app.bin"],
            ["sign-data", "--version", 2, "--append-signatures", "--keyfile", second, "--output", two, one],
            ["sign-data", "--version", 2, "--keyfile", first, second, "--output", both, work / "app.bin"],
        ]
    told = espsecure(calls)
    assert all(content for content, _console in told), told
    for scheme in ALL:
        digests = [public_key_digest(key(scheme, number)) for number in range(2)]
        for what, count in (("one", 1), ("two", 2), ("both", 2)):
            signed = (work / f"theirs-{scheme}-{what}.bin").read_bytes()
            blocks = signature_blocks(signed)
            assert [(block.key_digest, block.faults) for block in blocks] == [(name, []) for name in digests[:count]]
            ours = sign(APP, *(key(scheme, number) for number in range(count)))
            assert len(signed) == len(ours)
            # The same but for the signatures, which are random.
            value = {"rsa3072": 812, "ecdsa384": 149}.get(scheme, 101)
            for data in (signed, ours):
                assert data[:SECTOR] == ours[:SECTOR]
                assert data[SECTOR : SECTOR + value] == ours[SECTOR : SECTOR + value]
                assert set(data[SECTOR + count * BLOCK :]) == {0xFF}
            assert not any(block.valid for block in signature_blocks(changed(signed, 0x300)))


def test_key_digests_are_the_same(espsecure, work):
    calls = [
        ["digest-sbv2-public-key", "--keyfile", work / f"{scheme}-0.pem", "--output", work / f"{scheme}.digest"]
        for scheme in ALL
    ]
    assert all(content for content, _console in espsecure(calls))
    for scheme in ALL:
        assert (work / f"{scheme}.digest").read_bytes() == public_key_digest(key(scheme))


def test_version_1_both_ways(espsecure, work):
    (work / "ours-v1.bin").write_bytes(sign_v1(APP, key()))
    (work / "broken-v1.bin").write_bytes(changed(sign_v1(APP, key()), 0x300))
    told = espsecure(
        [
            [
                "sign-data",
                "--version",
                1,
                "--keyfile",
                work / "ecdsa256-0.pem",
                "--output",
                work / "theirs-v1.bin",
                work / "app.bin",
            ],
            verify(work, "ours-v1.bin", "ecdsa256-0-public", 1),
            verify(work, "broken-v1.bin", "ecdsa256-0-public", 1),
            ["extract-public-key", "--version", 1, "--keyfile", work / "ecdsa256-0.pem", work / "v1.key"],
        ]
    )
    assert [content for content, _console in told] == [True, True, False, True]
    # Both are deterministic there.
    assert (work / "theirs-v1.bin").read_bytes() == sign_v1(APP, key())
    assert (work / "v1.key").read_bytes() == v1_public_key(key())
    theirs = (work / "theirs-v1.bin").read_bytes()
    assert verify_signature_v1(theirs, v1_public_key(key())).err == EspErr.ESP_OK


def test_keys_of_the_command_line_are_keys_for_it(espsecure, work):
    signing_key = work / "made.pem"
    program = "from py_esp_ota.__main__ import main; main()"
    words = ["sign", "--generate-key", "ecdsa256", str(signing_key)]
    subprocess.run([sys.executable, "-c", program, *words], check=True, capture_output=True)
    told = espsecure(
        [["sign-data", "--version", 2, "--keyfile", signing_key, "--output", work / "made.bin", work / "app.bin"]]
    )
    assert told[0][0]
    words = ["sign", "--verify", str(work / "made.bin"), "--key", str(signing_key)]
    subprocess.run([sys.executable, "-c", program, *words], check=True, capture_output=True)
