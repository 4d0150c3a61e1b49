"""ESP-IDF's own generator as the judge of a factory partition, run as a separate program."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from nvs_parser import parse

from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.cli import main

KEYS = ("node_id", "mqtt_host", "client_cert", "client_key", "random")


@pytest.mark.parametrize("size", [0x3000, 0x6000, 0x8000])
def test_a_factory_partition_is_the_generators_byte_for_byte(tmp_path, monkeypatch, nvs_generator, size):
    monkeypatch.chdir(tmp_path)
    LocalCa(Path("data"))
    words = (
        "provision",
        "lamp-1",
        "--data",
        "data",
        "--mqtt-host",
        "cloud.lan",
        "-o",
        "fctry.bin",
        "--size",
        hex(size),
    )
    assert CliRunner().invoke(main, words).exit_code == 0
    made = Path("fctry.bin").read_bytes()
    values = {key: parse(made)["rmaker_creds", key] for key in KEYS}
    rows = ["key,type,encoding,value", "rmaker_creds,namespace,,"]
    for key, value in values.items():
        Path(key).write_bytes(value)
        rows.append(f"{key},file,binary,{key}")
    Path("in.csv").write_text("\n".join(rows) + "\n")
    nvs_generator("generate", "in.csv", "judge.bin", hex(size))
    assert made == Path("judge.bin").read_bytes()
