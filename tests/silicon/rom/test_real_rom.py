"""A chip's real ROM instead of our functions: the same boots, and function for function the same results."""

from __future__ import annotations

import random
import re
import struct
from dataclasses import replace

import micropython
import pytest
from board import Board, app
from builds import BUILDS, C6, XTENSA, bootloader, fetched_release, machine_of
from real_roms import ROMS, both_sides, real_rom, symbols_of
from side_by_side import both

from py_esp_ota._core import Flash
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.firmware import flipped, image
from py_esp_ota.silicon import Machine
from py_esp_ota.silicon.chips.peripherals import PERIPHERALS
from py_esp_ota.silicon.chips.socs import SOCS
from py_esp_ota.silicon.rom.checksums import CHECKSUMS
from py_esp_ota.silicon.rom.floats import FLOATS
from py_esp_ota.silicon.rom.known import KNOWN
from py_esp_ota.silicon.rom.libc import LIBC
from py_esp_ota.silicon.rom.real import PURE, rom_image

CHIPS = list(ROMS)
CALLS = 40
ESPFLASH = [build for build in BUILDS if build.name == "espflash" and build not in XTENSA]
WORDS = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFE, 0xFFFFFFFF)


def word(rng):
    return rng.choice(WORDS) if rng.random() < 0.5 else rng.getrandbits(32)


def texts(rng, at):
    """Two C strings, alike more often than not, and memory that holds them."""
    letters = b"abAB-+ 019." if rng.random() < 0.7 else bytes(range(1, 256))
    one = bytes(rng.choices(letters, k=rng.randrange(12)))
    two = one[: rng.randrange(len(one) + 1)] if rng.random() < 0.5 else bytes(rng.choices(letters, k=rng.randrange(5)))
    memory = bytearray(rng.randbytes(0x200))
    first, second = rng.randrange(8), 0x80 + rng.randrange(8)
    memory[first : first + len(one) + 1] = one + b"\0"
    memory[second : second + len(two) + 1] = two + b"\0"
    return at + first, at + second, bytes(memory)


def _text_and(*more):
    def make(rng, at):
        one, two, memory = texts(rng, at)
        given = {"two": two, "letter": rng.choice(b"abA9\0\xff"), "count": rng.choice([0, 1, 3, 8, 40]),
                 "to": at + 0x100 + rng.randrange(4)}  # fmt: skip
        return [given.get(name, one) for name in more], memory

    return make


def _words(count):
    return lambda rng, _at: ([0] * count if rng.random() < 0.1 else [word(rng) for _ in range(count)], bytes(16))


def _not_zero(count, last):
    """Words of which the ``last`` are not all zero: C does not say what a division by zero or a search in it gives."""

    def make(rng, at):
        args, memory = _words(count)(rng, at)
        return (args, memory) if any(args[-last:]) else ([*args[:-1], 1], memory)

    return make


def _count_of_two(rng, at):
    args, memory = _words(4)(rng, at)
    return [args[0], args[1], rng.randrange(64)], memory


def _block(rng, at):
    start, length = rng.randrange(16), rng.choice([0, 1, 2, 3, 4, 7, 31, 64, 200])
    return at + start, length, rng.randbytes(0x200)


def _set(rng, at):
    start, length, memory = _block(rng, at)
    return [start, word(rng), length], memory


def _copy(rng, at):
    start, length, memory = _block(rng, at)
    return [start, at + 0x110 + rng.randrange(8), length], memory


def _move(rng, at):
    start, length, memory = _block(rng, at)
    return [start, at + rng.randrange(40), length], memory


def _compare(rng, at):
    start, length, memory = _block(rng, at)
    other = 0x110 + rng.randrange(8)
    mixed = bytearray(memory)
    mixed[other : other + length] = memory[start - at : start - at + length]
    if length and rng.random() < 0.6:
        mixed[other + rng.randrange(length)] ^= rng.choice([1, 0x80])
    return [start, at + other, length], bytes(mixed)


def _seek(rng, at):
    start, length, memory = _block(rng, at)
    return [start, rng.choice([*memory[:64]]), length], memory


