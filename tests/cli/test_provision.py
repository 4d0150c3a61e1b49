"""``esp-ota provision`` and ``esp-ota cloud node-cert``: what they write, and what they refuse in one sentence."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from py_esp_ota._core import Flash, PartitionTable
from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.chip import Chip
from py_esp_ota.cli import main
from py_esp_ota.firmware import Firmware, merge
from py_esp_ota.rainmaker.client_data import factory_get_all
from py_esp_ota.sdkconfig import Sdkconfig

# examples/switch/partitions.csv of RainMaker, as far as it goes here
TABLE = "nvs, data, nvs, 0x10000, 0x6000\notadata, data, ota,, 0x2000\nota_0, app, ota_0, 0x20000, 1600K\n"
FCTRY = "fctry, data, nvs, 0x340000, 0x6000\n"
HOST = ("--mqtt-host", "cloud.lan")


@pytest.fixture(autouse=True)
def room(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    LocalCa(Path(".esp-ota"))
    Path("table.csv").write_text(TABLE + FCTRY)
    return tmp_path


def run(*words):
    done = CliRunner().invoke(main, [*map(str, words)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def refused(*words):
    done = run(*words)
    assert done.exit_code == 2, done.output
    return done.stderr.splitlines()[-1].removeprefix("Error: ")


def read_back(partition):
    size = max(len(partition), 0x6000)  # a flash file ends with its last written byte
    table = PartitionTable.from_csv(f"fctry, data, nvs, 0x10000, {size}\n").to_bytes()
    return factory_get_all(Chip(flash=Flash.from_bytes(merge({0x8000: table, 0x10000: partition}))), Sdkconfig())


def pem(name, *, key=None, days=30, issuer=None):
    """A certificate of ``issuer``, or of itself, and its key, as files."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    issued_by, signer = issuer or (subject, key)
    builder = x509.CertificateBuilder(issued_by, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=60)).not_valid_after(now + timedelta(days=days))
    Path(f"{name}.pem").write_bytes(builder.sign(signer, SHA256()).public_bytes(Encoding.PEM))
    text = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    Path(f"{name}.key").write_bytes(text)
    return "--cert", f"{name}.pem", "--key", f"{name}.key"


def test_a_partition_of_the_usual_size_with_a_certificate_of_the_servers_authority():
    done = run("provision", "lamp-1", "-o", "fctry.bin", *HOST)
    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines() == [
        "fctry.bin: node lamp-1, its broker cloud.lan",
        "flash it: esptool write-flash ADDRESS fctry.bin, ADDRESS is that of fctry in the board's partition table",
    ]
    made = Path("fctry.bin")
    assert (made.stat().st_size, made.stat().st_mode & 0o777) == (0x6000, 0o600)
    found = read_back(made.read_bytes())
    files = LocalCa(Path(".esp-ota")).node("lamp-1")
    assert list(found) == ["node_id", "mqtt_host", "client_cert", "client_key", "random"]
    assert found["client_cert"] == files.cert.read_bytes()
    assert found["client_key"] == files.key.read_bytes()
    assert (found["node_id"], found["mqtt_host"], len(found["random"])) == (b"lamp-1", b"cloud.lan", 64)
    assert run("provision", "lamp-1", "-o", "again.bin", *HOST).exit_code == 0
    assert read_back(Path("again.bin").read_bytes())["random"] != found["random"]


def test_the_boards_table_tells_size_and_address():
    Path("table.csv").write_text(TABLE + "fctry, data, nvs, 0x340000, 0x8000\n")
    done = run("provision", "lamp-1", "-o", "fctry.bin", "--partitions", "table.csv", *HOST)
    assert done.stderr.splitlines()[1] == "flash it: esptool write-flash 0x340000 fctry.bin"
    assert Path("fctry.bin").stat().st_size == 0x8000


def test_the_broker_is_that_of_the_server_and_what_no_board_reaches_is_said():
    serve = {"url": "http://127.0.0.1:1", "public_url": "https://cloud.lan:2", "address": "192.0.2.1"}
    serve |= {"mqtt_host": "cloud.lan", "mqtt_port": 8883, "tls": True, "basic_ingest": True}
    said = []
    for change in ({}, {"mqtt_host": "127.0.0.1"}, {"mqtt_port": 18883}):
        Path(".esp-ota/serve.json").write_text(json.dumps(serve | change))
        done = run("provision", "lamp-1", "-o", "fctry.bin", "--force")
        assert done.exit_code == 0, done.output
        said.append(done.stderr.splitlines()[:-2])
    assert said == [
        [],
        ["the broker is on loopback: no board gets there without esp-ota serve --listen and --name"],
        ["the broker is on port 18883, and RainMaker's firmware knows 443 and 8883 alone"],
    ]
    assert read_back(Path("fctry.bin").read_bytes())["mqtt_host"] == b"cloud.lan"


