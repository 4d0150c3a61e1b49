"""What a CI server does with action.yml and templates/esp-ota.yml, as far as a shell can: inputs in, outputs out."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml
from venvs import ROOT

ACTION = ROOT / "action.yml"
TEMPLATE = ROOT / "templates/esp-ota.yml"
_EXPRESSION = re.compile(r"\$\{\{ *([\w.-]+) *\}\}")
_INPUT = re.compile(r"\$\[\[ *inputs\.([\w-]+) *\]\]")
#: How GitHub calls ``shell: bash``, and how GitLab's runner begins a script.
BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail")


@dataclass(frozen=True)
class Done:
    """How a job ended: its exit code, what it printed, its outputs, its summary."""

    code: int
    printed: str
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""


def github(folder: Path, path: str, **given: str) -> Done:
    """Run the action in ``folder``. ``given``: inputs, ``_`` for ``-``; no package unless one is given."""
    action = _action()
    inputs = _inputs(action["inputs"], given)
    files = {name: folder / f".{name.lower()}" for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    runner = {"GITHUB_ACTIONS": "true", "RUNNER_TEMP": str(folder / ".temp")} | {k: str(v) for k, v in files.items()}
    (folder / ".temp").mkdir(exist_ok=True)
    known = {f"inputs.{name}": value for name, value in inputs.items()}
    code, printed = 0, ""

    def told(text: str) -> str:
        return _EXPRESSION.sub(lambda found: known.get(found[1], ""), text)

    for step in action["runs"]["steps"]:
        condition = step.get("if", "true")
        assert condition in {"true", "inputs.package != ''"}, condition
        if code or (condition != "true" and not inputs["package"]):
            continue
        files["GITHUB_OUTPUT"].write_text("")
        shell = {"bash": BASH}[step["shell"]]
        environment = runner | {name: told(value) for name, value in step["env"].items()}
        code, said = _run(shell, step["run"], folder, path, environment)
        printed += said
        for line in files["GITHUB_OUTPUT"].read_text().splitlines():
            name, value = line.split("=", 1)
            known[f"steps.{step['id']}.outputs.{name}"] = value
    outputs = {name: told(output["value"]) for name, output in action["outputs"].items()}
    summary = files["GITHUB_STEP_SUMMARY"]
    return Done(code, printed, outputs, summary.read_text() if summary.exists() else "")


def gitlab(folder: Path, path: str, shell: tuple[str, ...] = BASH, **given: str) -> Done:
    """Run the job of the component in ``folder``; ``shell`` is what its image has."""
    header, jobs = _template()
    inputs = _inputs(header["spec"]["inputs"], given)

    def told(text: str) -> str:
        return _INPUT.sub(lambda found: inputs[found[1]], text)

    (job,) = jobs.values()
    environment = {name: told(each["value"]) for name, each in job["variables"].items() if each["expand"] is False}
    assert len(environment) == len(job["variables"])
    script = "\n".join(job["before_script"] + job["script"])
    code, printed = _run(shell, script, folder, path, environment)
    dotenv = folder / told(job["artifacts"]["reports"]["dotenv"])
    lines = dotenv.read_text().splitlines() if dotenv.is_file() else []
    return Done(code, printed, dict(line.split("=", 1) for line in lines))


@cache
def _action():
    return yaml.safe_load(ACTION.read_text())


@cache
def _template():
    return tuple(yaml.safe_load_all(TEMPLATE.read_text()))


def _inputs(declared: dict[str, dict[str, str]], given: dict[str, str]) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in ({"package": ""} | given).items()}
    assert named.keys() <= declared.keys(), named.keys() - declared.keys()
    return {name: named.get(name, str(each.get("default", ""))) for name, each in declared.items()}


def _run(shell: tuple[str, ...], script: str, folder: Path, path: str, environment: dict[str, str]) -> tuple[int, str]:
    """Exit code and what is printed; nothing of our own environment but PATH comes along."""
    file = folder / ".script"
    file.write_text(script)
    environment = {"PATH": f"{path}:/usr/bin:/bin", "HOME": str(folder), **environment}
    done = subprocess.run(
        [*shell, file],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout
