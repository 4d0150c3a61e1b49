"""espsecure, as a separate program, encrypts and decrypts the same bytes to the same bytes.

``ESP_OTA_CIPHERS`` is how many, ``ESP_OTA_SEED`` which.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from py_esp_ota._core import FlashCrypt

ORACLE = Path(__file__).parent / "oracles" / "espsecure_cipher.py"
KEYS = {"esp32c3": [32], "esp32s3": [32, 64], "esp32c2": [16], "esp32": [24, 32]}
COUNT = int(os.environ.get("ESP_OTA_CIPHERS", "150"))
SEED = int(os.environ.get("ESP_OTA_SEED", "1"))


def cases() -> list[dict[str, object]]:
    rng = random.Random(SEED)
    made = []
    for number in range(COUNT):
        chip = rng.choice(sorted(KEYS))
        # espsecure wants ESP32's addresses on rows of 32 bytes, others on blocks of 16
        unit = 32 if chip == "esp32" else 16
        made.append(
            {
                "chip": chip,
                "key": rng.randbytes(rng.choice(KEYS[chip])).hex(),
                "data": rng.randbytes(unit * rng.randrange(1, 40)).hex(),
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


def test_the_same_bytes_in_both_directions(answers):
    for case, told in answers:
        engine = FlashCrypt(case["chip"], bytes.fromhex(case["key"]), flash_crypt_config=case["config"])
        address, data = case["address"], bytes.fromhex(case["data"])
        assert engine.encrypt(address, data).hex() == told["encrypt"], case
        assert engine.decrypt(address, data).hex() == told["decrypt"], case
        assert engine.decrypt(address, engine.encrypt(address, data)) == data
