"""The GitHub action and the GitLab component: well formed, closed to injection, and right about good and bad images."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from functools import partial
from pathlib import Path

import pytest
import yaml
from ci_runner import ACTION, TEMPLATE, github, gitlab
from venvs import BIN, ROOT

from py_esp_ota import __version__

EXAMPLES = ROOT / "examples/ci"
WORKFLOW = EXAMPLES / "github.yml"
SH = ("sh", "-e")
SERVERS = [
    pytest.param(github, id="github"),
    pytest.param(gitlab, id="gitlab"),
    pytest.param(partial(gitlab, shell=SH), id="gitlab-sh"),
]


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    subprocess.run([BIN / "esp-ota", "samples", folder], check=True, capture_output=True)
    return folder


@pytest.fixture
def project(tmp_path, samples):
    """A folder with the samples in it."""
    for each in samples.iterdir():
        (tmp_path / each.name).symlink_to(each)
    return tmp_path


def program(folder, name, text):
    """A program of that name, by a shell script, in a folder that is returned for PATH."""
    (folder / "bin").mkdir()
    file = folder / "bin" / name
    file.write_text(f"#!/bin/sh\n{text}")
    file.chmod(0o755)
    return str(file.parent)


EVERYTHING = {"run": "verify preflight boot sweep", "board": "flash.bin", "old": "old.bin", "table": "partitions.csv"}


# --------------------------------------------------------------------------------------------------------- what it says


@pytest.mark.parametrize("server", SERVERS[:2])
def test_a_good_image_passes_everything(server, project, programs):
    done = server(project, programs, images="new.bin", **EVERYTHING, config="sdkconfig", efuse="fuses.json")
    assert done.code == 0, done.printed
    kept = sorted(path.name for path in (project / "esp-ota-reports").iterdir())
    assert kept == [
        "1-new.bin.preflight.txt",
        "1-new.bin.sweep.first-ota.sarif",
        "1-new.bin.sweep.first-ota.txt",
        "1-new.bin.sweep.first-ota.xml",
        "1-new.bin.verify.txt",
        "board.boot.txt",
        "esp-ota.env",
    ]
    assert "new.bin will run in ota_1" in (project / "esp-ota-reports/1-new.bin.preflight.txt").read_text()
    suite = ET.parse(project / "esp-ota-reports/1-new.bin.sweep.first-ota.xml").getroot()
    assert int(suite.get("tests")) > 10
    assert {name.lower().removeprefix("esp_ota_"): value for name, value in done.outputs.items()} | {"reports": ""} == {
        "failed": "",
        "violations": "0",
        "risks": "0",
        "reports": "",
    }


@pytest.mark.parametrize("server", SERVERS[1:])
def test_a_damaged_image_fails_and_the_good_one_is_checked_all_the_same(server, project, programs):
    done = server(project, programs, images="damaged.bin\n\n  new.bin\n", run="verify,preflight", board="build")
    assert done.code == 1
    failed = done.outputs.get("failed") or done.outputs["ESP_OTA_FAILED"]
    assert failed == "1-damaged.bin.verify 1-damaged.bin.preflight"
    assert "INVALID" in (project / "esp-ota-reports/1-damaged.bin.verify.txt").read_text()
    assert "-- 2-new.bin.preflight: passed" in done.printed


def test_the_outputs_and_the_summary_are_those_of_the_run(project, programs):
    done = github(project, programs, images="damaged.bin", reports="told")
    assert done.outputs == {"failed": "1-damaged.bin.verify", "violations": "0", "risks": "0", "reports": "told"}
    assert done.summary == "| esp-ota | |\n|---|---|\n| 1-damaged.bin.verify | FAILED |\n"


def test_a_story_of_the_sweep_that_breaks_a_promise_fails_and_a_threshold_lets_it_pass(project, programs):
    # A bug that is switched on stands for a device that loses its firmware.
    ours = programs.partition(":")[0]
    path = program(project, "esp-ota", f'verb=$1; shift\nexec "{ours}/esp-ota" "$verb" --mutant no-erase "$@"\n')
    sweep = {"images": "new.bin", "run": "sweep", "old": "old.bin", "stories": "second-ota"}
    done = github(project, path, **sweep)
    assert done.code == 1, done.printed
    assert done.outputs["failed"] == "1-new.bin.sweep.second-ota"
    broken = int(done.outputs["violations"])
    assert broken > 0
    for most, code in ((broken - 1, 1), (broken, 0)):
        assert github(project, path, **sweep, max_violations=str(most)).code == code


@pytest.mark.parametrize(("most", "code"), [("", 0), ("9", 0), ("0", 1)])
def test_risks_count_only_when_somebody_says_so(project, programs, most, code):
    (project / "sdkconfig").unlink()
    (project / "sdkconfig").write_text(
        'CONFIG_IDF_TARGET="esp32c3"\n# CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE is not set\n'
    )
    done = github(
        project, programs, images="new.bin", run="preflight", board="flash.bin", config="sdkconfig", max_risks=most
    )
    assert done.code == code, done.printed
    assert int(done.outputs["risks"]) > 0


def test_a_signature_is_asked_for_by_its_key(project, programs):
    subprocess.run([BIN / "esp-ota", "sign", "new.bin", "-k", "key.pem", "-o", "signed.bin"], cwd=project, check=True)
    assert github(project, programs, images="signed.bin", key="key.pem").code == 0
    done = github(project, programs, images="new.bin", key="key.pem")
    assert (done.code, done.outputs["failed"]) == (1, "1-new.bin.signature")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"run": "verify; id"}, "what to run is verify, preflight, boot or sweep, and not 'verify;'"),
        ({"run": " "}, "run names nothing"),
        ({"images": "\n"}, "images names none"),
        ({"run": "boot"}, "boot and preflight need a board"),
        ({"run": "sweep"}, "sweep needs old"),
        ({"max_violations": "few"}, "max-violations is a number, and not 'few'"),
        ({"max_violations": ""}, "max-violations is a number, and not ''"),
        ({"max_risks": "-1"}, "max-risks is a number, and not '-1'"),
        ({"reports": "a\nfailed=none"}, "reports is the name of a folder, in one line"),
        ({"images": "absent.bin"}, "-- 1-absent.bin.verify: UNUSABLE"),
        ({"run": "sweep", "old": "old.bin", "stories": "fairy-tale"}, "-- 1-new.bin.sweep.fairy-tale: UNUSABLE"),
    ],
)
def test_what_cannot_be_checked_is_a_sentence_and_no_pass(project, programs, given, said):
    done = github(project, programs, **({"images": "new.bin"} | given))
    assert done.code == 2, done.printed
    assert said in done.printed
    assert "Traceback" not in done.printed


# ----------------------------------------------------------------------------------------------------- closed to others


HOSTILE = [
    "$(touch PWNED).bin",
    "`touch PWNED`",
    '"; touch PWNED; "',
    "'; touch PWNED; '",
    "--help",
    "-",
    "a *.bin",
    "IMAGES",
]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_value_is_never_a_command_and_comes_as_one_word(server, project, hostile):
    path = program(project, "esp-ota", f"printf '%s|' \"$@\" >>{project}/asked\nexit 2\n")
    names = "images", "board", "old", "table", "config", "efuse", "key"
    done = server(project, path=path, **dict.fromkeys(names, hostile), run=EVERYTHING["run"])
    assert done.code == 2, done.printed
    files = f"--config|{hostile}|--efuse|{hostile}|--|{hostile}|"
    asked = (project / "asked").read_text()
    assert asked.startswith(f"boot|{files}image-info|--|{hostile}|sign|--verify|--key|{hostile}|--|{hostile}|")
    assert f"preflight|{files}{hostile}|sweep|--story|first-ota|--partitions|{hostile}|--config|" in asked
    for name in ("run", "stories", "reports", "max_violations", "max_risks"):
        server(project, path=path, **({"images": "new.bin", "old": "old.bin", "run": "verify sweep"} | {name: hostile}))
    assert not (project / "PWNED").exists()
    asked = (project / "asked").read_text()
    assert all(f"sweep|--story|{word}|--junit|" in asked for word in hostile.split())


@pytest.mark.parametrize("name", ["--help", "-"])
def test_a_name_is_never_an_option(project, programs, name):
    done = github(project, programs, images=name, board=name, old=name, run=EVERYTHING["run"])
    assert done.code == 2, done.printed
    assert "Usage:" not in done.printed


def test_what_an_image_says_is_no_command_to_the_runner(project, programs):
    (project / "::error::x.bin").symlink_to(project / "damaged.bin")
    printed = github(project, programs, images="::error::x.bin").printed.splitlines()
    stop = next(line for line in printed if line.startswith("::stop-commands::"))
    mark = stop.removeprefix("::stop-commands::")
    assert len(mark) == 32
    begin, end = printed.index(stop), printed.index(f"::{mark}::")
    commands = [index for index, line in enumerate(printed) if line.lstrip().startswith("::")]
    assert all(begin <= index <= end for index in commands)
    assert len(commands) > 2  # the image did try


def _scripts():
    action = yaml.safe_load(ACTION.read_text())
    yield from (("action.yml", step["run"]) for step in action["runs"]["steps"])
    _, jobs = yaml.safe_load_all(TEMPLATE.read_text())
    (job,) = jobs.values()
    yield from (("template", text) for text in job["before_script"] + job["script"])


@pytest.mark.parametrize(("where", "script"), list(_scripts()))
def test_inputs_reach_a_script_as_variables_alone(where, script):
    assert "${{" not in script
    assert "$[[" not in script
    # Outside quotes stand only what this script has made itself, and lists of words under `set -f`.
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", script)
    assert set(re.findall(r"(?<![=\w])\$\{?(ESP_OTA_\w+)(?!\w*[:}])", bare)) <= {"ESP_OTA_STORIES", "ESP_OTA_IMAGES"}


def test_the_two_have_the_same_inputs_and_the_same_script():
    action = yaml.safe_load(ACTION.read_text())
    header, jobs = yaml.safe_load_all(TEMPLATE.read_text())
    (job,) = jobs.values()
    theirs = {name: str(each.get("default")) for name, each in header["spec"]["inputs"].items()}
    ours = {name: str(each.get("default")) for name, each in action["inputs"].items()}
    assert {name: value for name, value in theirs.items() if name not in {"job", "stage", "image"}} == ours
    assert action["runs"]["steps"][1]["run"].split("\n", 1)[1] == job["script"][0]


def test_the_package_that_is_installed_is_the_release_of_this_file():
    for text in (ACTION.read_text(), TEMPLATE.read_text()):
        assert re.findall(r"py_esp_ota\[sign\]==([\w.]+)", text) == [__version__]


def test_the_package_is_installed_into_a_venv_of_its_own(project):
    path = program(
        project,
        "python3",
        f"""[ "$1 $2" = "-m venv" ] || exit 9