def _zero(rng, at):
    start, length, memory = _block(rng, at)
    return [start, length], memory


def _crc(rng, at):
    start, length, memory = _block(rng, at)
    return [word(rng), start, length], memory


#: Name -> arguments and memory, and what of the result counts: all of a0, of a0 and a1, its sign, whether it is zero,
#: a number, nothing.
PLANS = {
    "memset": (_set, "a0"), "memcpy": (_copy, "a0"), "memmove": (_move, "a0"), "memcmp": (_compare, "sign"),
    "memchr": (_seek, "a0"), "memrchr": (_seek, "a0"), "bzero": (_zero, "none"), "crc32_le": (_crc, "a0"),
    "strlen": (_text_and("one"), "a0"), "strnlen": (_text_and("one", "count"), "a0"),
    "strcmp": (_text_and("one", "two"), "sign"), "strncmp": (_text_and("one", "two", "count"), "sign"),
    "strcasecmp": (_text_and("one", "two"), "sign"), "strncasecmp": (_text_and("one", "two", "count"), "sign"),
    "strcpy": (_text_and("to", "one"), "a0"), "strncpy": (_text_and("to", "one", "count"), "a0"),
    "strlcpy": (_text_and("to", "one", "count"), "a0"), "strcat": (_text_and("one", "two"), "a0"),
    "strncat": (_text_and("one", "two", "count"), "a0"), "strlcat": (_text_and("one", "two", "count"), "a0"),
    "crc32_be": (_crc, "a0"), "crc16_be": (_crc, "a0"), "crc16_le": (_crc, "a0"), "crc8_be": (_crc, "a0"),
    "crc8_le": (_crc, "a0"), "esp_crc8": (_zero, "a0"), "strchr": (_text_and("one", "letter"), "a0"),
    "strrchr": (_text_and("one", "letter"), "a0"), "strstr": (_text_and("one", "two"), "a0"),
    "strspn": (_text_and("one", "two"), "a0"), "strcspn": (_text_and("one", "two"), "a0"),
    "atoi": (_text_and("one"), "a0"), "atol": (_text_and("one"), "a0"),
    "div": (_words(2), "wide"), "ldiv": (_words(2), "wide"), "abs": (_words(1), "a0"), "labs": (_words(1), "a0"),
    "__ashldi3": (_count_of_two, "wide"), "__lshrdi3": (_count_of_two, "wide"), "__ashrdi3": (_count_of_two, "wide"),
    "__muldi3": (_words(4), "wide"), "__udivdi3": (_not_zero(4, 2), "wide"), "__umoddi3": (_not_zero(4, 2), "wide"),
    "__divdi3": (_not_zero(4, 2), "wide"), "__moddi3": (_not_zero(4, 2), "wide"), "__negdi2": (_words(2), "wide"),
    "__clzsi2": (_not_zero(1, 1), "a0"), "__clzdi2": (_not_zero(2, 2), "a0"), "__ctzsi2": (_not_zero(1, 1), "a0"),
    "__ctzdi2": (_not_zero(2, 2), "a0"), "__ffssi2": (_words(1), "a0"), "__ffsdi2": (_words(2), "a0"),
    "__popcountsi2": (_words(1), "a0"), "__popcountdi2": (_words(2), "a0"), "__paritysi2": (_words(1), "a0"),
    "__bswapsi2": (_words(1), "a0"), "__bswapdi2": (_words(2), "wide"), "__cmpdi2": (_words(4), "a0"),
    "__ucmpdi2": (_words(4), "a0"),
}  # fmt: skip


def _floats(count, size):
    """Numbers as bits, the strange ones among them."""

    def make(rng, _at):
        args = []
        for _ in range(count):
            bits = _FLOAT[size](rng)
            args += [bits & 0xFFFFFFFF, bits >> 32] if size == 8 else [bits]
        return args, bytes(16)

    return make


