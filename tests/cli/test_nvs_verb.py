"""``esp-ota nvs``: every sub-command on a flash and on a partition alone, and every way it refuses."""

from __future__ import annotations

import hashlib
import json

import pytest
from click.testing import CliRunner
from nvs_bench import header
from nvs_parser import parse

from py_esp_ota._core import Flash, NvsPartition, Partition, PartitionTable, derive_nvs_keys, write_nvs_keys
from py_esp_ota.cli import main
from py_esp_ota.firmware import merge

TABLE = PartitionTable(
    [
        Partition("nvs", 1, 2, 0x9000, 0x4000),
        Partition("otadata", 1, 0, 0xD000, 0x2000),
        Partition("ota_0", 0, 0x10, 0x10000, 0x10000),
        Partition("fctry", 1, 2, 0x20000, 0x3000),
    ]
)
CSV = (
    "# factory data\nkey,type,encoding,value\napp,namespace,,\nlvl,data,u8,42\nname,data,string,bench unit 7\n"
    "cal,data,hex2bin,00112233445566778899aabbccddeeff102030405060708090a0b0c0d0e0f0010203040506\n"
)
SHA = "e58b1a96f0dd516aef5447090a2ba23b2ba8541c06dc6ea66d2cd6b63e8810db"


def run(*words: object):
    return CliRunner().invoke(main, ["nvs", *map(str, words)])


@pytest.fixture(params=["flash", "alone"])
def file(request, tmp_path):
    path = tmp_path / "flash.bin"
    path.write_bytes(merge({0x8000: TABLE.to_bytes()}, size=0x30000) if request.param == "flash" else b"\xff" * 0x4000)
    return path


def pages(path) -> bytes:
    data = path.read_bytes()
    return data if len(data) == 0x4000 else data[0x9000:0xD000]


VALUES = [
    ("u8", "0xff", 255),
    ("i8", "-128", -128),
    ("u16", "65535", 65535),
    ("i16", "-1", -1),
    ("u32", "7", 7),
    ("i32", "-7", -7),
    ("u64", str(2**64 - 1), 2**64 - 1),
    ("i64", str(-(2**63)), -(2**63)),
    ("double", "2.5", 2.5),
    ("str", "forty two", "forty two"),
    ("hex2bin", "00ff", b"\x00\xff"),
    ("base64", "AP8=", b"\x00\xff"),
]


@pytest.mark.parametrize(("kind", "text", "value"), VALUES, ids=[kind for kind, *_ in VALUES])
def test_a_value_of_each_type(file, kind, text, value):
    size = file.stat().st_size
    assert run("set", file, "app", "k", kind, text).exit_code == 0
    assert file.stat().st_size == size
    assert parse(pages(file)) == {("app", "k"): value}
    plain = value.hex() if isinstance(value, bytes) else value
    assert json.loads(run("get", file, "app", "k", "--json").stdout)["value"] == plain
    assert run("get", file, "app", "k").stdout == f"{plain}\n"
    listed = json.loads(run("list", file, "--json").stdout)["entries"]
    assert [(row["key"], row["value"]) for row in listed] == [("k", plain)]


def test_a_blob_from_a_file_and_back(file, tmp_path):
    (tmp_path / "cert.pem").write_bytes(bytes(range(256)) * 8)
    assert run("set", file, "rmaker_creds", "client_cert", "file", tmp_path / "cert.pem").exit_code == 0
    assert run("get", file, "rmaker_creds", "client_cert", "--raw").stdout_bytes == bytes(range(256)) * 8
    assert "..." in run("list", file).stdout


def test_erase_a_key_and_a_namespace(file):
    for key in "abc":
        run("set", file, "app", key, "u8", 1)
    run("set", file, "wifi", "a", "u8", 2)
    assert run("erase", file, "app", "a").exit_code == 0
    assert json.loads(run("erase", file, "app", "--json").stdout) == {"namespace": "app", "erased": 2}
    assert parse(pages(file)) == {("wifi", "a"): 2}
    assert run("list", file, "--namespace", "app").stdout == ""


