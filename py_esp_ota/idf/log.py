"""The console: ``esp_log``'s line format and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from py_esp_ota._core import LogLine

#: Level, tag and text of a line that is yet to be printed.
Line = tuple[str, str, str]


class Log:
    """``esp_log_write`` (components/log): lines as the chip prints them, without colour.

    ``now_ms`` is the time stamp's source; ``sink`` sees every line as it is printed; with ``debug`` there are more.
    """

    def __init__(
        self, now_ms: Callable[[], int], sink: Callable[[str], None] | None = None, *, debug: bool = False
    ) -> None:
        self.lines: list[str] = []
        self._now_ms = now_ms
        self._sink = sink
        self._debug = debug

    def debug(self, tag: str, text: str) -> None:
        """``ESP_LOGD``, which the default level leaves out."""
        if self._debug:
            self._print("D", tag, text)

    def info(self, tag: str, text: str) -> None:
        """``ESP_LOGI``."""
        self._print("I", tag, text)

    def warning(self, tag: str, text: str) -> None:
        """``ESP_LOGW``."""
        self._print("W", tag, text)

    def error(self, tag: str, text: str) -> None:
        """``ESP_LOGE``."""
        self._print("E", tag, text)

    def core(self, lines: Iterable[LogLine]) -> None:
        """Lines a verdict of the core carries."""
        self.block((line.level, line.tag, line.text) for line in lines)

    def block(self, lines: Iterable[Line]) -> None:
        """Lines with nothing between them."""
        for line in lines:
            self._print(*line)

    def _print(self, level: str, tag: str, text: str) -> None:
        line = f"{level} ({self._now_ms()}) {tag}: {text}"
        self.lines.append(line)
        if self._sink is not None:
            self._sink(line)
