"""Campaigns to rehearse, without a cloud that wrote them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from py_esp_ota._core import sha256
from py_esp_ota.cloud.boards import BoardFacts
from py_esp_ota.cloud.plan import Plan
from py_esp_ota.cloud.rehearsals import Copy, Rehearsal, RehearsedJob
from py_esp_ota.firmware import Firmware

NOW = 1_790_000_000_000
SIZE = 0x1_0000
BOARD = BoardFacts(
    chip="esp32c3",
    partitions="two_ota_large",
    bootloader_idf="v5.5.1",
    rollback=True,
    secure_version=0,
    runs="ota_0",
)


@cache
def image(version: str, chip: str = "esp32c3", size: int = SIZE) -> bytes:
    return Firmware("lamp", version, chip=chip, size=size).to_bytes()


def name_of(data: bytes) -> str:
    return sha256(data).hex()


def campaign(*copies: Copy, plan: dict | None = None, sizes: tuple[int, ...] = (), **job) -> Rehearsal:
    """A campaign that brings 1.1.0; without ``copies`` to three lamps that run 1.0.0 and are online."""
    new, old = image("1.1.0"), image("1.0.0")
    nodes = copies or tuple(lamp(f"lamp-{number}") for number in range(3))
    return Rehearsal(
        now=NOW,
        job=RehearsedJob(
            name="lamps to 1.1.0",
            image=name_of(new),
            model="lamp",
            fw_version="1.1.0",
            **{"force_push": True, **job},
            plan=Plan.from_json(plan or {}),
            sizes=sizes or (len(nodes),),
        ),
        nodes=nodes,
        images={name_of(new): new, name_of(old): old},
    )


def lamp(node_id: str, **facts) -> Copy:
    words = {
        "chip": "esp32c3",
        "project": "lamp",
        "version": "1.0.0",
        "image": name_of(image("1.0.0")),
        "online": True,
        "board": BOARD,
    }
    return Copy(node_id=node_id, **{**words, **facts})


def lamps(count: int, **facts) -> tuple[Copy, ...]:
    return tuple(lamp(f"lamp-{number:03}", **facts) for number in range(count))


def board(**facts) -> BoardFacts:
    return replace(BOARD, **facts)
