"""ESP-IDF's own generator as the judge of NVS partitions, run as a separate program."""

from __future__ import annotations

import hashlib

import pytest
from nvs_bench import PAGE, Nvs
from nvs_parser import parse

from py_esp_ota._core import Flash, Partition, derive_nvs_keys, read_nvs_keys, write_nvs_keys

CAL = bytes.fromhex("00112233445566778899aabbccddeeff102030405060708090a0b0c0d0e0f0010203040506")
HEADING = "key,type,encoding,value\n"
EXAMPLE = f"{HEADING}app,namespace,,\nlvl,data,u8,42\nname,data,string,bench unit 7\ncal,data,hex2bin,{CAL.hex()}\n"
V2 = "e58b1a96f0dd516aef5447090a2ba23b2ba8541c06dc6ea66d2cd6b63e8810db"
V1 = "07b442d9afe803a0f61ba51d8c7586281d5e2eac3cceec0308e60b2433623522"
BIG = bytes(range(250)) * 24
NUMBERS = {
    "a": ("u8", 255),
    "b": ("i8", -128),
    "c": ("u16", 65535),
    "d": ("i16", -32768),
    "e": ("u32", 4294967295),
    "f": ("i32", -2147483648),
    "g": ("u64", 2**64 - 1),
    "h": ("i64", -(2**63)),
    "i": ("u8", 0),
}


@pytest.fixture
def generate(tmp_path, monkeypatch, nvs_generator):
    """The bytes that the generator makes of a CSV."""

    def run(verb: str, *words: str, csv: str = "", size: str = "0x3000") -> bytes:
        (tmp_path / "in.csv").write_text(csv)
        where = ["in.csv", "out.bin", size] if verb != "generate-key" else []
        monkeypatch.chdir(tmp_path)
        nvs_generator(verb, *words, "--outdir", str(tmp_path), *where)
        return next(tmp_path.glob("keys/*.bin") if verb == "generate-key" else tmp_path.glob("out.bin")).read_bytes()

    return run


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_the_worked_example(generate):
    made = generate("generate", csv=EXAMPLE)
    assert sha256(made) == V2
    ours = Nvs(3)
    app = ours.open("app")
    app.set("lvl", "u8", 42)
    app.set("name", "str", "bench unit 7")
    app.set("cal", "blob", CAL)
    assert ours.image == made


def test_the_worked_example_in_version_1(generate):
    made = generate("generate", "--version", "1", csv=EXAMPLE)
    assert sha256(made) == V1
    nvs = Nvs(3, made)
    assert nvs.operations(nvs.init) == []
    app = nvs.open("app")
    assert (app.get("lvl", "u8"), app.get("name", "str"), app.get("cal", "blob")) == (42, "bench unit 7", CAL)
    assert app.find_key("cal") == "blob"
    assert [entry.key for entry in nvs.init().entries()] == ["lvl", "name"], "a blob of version 1 is not iterated"
    app.set("cal", "blob", CAL)
    assert nvs.image[0x20:0x23] == bytes.fromhex("aa80ea"), "equal bytes move it to version 2"
    assert nvs.image[8] == 0xFF
    assert parse(nvs.image)["app", "cal"] == CAL


def rows(items):
    text = {str: ("string", str), bytes: ("hex2bin", bytes.hex), int: (None, str)}
    lines = []
    for key, (kind, value) in items.items():
        encoding, spell = text[type(value)]
        lines.append(f"{key},data,{encoding or kind},{spell(value)}\n")
    return "".join(lines)


ITEMS = NUMBERS | {"text": ("str", "forty two"), "big": ("blob", BIG)}


