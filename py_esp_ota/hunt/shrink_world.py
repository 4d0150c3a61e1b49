"""A world in which a promise is broken, made as small as it can be while the same promise is broken in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from py_esp_ota.faults import parse
from py_esp_ota.hunt.play import play
from py_esp_ota.hunt.shrink import Shrunk, ddmin, plainer, shrink
from py_esp_ota.hunt.world import Act, Image, World, check

BUDGET = 400
"""Worlds that are played for it at most."""

_FACTS = ("cloud", "encrypted", "rainmaker", "idf", "chip", "table", "fuse", "back", "sized")
_LASTS = ("off*", "down*", "restart*", "set*")


def shrink_world(world: World, fails: Callable[[World], bool] | None = None, *, budget: int = BUDGET) -> Shrunk[World]:
    """The smallest world that fails as ``world`` does.

    ``fails`` says whether a world does; by default it breaks the same rule. Raises ``ValueError`` for a world in which
    every promise holds.
    """
    if fails is None:
        breach = play(world).breach
        if breach is None:
            raise ValueError("every promise holds in this world: there is nothing to make smaller")
        rule = breach.rule
        fails = lambda one: (found := play(one).breach) is not None and found.rule == rule  # noqa: E731
    world = replace(world, seed=None)  # no seed draws what is left
    known: dict[World, bool] = {}

    def asked(one: World) -> bool:
        if one not in known:
            known[one] = len(known) < budget and fails(one)
        return known[one]

    acts = ddmin(world.acts, lambda kept: asked(replace(world, acts=tuple(kept))))
    rest = shrink(replace(world, acts=tuple(acts)), asked, smaller_worlds, budget=max(budget - len(known), 0))
    return Shrunk(rest.case, min(len(known), budget), rest.minimal and len(known) < budget)


def smaller_worlds(world: World) -> Iterator[World]:
    """Worlds with one thing less, or one thing as usual; only those that can be."""
    for one in _smaller(world):
        if one == world:
            continue
        try:
            check(one)
        except ValueError:
            continue
        yield one


def _smaller(world: World) -> Iterator[World]:
    for board in range(world.boards) if world.boards > 1 else ():
        yield _alone(world, board)
    for index in range(len(world.acts)):
        yield _with_acts(world, index, ())
    usual = World()
    if world.policy:
        yield replace(world, policy="", acts=tuple(act for act in world.acts if act.what != "approve"))
    for name in _FACTS:
        yield replace(world, **{name: getattr(usual, name)})
    for index in range(len(world.options)):
        yield replace(world, options=world.options[:index] + world.options[index + 1 :])
    yield from _fewer_images(world)
    for index, act in enumerate(world.acts):
        for plain in _plainer_acts(act):
            yield _with_acts(world, index, (plain,))


def _alone(world: World, board: int) -> World:
    """Only this board, as board 0, and what happens to nobody's board."""
    acts = [replace(act, who="0") if act.who == str(board) else act for act in world.acts if not _of_others(act, board)]
    return replace(world, boards=1, acts=tuple(acts))


def _of_others(act: Act, board: int) -> bool:
    return act.who.isdecimal() and act.who != str(board)


def _with_acts(world: World, index: int, instead: Sequence[Act]) -> World:
    return replace(world, acts=(*world.acts[:index], *instead, *world.acts[index + 1 :]))


def _fewer_images(world: World) -> Iterator[World]:
    images = world.images
    for index in range(1, len(images)):
        acts = []
        for act in world.acts:
            if act.who != "job" or act.what == "cancel":
                acts.append(act)
            elif int(act.what) != index:
                acts.append(replace(act, what=str(int(act.what) - (int(act.what) > index))))
        yield replace(world, images=images[:index] + images[index + 1 :], acts=tuple(acts))
    for index, image in enumerate(images):
        for plain in (Image(image.version, "g", image.secure_version), Image(image.version, image.quality, 0)):
            yield replace(world, images=(*images[:index], plain, *images[index + 1 :]))


def _plainer_acts(act: Act) -> Iterator[Act]:
    """A shorter time, or a plainer plan."""
    if act.who == "job" or act.what in {"press", "approve"}:
        return
    if act.what.startswith(_LASTS):
        word, _, number = act.what.partition("*")
        if number != "1":
            yield replace(act, what=f"{word}*1")
        return
    for plan in plainer(parse(act.what)):
        if plan.parts:
            yield replace(act, what=str(plan))
