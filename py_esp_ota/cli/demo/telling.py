"""The demo, told: the seven chapters on one cast, in the lab or over sockets."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from py_esp_ota.adapters.virtual_time import run_virtual
from py_esp_ota.cli.demo.cast import Cast, own_images, real_releases
from py_esp_ota.cli.demo.show import Silence, Terminal
from py_esp_ota.cli.demo.stage import Stage
from py_esp_ota.cli.demo.story import CHAPTERS, Outcome, play
from py_esp_ota.cli.files import Unusable, print_json
from py_esp_ota.errors import MqttError
from py_esp_ota.lab import Lab, LabError
from py_esp_ota.socket_world import BrokerKind, socket_world
from py_esp_ota.world import OpenWorld

_FLASH_SHOWN = frozenset({"update", "power cut"})  # chapters with a flash map before and after


def tell(images: tuple[Path, ...], *, sockets: bool, broker: BrokerKind | None, step: bool, as_json: bool) -> bool:
    """Tell the story on the user's two images, or without any on the real releases; whether every chapter ended well.

    With ``step`` each chapter is explained, and Enter goes on. Raises ``Unusable``.
    """
    cast = own_images(*images) if images else real_releases()
    terminal = None if as_json else Terminal(Console(highlight=False, width=None if sys.stdout.isatty() else 120))
    try:
        with ExitStack() as stack:
            if sockets:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="esp-ota-")))
                result = asyncio.run(_tell(cast, terminal, socket_world(folder, prefer=broker)))
            else:
                result = run_virtual(_tell(cast, terminal, None, step=step))
    except (MqttError, LabError) as error:  # no broker, or images that no cloud would take
        raise Unusable(str(error)) from error
    if as_json:
        print_json(result)
    return bool(result["ok"])


async def _tell(
    cast: Cast, terminal: Terminal | None, world: OpenWorld | None, *, step: bool = False
) -> dict[str, object]:
    started = time.perf_counter()
    outcomes: list[Outcome] = []
    async with Lab(world) as lab:
        stage = Stage(lab, cast, terminal or Silence())
        for number, chapter in enumerate(CHAPTERS, start=1):
            if terminal:
                terminal.heading(number, chapter)
                _flash(terminal, stage, chapter.name, "before")
            stage.device.flash.record(step)
            outcome = await play(chapter, stage)
            outcomes.append(outcome)
            if terminal:
                _flash(terminal, stage, chapter.name, "after")
                terminal.outcome(stage, outcome)
                if step:
                    terminal.explain(stage, chapter)
                    terminal.wait(last=chapter is CHAPTERS[-1])
        elapsed = time.perf_counter() - started
        if terminal:
            terminal.summary(outcomes, lab.world.broker, elapsed)
        return {
            "ok": all(outcome.ok for outcome in outcomes),
            "mode": lab.world.mode,
            "broker": lab.world.broker,
            "chapters": [outcome.to_dict() for outcome in outcomes],
            "elapsed_s": round(elapsed, 3),
        }


def _flash(terminal: Terminal, stage: Stage, chapter: str, when: str) -> None:
    if chapter in _FLASH_SHOWN:
        terminal.flash(stage, when)