def _bits(pattern, strange, spread):
    def make(rng):
        kind = rng.random()
        if kind < 0.25:
            return rng.choice(strange)
        number = rng.choice([-1, 1]) * rng.random() * 2.0 ** rng.randrange(*spread)
        if kind < 0.4:
            number = float(round(number)) if abs(number) < 2**62 else number
        return int.from_bytes(struct.pack(pattern, number), "little")

    return make


_FLOAT = {
    4: _bits("<f", [0, 1 << 31, 0x7F800000, 0xFF800000, 0x7FC00000, 1, 0x007FFFFF, 0x00800000, 0x7F7FFFFF], (-130, 70)),
    8: _bits("<d", [0, 1 << 63, 0x7FF << 52, 0xFFF << 52, 0x7FF8 << 48, 1, (1 << 52) - 1, 1 << 52, (0x7FF << 52) - 1],
             (-300, 300)),
}  # fmt: skip


def _float_plans():
    plans = {}
    for letter, size, result in (("s", 4, "float"), ("d", 8, "double")):
        kind = f"{letter}f"
        plans |= {f"__{name}{kind}3": (_floats(2, size), result) for name in ("add", "sub", "mul", "div")}
        plans |= {f"__{name}{kind}2": (_floats(2, size), "sign") for name in ("lt", "le", "gt", "ge")}
        plans |= {f"__{name}{kind}2": (_floats(2, size), "zero") for name in ("eq", "ne", "unord")}
        plans[f"__neg{kind}2"] = (_floats(1, size), result)
        plans |= {f"__fix{sign}{kind}si": (_floats(1, size), "a0") for sign in ("", "uns")}
        plans[f"__fix{kind}di"] = (_floats(1, size), "wide")
        plans |= {f"__float{sign}si{kind}": (_words(1), result) for sign in ("", "un")}
        plans |= {f"__float{sign}di{kind}": (_words(2), result) for sign in ("", "un")}
    plans["__fixunssfdi"] = (_floats(1, 4), "wide")
    return {**plans, "__extendsfdf2": (_floats(1, 4), "double"), "__truncdfsf2": (_floats(1, 8), "float")}


def _letter(rng, _at):
    return [rng.randrange(0x80)], bytes(16)


def _numeral(rng, at):
    """A text that begins with a number that fits, perhaps; where the rest is to be told; a base."""
    base = rng.choice([0, 2, 8, 10, 16, 36])
    digits = "".join(rng.choice("0123456789abcdefXYZ" if base != 10 else "0123456789") for _ in range(rng.randrange(6)))
    text = (
        rng.choice(["", " ", "\t\n "])
        + rng.choice(["", "-", "+"])
        + rng.choice(["", "0", "0x"])
        + digits
        + rng.choice(["", " ", "!"])
    )
    return [at, at + 0x40, base], text.encode().ljust(0x40, b"\0") + bytes(16)


def _spelling(rng, at):
    return [word(rng), at, rng.choice([2, 8, 10, 16, 36, 1, 37])], bytes(0x40)


#: What ``isalpha`` and its like give for yes is any number but zero.
_KINDS = (
    "isalnum",
    "isalpha",
    "isascii",
    "isblank",
    "iscntrl",
    "isdigit",
    "isgraph",
    "islower",
    "isprint",
    "ispunct",
    "isspace",
    "isupper",
)

PLANS |= _float_plans()
PLANS |= dict.fromkeys(_KINDS, (_letter, "zero"))
PLANS |= dict.fromkeys(("toascii", "tolower", "toupper"), (_letter, "a0"))
PLANS |= {"strtol": (_numeral, "a0"), "strtoul": (_numeral, "a0"), "itoa": (_spelling, "a0"), "utoa": (_spelling, "a0")}


def _number(bits, pattern, size):
    """One number for all that are none."""
    value = struct.unpack(pattern, bits.to_bytes(size, "little"))[0]
    return "nan" if value != value else bits  # noqa: PLR0124


