"""``examples/system/ota/simple_ota_example``: the whole update in one call."""

from __future__ import annotations

from example_board import Run

from py_esp_ota.errors import HttpsOtaError, Restart
from py_esp_ota.idf.esp_https_ota import https_ota
from py_esp_ota.idf.esp_https_ota.https_ota import HttpClientConfig, HttpsOtaConfig

TAG = "simple_ota_example"


async def simple_ota(run: Run) -> None:
    """``app_main`` and its task."""
    log, ops = run.log, run.ops
    log.info(TAG, "OTA example app_main start")
    log.info(TAG, f"SHA-256 for bootloader:  {ops.partitions.get_sha256(ops.primary_bootloader()).hex()}")
    log.info(TAG, f"SHA-256 for current firmware:  {ops.partitions.get_sha256(ops.get_running_partition()).hex()}")
    await run.connect()
    log.info(TAG, "Starting OTA example task")
    url = await run.stdin()
    log.info(TAG, f"Attempting to download update from {url}")
    config = HttpsOtaConfig(http_config=HttpClientConfig(url=url))
    try:
        await https_ota.https_ota(config, ops=ops, fetch=run.board.server)
    except HttpsOtaError:
        log.error(TAG, "Firmware upgrade failed")
        return
    log.info(TAG, "OTA Succeed, Rebooting...")
    raise Restart("esp_restart")
