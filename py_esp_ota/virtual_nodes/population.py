"""All virtual nodes of a server: ``VirtualNodes`` of the cloud, over devices that live on the server's event loop.

What they are made of is kept beside their flashes, so that a server that starts again finds them as they were, with or
without power. Nothing here calls into the cloud's nodes: they come in over the broker as any board does.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import count, islice
from typing import NoReturn

from py_esp_ota._core import sha256
from py_esp_ota.adapters.kept_files import KeptFiles
from py_esp_ota.adapters.kept_flash import KeptFlashes
from py_esp_ota.adapters.lives import OnEnd, watch
from py_esp_ota.cloud.boards import BoardFacts
from py_esp_ota.cloud.nodes import NODE_ID
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.texts import heard
from py_esp_ota.cloud.virtual_nodes import Act, Dials, FlashLook, NewNodes, VirtualNode
from py_esp_ota.virtual_nodes.dump import look_at
from py_esp_ota.virtual_nodes.living import Living
from py_esp_ota.virtual_nodes.recipe import Recipe
from py_esp_ota.world import World

MOST = 1000
USUAL_TABLE = "two_ota_large"
_LOOK_S = 0.5  # how often they are looked at for what has changed
_RECIPE, _IMAGE = ".json", ".image"
_UNFIT = re.compile(r"[^0-9A-Za-z_.:-]+")
_PREFIX = 48
_UNSAYABLE = frozenset('"\\')  # json_generator escapes nothing, and no cloud reads a node config that is no JSON
_NAME = "ESP RainMaker Device"
_NEED_POWER = frozenset({Act.POWER_CUT, Act.RESET})

log = logging.getLogger(__name__)


class Population:
    """The virtual nodes of one server; ``living`` is their life.

    Args:
        world: the doors they go through.
        service: the cloud beside which they live.
        flashes: where their flashes are kept.
        files: where the rest of them is kept.
        most: how many there may be.
        on_end: called with one sentence when one of them ends by a mistake.
    """

    def __init__(
        self,
        world: World,
        service: CloudService,
        flashes: KeptFlashes,
        files: KeptFiles,
        *,
        most: int = MOST,
        on_end: OnEnd | None = None,
    ) -> None:
        self._world = world
        self._service = service
        self._flashes = flashes
        self._files = files
        self._most = most
        self._on_end = on_end
        self._nodes: dict[str, Living] = {}
        self._lives: dict[str, asyncio.Task[NoReturn]] = {}
        self._images: dict[str, bytes] = {}  # by their SHA-256
        self._marks: dict[str, object] = {}
        self._adding = asyncio.Lock()  # ids are chosen first and taken later

    # ------------------------------------------------------------------------------------------------------------ life

    @asynccontextmanager
    async def living(self) -> AsyncIterator[None]:
        """They live while the context is entered: those that are kept are there, those with power boot one by one.

        Raises:
            ValueError: what is kept of one cannot be read; the sentence names the file.
            OSError: a file cannot be read.
        """
        for node_id in self._files.names(_RECIPE):
            name = f"{node_id}{_RECIPE}"
            recipe = Recipe.from_json(self._files.read(name) or b"", str(self._files.folder / name))
            self._nodes[node_id] = self._made(recipe)
            await asyncio.sleep(0)
        name = "the watch over virtual nodes"
        watching = asyncio.create_task(self._start_and_watch(list(self._nodes.values())), name=name)
        watch(watching, name, self._on_end)
        try:
            yield
        finally:
            tasks = [watching, *self._lives.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for node_id, node in self._nodes.items():
                self._look_after(node_id, node)  # what became of it a moment ago is kept as well

    async def _start_and_watch(self, restored: Sequence[Living]) -> NoReturn:
        for node in restored:
            if self._nodes.get(node.recipe.node_id) is node:
                self._start(node)
            await asyncio.sleep(0)
        while True:
            for node_id, node in self._nodes.items():
                self._look_after(node_id, node)
            await asyncio.sleep(_LOOK_S)

    def _start(self, node: Living) -> None:
        """Its life begins, with power or without."""
        name = f"device {node.recipe.node_id}"
        self._lives[node.recipe.node_id] = task = asyncio.create_task(node.life(), name=name)
        watch(task, name, self._on_end)
        if node.recipe.power == "on":
            node.power_on()

    def _look_after(self, node_id: str, node: Living) -> None:
        """Keep that its power is gone, and tell of what changed: a few times a second, however much was written."""
        try:
            if node.lost_power():
                self._keep(node)
        except OSError as error:
            log.error("what became of %s cannot be stored: %s", node_id, error)
        mark = node.mark()
        if self._marks.get(node_id) != mark:
            self._marks[node_id] = mark
            node.tidy()
            self._service.live.publish("node", node_id)

    # ------------------------------------------------------------------------------------------------------------ read

    def all(self) -> Sequence[VirtualNode]:
        """All of them, by id."""
        return [self._told(node_id).shown() for node_id in sorted(self._nodes)]

    def get(self, node_id: str) -> VirtualNode | None:
        """One of them; ``None`` when it is a real board or unknown."""
        return self._told(node_id).shown() if node_id in self._nodes else None

    def look(self, node_id: str) -> FlashLook:
        """Its flash now. Raises ``CloudError`` (VIRTUAL_NODE_UNKNOWN)."""
        self._found([node_id])
        return self._told(node_id).look()

    def facts(self, node_id: str) -> BoardFacts | None:
        """What its board is, without opening its flash up; ``None`` when it is a real board or unknown."""
        node = self._nodes.get(node_id)
        return None if node is None else node.facts()

    def look_at(self, dump: bytes) -> FlashLook:
        """A flash dump of a real board."""
        return look_at(dump)

    def _told(self, node_id: str) -> Living:
        """Nothing is seen before it is told: a page that was made a moment earlier would never hear of it."""
        node = self._nodes[node_id]
        self._look_after(node_id, node)
        return node

    # ------------------------------------------------------------------------------------------------------------- add

    async def add(self, order: NewNodes) -> Sequence[str]:
        """Make nodes and switch them on, all or none; their ids.

        Raises:
            CloudError: IMAGE_UNKNOWN, VIRTUAL_NODE_REFUSED.
        """
        async with self._adding:
            return await self._add(order)

    async def _add(self, order: NewNodes) -> Sequence[str]:
        image = self._service.images.content(order.ota_image_id)
        project = self._service.images.get(order.ota_image_id).model
        prefix = order.prefix or _UNFIT.sub("-", project).strip("-.:_")[:_PREFIX] or "node"
        if not NODE_ID.fullmatch(f"{prefix}-0001"):
            raise _refused(f"prefix: no node id begins with {prefix!r}")
        for word, text in (("name", order.name), ("type", order.type)):
            if not text.isprintable() or _UNSAYABLE & set(text):
                raise _refused(f"{word}: no quotation mark, backslash or control character; a node writes it as it is")
        self._check_room(order.count)
        ids = [f"{prefix}-{number:04}" for number in islice(self._free(prefix), order.count)]
        names = [f"{order.name} {number}" for number in range(1, order.count + 1)] if order.count > 1 else [order.name]
        recipes = [
            Recipe(
                node_id=node_id,
                firmware=sha256(image).hex(),
                partitions=order.partitions or USUAL_TABLE,
                name=name if order.name else _NAME,
                type=order.type,
                rollback=order.rollback,
                weather=order.dials.weather,
            )
            for node_id, name in zip(ids, names, strict=True)
        ]
        await self.make(recipes, image)
        return ids

    async def make(self, recipes: Sequence[Recipe], image: bytes) -> None:
        """Make nodes of which one knows everything, all or none. Raises ``CloudError`` (VIRTUAL_NODE_REFUSED)."""
        made: list[Living] = []
        try:
            for recipe in recipes:
                self._keep_image(recipe.firmware, image)
                made.append(node := self._made(recipe))
                self._keep(node)
                self._nodes[recipe.node_id] = node
                await asyncio.sleep(0)
        except (ValueError, OSError) as error:
            for recipe in recipes[: len(made) + 1]:
                self._drop(recipe)
            raise _refused(str(error)) from error
        for node in made:
            if self._nodes.get(node.recipe.node_id) is node:  # nobody was so quick to take it away
                self._start(node)
                self._look_after(node.recipe.node_id, node)
            await asyncio.sleep(0)

    async def bring_along(self, count: int, image: bytes) -> None:
        """Have ``node000001`` and so on, ``count`` of them; those that are not there run ``image``.

        Raises ``CloudError`` (VIRTUAL_NODE_REFUSED).
        """
        ids = (f"node{number:06}" for number in range(1, count + 1))
        name = sha256(image).hex()
        recipes = [
            Recipe(node_id=node_id, firmware=name, partitions=USUAL_TABLE, name=_NAME, type="Lightbulb", rollback=True)
            for node_id in ids
            if node_id not in self._nodes
        ]
        await self.make(recipes, image)

    def _check_room(self, count: int) -> None:
        room = self._most - len(self._nodes)
        if count > room:
            raise _refused(
                f"{self._most} virtual nodes are the most that this server takes, and {len(self._nodes)} are there"
            )

    def _free(self, prefix: str) -> Iterator[int]:
        """Numbers behind the prefix that make ids which nobody has, or had lately."""
        for number in count(1):
            node_id = f"{prefix}-{number:04}"
            if not (node_id in self._nodes or node_id in self._flashes or self._service.nodes.taken(node_id)):
                yield number

    def _made(self, recipe: Recipe) -> Living:
        image = self._images.get(recipe.firmware) or self._files.read(f"{recipe.firmware}{_IMAGE}")
        if image is None:
            raise ValueError(f"{self._files.folder}: the image that {recipe.node_id} left the factory with is missing")
        self._images[recipe.firmware] = image
        return Living(recipe, image, self._world, self._flashes)

    def _keep_image(self, name: str, image: bytes) -> None:
        if name not in self._images:
            self._files.write(f"{name}{_IMAGE}", image)
            self._images[name] = image

    def _keep(self, node: Living) -> None:
        self._files.write(f"{node.recipe.node_id}{_RECIPE}", node.recipe.to_json())

    # ------------------------------------------------------------------------------------------------------------- act

    async def act(self, node_ids: Sequence[str], act: Act) -> None:
        """Do something to each of them, all or none.

        Raises:
            CloudError: VIRTUAL_NODE_UNKNOWN, VIRTUAL_NODE_REFUSED.
        """
        nodes = self._found(node_ids)
        if act in _NEED_POWER:
            dead = [node.recipe.node_id for node in nodes if node.shown().power == "off"]
            if dead:
                raise _refused(f"{dead[0]} has no power: switch it on first")
        for node in nodes:
            with _stored(node):
                self._do(node, act)
                self._keep(node)
            self._look_after(node.recipe.node_id, node)
            await asyncio.sleep(0)

    def _do(self, node: Living, act: Act) -> None:
        match act:
            case Act.POWER_ON:
                node.power_on()
            case Act.POWER_OFF:
                node.power_off()
            case Act.POWER_CUT:
                node.power_cut()
            case Act.RESET:
                node.reset()
            case Act.ERASE_FLASH:
                node.erase_flash()
            case Act.REFLASH:
                node.reflash(self._images[node.recipe.firmware])

    async def turn(self, node_ids: Sequence[str], dials: Dials) -> None:
        """Set the dials of each of them, all or none.

        Raises:
            CloudError: VIRTUAL_NODE_UNKNOWN, VIRTUAL_NODE_REFUSED for weather that is none.
        """
        nodes = self._found(node_ids)
        before = [(node, Dials(weather=node.recipe.weather)) for node in nodes]
        for number, node in enumerate(nodes):
            try:
                node.turn(dials)
            except ValueError as error:
                for turned, old in before[:number]:
                    turned.turn(old)
                raise _refused(f"weather: {error}") from error
        for node in nodes:
            with _stored(node):
                self._keep(node)
            self._look_after(node.recipe.node_id, node)
            self._service.live.publish("node", node.recipe.node_id)

    async def remove(self, node_ids: Sequence[str]) -> None:
        """Take them away with their flash; what the cloud knows of them is the caller's to forget.

        Raises:
            CloudError: VIRTUAL_NODE_UNKNOWN.
        """
        nodes = self._found(node_ids)
        lives = [life for node in nodes if (life := self._lives.pop(node.recipe.node_id, None))]
        for node in nodes:
            node.power_off()
        for life in lives:
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
        for node in nodes:
            self._drop(node.recipe)
            self._service.live.publish("node", node.recipe.node_id)

    def _drop(self, recipe: Recipe) -> None:
        """A node's files, and the image that nobody else came with."""
        self._nodes.pop(recipe.node_id, None)
        self._marks.pop(recipe.node_id, None)
        self._files.remove(f"{recipe.node_id}{_RECIPE}")
        self._flashes.drop(recipe.node_id)
        if all(other.recipe.firmware != recipe.firmware for other in self._nodes.values()):
            self._files.remove(f"{recipe.firmware}{_IMAGE}")
            self._images.pop(recipe.firmware, None)

    def _found(self, node_ids: Sequence[str]) -> list[Living]:
        for node_id in node_ids:
            if node_id not in self._nodes:
                raise CloudError(Refusal.VIRTUAL_NODE_UNKNOWN, f"there is no virtual node {heard(node_id, 64)}")
        return [self._nodes[node_id] for node_id in dict.fromkeys(node_ids)]


@contextmanager
def _stored(node: Living) -> Iterator[None]:
    """What is to be written of a node. Raises ``CloudError`` when the disk does not take it."""
    try:
        yield
    except OSError as error:
        raise _refused(f"{node.recipe.node_id}: it cannot be stored: {error}") from error


def _refused(why: str) -> CloudError:
    return CloudError(Refusal.VIRTUAL_NODE_REFUSED, why)
