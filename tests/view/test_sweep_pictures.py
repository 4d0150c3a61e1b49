"""A sweep as a page, as JUnit, as SARIF and for the terminal: what the report says, and no string trusted."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from io import StringIO
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console
from sweep_by_hand import BROKEN, CHIP, HOSTILE, NEW, OLD, report

from py_esp_ota.sweep.result import Case
from py_esp_ota.view.junit import sweep_junit
from py_esp_ota.view.sarif import sweep_sarif
from py_esp_ota.view.sweep_html import sweep_html
from py_esp_ota.view.sweep_text import sweep_text
from py_esp_ota.view.sweep_words import broken_promise, model_of, operation_words, runs


def printed(picture, width=160):
    console = Console(width=width, file=StringIO())
    console.print(picture)
    return console.file.getvalue()


def packed(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def unpacked(data):
    """The cases back from the page's data: plan, operation, ending."""
    index = 0
    for row, count in data["cases"]:
        for _ in range(count):
            flat = data["rows"][row]
            at = 0
            while at < len(flat):
                then = ""
                model = flat[at]
                if model < 0:
                    model, then, at = -1 - model, f"+cut@{flat[at + 1]}{data['models'][flat[at + 2]]}", at + 2
                text = data["models"][model]
                plan = f"cut@{index}{text}{then}" if text == "" or text[0] in ":+" else text
                yield Case(plan, index, flat[at + 1])
                at += 2
            index += 1


def addresses(data):
    address = 0
    for erase, step, length, count in data["operations"]:
        for _ in range(count):
            address += step
            yield "erase" if erase else "program", address, length


# ------------------------------------------------------------------------------------------------------------ the page


@pytest.mark.parametrize("sectors", [2, 5])
def test_the_page_holds_every_case_and_every_operation(sectors):
    swept = report(sectors)
    data = packed(sweep_html(swept))
    assert sorted(unpacked(data)) == sorted(swept.cases)
    assert list(addresses(data)) == [(one.kind, one.address, one.length) for one in swept.operations]
    logs = [[data["lines"][line] for line in ending["log"]] for ending in data["endings"]]
    assert logs == [list(ending.log) for ending in swept.endings]
    assert [data["outcomes"][ending["outcome"]] for ending in data["endings"]] == [
        "old",
        "new",
        "as_the_chip",
        "violation",
    ]


def test_a_plan_that_begins_elsewhere_and_an_operation_without_a_case_survive():
    plans = [("cut@12:torn", 1), ("flip@7+cut@4", 4), ("cut@4+cut@5:torn", 4), ("cut@4:torn+cut@05", 4)]
    plans += [("cut@4+cut@5+cut@6:after", 4), ("cut@4+drop@8", 4), ("cut@17", 17)]
    swept = replace(report(1), cases=tuple(Case(plan, operation, 1) for plan, operation in plans))
    assert list(unpacked(packed(sweep_html(swept)))) == list(swept.cases)


def test_the_page_of_forty_thousand_cases_is_small():
    swept = report(800)
    assert len(swept.cases) > 40_000
    assert len(sweep_html(swept)) < 100_000


def test_a_hundred_thousand_pairs_of_cuts_fit_into_two_megabytes():
    swept = report(60)
    pairs = [Case(f"cut@{n % 1000}:torn+cut@{n % 997}:bits-erase", n % 1000, n % 4) for n in range(100_000)]
    swept = replace(swept, cases=tuple(sorted(pairs, key=lambda case: case.operation)))
    assert len(sweep_html(swept)) < 2_000_000


def test_the_page_needs_nothing_but_itself():
    page = sweep_html(report())
    assert not re.findall(r"""(?:src|href)\s*=|url\(|@import|https?:""", page)
    assert "default-src 'none'" in page


def test_nothing_in_the_report_becomes_markup():
    endings = [
        replace(one, why=HOSTILE, version=HOSTILE, log=(HOSTILE,), otadata=(HOSTILE,))
        for one in (OLD, NEW, CHIP, BROKEN)
    ]
    swept = report(endings=endings, story=HOSTILE)
    page = sweep_html(swept, command=HOSTILE)
    assert "<img" not in page
    assert page.count("</script>") == page.count("<script") == 2
    assert "<!--" not in page
    data = packed(page)
    assert (data["command"], data["lines"], data["endings"][0]["version"]) == (HOSTILE, [HOSTILE], HOSTILE)


def test_the_counts_stand_in_the_page_without_a_script():
    page = sweep_html(report(), elapsed_s=0.254)
    assert "34 flash operations, 103 power cuts in 0.25 s" in page
    counts = dict(re.findall(r"</i>([a-z ]+)</th><td>([\d,]+)</td>", page))
    assert counts == {"old": "50", "new": "49", "as the chip": "1", "violation": "3"}