def counts(kind, called):
    signed = called.a0 - (called.a0 >> 31 << 32)
    return {
        "a0": (called.a0,),
        "wide": (called.a0, called.a1),
        "sign": ((signed > 0) - (signed < 0),),
        "zero": (called.a0 == 0,),
        "none": (),
        "float": (_number(called.a0, "<f", 4),),
        "double": (_number(called.a0 | called.a1 << 32, "<d", 8),),
    }[kind]


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("chip", CHIPS)
def test_a_function_of_ours_does_what_the_roms_code_does(chip, name):
    ours, real = both_sides(chip)
    symbols = symbols_of(chip)
    if "__call_" + name not in symbols:
        pytest.skip(f"the ROM of the {chip} has no {name}")
    address = symbols["__call_" + name]
    ours.knows(address, name, KNOWN[name])
    make, kind = PLANS[name]
    for seed in range(CALLS):
        args, memory = make(random.Random(f"{name}/{seed}"), ours.space)
        expected, got = real.call(address, args, memory), ours.call(address, args, memory)
        where = f"{name}({', '.join(f'0x{arg:x}' for arg in args)}), seed {seed}"
        assert counts(kind, got) == counts(kind, expected), where
        assert got.memory == expected.memory, where


def test_every_function_of_ours_that_only_computes_is_held_against_a_rom():
    assert (PURE | LIBC.keys() | FLOATS.keys() | CHECKSUMS.keys()) - PLANS.keys() == {
        "qsort", "MD5Init", "MD5Update", "MD5Final",
        "mbedtls_md5_starts_ret", "mbedtls_md5_update_ret", "mbedtls_md5_finish_ret",
    }  # fmt: skip


@pytest.mark.parametrize("chip", CHIPS)
def test_md5_in_pieces(chip):
    ours, real = both_sides(chip)
    symbols = symbols_of(chip)
    old = "__call_MD5Init" in symbols
    names = ["MD5Init", "MD5Update", "MD5Final"] if old else [
        "mbedtls_md5_starts_ret", "mbedtls_md5_update_ret", "mbedtls_md5_finish_ret",
    ]  # fmt: skip
    begin, update, finish = (symbols["__call_" + name] for name in names)
    rng = random.Random(1)
    for length in (0, 1, 55, 56, 64, 65, 1000):
        data, cut = rng.randbytes(length), rng.randrange(length + 1)
        digests = []
        for side in (ours, real):
            for address, name in zip((begin, update, finish), names, strict=True):
                if side is ours:
                    side.knows(address, name, KNOWN[name])
            context, digest, source = side.space, side.space + 0x100, side.space + 0x200
            memory = bytes(0x200) + data + bytes(16)
            memory = side.call(begin, [context], memory).memory
            memory = side.call(update, [context, source, cut], memory).memory
            memory = side.call(update, [context, source + cut, length - cut], memory).memory
            order = [digest, context] if old else [context, digest]
            digests.append(side.call(finish, order, memory).memory[0x100:0x110])
        assert digests[0] == digests[1]


#: Formats of bootloaders and apps, and arguments for them.
FORMATS = (
    "plain%%", "%d|%u", "%i|", "%zu|", "%q|", "%4q|", "%3%|", "%5c|", "%.2s|", "%-10p|", "%5d|%-5d|%05d",
    "%x|%X|%08x|%p", "%c%c", "%s|%10s|%-10s|", "%3s", "%lu %ld %lx", "I (%lu) %s: %d, %s", "%02x:%02x", "%-8x|",
    "%8s%8u",
)  # fmt: skip


@pytest.mark.parametrize("chip", CHIPS)
def test_printf_prints_what_the_roms_code_prints(chip):
    """ROM's formatting runs, and gives its letters one by one to a function that prints them."""
    ours, real = both_sides(chip)
    symbols = symbols_of(chip)
    table, letter = symbols["__call_ets_printf"], symbols["__call_uart_tx_one_char"]
    install, own = symbols["ets_install_putc1"], symbols["ets_printf"]
    ours.knows(table, "ets_printf", KNOWN["ets_printf"])
    real.call(install, [letter], b"")
    for seed in range(10):
        rng = random.Random(seed)
        for form in FORMATS:
            kinds = re.findall(r"%-?0?\d*(?:\.\d*)?l?([sduxXcp])", form.replace("zu", ""))
            memory = form.encode().ljust(0x40, b"\0") + b"".join(
                bytes(rng.choices(b"abc xyz", k=rng.randrange(9))).ljust(16, b"\0") for _ in range(4)
            )
            args = [ours.space + 0x40 + 16 * at if kind == "s" else word(rng) for at, kind in enumerate(kinds)]
            printed = [side.call(at, [side.space, *args], memory).text for side, at in ((ours, table), (real, own))]
            assert printed[0] == printed[1], form