mkdir -p "$3/bin"
ln -s {BIN}/esp-ota "$3/bin/esp-ota"
printf '#!/bin/sh\\nprintf "%%s|" "$@" >> {project}/installed\\n' > "$3/bin/python"
chmod +x "$3/bin/python"
""",
    )
    done = github(project, path, images="new.bin", package="--index-url=x y; id")
    assert done.code == 0, done.printed
    said = (project / "installed").read_text()
    assert said == "-m|pip|install|--quiet|--disable-pip-version-check|--|--index-url=x y; id|"


# ---------------------------------------------------------------------------------------------------------- well formed


def _schema(name, *files):
    tool = [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema", name]
    done = subprocess.run([*tool, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_action_and_its_example_are_well_formed():
    _schema("vendor.github-actions", ACTION)
    _schema("vendor.github-workflows", WORKFLOW)


def test_the_component_and_its_example_are_well_formed(tmp_path):
    _, job = TEMPLATE.read_text().split("\n---\n")  # the schema knows pipelines, not what stands above one
    (tmp_path / "job.yml").write_text(job)
    _schema("vendor.gitlab-ci", tmp_path / "job.yml", EXAMPLES / "gitlab.yml")


def test_nobody_is_given_more_than_he_needs():
    audit = [Path(sys.executable).with_name("zizmor"), "--offline", "--no-progress", "--config", ".github/zizmor.yml"]
    done = subprocess.run([*audit, ACTION, WORKFLOW], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_foreign_actions_are_pinned_to_commits_and_ours_has_none():
    assert "uses:" not in ACTION.read_text()
    used = re.findall(r"uses: (\S+)(?: # (\S+))?", WORKFLOW.read_text())
    assert len(used) == 4
    for name, version in used:
        if name != "OWNER/py_esp_ota@COMMIT":
            assert re.fullmatch(r"[\w-]+(/[\w-]+)+@[0-9a-f]{40}", name), name
            assert re.fullmatch(r"v\d+\.\d+\.\d+", version), name


def test_the_examples_name_inputs_that_exist():
    declared = yaml.safe_load(ACTION.read_text())["inputs"].keys()
    shown = re.findall(
        r"^```yaml\n(.*?)^```", (ROOT / "docs/howto/check-firmware-in-ci.md").read_text(), re.MULTILINE | re.DOTALL
    )
    on_github, on_gitlab = map(yaml.safe_load, shown)
    assert on_github[0]["with"] == on_gitlab["include"][0]["inputs"]
    assert on_github[0]["with"].keys() <= declared
    job = yaml.safe_load(WORKFLOW.read_text())["jobs"]["update"]
    (step,) = [each for each in job["steps"] if each.get("id") == "esp-ota"]
    (include,) = yaml.safe_load((EXAMPLES / "gitlab.yml").read_text())["include"]
    assert step["with"] == include["inputs"]
    assert step["with"].keys() <= declared