def test_into_a_flash_whose_table_says_where():
    app = Firmware("lamp", "1.0.0").to_bytes()
    table = PartitionTable.from_csv(TABLE + FCTRY).to_bytes()
    Path("flash.bin").write_bytes(merge({0x8000: table, 0x20000: app}))
    done = run("provision", "lamp-1", "--into", "flash.bin", *HOST)
    assert done.stderr == "flash.bin: fctry at 0x340000 is node lamp-1, its broker cloud.lan\n"
    whole = Path("flash.bin").read_bytes()
    assert read_back(whole[0x340000:0x346000])["node_id"] == b"lamp-1"
    assert whole[0x8000 : 0x8000 + len(table)] == table
    assert whole[0x20000 : 0x20000 + len(app)] == app
    again = ("provision", "lamp-2", "--into", "flash.bin", *HOST)
    assert refused(*again) == "flash.bin: fctry is written already; --force writes over it"
    assert run(*again, "--force").exit_code == 0
    assert read_back(Path("flash.bin").read_bytes()[0x340000:0x346000])["node_id"] == b"lamp-2"


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a_certificate_of_somebody_elses_authority(kind):
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else None
    given = pem("lamp-1", key=key)
    done = run("provision", "lamp-1", "-o", "fctry.bin", *given, *HOST)
    assert done.exit_code == 0, done.output
    found = read_back(Path("fctry.bin").read_bytes())
    assert found["client_cert"] == Path("lamp-1.pem").read_bytes()
    assert found["client_key"] == Path("lamp-1.key").read_bytes()
    assert run("provision", "lamp-1", "-o", "f.bin", *given, "--ca", "lamp-1.pem", *HOST).exit_code == 0


def test_what_is_refused_is_one_sentence():
    given = pem("lamp-1")
    pem("lamp-2")
    pem("late", days=-1)
    Path("taken.bin").write_bytes(b"x")
    Path("bare.bin").write_bytes(merge({0x8000: PartitionTable.from_csv(TABLE).to_bytes(), 0x20000: b"\xe9"}))
    out = ("-o", "fctry.bin", *HOST)
    local = "'CN=py_esp_ota local CA'"
    for words, sentence in {
        ("a b", *out): "a node id has 1 to 64 letters, digits, '_', '-', '.' or ':', not 'a b'",
        ("cloud", *out): "'cloud' is the cloud's own client id, no node can have it",
        ("n" * 65, *out): f"a node id has 1 to 64 letters, digits, '_', '-', '.' or ':', not {'n' * 65!r}",
        ("lamp-1", "-o", "taken.bin", *HOST): "taken.bin is there already; --force writes over it",
        ("lamp-1", "-o", "f.bin"): (
            "--mqtt-host says where the broker is; without it, no esp-ota serve serves from .esp-ota: start one, "
            "esp-ota serve --data .esp-ota"
        ),
        ("lamp-1", "-o", "f.bin", "--mqtt-host", "https://cloud.lan/"): (
            "Invalid value for --mqtt-host: 'https://cloud.lan/' is neither a host name (letters, digits, '-' and '.') "
            "nor an IP address"
        ),
        ("lamp-1", *out, "--data", "none"): "none has no CA: esp-ota serve --data none makes one",
        ("lamp-2", *out, *given): "lamp-1.pem is the certificate of 'lamp-1', not of 'lamp-2'",
        ("lamp-1", *out, *given[:2], "--key", "lamp-2.key"): (
            "lamp-1.pem, lamp-2.key: the key is not that of the certificate"
        ),
        ("lamp-1", *out, *given, "--ca", ".esp-ota/ca.pem"): (
            "lamp-1.pem, .esp-ota/ca.pem: the certificate is not of this CA: it was issued by 'CN=lamp-1', "
            f"and the CA is {local}"
        ),
        ("lamp-1", *out, *given, "--data", ".esp-ota"): (
            "lamp-1.pem, .esp-ota/ca.pem: the certificate is not of this CA: it was issued by 'CN=lamp-1', "
            f"and the CA is {local}"
        ),
        ("lamp-1", *HOST, "--into", "bare.bin"): (
            "bare.bin has no data/nvs partition fctry, which a node's certificate and key are in"
        ),
        ("lamp-1", *HOST, "--into", "none.bin"): "none.bin: No such file or directory",
        ("lamp-1", *HOST): "say -o FILE for a partition, or --into FLASH for a flash file, one of them",
        ("lamp-1", *out, "--size", "0x2000"): (
            "Invalid value for --size: '0x2000' is no multiple of 0x1000 from 0x3000 to 0x100000"
        ),
        ("lamp-1", *out, "--cert", "lamp-1.pem"): "--cert and --key belong together",
    }.items():
        assert refused("provision", *words) == sentence
    assert refused("provision", "late", *out, "--cert", "late.pem", "--key", "late.key").startswith(
        "late.pem: the certificate was good until "
    )
    Path("lamp-1.pem").write_text("nonsense")
    assert refused("provision", "lamp-1", *out, *given).startswith(
        "lamp-1.pem, lamp-1.key: the certificate is none in PEM: "
    )
    assert not Path("fctry.bin").exists()
    assert not Path("none.bin.lock").exists(), "nothing is made beside what is not there"


def test_node_cert_writes_pem_files_for_their_owner_alone():
    done = run("cloud", "node-cert", "lamp-1", "-o", "pems")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == ["pems/lamp-1.pem", "pems/lamp-1.key", "pems/ca.pem"]
    files = LocalCa(Path(".esp-ota")).node("lamp-1")
    for name, file in {"lamp-1.pem": files.cert, "lamp-1.key": files.key, "ca.pem": Path(".esp-ota/ca.pem")}.items():
        assert (Path("pems") / name).read_bytes() == file.read_bytes()
        assert (Path("pems") / name).stat().st_mode & 0o777 == 0o600
    again = ("cloud", "node-cert", "lamp-1", "-o", "pems")
    assert refused(*again) == "pems/lamp-1.pem is there already; --force writes over it"
    assert run(*again, "--force").exit_code == 0
    assert run("cloud", "node-cert", "lamp-2", "-o", "pems").exit_code == 0, "the same CA is no obstacle"
    assert (
        refused("cloud", "node-cert", "a/b") == "a node id has 1 to 64 letters, digits, '_', '-', '.' or ':', not 'a/b'"
    )
    assert (
        refused("cloud", "node-cert", "n1", "--data", "none") == "none has no CA: esp-ota serve --data none makes one"
    )
