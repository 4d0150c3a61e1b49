"""``migrate.c`` and ``migrate.py`` of a plan, run: the C against a device that answers as ESP-IDF's functions do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from py_esp_ota._core import EFuse, Flash, FlashCrypt, PartitionTable
from tests.field.test_migrate import (
    ADD_NVS,
    GROW,
    GROW_NVS,
    MOVE_NVS,
    NVS,
    OLD,
    SHIFT_NVS,
    boots,
    dump,
    run,
)

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
SIZE = 0x400000
RESTARTED, CUT = 3, 4
#: ``esp_flash_set_dangerous_write_protection`` takes no NULL, nor did ``esp_partition_register_external`` before v5.4.
DEVICE = r"""
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int esp_err_t;
typedef struct { int unused; } esp_flash_t;
typedef struct { uint32_t address; } esp_partition_t;
enum { INVALID_ARG = 0x102, SIZE = 0x400000 };

static esp_flash_t chip;
esp_flash_t *esp_flash_default_chip = &chip;
static uint8_t cells[SIZE];
static esp_partition_t running;
static const char *file;
static long fuel;
static bool guarded = true;

static void end(int code)
{
    FILE *out = fopen(file, "wb");
    fwrite(cells, 1, SIZE, out);
    fclose(out);
    exit(code);
}

static void check(uint32_t at, uint32_t length)
{
    if (at + length > SIZE || (guarded && at < 0x9000)) {
        fprintf(stderr, "0x%x is not to be written\n", (unsigned)at);
        abort();
    }
}

static uint8_t pad(uint32_t at)
{
    return (uint8_t)(at * 7 + (at >> 8) * 13 + 1);
}

esp_err_t esp_flash_read(esp_flash_t *c, void *to, uint32_t at, uint32_t length)
{
    (void)c;
    memcpy(to, cells + at, length);
    return 0;
}

esp_err_t esp_flash_read_encrypted(esp_flash_t *c, uint32_t at, void *to, uint32_t length)
{
    (void)c;
    for (uint32_t i = 0; i < length; i++) {
        ((uint8_t *)to)[i] = cells[at + i] ^ pad(at + i);
    }
    return 0;
}

esp_err_t esp_flash_write(esp_flash_t *c, const void *from, uint32_t at, uint32_t length)
{
    (void)c;
    check(at, length);
    bool cut = fuel-- == 0;
    for (uint32_t i = 0; i < (cut ? length / 2 : length); i++) {
        cells[at + i] &= ((const uint8_t *)from)[i];
    }
    if (cut) {
        end(4);
    }
    return 0;
}

esp_err_t esp_flash_write_encrypted(esp_flash_t *c, uint32_t at, const void *from, uint32_t length)
{
    if (at % 16 || length % 16) {
        return INVALID_ARG;
    }
    uint8_t *data = malloc(length);
    for (uint32_t i = 0; i < length; i++) {
        data[i] = ((const uint8_t *)from)[i] ^ pad(at + i);
    }
    esp_err_t err = esp_flash_write(c, data, at, length);
    free(data);
    return err;
}

esp_err_t esp_flash_erase_region(esp_flash_t *c, uint32_t at, uint32_t length)
{
    (void)c;
    check(at, length);
    if (at % 0x1000 || length % 0x1000) {
        return INVALID_ARG;
    }
    for (uint32_t done = 0; done < length; done += 0x1000) {
        bool cut = fuel-- == 0;
        memset(cells + at + done, 0xff, cut ? 0x800 : 0x1000);
        if (cut) {
            end(4);
        }
    }
    return 0;
}

esp_err_t esp_flash_set_dangerous_write_protection(esp_flash_t *c, const bool protect)
{
    if (c == NULL) {
        return INVALID_ARG;
    }
    guarded = protect;
    return 0;
}

esp_err_t esp_partition_register_external(esp_flash_t *c, size_t offset, size_t size, const char *label, int type,
                                          int subtype, const esp_partition_t **out)
{
    if (c == NULL || out != NULL) {
        return INVALID_ARG;
    }
    printf("%s 0x%zx 0x%zx %d %d\n", label, offset, size, type, subtype);
    return 0;
}

esp_err_t esp_efuse_set_recovery_bootloader_offset(const uint32_t offset)
{
    printf("recovery 0x%x\n", (unsigned)offset);
    return 0;
}

const esp_partition_t *esp_ota_get_running_partition(void)
{
    return &running;
}

void esp_restart(void)
{
    end(3);
}

bool finished(void)
{
    return getenv("FINISHED") != NULL;
}

extern esp_err_t migrate(void);

int main(int argc, char **argv)
{
    (void)argc;
    file = argv[1];
    running.address = (uint32_t)strtoul(argv[2], NULL, 0);
    fuel = atol(argv[3]);
    FILE *in = fopen(file, "rb");
    if (fread(cells, 1, SIZE, in) != SIZE) {
        return 2;
    }
    fclose(in);
    end(migrate() ? 1 : 0);
}
"""
HEADERS = {
    "esp_err.h": "typedef int esp_err_t;\n#define ESP_OK 0\n",
    "esp_flash.h": """#include <stddef.h>
#include <stdint.h>
#include "esp_err.h"
typedef struct esp_flash_t esp_flash_t;
extern esp_flash_t *esp_flash_default_chip;
esp_err_t esp_flash_read(esp_flash_t *chip, void *buffer, uint32_t address, uint32_t length);
esp_err_t esp_flash_read_encrypted(esp_flash_t *chip, uint32_t address, void *out_buffer, uint32_t length);
esp_err_t esp_flash_write(esp_flash_t *chip, const void *buffer, uint32_t address, uint32_t length);
esp_err_t esp_flash_write_encrypted(esp_flash_t *chip, uint32_t address, const void *buffer, uint32_t length);
esp_err_t esp_flash_erase_region(esp_flash_t *chip, uint32_t start, uint32_t len);
""",
    "esp_partition.h": """#include "esp_flash.h"
typedef int esp_partition_type_t;
typedef int esp_partition_subtype_t;
typedef struct { uint32_t address; } esp_partition_t;
esp_err_t esp_partition_register_external(esp_flash_t *flash_chip, size_t offset, size_t size, const char *label,
    esp_partition_type_t type, esp_partition_subtype_t subtype, const esp_partition_t **out_partition);
""",
    "esp_ota_ops.h": '#include "esp_partition.h"\nconst esp_partition_t *esp_ota_get_running_partition(void);\n',
    "esp_efuse.h": """#include "esp_flash.h"
esp_err_t esp_efuse_set_recovery_bootloader_offset(const uint32_t offset);
""",
    "esp_system.h": "void esp_restart(void) __attribute__((__noreturn__));\n",
}
#: Where ESP-IDF has the prototype of its guard: until v5.5, and since v6.0.
INTERNAL = {"v5.5": "esp_flash_internal.h", "v6.0": "esp_private/esp_flash_internal.h"}
GUARD = """#include <stdbool.h>
#include "esp_flash.h"
esp_err_t esp_flash_set_dangerous_write_protection(esp_flash_t *chip, const bool protect);
"""


def compiled(folder: Path, release: str = "v6.0") -> Path:
    """The plan's C with the device, as a program: flash file, running address, operations until power goes."""
    for name, text in {**HEADERS, INTERNAL[release]: GUARD}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("#pragma once\n" + text)
    arrays = "".join(
        f"const unsigned char {part.stem}[] = {{{', '.join(map(str, part.read_bytes()))}}};\n"
        for part in sorted(folder.glob("*_*.bin"))
    )
    (folder / "data.c").write_text(arrays)
    (folder / "device.c").write_text(DEVICE)
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", f"-I{folder}"]
    subprocess.run(["cc", *flags, "-c", "-o", folder / "migrate.o", folder / "migrate.c"], check=True)
    rest = [folder / "device.c", folder / "data.c", folder / "migrate.o"]
    subprocess.run(["cc", "-std=c11", "-o", folder / "device", *rest], check=True)
    return folder / "device"


def live(program: Path, flash: Path, at: int, fuel: int = -1, *, finished: bool = False) -> tuple[int, str]:
    """One life of the app that runs at ``at``: its exit code, and what it registered."""
    known = {**os.environ, "FINISHED": "1"} if finished else os.environ
    done = subprocess.run([program, flash, hex(at), str(fuel)], check=False, capture_output=True, text=True, env=known)
    assert done.returncode in {0, RESTARTED, CUT}, (done.returncode, done.stderr)
    return done.returncode, done.stdout


@needs_cc
@pytest.mark.parametrize("release", INTERNAL)
@pytest.mark.parametrize("csv", [GROW, GROW_NVS, SHIFT_NVS, MOVE_NVS], ids=["grow", "otadata", "wait", "move"])
def test_the_c_does_what_the_plan_does_and_goes_on_after_a_cut(tmp_path, csv, release):
    """Against ESP-IDF's prototypes, warnings being errors; a cut is inside of an operation."""
    device = dump(seq=2, size=0x2000)
    end, flash = tmp_path / "end.bin", tmp_path / "c.bin"
    assert run(tmp_path, device, csv, "-o", str(end), "--write-plan", str(tmp_path / "plan")).exit_code == 0
    program = compiled(tmp_path / "plan", release)
    wanted, bricked = end.read_bytes(), 0
    for cut in [-1, *range(0, 40, 3)] if release == "v6.0" else [-1]:
        flash.write_bytes(device.flash.to_bytes())
        code, fuel = RESTARTED, cut
        while code and (report := boots(Flash.from_bytes(flash.read_bytes()), "esp32c3")).partition is not None:
            code, _ = live(program, flash, report.partition.offset, fuel)
            fuel = -1
        bricked += code != 0
        done = flash.read_bytes()
        assert cut >= 0 or code == 0
        assert code or (done[:0xD000] == wanted[:0xD000] and done[0x10000:] == wanted[0x10000:]), cut
    assert bricked <= 1  # the table's own two operations, of which a third is cut