def test_a_story_without_flash_operations_has_a_page_too():
    assert "0 flash operations, 0 power cuts" in sweep_html(replace(report(), operations=(), cases=()))


# ---------------------------------------------------------------------------------------------------------------- JUnit


def test_junit_has_a_test_for_each_operation():
    suites = ET.fromstring(sweep_junit(report(), elapsed_s=0.5))
    suite = suites.find("testsuite")
    assert suite.attrib == {
        "name": "sweep.first_ota",
        "tests": "34",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
        "time": "0.500",
    }
    tests = suite.findall("testcase")
    assert len(tests) == 34
    assert tests[17].attrib == {"classname": "sweep.first_ota", "name": "operation 17: erase 0x011000"}
    assert [number for number, test in enumerate(tests) if len(test)] == [3, 20]
    failure = tests[20].find("failure")
    assert failure.get("message") == "nothing boots"
    for words in ("cut@20, cut@20:after, cut@20:torn+cut@1: nothing boots", "otadata: 1/NEW  -", "No bootable app"):
        assert words in failure.text
    assert failure.text.count("No bootable app") == 1
    assert tests[3].find("skipped").get("message") == f"as the chip does: {CHIP.why}"
    assert "cut@3:torn" in tests[3].find("system-out").text
    numbers = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert numbers == {
        "operations": "34",
        "cases": "103",
        "boots": "7",
        "old": "50",
        "new": "49",
        "as_the_chip": "1",
        "violation": "3",
    }


def test_an_operation_that_breaks_one_promise_as_the_chip_and_another_by_itself_fails():
    swept = report()
    swept = replace(swept, cases=(Case("cut@3", 3, 2), Case("cut@3:torn", 3, 3)))
    test = ET.fromstring(sweep_junit(swept)).find("testsuite/testcase")
    assert [child.tag for child in test] == ["failure", "system-out"]


def test_a_thousand_cases_at_one_place_are_counted_and_a_few_named():
    swept = replace(report(), cases=tuple(Case(f"cut@3+cut@{n}", 3, 3) for n in range(1000)))
    failure = ET.fromstring(sweep_junit(swept)).find("testsuite/testcase/failure")
    assert failure.text.startswith("cut@3+cut@0, cut@3+cut@1, ")
    assert "cut@3+cut@19, and 980 more: nothing boots\n" in failure.text
    (result,) = json.loads(sweep_sarif(swept))["runs"][0]["results"]
    assert (result["properties"]["cases"], len(result["properties"]["plans"])) == (1000, 21)


def test_what_xml_cannot_say_is_shown_as_an_escape():
    odd = replace(BROKEN, why="a\x00b]]>\"'<\ud800", log=("\x1b[0;31mE (1) boot: red\x1b[0m", "\ufffe"))
    text = sweep_junit(report(endings=(OLD, NEW, CHIP, odd)))
    failure = ET.fromstring(text.encode()).find("testsuite/testcase/failure")
    assert failure.get("message") == "a\\x00b]]>\"'<\\ud800"
    assert "\\x1b[0;31mE (1) boot: red" in failure.text


# ---------------------------------------------------------------------------------------------------------------- SARIF


def check_sarif(log):
    """What SARIF 2.1.0's schema requires of the objects we write, and forbids."""
    assert log["version"] == "2.1.0"
    for run in log["runs"]:
        driver = run["tool"]["driver"]
        assert driver["name"]
        ids = [rule["id"] for rule in driver["rules"]]
        assert len(ids) == len(set(ids))
        for rule in driver["rules"]:
            assert rule["shortDescription"]["text"]
            assert rule["defaultConfiguration"]["level"] in {"none", "note", "warning", "error"}
        for result in run["results"]:
            assert result["message"]["text"]
            assert ids[result["ruleIndex"]] == result["ruleId"]
            assert result["kind"] in {"notApplicable", "pass", "fail", "review", "open", "informational"}
            # "If kind has any value other than fail, level shall be none" (3.27.10)
            assert (result["level"] == "none") == (result["kind"] != "fail")
            for location in result["locations"]:
                physical = location["physicalLocation"]
                assert physical["artifactLocation"]["uri"]
                assert physical["address"]["absoluteAddress"] >= -1


def test_sarif_has_a_rule_for_each_broken_promise_and_a_result_for_each_operation():
    log = json.loads(sweep_sarif(report(), artifact="build/a lamp.bin"))
    check_sarif(log)
    (run,) = log["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == [
        "violation/nothing-boots",
        "as-the-chip/rewrite-ota-seq-erases-before-it-writes",
    ]
    broken, known = run["results"]
    assert broken["properties"]["plans"] == ["cut@20", "cut@20:after", "cut@20:torn+cut@1"]
    assert broken["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "build/a%20lamp.bin", "index": 0},
        "address": {"absoluteAddress": 0x11200, "length": 256},
    }
    assert (broken["level"], known["kind"]) == ("error", "informational")
    assert CHIP.why in known["message"]["text"]
    assert run["properties"]["outcomes"] == {"old": 50, "new": 49, "as_the_chip": 1, "violation": 3}