#: int compare(const int *one, const int *two) { return *one - *two; }
COMPARE = struct.pack("<IIII", 0x00052503, 0x0005A583, 0x40B50533, 0x00008067)


@pytest.mark.parametrize("chip", CHIPS)
def test_qsort_with_a_comparison_of_the_apps_own(chip):
    ours, real = both_sides(chip)
    address = symbols_of(chip)["__call_qsort"]
    ours.knows(address, "qsort", LIBC["qsort"])
    ours.hardware.cpu.lets_call_back(address)
    for seed in range(10):
        rng = random.Random(seed)
        numbers = [rng.randrange(-100, 100) for _ in range(rng.randrange(20))]
        memory = struct.pack(f"<{len(numbers)}i", *numbers) + bytes(8)
        args = [ours.space, len(numbers), 4, ours.code]
        sides = [side.call(address, args, memory, code=COMPARE).memory for side in (ours, real)]
        assert sides[0] == sides[1]
        assert list(struct.unpack_from(f"<{len(numbers)}i", sides[0])) == sorted(numbers)


# ------------------------------------------------------------------------------------------------------- whole boots


@pytest.mark.parametrize("build", [build for build in ESPFLASH if build.chip in ROMS], ids=str)
@pytest.mark.parametrize("e1", ["-", "2/VALID", "2/VALID!"])
def test_a_boot_with_the_real_rom_is_the_same_boot(build, e1):
    board = Board("two_ota", "1/VALID", e1, config=build.config, chip=build.chip)
    board.chip.flash.program(build.offset, bootloader(build))
    board.flash_app("ota_1", flipped(app("ota_1", build.chip), 0x200) if e1 == "-" else app("ota_1", build.chip))
    real = Machine(build.chip, rom=real_rom(build.chip))
    first, second = both(real, build, board.chip.flash), both(machine_of(build.chip), build, board.chip.flash)
    one, two = first.silicon, second.silicon
    assert (one.app, one.log, one.flash) == (two.app, two.log, two.flash)
    assert first.silicon.app == first.model.app


@pytest.mark.parametrize("chip", ["esp32c3", "esp32c6"])
def test_raw_bytes_of_a_rom_do_as_well(chip):
    build = next(build for build in ESPFLASH if build.chip == chip)
    soc = SOCS[chip]
    base = soc.rom.windows[0][0]
    raw = bytearray(soc.rom.size)
    for address, part in rom_image(real_rom(chip), soc).parts:
        if base <= address < base + soc.rom.size:
            raw[address - base : address - base + len(part)] = part
        elif soc.rom_data is not None and soc.rom_data.base <= address < soc.rom_data.base + soc.rom_data.size:
            at = address - soc.rom_data.base + soc.rom_data.offset
            raw[at : at + len(part)] = part
    board = Board("two_ota", "1/VALID", config=build.config, chip=chip)
    board.chip.flash.program(build.offset, bootloader(build))
    reports = (machine.run(board.chip) for machine in (Machine(chip, rom=bytes(raw)), machine_of(chip)))
    raw_rom, ours = (replace(report, instructions=0) for report in reports)
    assert raw_rom == ours


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "a ROM image of 0 bytes; the esp32c6 has a ROM of 327680"),
        (bytes(0x50001), "a ROM image of 327681 bytes; the esp32c6 has a ROM of 327680"),
        (b"\x7fELF", "no ELF file that can be read"),
        (b"\x7fELF" + random.Random(1).randbytes(400), "this ELF file is for machine 52577 of class 245"),
    ],
)
def test_what_is_no_rom_is_refused(data, sentence):
    with pytest.raises(ValueError, match=sentence):
        Machine("esp32c6", rom=data)


