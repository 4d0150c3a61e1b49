"""What the audience sees: the device's console, progress bars, flash maps and the job monitor."""

from __future__ import annotations

import signal
import sys

from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text

from py_esp_ota.cli.demo.stage import Stage
from py_esp_ota.cli.demo.step import explained, written
from py_esp_ota.cli.demo.story import Chapter, Outcome
from py_esp_ota.view.flash_map import flash_map
from py_esp_ota.view.monitor import job_monitor
from py_esp_ota.view.visible import visible

_LEVELS = {"E": "red", "W": "yellow", "I": "dim"}
_BAR = 40


class Silence:
    """An audience that looks away (``--json``)."""

    def console(self, line: str) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Nothing."""


class Terminal:
    """An audience with a terminal."""

    def __init__(self, console: Console) -> None:
        self._out = console
        self._open_bar = False

    def console(self, line: str) -> None:
        """One line of the device, in the colour of its level."""
        self._end_bar()
        # Not folded: people search these lines for whole sentences.
        self._out.print(Text(visible("    " + line), style=_LEVELS.get(line[:1], "")), soft_wrap=True)

    def note(self, text: str) -> None:
        """A remark."""
        self._end_bar()
        self._out.print(Text(visible(f"  {text}"), style="bold yellow"))

    def progress(self, what: str, done: int, total: int) -> None:
        """A bar that grows in place; where the output is no terminal, only its last state is printed."""
        final = done >= total
        if not (self._out.is_terminal or final):
            return
        filled = _BAR * done // max(total, 1)
        bar = f"  {what:<9}{'█' * filled}{'·' * (_BAR - filled)} {done:>8} / {total} bytes"
        self._out.print(Text(bar, style="cyan"), end="\n" if final else "\r")
        self._open_bar = not final

    def heading(self, number: int, chapter: Chapter) -> None:
        """A chapter begins."""
        self._out.print()
        self._out.rule(f"[bold]{number}. {chapter.name}", align="left")
        self._out.print(Text(f"  {chapter.tells}", style="italic"))

    def flash(self, stage: Stage, title: str) -> None:
        """The flash as it is now."""
        self._end_bar()
        running = stage.device.report.partition if stage.device.report and stage.device.running else None
        self._out.print()
        self._out.print(flash_map(stage.device.flash, stage.cast.table, running=running, title=f"  Flash {title}"))

    def outcome(self, stage: Stage, outcome: Outcome) -> None:
        """How the chapter ended."""
        self._end_bar()
        if outcome.node_status:
            self._out.print()
            node_id = stage.device.node_id
            self._out.print(job_monitor(outcome.name, outcome.job_status or "", outcome.node_status, node_id=node_id))
        mark = Text("✔ as it should be: ", style="bold green") if outcome.ok else Text("✘ expected: ", style="bold red")
        self._out.print()
        self._out.print(mark + Text(visible(outcome.expected), style=""))
        if not outcome.ok:
            self._out.print(Text(visible(f"         got: {outcome.got}"), style="red"))

    def explain(self, stage: Stage, chapter: Chapter) -> None:
        """What the chapter wrote where, and what the lessons say about it."""
        self._paragraph("What was written where", "\n".join(written(stage.device.flash.journal(), stage.cast.table)))
        for heading, text in explained(chapter.name):
            self._paragraph(heading, text)

    def wait(self, *, last: bool) -> None:
        """Until Enter; not at all where nobody can press it. Raises ``KeyboardInterrupt`` for Ctrl-C."""
        if last or not (self._out.is_terminal and sys.stdin.isatty()):
            return
        # asyncio would only note the Ctrl-C, for when its loop goes on.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            self._out.input("\n  Enter goes on, Ctrl-C ends it. ")
        except EOFError:
            self._out.print()
        finally:
            signal.signal(signal.SIGINT, before)

    def _paragraph(self, heading: str, text: str) -> None:
        self._out.print()
        self._out.print(Text(f"  {heading}", style="bold"))
        for line in text.splitlines():
            self._out.print(Padding(Text(visible(line)), (0, 0, 0, 4), expand=False))

    def summary(self, outcomes: list[Outcome], broker: str, elapsed: float) -> None:
        """The last word."""
        good = sum(outcome.ok for outcome in outcomes)
        text = f"{good} of {len(outcomes)} chapters ended as they should, in {elapsed:.2f} s; broker: {broker}"
        self._out.print()
        self._out.print(Panel(text, style="green" if good == len(outcomes) else "red", expand=False))

    def _end_bar(self) -> None:
        if self._open_bar:
            self._out.print()
            self._open_bar = False
