"""A cloud, and very many devices under it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from py_esp_ota.adapters.repeatable import Repeatable
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud_world import open_cloud
from py_esp_ota.lives.breed import Breed
from py_esp_ota.lives.member import Member
from py_esp_ota.lives.sky import Sky
from py_esp_ota.lives.tree import Lives
from py_esp_ota.lives.words import Off, On
from py_esp_ota.world import LAB_HOST

NEVER = 1 << 62


class Crowd:
    """Devices, and the cloud that they talk to."""

    def __init__(self, sky: Sky, service: CloudService, *, epoch: float) -> None:
        self.sky = sky
        self.service = service
        self.members: dict[str, Member] = {}
        self._epoch = epoch
        self._loop = asyncio.get_running_loop()
        self._lives: dict[Breed, Lives] = {}

    def add(self, node_id: str, breed: Breed, *, power: float = float("inf")) -> Member:
        """A device, not switched on yet; ``power`` seconds after a power cut it is on again.

        Raises ``ValueError``: there is one of that name.
        """
        if node_id in self.members:
            raise ValueError(f"two devices are called {node_id[:64]}")
        if breed not in self._lives:
            self._lives[breed] = Lives(breed, epoch=self._epoch)
        member = self.members[node_id] = Member(self._lives[breed], node_id, self.sky, self._loop, power)
        return member

    def switch_on(self, member: Member) -> None:
        """Give it power, if it has none and was not given up."""
        if not member.state.step.powered and not member.given_up:
            self.sky.let(member, On())

    def switch_off(self, member: Member) -> None:
        """Pull its plug."""
        if member.state.step.powered:
            self.sky.let(member, Off())

    def check(self) -> None:
        """Raise what went wrong, if anything did: a mistake of this package."""
        self.sky.check()


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Nearly all that a crowd makes lives on: to look through it again and again for garbage is a third of the time."""
    usual = gc.get_threshold()
    gc.set_threshold(100_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*usual)


@asynccontextmanager
async def open_crowd(*, epoch: float, most_boots: int = NEVER) -> AsyncIterator[Crowd]:
    """A cloud without devices, under the virtual time of the running loop.

    Args:
        epoch: Unix seconds at the loop's time 0.
        most_boots: a device that has booted so often is switched off for good.
    """
    sky = Sky(epoch=epoch, most_boots=most_boots)
    token_hex = Repeatable().token_hex
    cloud = open_cloud(
        sky.open,
        database="sqlite://",
        token_hex=token_hex,
        admin_password=token_hex(16),
        made_up=True,
        deliver=lambda _user_name, _code: None,
        allowed_hosts=[LAB_HOST],
    )
    async with cloud as opened:
        with _seldom_collected():
            yield Crowd(sky, opened.service, epoch=epoch)