def test_statistics(file):
    run("set", file, "app", "k", "str", "x" * 40)
    found = json.loads(run("stats", file, "--json").stdout)
    assert (found["used_entries"], found["total_entries"], found["namespaces"]) == (4, 504, {"app": 3})
    assert [page["state"] for page in found["pages"]] == ["ACTIVE"] + ["UNINITIALIZED"] * 3
    assert "page 0x0000 ACTIVE, sequence 0: 4 used" in run("stats", file).stdout


def test_another_partition_of_the_flash(tmp_path):
    path = tmp_path / "flash.bin"
    path.write_bytes(merge({0x8000: TABLE.to_bytes()}, size=0x30000))
    assert run("set", path, "a", "k", "u8", 1, "--partition", "fctry").exit_code == 0
    assert parse(path.read_bytes()[0x20000:0x23000]) == {("a", "k"): 1}
    assert pages(path) == b"\xff" * 0x4000
    refused = run("list", path, "--partition", "data")
    assert refused.exit_code == 2
    assert "there are: nvs, fctry" in refused.output


REFUSED = [
    (("get", "app", "k"), 1, "ESP_ERR_NVS_NOT_FOUND"),
    (("get", "app", "other"), 1, "ESP_ERR_NVS_NOT_FOUND"),
    (("erase", "app", "other"), 1, "ESP_ERR_NVS_NOT_FOUND"),
    (("erase", "new"), 1, "ESP_ERR_NVS_NOT_FOUND"),
    (("set", "app", "k" * 16, "u8", "1"), 1, "ESP_ERR_NVS_KEY_TOO_LONG"),
    (("set", "app", "k", "str", "x" * 4000), 1, "ESP_ERR_NVS_VALUE_TOO_LONG"),
    (("set", "app", "k", "hex2bin", "00" * 12001), 1, "ESP_ERR_NVS_VALUE_TOO_LONG"),
    (("set", "app", "k", "double", "nan"), 1, "ESP_ERR_INVALID_ARG"),
    (("set", "app", "k", "u8", "256"), 2, "does not fit u8"),
    (("set", "app", "k", "u8", "x"), 2, "is no u8"),
    (("set", "app", "k", "hex2bin", "0g"), 2, "is no hex2bin"),
    (("set", "app", "k", "base64", "?"), 2, "is no base64"),
    (("set", "app", "k", "file", "/no/such"), 2, "No such file"),
    (("list", "--keys", "/no/such"), 2, "No such file"),
]


@pytest.mark.parametrize(("words", "code", "says"), REFUSED)
def test_a_refusal_leaves_the_file_as_it_was(file, words, code, says):
    before = file.read_bytes()
    verb, *rest = words
    result = run(verb, file, *rest)
    assert result.exit_code == code
    assert says in result.output
    assert "Traceback" not in result.output
    assert file.read_bytes() == before


def test_what_is_no_nvs_partition(tmp_path):
    path = tmp_path / "x.bin"
    for data, code, says in [
        (b"\xff" * 5000, 2, "whole pages"),
        (header(version=0xFD) + b"\xff" * 0x2FE0, 1, "ESP_ERR_NVS_NEW_VERSION_FOUND"),
        (merge({0x8000: PartitionTable([Partition("ota_0", 0, 0x10, 0x10000, 0x10000)]).to_bytes()}), 2, "no data/nvs"),
    ]:
        path.write_bytes(data)
        result = run("list", path)
        assert (result.exit_code, says in result.output) == (code, True), result.output
    assert run("list", tmp_path / "missing").exit_code == 2


def test_generate_is_the_generators(tmp_path):
    (tmp_path / "in.csv").write_text(CSV)
    assert run("generate", tmp_path / "in.csv", "0x3000", tmp_path / "out.bin").exit_code == 0
    assert hashlib.sha256((tmp_path / "out.bin").read_bytes()).hexdigest() == SHA


