"""The power goes while a rollback is prepared or reported: what each cut leaves in NVS, and who hears of what.

A second model beside the agent: the keys as a dictionary, and the order in which ``esp_ota_rollback`` and
``esp_rmaker_ota_work_fn`` write and erase them.
"""

import json

from node_bench import Bench

from py_esp_ota.errors import PowerLoss
from py_esp_ota.idf.nvs import nvs_flash_init
from py_esp_ota.rainmaker.ota import OtaConfig
from py_esp_ota.sdkconfig import Sdkconfig

KEYS = ("ota_update", "ota_fail_rsn", "ota_fail_jid", "rmaker_ota_id")
REASON = "MQTT did not connect within 90 seconds"
OLD, NEW = "old-job", "new-job"


def left(bench: Bench) -> dict[str, object]:
    """What NVS keeps, read as after a reset."""
    partition = nvs_flash_init(bench.chip, bench.config)
    handle = partition.open("rmaker_ota")
    return {e.key: handle.get(e.key, e.type) for e in partition.entries("rmaker_ota") if e.key in KEYS}


def rolled_back() -> Bench:
    """A node whose new firmware has just failed, with its reason and the job's id in both places."""
    bench = Bench()
    for key, value in zip(KEYS, (b"\x01", REASON, OLD, OLD.encode()), strict=True):
        bench.nvs.set("rmaker_ota", key, value)
    return bench


def erased_in_order(*keys: str) -> list[dict[str, object]]:
    """What is left before, between and after."""
    state: dict[str, object] = dict(zip(KEYS, (b"\x01", REASON, OLD, OLD.encode()), strict=True))
    states = [dict(state)]
    for key in keys:
        del state[key]
        states.append(dict(state))
    return states


def test_what_is_erased_after_a_reported_rollback_and_in_which_order():
    seen: list[dict[str, object]] = []
    operation, cut = 0, True
    while cut:
        bench = rolled_back()
        bench.chip.flash.fault = f"cut@{operation}"
        bench.wait(10)
        cut = any(isinstance(end, PowerLoss) for end in bench.ends)
        bench.chip.flash.fault = ""
        bench.chip.flash.power_on()
        state = left(bench)
        if not seen or seen[-1] != state:
            seen.append(state)
        operation += 1
    assert seen == erased_in_order("ota_update", "ota_fail_jid", "ota_fail_rsn", "rmaker_ota_id")


def predicted(state: dict[str, object]) -> list[tuple[str, str, str]]:
    """``esp_rmaker_ota_work_fn`` of a node that was rolled back: job, status and text of its report."""
    if "ota_update" not in state:
        return []
    if "ota_fail_jid" in state:
        return [(str(state["ota_fail_jid"]), "failed", str(state.get("ota_fail_rsn", "Firmware verification failed")))]
    job = state["rmaker_ota_id"]
    assert isinstance(job, bytes)
    return [(job.decode(), "rejected", "Firmware rolled back")]


def ends(bench: Bench) -> list[tuple[str, str, str]]:
    """Job, status and text of every report that ends a job."""
    bodies = [json.loads(payload) for payload in bench.payloads("otastatus")]
    return [(b["ota_job_id"], b["status"], b["additional_info"]) for b in bodies if b["status"] != "in-progress"]


def was_cut(bench: Bench) -> bool:
    return any(isinstance(end, PowerLoss) for end in bench.ends)


async def power_returns(bench: Bench) -> dict[str, object]:
    """Back to the first instant of a boot; what the cut has left."""
    bench.chip.flash.fault = ""
    bench.chip.flash.power_on()  # to look at it
    state = left(bench)
    bench.heard.clear()
    await bench.power_cycle()
    return state


def test_an_erased_job_id_is_never_reported_again():
    """The id goes first: whatever is left without it, the next rollback speaks of its own job."""
    cut, operation, outcomes = True, 0, []
    while cut:
        bench = rolled_back()
        bench.ota = OtaConfig(ota_diag=lambda _state: False)

        async def scenario(bench: Bench, operation: int = operation) -> None:
            bench.chip.flash.fault = f"cut@{operation}"
            await bench.sleep(4)
            if not was_cut(bench):
                return
            state = await power_returns(bench)
            await bench.sleep(10)
            first, expected = ends(bench), predicted(state)
            assert first == expected, operation
            bench.heard.clear()
            await bench.push(job=NEW)
            await bench.sleep(60)
            stale = "ota_fail_jid" in state and not expected
            reason = str(state.get("ota_fail_rsn"))
            last = (OLD, "failed", reason) if stale else (NEW, "rejected", "Firmware rolled back")
            assert ends(bench) == [last], operation
            outcomes.append(last[0])

        cut = was_cut(bench.run(scenario))
        operation += 1
    assert set(outcomes) == {OLD, NEW}
    assert outcomes[-1] == NEW


def test_every_cut_while_the_new_firmware_gives_up():
    config = Sdkconfig(esp_rmaker_ota_rollback_report_failed=True)
    cut, operation, states = True, 0, []
    while cut:
        bench = Bench(config=config)

        async def scenario(bench: Bench, operation: int = operation) -> None:
            await bench.sleep(10)
            await bench.push(job=NEW)
            await bench.sleep(9)
            bench.line.cut()
            await bench.sleep(60)
            bench.chip.flash.fault = f"cut@{operation}"
            await bench.sleep(60)
            bench.chip.flash.fault = ""
            bench.line.restore()
            expected = [(NEW, "failed", REASON)]
            if was_cut(bench):
                states.append(await power_returns(bench))
                expected = predicted(states[-1])
            await bench.sleep(30)
            assert ends(bench) == expected, (operation, states[-1:])
            assert bench.running[0] == "1.0"

        cut = was_cut(bench.run(scenario))
        operation += 1
    assert {frozenset(state) for state in states} >= {
        frozenset({"ota_update", "rmaker_ota_id"}),
        frozenset({"ota_update", "rmaker_ota_id", "ota_fail_rsn"}),
        frozenset({"ota_update", "rmaker_ota_id", "ota_fail_rsn", "ota_fail_jid"}),
        frozenset({"ota_update", "ota_fail_rsn", "ota_fail_jid"}),
    }