def test_the_rom_of_another_chip_is_refused_by_the_place_of_a_function():
    with pytest.raises(ValueError, match="this is no ROM of the esp32c6: ets_printf is at 0x40000040"):
        Machine("esp32c6", rom=real_rom("esp32c3"))


def test_a_trap_in_real_rom_names_the_place():
    """memcpy from where no memory is, by ROM's own code."""
    # lui a0, 0x3fc80; lui a1, 0x20000; li a2, 16; lui t0, 0x40000; jr 0x358(t0)
    code = struct.pack("<5I", 0x3FC80537, 0x200005B7, 0x01000613, 0x400002B7, 0x35828067)
    chip = Chip()
    chip.flash.program(0, image([(0x403CC000, code)], entry_addr=0x403CC000))
    ended = Machine("esp32c3", rom=real_rom("esp32c3")).run(chip)
    assert (ended.outcome, ended.trap.reason) == ("ABORT", "nothing to load at 0x20000000")
    assert ended.trap.symbol.startswith("memcpy")
    assert f"({ended.trap.symbol})" in str(ended.trap)


def test_micropython_runs_on_the_real_rom():
    machine = Machine("esp32c3", rom=real_rom("esp32c3"))
    session = micropython.prompt(machine, Chip("esp32c3", flash=Flash.from_bytes(micropython.merged(), size=0x400000)))
    assert micropython.ask(session, "print(6 * 7, 2 ** 100, 1 / 3)") == "42 1267650600228229401496703205376 0.33333334"
    assert session.trap is None


def test_micropython_of_the_c6_runs_on_its_real_rom():
    """Its app calls ROM's flash driver, which our tables do not have."""
    chip = Chip("esp32c6", flash=Flash.from_bytes(fetched_release(C6[1].release), size=0x400000))
    session = Machine("esp32c6", rom=real_rom("esp32c6")).session(chip)
    assert session.run(2, until=">>> "), session.take()
    assert "MicroPython v1.27.0 on 2025-12-09; ESP32C6 module with ESP32C6" in session.take()
    assert micropython.ask(session, "print(6 * 7, 2 ** 100, 1 / 3)") == "42 1267650600228229401496703205376 0.33333334"
    assert micropython.ask(session, "f = open('kept.txt', 'w'); f.write('still here'); f.close()") == "10"
    session.type("import machine; machine.reset()\r")
    assert session.run(2, until=">>> "), session.take()
    session.take()
    assert micropython.ask(session, "print(open('kept.txt').read())") == "still here"
    assert session.resets == [ResetReason.SW_CPU]
    assert session.trap is None


def test_without_a_rom_it_says_what_is_missing():
    chip = Chip("esp32c6", flash=Flash.from_bytes(fetched_release(C6[1].release), size=0x400000))
    session = Machine("esp32c6").session(chip)
    session.run(1)
    assert session.trap is not None
    assert session.trap.ours
    assert session.trap.reason.startswith("ROM function 0x40000")


def test_both_start_feed_and_stop_the_watchdog_of_the_rtc_alike():
    """By the addresses that code calls, with the context that a bootloader makes: the instance, and its registers."""
    at = PERIPHERALS["esp32c6"].awake.watchdog
    places = {name: place for place, name in SOCS["esp32c6"].rom_functions.items()}
    for stage, ticks, action in ((0, 1_224_000, 4), (1, 100_000, 2), (0, 7, 0), (3, 1, 1)):
        seen = []
        for side in both_sides("esp32c6"):
            for name, *args in (
                ("wdt_hal_write_protect_disable",),
                ("wdt_hal_config_stage", stage, ticks, action),
                ("wdt_hal_enable",),
                ("wdt_hal_feed",),
                ("wdt_hal_disable",) if action < 2 else ("wdt_hal_feed",),
            ):
                side.call(places[name], [side.space, *args], struct.pack("<II", 0, at))
            seen.append([side.hardware.registers.values.get(at + 4 * index, 0) for index in range(5)])
        assert seen[0] == seen[1], (stage, ticks, action)
