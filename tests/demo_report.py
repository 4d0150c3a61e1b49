"""What every finished demo must say, whatever it was played on."""

from __future__ import annotations

import json

CHAPTERS = ["boot", "update", "self-test fails", "same version", "another project", "corrupted image", "power cut"]


def check_demo(result, mode):
    """Check exit code and JSON of a demo that must end well; the JSON."""
    assert result.exit_code == 0, result.output
    report = json.loads(result.output)
    assert set(report) == {"ok", "mode", "broker", "chapters", "elapsed_s"}
    assert (report["ok"], report["mode"]) == (True, mode)
    assert [chapter["name"] for chapter in report["chapters"]] == CHAPTERS
    assert all(chapter["ok"] and chapter["expected"] == chapter["got"] for chapter in report["chapters"])
    by_name = {chapter["name"]: chapter for chapter in report["chapters"]}
    last = {name: chapter["node_status"][-1:] for name, chapter in by_name.items()}
    assert last["self-test fails"] == [{"status": "rejected", "additional_info": "Firmware rolled back"}]
    assert last["same version"] == [{"status": "rejected", "additional_info": "Same version received"}]
    assert last["another project"] == [{"status": "rejected", "additional_info": "Project Name mismatch"}]
    assert sum(said["status"] == "failed" for said in by_name["corrupted image"]["node_status"]) == 3
    assert by_name["update"]["running"]["partition"] != by_name["boot"]["running"]["partition"]
    assert by_name["power cut"]["running"]["state"] == "VALID"
    return report