def test_generate_with_keys_makes_what_only_the_keys_read(tmp_path):
    flash = Flash(0x100000)
    write_nvs_keys(flash, Partition("nvs_key", 1, 4, 0, 0x1000), bytes(range(64)))
    (tmp_path / "k.bin").write_bytes(flash.read(0, 0x1000))
    (tmp_path / "in.csv").write_text(CSV)
    keys = ("--keys", tmp_path / "k.bin")
    assert run("generate", tmp_path / "in.csv", "0x3000", tmp_path / "out.bin", *keys).exit_code == 0
    assert run("get", tmp_path / "out.bin", "app", "name", *keys).stdout == "bench unit 7\n"
    assert run("get", tmp_path / "out.bin", "app", "name").exit_code == 1


def test_an_hmac_key_stands_for_the_keys_it_gives(tmp_path):
    (tmp_path / "hmac.bin").write_bytes(bytes(range(32)))
    (tmp_path / "in.csv").write_text(CSV)
    keys = ("--keys", tmp_path / "hmac.bin")
    assert run("generate", tmp_path / "in.csv", "0x3000", tmp_path / "out.bin", *keys).exit_code == 0
    assert run("get", tmp_path / "out.bin", "app", "name", *keys).stdout == "bench unit 7\n"
    flash, part = Flash.from_bytes((tmp_path / "out.bin").read_bytes()), Partition("nvs", 1, 2, 0, 0x3000)
    nvs = NvsPartition(flash, part, keys=derive_nvs_keys(bytes(range(32))))
    assert nvs.open("app").get("name", "str") == "bench unit 7"


@pytest.mark.parametrize(
    ("text", "size", "says"),
    [
        ("key,value\n", "0x3000", "expected the columns"),
        ("key,type,encoding,value\nk,data,u8,1\n", "0x3000", "line 2: a value before"),
        ("key,type,encoding,value\na,namespace,,\nk,data,u8,x\n", "0x3000", "line 3: 'x' is no u8"),
        ("key,type,encoding,value\na,namespace,,\nk,data,u8,300\n", "0x3000", "line 3: 300 is out of range"),
        ("key,type,encoding,value\na,namespace,,\nk,data,u9,3\n", "0x3000", "line 3: '3' is no u9"),
        ("key,type,encoding,value\na,folder,,\n", "0x3000", "line 2: type: found 'folder'"),
        (CSV, "0x2000", "no multiple"),
        (CSV, "big", "no multiple"),
        (f"key,type,encoding,value\na,namespace,,\nk,data,string,{'x' * 4000}\n", "0x3000", "VALUE_TOO_LONG"),
    ],
)
def test_generate_refuses_and_writes_nothing(tmp_path, text, size, says):
    (tmp_path / "in.csv").write_text(text)
    result = run("generate", tmp_path / "in.csv", size, tmp_path / "out.bin")
    assert result.exit_code in {1, 2}
    assert says in result.output
    assert not (tmp_path / "out.bin").exists()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("k,data,string," + "a" * 200_000, "the field value is too long"),
        ("k" * 200_000 + ",data,u8,1", "the field key is too long"),
        (f"k,{'t' * 131_073},u8,1", "the field type is too long"),
        (f"{'k' * 100_000},data,{'e' * 140_000},1", "the field encoding is too long"),
        ('k,data,string,"' + "a" * 131_073 + '"', "the field value is too long"),
        ("k,data,u8,1,more," + "m" * 140_000, "the field number 6 is too long"),
        ("k" * 16 + ",data,u8,1", "key"),
        ("n" * 16 + ",namespace,,", "key"),
        ("k,data,string," + "a" * 5000, "value"),
        ("k,data,u8," + "9" * 5000, "is no u8"),
        (f"k,data,{'e' * 100_000},1", "is no e"),
        (f"k,{'t' * 100_000},u8,1", "type: found 't"),
    ],
    ids=lambda text: text[:24],
)
def test_generate_names_a_field_that_is_too_long(tmp_path, line, says):
    (tmp_path / "x.csv").write_text(f"key,type,encoding,value\napp,namespace,,\n{line}\n")
    done = run("generate", tmp_path / "x.csv", "0x3000", tmp_path / "out.bin")
    assert done.exit_code in {1, 2}
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert f"{tmp_path / 'x.csv'}, line 3: " in done.stderr
    assert says in done.stderr
    assert len(done.stderr) < 600
    assert not (tmp_path / "out.bin").exists()