def test_a_blob_over_two_pages_has_the_generators_layout(generate):
    made = generate("generate", csv=f"{HEADING}app,namespace,,\n{rows(ITEMS)}", size="0x4000")
    ours = Nvs(4)
    app = ours.open("app")
    for key, (kind, value) in ITEMS.items():
        app.set(key, kind, value)
    assert ours.image == made
    nvs = Nvs(4, made)
    assert nvs.operations(nvs.init) == []
    stats = nvs.init().stats()
    assert (stats.used_entries, stats.total_entries, stats.namespace_count) == (203, 504, 1)
    assert {key: nvs.open().get(key, kind) for key, (kind, _) in ITEMS.items()} == {k: v for k, (_, v) in ITEMS.items()}


def test_statistics_of_the_worked_example(generate):
    stats = Nvs(3, generate("generate", csv=EXAMPLE)).init().stats()
    assert (stats.used_entries, stats.free_entries, stats.available_entries, stats.total_entries) == (8, 370, 244, 378)


def test_a_text_that_would_end_a_page_is_where_generator_and_device_differ(generate):
    """The generator opens the next page for an item that fits exactly; the device does not."""
    filler = {f"k{i}": ("u8", i) for i in range(122)}
    made = generate("generate", csv=f"{HEADING}app,namespace,,\n{rows(filler | {'text': ('str', 'x' * 40)})}")
    ours = Nvs(3)
    app = ours.open("app")
    for key, (kind, value) in (filler | {"text": ("str", "x" * 40)}).items():
        app.set(key, kind, value)
    assert parse(made) == parse(ours.image)
    assert made[PAGE:] != b"\xff" * 2 * PAGE
    assert ours.image[PAGE:] == b"\xff" * 2 * PAGE


def test_an_encrypted_partition(generate, tmp_path):
    key_page = generate("generate-key", "--keyfile", "k.bin")
    flash, part = Flash.from_bytes(key_page), Partition("nvs_key", 1, 4, 0, 0x1000)
    keys = read_nvs_keys(flash, part)
    copy = Flash(0x100000)
    write_nvs_keys(copy, part, keys)
    assert copy.read(0, 0x1000) == key_page
    made = generate("encrypt", "--inputkey", "keys/k.bin", csv=EXAMPLE)
    nvs = Nvs(3, made, keys=keys)
    assert nvs.operations(nvs.init) == []
    assert nvs.open().get("cal", "blob") == CAL
    ours = Nvs(3, keys=keys)
    app = ours.open("app")
    app.set("lvl", "u8", 42)
    app.set("name", "str", "bench unit 7")
    app.set("cal", "blob", CAL)
    assert ours.image == made


def test_a_partition_whose_keys_an_hmac_key_gives(generate, tmp_path):
    """``nvs_sec_provider``'s scheme: the generator makes the HMAC key, derives both keys and encrypts."""
    words = ("--key_protect_hmac", "--kp_hmac_keygen", "--kp_hmac_keyfile", "hmac.bin", "--keyfile", "k.bin")
    generate("generate-key", *words)
    key_page, hmac_key = ((tmp_path / "keys" / name).read_bytes() for name in ("k.bin", "hmac.bin"))
    keys = derive_nvs_keys(hmac_key)
    assert keys == key_page[:64]
    made = generate("encrypt", "--keygen", "--key_protect_hmac", "--kp_hmac_inputkey", "keys/hmac.bin", csv=EXAMPLE)
    nvs = Nvs(3, made, keys=keys)
    assert nvs.operations(nvs.init) == []
    assert nvs.open().get("cal", "blob") == CAL


def test_blobs_that_end_a_page_are_laid_out_alike(generate):
    """Ours for many sizes at the page's end: the generator and an independent parser read the same values."""
    for used, size in [(123, 32), (123, 64), (124, 0), (124, 32), (125, 0), (110, 500), (113, 500)]:
        ours = Nvs(4)
        app = ours.open("app")
        for i in range(used - 1):
            app.set(f"k{i}", "u8", 1)
        app.set("b", "blob", bytes(size))
        assert parse(ours.image)["app", "b"] == bytes(size)
