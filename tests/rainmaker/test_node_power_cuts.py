"""The power goes at every flash operation of an update, and comes back."""

import json

from node_bench import JOB, Bench

from py_esp_ota.errors import PowerLoss

WHOLE = ("1.0", "1.1")


def cut_at(operation: int, *, torn: bool) -> Bench:
    """An update that is cut once, and offered again to a node that is still old."""
    bench = Bench()

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        bench.chip.flash.fault = f"cut@{operation}{':torn' if torn else ''}"
        await bench.push()
        await bench.sleep(30)
        bench.chip.flash.fault = ""
        await bench.power_cycle()
        await bench.sleep(120)
        assert bench.running[0] in WHOLE
        if bench.running[0] == "1.0":
            await bench.push()
            await bench.sleep(120)

    return bench.run(scenario)


def operations_of_an_update() -> int:
    bench = Bench()
    counted = []

    async def scenario(bench: Bench) -> None:
        await bench.sleep(10)
        before = bench.chip.flash.operations
        await bench.push()
        await bench.sleep(30)
        counted.append(bench.chip.flash.operations - before)

    bench.run(scenario)
    return counted[0]


# The new firmware confirms itself in otadata, then forgets the flag and the job id: two entries each, and then reports.
FORGETTING = 4


def last_status(operation: int, operations: int, *, torn: bool) -> str:
    """What the cloud hears last. In the last operations RainMaker has no way to say that all went well."""
    begun = operation - (operations - FORGETTING)
    if begun < 0:
        return "success"
    # A flag beside a confirmed app is taken for a rollback; without a flag nothing is said after the reset.
    return "rejected" if begun == 0 and not torn else "in-progress"


def test_whenever_the_power_goes_the_node_ends_up_on_the_new_firmware_and_says_so():
    operations = operations_of_an_update()
    assert operations > 80
    for operation in range(operations):
        for torn in (False, True):
            bench = cut_at(operation, torn=torn)
            where = (operation, torn)
            assert sum(isinstance(end, PowerLoss) for end in bench.ends) == 1, where
            assert bench.running == ("1.1", "VALID"), where
            last = json.loads(bench.payloads("otastatus")[-1])
            assert last["ota_job_id"] == JOB, where
            assert last["status"] == last_status(operation, operations, torn=torn), where
