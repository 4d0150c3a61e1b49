"""What test_on_ray.py looks at, in a process of its own: Ray leaves threads, processes and warnings behind.

One Ray, two workers, and one JSON object on stdout: to start it is what all of this costs.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import shared_jobs
from click.testing import CliRunner

from py_esp_ota.adapters import on_ray
from py_esp_ota.adapters.on_ray import OnRay
from py_esp_ota.cli import main as cli
from py_esp_ota.firmware import Firmware
from py_esp_ota.sweep import STORIES, Scene, sweep
from py_esp_ota.sweep.order import STRETCHES, Order, Props, Told, known_story
from py_esp_ota.sweep.part import SweepPart, merge, report_of
from py_esp_ota.view.junit import sweep_junit
from py_esp_ota.view.sarif import sweep_sarif
from py_esp_ota.work import Work, WorkError, run


def swept(folder: str) -> dict[str, object]:
    """First cuts, and a worker that is killed among them; beside one process."""
    scene = Scene(*(Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0")))
    alone = sweep(STORIES["first-ota"], scene)
    order = Order(Told(known_story, "first-ota"), Props.of(scene))
    work = Work(shared_jobs.dies_in_a_sweep, (folder, order), merge, SweepPart())
    found = run(work, range(STRETCHES), OnRay(jobs=2))
    together = report_of(found.report, "first-ota", alone.operations, limit=0, times=None, stopped="")
    same = {"junit": sweep_junit(together) == sweep_junit(alone), "sarif": sweep_sarif(together) == sweep_sarif(alone)}
    return {
        "done": found.done,
        "stopped": found.stopped,
        "cases": len(together.cases),
        "same": together == alone,
    } | same


def fleet() -> dict[str, object]:
    """A fleet with three jobs, on Ray and here: the document that ``esp-ota fleet`` prints."""
    words = ["fleet", str(Path(__file__).parents[1] / "examples/fleet/chips.toml"), "--devices", "10", "--json"]
    here, there = (CliRunner().invoke(cli, [*words, *more]) for more in ([], ["--on", "ray", "--jobs", "2"]))
    return {
        "code": there.exit_code,
        "devices": json.loads(there.stdout)["devices"],
        "same": there.output == here.output,
    }


def too_many() -> str:
    """What is said to more workers than there are processors."""
    try:
        return str(run(shared_jobs.counting(shared_jobs.squares, 10), range(8), OnRay(jobs=3)))
    except WorkError as error:
        return str(error)


def elsewhere() -> list[str]:
    """At which addresses of this machine but loopback somebody answers at Ray's port."""
    import ray

    port = int(ray.get_runtime_context().gcs_address.rsplit(":", 1)[1])
    heard = []
    for address in {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}:
        with socket.socket() as link:
            link.settimeout(1)
            if not address.startswith("127.") and link.connect_ex((address, port)) == 0:
                heard.append(address)
    return heard


def main() -> None:
    with on_ray._joined(on_ray._ray(ours=True), None, 2):
        found = {
            "swept": swept(sys.argv[1]),
            "fleet": fleet(),
            "many": too_many(),
            "elsewhere": elsewhere(),
        }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
