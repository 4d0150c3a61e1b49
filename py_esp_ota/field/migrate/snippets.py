"""The chosen order as code: in C, for the app on board, and in Python, on a copy of the dump."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from py_esp_ota.field.migrate.facts import Facts
from py_esp_ota.field.migrate.orders import Change, Order
from py_esp_ota.field.migrate.steps import CIPHER, LOOKS, Stage, Step

_HEAD = """\
// {text}
//
// Call migrate() first thing at each start of the app, before NVS or a file system is opened. It goes on where a power
// cut stopped it. {build}
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "esp_efuse.h"
#include "esp_err.h"
#include "esp_flash.h"
#include "esp_ota_ops.h"
#include "esp_partition.h"
#include "esp_system.h"
#if __has_include("esp_private/esp_flash_internal.h")  // esp_flash_set_dangerous_write_protection; since v6.0 there
#include "esp_private/esp_flash_internal.h"
#else
#include "esp_flash_internal.h"
#endif

#define SECTOR 0x1000
#define FIRST {first}
#define LOOKS {looks}  // cells that lost power while they were programmed may read otherwise the next time

// The files beside this one, as arrays: with EMBED_FILES, or xxd -i.
{arrays}
// Your own mark that all is done, in the app itself or in NVS.
extern bool finished(void);

static uint8_t buffer[SECTOR];

static bool holds(uint32_t at, const uint8_t *data, size_t length)
{{
    for (int look = 0; look < LOOKS; look++) {{
        for (size_t done = 0; done < length; done += SECTOR) {{
            size_t size = length - done < SECTOR ? length - done : SECTOR;
            if ({read}(NULL, {into}) != ESP_OK || memcmp(buffer, data + done, size) != 0) {{
                return false;
            }}
        }}
    }}
    return true;
}}

static bool runs_at(uint32_t at)
{{
    return esp_ota_get_running_partition()->address == at;
}}

static esp_err_t blank(uint32_t at, size_t length)
{{
    return esp_flash_erase_region(NULL, at, (length + SECTOR - 1) & ~(SECTOR - 1));
}}

static esp_err_t write(uint32_t at, const void *data, size_t length)
{{
    return length == 0 ? ESP_OK : {write};
}}

// An image, its first bytes last: without them it is none to anybody, and ROM's checksum has only eight bits.
static esp_err_t image(uint32_t at, const uint8_t *data, size_t length)
{{
    esp_err_t err = write(at + FIRST, data + FIRST, length - FIRST);
    return err == ESP_OK ? write(at, data, FIRST) : err;
}}

static esp_err_t put(uint32_t at, const uint8_t *data, size_t length)
{{
    if (holds(at, data, length)) {{
        return ESP_OK;
    }}
    bool large = length > SECTOR;
    esp_err_t err = large ? esp_flash_write(NULL, "", at, 1) : ESP_OK;
    if (err == ESP_OK) {{
        err = blank(at, length);
    }}
    if (err == ESP_OK && large) {{
        err = write(at + SECTOR, data + SECTOR, length - SECTOR);
        return err == ESP_OK ? image(at, data, SECTOR) : err;
    }}
    return err == ESP_OK ? write(at, data, length) : err;
}}

