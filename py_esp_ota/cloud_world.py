"""A world with a cloud in it: what the lab's devices and those of ``serve`` find when they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

from fastapi import FastAPI
from sqlalchemy import URL

from py_esp_ota.adapters.lives import OnEnd, watch
from py_esp_ota.cloud.accounts import SCRYPT_N, Accounts, Derive, derive_here
from py_esp_ota.cloud.api import create_app
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.store import Store
from py_esp_ota.ports import Clock
from py_esp_ota.world import ADMIN, EPOCH, OpenWorld, World

_MADE_UP_N = 2  # a made-up password is never typed and never stored for long: no reason to make it slow


@dataclass(frozen=True)
class CloudWorld:
    """The doors, and the cloud behind them, which hears its nodes."""

    world: World
    service: CloudService
    accounts: Accounts
    app: FastAPI
    life: asyncio.Task[None]  # the cloud's half on MQTT; it ends of a mistake only


@asynccontextmanager
async def open_cloud(
    open_world: OpenWorld,
    *,
    database: str | URL,
    token_hex: Callable[[int], str],
    admin_password: str,
    made_up: bool = False,
    deliver: Callable[[str, str], None],
    derive: Derive = derive_here,
    allowed_hosts: Collection[str] = (),
    on_end: OnEnd | None = None,
) -> AsyncIterator[CloudWorld]:
    """Open a world and let a cloud live in it while the context is entered.

    Args:
        open_world: which doors.
        database: an SQLAlchemy URL.
        token_hex: where ids and keys come from.
        admin_password: the password of ``ADMIN``.
        made_up: whether nobody chose that password, so that its hash may be quick.
        deliver: brings verification codes to users who sign up: ``deliver(user_name, code)``.
        derive: makes password hashes.
        allowed_hosts: names besides loopback and the world's own that the API goes by.
        on_end: called with one sentence when the cloud's half on MQTT ends by itself.
    """
    with closing(Store(database)) as store:
        clock = _WorldClock()
        accounts = Accounts(
            store,
            clock=clock,
            token_hex=token_hex,
            deliver=deliver,
            scrypt_n=_MADE_UP_N if made_up else SCRYPT_N,
            derive=derive,
        )
        worlds: list[World] = []
        service = CloudService(
            store,
            clock=clock,
            public_url=lambda: worlds[0].public_url,
            token_hex=token_hex,
            streams=lambda: worlds[0].basic_ingest,
        )
        app = create_app(service, accounts, allowed_hosts=allowed_hosts)
        async with open_world(app, service.intake.on_presence) as world:
            worlds.append(world)
            clock.source = world.clock
            await accounts.ensure_admin(ADMIN, admin_password)
            name = "the cloud's half on MQTT"
            life = asyncio.create_task(service.run(world.session, world.post), name=name)
            if on_end:
                watch(life, name, on_end)
            try:
                await service.wait_connected()
                yield CloudWorld(world, service, accounts, app, life)
            finally:
                life.cancel()
                await asyncio.wait([life])


class _WorldClock:
    """The world's clock, for those who are built before the world is open."""

    def __init__(self) -> None:
        self.source: Clock | None = None

    def now(self) -> float:
        return self.source.now() if self.source else EPOCH
