"""One running app on one chip, for tests of ``esp_https_ota``."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from scripted_fetch import Answer, ScriptedFetch

from py_esp_ota._core import Flash, PartitionTable
from py_esp_ota.adapters.memory import run_virtual
from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspErr, HttpsOtaError
from py_esp_ota.firmware import Firmware, merge
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.idf.esp_https_ota import https_ota
from py_esp_ota.idf.esp_https_ota.https_ota import (
    Event,
    HttpClientConfig,
    HttpsOta,
    HttpsOtaConfig,
)
from py_esp_ota.idf.log import Log
from py_esp_ota.sdkconfig import Sdkconfig

URL = "https://cloud/lamp.bin"
OLD = Firmware("lamp", "1.0").to_bytes()
NEW = Firmware("lamp", "1.1").to_bytes()
IN_PROGRESS = EspErr.ESP_ERR_HTTPS_OTA_IN_PROGRESS


class Bench:
    """One running app on one chip, and what the handle tells it."""

    def __init__(
        self,
        routes: Mapping[str, Any] | Answer,
        *,
        table: str | PartitionTable = "two_ota_large",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        rows = PartitionTable.builtin(table) if isinstance(table, str) else table
        slot = rows.find(type=0, subtype=0x00) or rows.find(type=0, subtype=0x10)
        assert slot
        self.config = Sdkconfig(**(options or {}))
        self.chip = Chip(flash=Flash.from_bytes(merge({0x8000: rows.to_bytes(), slot.offset: OLD}), size=0x400000))
        self.log = Log(lambda: 0)
        self.report = boot(self.chip, self.config)
        assert self.report.partition
        self.ops = OtaOps(self.chip, self.report.partition, self.config, self.log)
        self.fetch = ScriptedFetch({URL: routes} if isinstance(routes, Answer) else routes)
        self.events: list[Event] = []
        self.data: list[tuple[Event, int | None]] = []

    def on_event(self, event: Event, data: int | None) -> None:
        self.events.append(event)
        self.data.append((event, data))

    def begin(self, url: str = URL, bulk: bool = False, **http: Any) -> Awaitable[HttpsOta]:
        if self.config.idf_version < (4, 3, 4):
            http.setdefault("cert_pem", "PEM")  # the only trust that these know
        config = HttpsOtaConfig(http_config=HttpClientConfig(url=url, **http), bulk_flash_erase=bulk)
        return https_ota.begin(config, ops=self.ops, fetch=self.fetch, on_event=self.on_event)

    def refused(self, act: Callable[[], Awaitable[Any]]) -> HttpsOtaError:
        async def main() -> None:
            await act()

        with pytest.raises(HttpsOtaError) as refused:
            run_virtual(main())
        return refused.value

    async def update(self) -> HttpsOta:
        handle = await self.begin()
        while await handle.perform() is IN_PROGRESS:
            pass
        return handle

    def logged(self, text: str) -> bool:
        return any(text in line for line in self.log.lines)

    @property
    def next_boot(self) -> str:
        partition = self.ops.get_boot_partition()
        assert partition
        return partition.label


async def wrap(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