// From the last sector to the first.
static esp_err_t copy(uint32_t to, uint32_t from, size_t length)
{{
    esp_err_t err = blank(to, length);
    for (size_t left = length; err == ESP_OK && left > 0;) {{
        size_t at = (left - 1) / SECTOR * SECTOR;
        err = {read}(NULL, {copied});
        if (err == ESP_OK) {{
            err = image(to + at, buffer, left - at);
        }}
        left = at;
    }}
    return err;
}}
{plain}
esp_err_t migrate(void)
{{
    esp_err_t err = esp_flash_set_dangerous_write_protection(esp_flash_default_chip, false);
    if (err != ESP_OK) {{
        return err;
    }}
"""
_PLAIN = """
// Of a partition that is not encrypted: as it lies there.
static esp_err_t copy_plain(uint32_t to, uint32_t from, size_t length)
{
    esp_err_t err = blank(to, length);
    for (size_t done = 0; err == ESP_OK && done < length; done += SECTOR) {
        size_t size = length - done < SECTOR ? length - done : SECTOR;
        err = esp_flash_read(NULL, buffer, from + done, size);
        if (err == ESP_OK) {
            err = esp_flash_write(NULL, buffer, to + done, size);
        }
    }
    return err;
}
"""
_CHECK = "{indent}if (err == ESP_OK) {{\n{indent}    err = {call};\n{indent}}}"


def names(facts: Facts, change: Change) -> Mapping[bytes, str]:
    """What the pieces of data are called: arrays in C, files beside it."""
    named = {facts.table: "old_table", change.table: "new_table"}
    if facts.loader:
        named[facts.loader] = "old_bootloader"
    if change.loader:
        named[change.loader] = "new_bootloader"
    return named


def in_c(facts: Facts, change: Change, order: Order) -> str:
    """The order as a function in C, against ESP-IDF's headers."""
    named = names(facts, change)
    offset = order.app_table
    build = "" if offset == 0x8000 else f"Built with CONFIG_PARTITION_TABLE_OFFSET=0x{offset:x}."
    used = [name for data, name in named.items() if _uses(order, data, name)]
    sizes = {name: len(data) for data, name in named.items()}
    encrypted = facts.encrypted
    head = _HEAD.format(
        text=f"{order.name}: {order.text}.",
        build=build,
        looks=LOOKS,
        first=CIPHER if encrypted else 1,
        plain=_PLAIN if any(_copies_plain(facts, step) for step in order.steps) else "",
        arrays="".join(f"extern const uint8_t {name}[{sizes[name]}];\n" for name in used) + "\n" * bool(used),
        read="esp_flash_read_encrypted" if encrypted else "esp_flash_read",
        into="at + done, buffer, size" if encrypted else "buffer, at + done, size",
        copied="from + at, buffer, left - at" if encrypted else "buffer, from + at, left - at",
        write="esp_flash_write_encrypted(NULL, at, data, length)"
        if encrypted
        else "esp_flash_write(NULL, data, at, length)",
    )
    return head + "\n".join(_stages(facts, order, named)) + "\n    return err;\n}\n"


def _uses(order: Order, data: bytes, name: str) -> bool:
    return any(step.data == data for step in order.steps) or any(name in stage.until for stage in order.stages)


def _copies_plain(facts: Facts, step: Step) -> bool:
    """Whether a copy must not go through flash encryption that is on."""
    return facts.encrypted and step.kind == "copy" and not step.encrypted


def _stages(facts: Facts, order: Order, named: Mapping[bytes, str]) -> Iterator[str]:
    """Each stage that does something, the restart that follows it, and what is done at each start."""
    stages = order.stages
    for number, stage in enumerate(stages):
        if not any(step.kind != "reboot" for step in stage.steps):
            continue
        behind = stages[number + 1] if number + 1 < len(stages) else None
        reboots = any(step.kind == "reboot" for step in (*stage.steps, *(_only_reboots(behind))))
        yield f"    if (!({stage.until})) {{  // {stage.text}"
        for step in stage.steps:
            if step.kind != "register":
                yield from _in_c(facts, step, named, " " * 8)
        if reboots:
            yield "        if (err == ESP_OK) {\n            esp_restart();\n        }"
        yield "    }"
        for step in stage.steps:
            if step.kind == "register":
                yield from _in_c(facts, step, named, " " * 4)


def _only_reboots(stage: Stage | None) -> tuple[Step, ...]:
    return stage.steps if stage is not None and all(step.kind == "reboot" for step in stage.steps) else ()


def _in_c(facts: Facts, step: Step, named: Mapping[bytes, str], indent: str) -> Iterator[str]:
    """The lines of one step."""
    if step.kind == "reboot":
        return
    yield f"{indent}// {step.text}"
    if step.kind == "write" and step.data not in named:
        values = ", ".join(f"0x{byte:02x}" for byte in step.data)
        yield f"{indent}static const uint8_t at_{step.at:x}[] = {{{values}}};"
    yield _CHECK.format(indent=indent, call=_call(facts, step, named))


def _call(facts: Facts, step: Step, named: Mapping[bytes, str]) -> str:
    if step.kind == "copy":
        copy = "copy_plain" if _copies_plain(facts, step) else "copy"
        return f"{copy}(0x{step.at:x}, 0x{step.source:x}, 0x{step.length:x})"
    if step.kind == "blank":
        return f"blank(0x{step.at:x}, 0x{step.length:x})"
    if step.kind == "burn":
        return f"esp_efuse_set_recovery_bootloader_offset(0x{step.at:x})"
    if step.kind == "register":
        place = f'esp_flash_default_chip, 0x{step.at:x}, 0x{step.length:x}, "{step.name}"'
        return f"esp_partition_register_external({place}, {step.type}, {step.subtype}, NULL)"
    name = named.get(step.data, f"at_{step.at:x}")
    return f"put(0x{step.at:x}, {name}, sizeof {name})"


def in_python(
    facts: Facts, change: Change, order: Order, dump: str = "flash.bin", *, start: int = 0, fuses: str = ""
) -> str:
    """The order on a copy of the dump, once and without a cut: what esp_flash_* calls leave in the flash.

    ``start`` is the address of the dump's first byte; ``fuses`` names the eFuse file with the key of an encrypted one.
    """
    named = names(facts, change)
    before = f'b"\\xff" * 0x{start:x} + ' if start else ""
    key = f'flash.encryption = FlashCrypt.of_efuse(EFuse.from_json(Path("{fuses}").read_text()))'
    lines = [
        f'"""{order.name}: {order.text}."""',
        "",
        "from pathlib import Path",
        "",
        "from py_esp_ota import Flash",
        *(["from py_esp_ota._core import EFuse, FlashCrypt"] if facts.encrypted else []),
        *_put("put", "program"),
        *(_put("put_encrypted", "program_encrypted") if facts.encrypted else []),
        "",
        "",
        f'flash = Flash.from_bytes({before}Path("{dump}").read_bytes(), size=0x{facts.dump.flash.size:x})',
        *([key] if facts.encrypted else []),
    ]
    for step in order.steps:
        call = _in_python(step, named)
        lines += [f"# {step.text}", *([call] if call else [])]
    return "\n".join([*lines, 'Path("changed.bin").write_bytes(flash.to_bytes())', ""])


def _put(name: str, program: str) -> list[str]:
    return [
        "",
        "",
        f"def {name}(flash: Flash, at: int, data: bytes) -> None:",
        '    """Erase, then program."""',
        "    flash.erase(at, -(-len(data) // 0x1000) * 0x1000)",
        f"    flash.{program}(at, data)",
    ]


def _in_python(step: Step, named: Mapping[bytes, str]) -> str:
    put, read = ("put_encrypted", "mmap") if step.encrypted else ("put", "read")
    if step.kind == "copy":
        return f"{put}(flash, 0x{step.at:x}, flash.{read}(0x{step.source:x}, 0x{step.length:x}))"
    if step.kind == "blank":
        return f"flash.erase(0x{step.at:x}, 0x{step.length:x})"
    if step.kind == "write":
        name = named.get(step.data)
        data = f"bytes.fromhex({step.data.hex()!r})" if name is None else f'Path("{name}.bin").read_bytes()'
        return f"{put}(flash, 0x{step.at:x}, {data})"
    return ""
