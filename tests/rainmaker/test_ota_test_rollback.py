"""A build with ESP_RMAKER_OTA_TEST_ROLLBACK: each update fails after it worked, so many times."""

from __future__ import annotations

import json

import pytest
from node_bench import JOB, Bench

from py_esp_ota.idf.nvs import nvs_flash_init
from py_esp_ota.rainmaker.ota_test_rollback import info
from py_esp_ota.sdkconfig import Sdkconfig


class Cycles(Bench):
    """A node whose cloud pushes the same job again after each failure."""

    def __init__(self, limit: int, **options: object) -> None:
        config = Sdkconfig(esp_rmaker_ota_test_rollback=True, esp_rmaker_ota_test_rollback_count=limit, **options)
        super().__init__(config=config)

    def play(self, *jobs: str) -> Cycles:
        async def scenario(bench: Bench) -> None:
            await bench.sleep(10)
            for job in jobs:
                await bench.push(job=job)
                await bench.sleep(60)

        self.run(scenario)
        return self

    def stored(self) -> dict[str, tuple[str, object]]:
        partition = nvs_flash_init(self.chip, self.config)
        handle = partition.open("rmaker_ota")
        return {entry.key: (entry.type, handle.get(entry.key, entry.type)) for entry in partition.entries("rmaker_ota")}

    @property
    def words(self) -> list[str]:
        return [report for report in self.reports if "TEST_ROLLBACK" in report]


def test_a_good_update_fails_and_the_old_firmware_says_nothing_of_it():
    node = Cycles(3).play(JOB)
    assert node.words == ["failed: TEST_ROLLBACK: forced failure to re-trigger OTA (cycle 1/3)"]
    assert node.reports[-1] == node.words[0]
    assert node.transcript[-4:] == [*node.words, "config", "params/local/init", "otafetch"]
    assert node.running == ("1.0", "VALID")
    assert node.stored() == {"ota_test_cnt": ("u32", 1), "ota_test_jid": ("blob", JOB.encode())}


def test_the_last_cycle_confirms():
    node = Cycles(3).play(JOB, JOB, JOB)
    assert node.words == [
        "failed: TEST_ROLLBACK: forced failure to re-trigger OTA (cycle 1/3)",
        "failed: TEST_ROLLBACK: forced failure to re-trigger OTA (cycle 2/3)",
        "success: TEST_ROLLBACK_END: 3/3 cycles complete; marking valid",
    ]
    assert {json.loads(payload)["ota_job_id"] for payload in node.payloads("otastatus")} == {JOB}
    assert node.running == ("1.1", "VALID")
    assert node.stored() == {}


def test_a_new_job_counts_from_one():
    node = Cycles(3).play(JOB, JOB, "another", JOB)
    assert [word.split("(")[1] for word in node.words] == ["cycle 1/3)", "cycle 2/3)", "cycle 1/3)", "cycle 1/3)"]


def test_without_a_limit_it_never_ends():
    node = Cycles(0).play(*[JOB] * 3)
    assert node.words[-1] == "failed: TEST_ROLLBACK: forced failure to re-trigger OTA (cycle 3, indefinite)"


@pytest.mark.parametrize("job", ["x" * 64, "x" * 200])
def test_a_job_id_that_the_buffer_does_not_hold_is_always_new(job):
    node = Cycles(2).play(job, job)
    assert len({boot.partition.label for _, boot in node.boots}) == 2
    assert node.running == ("1.0", "VALID")
    assert node.stored()["ota_test_cnt"] == ("u32", 1)


def test_the_self_test_comes_first():
    node = Cycles(3)
    node.ota = type(node.ota)(ota_diag=lambda _state: False)
    node.play(JOB)
    assert node.words == []
    assert node.reports[-1] == "rejected: Firmware rolled back"


def test_the_console_warns_at_each_boot():
    node = Cycles(3).play(JOB)
    assert sum("*** TEST ROLLBACK MODE ENABLED ***" in line for line in node.console) == len(node.boots) == 3
    assert not any("TEST ROLLBACK" in line for line in Bench().wait(10).console)


def test_the_words_fit_their_buffer():
    assert len(info(100_000, 100_000)) < 80
    with pytest.raises(ValueError, match="ESP_RMAKER_OTA_TEST_ROLLBACK needs BOOTLOADER_APP_ROLLBACK_ENABLE"):
        Sdkconfig.from_text("CONFIG_ESP_RMAKER_OTA_TEST_ROLLBACK=y\n")