@needs_cc
def test_the_c_registers_at_each_start_and_erases_once(tmp_path):
    device = dump(size=0x2000)
    assert run(tmp_path, device, ADD_NVS, "--write-plan", str(tmp_path / "plan")).exit_code == 0
    program, flash = compiled(tmp_path / "plan"), tmp_path / "c.bin"
    said = "nvs2 0x310000 0x10000 1 2\n"
    flash.write_bytes(device.flash.to_bytes())
    assert live(program, flash, 0x10000) == (0, said)
    kept = bytearray(flash.read_bytes())
    kept[0x310000:0x310004] = b"mine"
    flash.write_bytes(kept)
    assert live(program, flash, 0x10000, finished=True) == (0, said)
    assert flash.read_bytes()[0x310000:0x310004] == b"mine"


# ----------------------------------------------------------------------------------------------------------- encryption

MOVED = OLD.replace("nvs,      data, nvs,   0x9000,   0x4000\n", "") + "nvs,      data, nvs,   0x310000, 0x4000\n"
_PLAIN = range(0x9000, 0xD000)


def fuses() -> EFuse:
    return EFuse("esp32c3", flash_encryption_key=bytes(range(32)), flash_crypt_cnt=1)


def sealed() -> bytes:
    """A dump with flash encryption, whose NVS is none of its encrypted partitions."""
    engine, data = FlashCrypt.of_efuse(fuses()), dump(size=0x2000).flash.to_bytes()
    assert engine is not None
    return b"".join(
        data[at : at + 0x1000] if at in _PLAIN else engine.encrypt(at, data[at : at + 0x1000])
        for at in range(0, SIZE, 0x1000)
    )


def planned_with_key(folder: Path, *words: str) -> None:
    (folder / "fuses.json").write_text(fuses().to_json())
    result = run(folder, sealed(), MOVED, "--efuse", str(folder / "fuses.json"), *words)
    assert result.exit_code == 0, result.output


def test_a_partition_that_is_not_encrypted_moves_as_it_is(tmp_path):
    planned_with_key(tmp_path, "-o", str(tmp_path / "end.bin"))
    assert (tmp_path / "end.bin").read_bytes()[0x310000:0x314000] == NVS


@needs_cc
def test_the_c_moves_it_as_it_is_too(tmp_path):
    planned_with_key(tmp_path, "--write-plan", str(tmp_path / "plan"))
    program, flash = compiled(tmp_path / "plan"), tmp_path / "c.bin"

    def crypt(data: bytes) -> bytes:
        pads = (0 if at & ~0xFFF in _PLAIN else (at * 7 + (at >> 8) * 13 + 1) & 0xFF for at in range(0x14000))
        return bytes(byte ^ pad for byte, pad in zip(data, pads, strict=False)) + data[0x14000:]

    flash.write_bytes(crypt(dump(size=0x2000).flash.to_bytes()))
    assert live(program, flash, 0x10000)[0] == RESTARTED
    done = flash.read_bytes()
    assert done[0x310000:0x314000] == NVS
    assert crypt(done)[0x8000:0x8C00] == PartitionTable.from_csv(MOVED).to_bytes()


def test_the_python_does_it_with_the_key(tmp_path, monkeypatch):
    planned_with_key(tmp_path, "-o", str(tmp_path / "end.bin"), "--write-plan", str(tmp_path / "plan"))
    for name in ("flash.bin", "fuses.json"):
        shutil.copy(tmp_path / name, tmp_path / "plan")
    monkeypatch.chdir(tmp_path / "plan")
    subprocess.run([sys.executable, "migrate.py"], check=True)
    assert Path("changed.bin").read_bytes() == (tmp_path / "end.bin").read_bytes()


def test_the_python_knows_where_the_dump_starts(tmp_path, monkeypatch):
    device = dump("esp32", size=0x2000)
    words = ["-o", str(tmp_path / "end.bin"), "--write-plan", str(tmp_path / "plan")]
    assert run(tmp_path, device.flash.to_bytes()[0x1000:], GROW, *words).exit_code == 0
    shutil.copy(tmp_path / "flash.bin", tmp_path / "plan")
    monkeypatch.chdir(tmp_path / "plan")
    subprocess.run([sys.executable, "migrate.py"], check=True)
    assert Path("changed.bin").read_bytes() == (tmp_path / "end.bin").read_bytes()