def test_two_promises_with_one_short_name_are_two_rules():
    endings = (OLD, NEW, replace(BROKEN, why="nothing boots: no image"), BROKEN)
    log = json.loads(sweep_sarif(report(endings=endings)))
    check_sarif(log)
    assert len({rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]}) == 2


def test_a_sweep_without_findings_is_an_empty_run():
    swept = report(endings=(OLD, NEW, OLD, NEW))
    log = json.loads(sweep_sarif(swept))
    check_sarif(log)
    assert log["runs"][0]["results"] == []


def test_a_sweep_that_was_stopped_says_so_everywhere():
    swept, said = replace(report(), stopped="it <b>stopped</b>"), "not the whole sweep: it <b>stopped</b>"
    log = json.loads(sweep_sarif(swept))
    check_sarif(log)
    (invocation,) = log["runs"][0]["invocations"]
    assert invocation["executionSuccessful"] is False
    assert invocation["toolExecutionNotifications"][0]["message"]["text"] == said
    suites = ET.fromstring(sweep_junit(swept))
    assert suites.get("errors") == "1"
    assert suites.find("testsuite/testcase/error").get("message") == said
    assert said in printed(sweep_text(swept))
    assert "not the whole sweep: it &lt;b&gt;stopped" in sweep_html(swept)
    assert swept.to_dict(0.0)["stopped"] == "it <b>stopped</b>"
    assert report().to_dict(0.0)["stopped"] is None


# ------------------------------------------------------------------------------------------------------------- terminal


def test_the_terminal_shows_counts_and_findings_with_their_replay_line():
    lines = printed(sweep_text(report(), command="esp-ota sweep a b --replay", elapsed_s=0.123)).splitlines()
    assert [line.rstrip() for line in lines] == [
        "first_ota: 34 flash operations, 103 power cuts in 0.12 s",
        "50  old          the old image runs, whole and verified",
        "49  new          the new image runs, whole and verified",
        " 1  as the chip  a promise is broken, and ESP-IDF breaks it too",
        " 3  violation    a promise is broken",
        "",
        "violation: nothing boots",
        "  cut@20  and 2 more there  operation 20  program 0x011200..0x0112ff",
        "  replay: esp-ota sweep a b --replay cut@20",
        "",
        f"as the chip: {CHIP.why}",
        "  cut@3:torn    operation 3  program 0x010200..0x0102ff",
        "  replay: esp-ota sweep a b --replay cut@3:torn",
    ]


def test_a_long_list_is_cut_and_says_so():
    swept = report(4, endings=(replace(BROKEN, why="[red]old[/red]"), NEW, CHIP, BROKEN))
    text = printed(sweep_text(swept, limit=3))
    assert text.count("[red]old[/red]") == 1
    assert text.count("operation ") == 3 + 1 + 1
    assert "  and 31 more operations" in text
    assert "  replay: cut@0\n" in text.replace(" \n", "\n")


def test_the_replay_line_is_one_line_on_a_narrow_terminal():
    console = Console(width=40, file=StringIO())
    console.print(sweep_text(report(), command="esp-ota sweep " + "x" * 60), soft_wrap=True)
    assert f"  replay: esp-ota sweep {'x' * 60} cut@20\n" in console.file.getvalue()


def test_without_findings_there_are_only_counts():
    assert printed(sweep_text(report(endings=(OLD, NEW, OLD, NEW)))).count("\n") == 5


# ---------------------------------------------------------------------------------------------------------------- words


def test_words():
    first, second = report().operations[:2]
    assert (operation_words(first), operation_words(second)) == ("erase 0x010000", "program 0x010000..0x0100ff")
    assert [runs(ending) for ending in (OLD, NEW, BROKEN)] == [
        "1.0.0 from factory",
        "1.1.0 from ota_0, VALID",
        "nothing boots",
    ]
    assert runs(replace(OLD, version=None)) == "an app without a description from factory"
    assert [model_of(Case(plan, 1, 0)) for plan in ("cut@1", "cut@1:torn+cut@2", "cut@12", "drop@1")] == [
        "",
        ":torn+cut@2",
        "cut@12",
        "drop@1",
    ]
    assert broken_promise("ota_1 boots, not ota_0; rewrite_ota_seq erases: entry 1") == "rewrite-ota-seq-erases"
    assert broken_promise("NVS lost 3 keys: nvs_set") == "nvs-lost-keys"
    assert broken_promise("(?)") == "broken-promise"
