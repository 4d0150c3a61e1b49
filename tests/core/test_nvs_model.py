"""NVS against a dictionary: random operations with resets and power cuts, and random flash content at init."""

from __future__ import annotations

import random
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nvs_bench import PAGE, Nvs, crc
from nvs_parser import parse

from py_esp_ota.errors import EspErr, NvsError, PowerLoss

KINDS = ["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "str", "blob"]


def some_value(rng: random.Random, kind: str):
    if kind == "str":
        return "x" * rng.choice([0, 1, 30, 31, 32, 200, 1500])
    if kind == "blob":
        return rng.randbytes(rng.choice([0, 1, 32, 33, 500, 5000]))
    bits = int(kind[1:])
    return rng.getrandbits(bits) - (1 << bits - 1 if kind[0] == "i" else 0)


def refusal(action, *words) -> EspErr | None:
    """The code of a call that is out of room; ``None`` when it is done."""
    try:
        action(*words)
    except NvsError as error:
        if error.err is not EspErr.ESP_ERR_NVS_NOT_ENOUGH_SPACE:
            raise
        return error.err
    return None


def contents(nvs: Nvs):
    init = nvs.init()
    names = [name for name, _ in init.namespaces()]
    handles = {name: init.open(name) for name in names}
    return {
        (entry.namespace, entry.key): handles[entry.namespace].get(entry.key, entry.type) for entry in init.entries()
    }


@pytest.mark.parametrize("seed", range(12))
def test_random_operations_are_those_of_a_dictionary(seed):
    rng = random.Random(seed)
    bench, model = Nvs(rng.choice([4, 6])), {}
    options = {"keys": rng.randbytes(64)} if seed % 4 == 3 else {}
    bench.options = options
    nvs = bench.init()
    for _ in range(500):
        ns, key = rng.choice(["app", "wifi"]), f"k{rng.randrange(8)}"
        handle = nvs.open(ns, rng.choice(["readwrite", "readwrite_purge"]))
        action = rng.random()
        if action < 0.75:
            kind = rng.choice(KINDS)
            value = some_value(rng, kind)
            if refusal(handle.set, key, kind, value) is None:
                model[ns, key] = value
        elif action < 0.9:
            if (ns, key) in model:
                handle.erase_key(key)
                del model[ns, key]
            else:
                with pytest.raises(NvsError):
                    handle.erase_key(key)
        elif action < 0.93:
            handle.erase_all()
            model = {where: value for where, value in model.items() if where[0] != ns}
        else:
            nvs = bench.init()
        if not options:
            assert parse(bench.image) == model
        stats = nvs.stats()
        assert stats.used_entries == sum(page.used for page in nvs.pages())
        assert stats.used_entries == stats.namespace_count + sum(
            nvs.open(name).used_entry_count() for name, _ in nvs.namespaces()
        )
    assert contents(bench) == model


@pytest.mark.parametrize("torn", ["", ":torn"])
@pytest.mark.parametrize("seed", range(6))
def test_random_power_cuts_keep_all_values_but_the_one_being_written(seed, torn):
    """With the one loss of ESP-IDF repaired, every cut gives the old value or the new one."""
    rng = random.Random(seed)
    bench, model = Nvs(4, repaired=True), {}
    for _ in range(300):
        nvs = bench.init()
        handle = nvs.open("app", "readwrite")
        key = f"k{rng.randrange(8)}"
        # One type per key: a change of type that is cut may leave both (an edge case of its own).
        kind = KINDS[(int(key[1:]) * 3) % len(KINDS)]
        old, new = model.get(key), some_value(rng, kind)
        bench.flash.fault = f"cut@{rng.randrange(60)}{torn}"
        with suppress(PowerLoss, NvsError):
            handle.set(key, kind, new)
        bench.flash.fault = ""
        bench.flash.power_on()
        after = contents(bench)
        model = {where[1]: value for where, value in after.items()} if after.get(("app", key)) in {old, new} else None
        assert model is not None, (key, kind)
        assert parse(bench.image, damaged=True) == after
    assert len(model) == 8


def test_an_old_value_is_found_again_when_its_page_was_moved_and_used_anew():
    """One blob can move a page twice: the page that held the old value is then another page at the same place."""
    seen = 0
    for seed in range(400):
        rng = random.Random(seed)
        bench = Nvs(3)
        app = bench.open()
        app.set("k", "u8", 1)
        live = rng.randrange(60)
        for number in range(live):
            app.set(f"f{number}", "u8", 1)
        for number in range(rng.randrange(300)):
            app.set("x", "u32", number)
        home = next(at // PAGE for at in range(0, 3 * PAGE, 32) if bench.image[at + 8 : at + 10] == b"k\0")
        bench.flash.record(True)
        if refusal(app.set, "k", "blob", b"b" * rng.randrange(2000, 6000)) is not None:
            continue
        steps = [(op.kind, op.length) for op in bench.flash.journal() if op.address == bench.part.offset + home * PAGE]
        bench.flash.record(False)
        seen += ("erase", PAGE) in steps and steps[-1] == ("program", 32)
        values = parse(bench.image)
        assert isinstance(values["app", "k"], bytes)
        assert len(values) == live + 1 + (("app", "x") in values)
    assert seen


def noisy_page(rng: random.Random, state: int, version: int) -> bytes:
    """A page with a good header and a soup of entries, some of them sound."""
    header = rng.randrange(4).to_bytes(4, "little") + bytes([version]) + b"\xff" * 19
    page = bytearray(state.to_bytes(4, "little") + header + crc(header).to_bytes(4, "little"))
    page += bytes(rng.choice([0xAA, 0xAA, 0xFF, 0x00, rng.randrange(256)]) for _ in range(32))
    for _ in range(126):
        kind = rng.choice([1, 2, 4, 8, 0x21, 0x41, 0x42, 0x48, rng.randrange(256)])
        size = rng.randrange(100)
        span = rng.choice([1, 1 + -(-size // 32), rng.randrange(256)])
        head = bytes([rng.randrange(3), kind, span, rng.choice([0xFF, 0, 1, 0x80])])
        rest = rng.choice([b"a", b"b", b"c"]).ljust(16, b"\0") + size.to_bytes(2, "little") + b"\xff\xff"
        rest += rng.choice([b"\xff" * 4, bytes([1, 0, 0xFF, 0xFF]), bytes([1, 0x80, 0xFF, 0xFF]), rng.randbytes(4)])
        good = crc(head + rest).to_bytes(4, "little")
        page += head + (good if rng.random() < 0.8 else rng.randbytes(4)) + rest
    return bytes(page[:4096])


def exercise(nvs: Nvs) -> None:
    """All of the API; only what it may raise."""
    try:
        init = nvs.init()
    except NvsError:
        return
    init.namespaces()
    init.pages()
    for entry in init.entries():
        for name, _ in init.namespaces():
            for action in (
                lambda h, e=entry: h.get(e.key, e.type),
                lambda h, e=entry: h.find_key(e.key),
                lambda h, e=entry: h.set(e.key, "blob", bytes(200)),
                lambda h, e=entry: h.set(e.key, "u8", 1),
                lambda h, e=entry: h.erase_key(e.key),
                lambda h: h.used_entry_count(),
                lambda h: h.purge_all(),
            ):
                with suppress(NvsError):
                    action(init.open(name, "readwrite"))
    with suppress(NvsError):
        init.stats()
    with suppress(NvsError):
        nvs.init()  # after a reset


@pytest.mark.parametrize("seed", range(150))
def test_random_pages_at_init(seed):
    rng = random.Random(seed)
    states = [0xFFFFFFFE, 0xFFFFFFFC, 0xFFFFFFFC, 0xFFFFFFF8, 0xFFFFFFF0, 0xFFFFFFFF, 0]
    pages = [noisy_page(rng, rng.choice(states), rng.choice([0xFE, 0xFE, 0xFE, 0xFF])) for _ in range(3)]
    exercise(Nvs(4, b"".join(pages), strict=False))


@given(st.binary(max_size=3 * PAGE))
def test_random_flash_content_at_init_is_no_error(data):
    nvs = Nvs(3, data, strict=False)
    app = nvs.open()
    app.set("a", "u8", 1)
    assert nvs.open().get("a", "u8") == 1


def test_sequence_numbers_only_grow():
    nvs = Nvs(3)
    app = nvs.open()
    seen = []
    for i in range(1000):
        app.set(f"k{i % 7}", "u32", i)
        live = [page.seq for page in nvs.init().pages() if page.seq is not None]
        seen.append(max(live))
    assert all(a <= b for a, b in pairwise(seen))
    assert seen[-1] > 5
    assert set(nvs.flash.erase_counts()[9:12]) <= set(range(max(nvs.flash.erase_counts()) - 1, 20)), "evenly worn"
