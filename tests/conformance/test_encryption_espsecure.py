"""espsecure, as a separate program, encrypts the same bytes to the same ciphertext."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from py_esp_ota._core import FlashCrypt

ORACLE = Path(__file__).parent / "oracles" / "espsecure_cipher.py"
KEYS = {"esp32c3": [32], "esp32s3": [32, 64], "esp32c2": [16], "esp32": [24, 32]}
COUNT = 150


def cases() -> list[dict[str, object]]:
    rng = random.Random(20)
    made = []
    for number in range(COUNT):
        chip = rng.choice(sorted(KEYS))
        # espsecure wants ESP32's addresses on rows of 32 bytes, others on blocks of 16
        unit = 32 if chip == "esp32" else 16
        made.append(
            {
                "chip": chip,
                "key": rng.randbytes(rng.choice(KEYS[chip])).hex(),
                "plain": rng.randbytes(unit * rng.randrange(1, 40)).hex(),
                "address": unit * rng.randrange(0x40000),
                "config": 0xF if number % 2 else rng.randrange(16),
            }
        )
    return made


@pytest.fixture(scope="module")
def answers():
    asked = cases()
    lines = "".join(json.dumps(case) + "\n" for case in asked)
    command = [sys.executable, str(ORACLE)]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=False)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(asked), done.stderr[-2000:]
    return list(zip(asked, told, strict=True))


def test_the_same_ciphertext_and_back(answers):
    for case, told in answers:
        engine = FlashCrypt(case["chip"], bytes.fromhex(case["key"]), flash_crypt_config=case["config"])
        plain = bytes.fromhex(case["plain"])
        cipher = engine.encrypt(case["address"], plain)
        assert cipher.hex() == told["cipher"], case
        assert engine.decrypt(case["address"], cipher) == plain
