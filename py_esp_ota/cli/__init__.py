"""``esp-ota``: the doors. No rule lives here; every verb is one file, imported only when it is used.

Data goes to stdout, errors to stderr. Exit codes: 0 fine, 1 a finding, 2 misuse or an unreadable input, 130 Ctrl-C.
``-`` is standard input or output wherever a file is named.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from py_esp_ota.cli.verbs import main

__all__ = ["main"]

#: Verb, what it does, and where it is; without a place it is ``command`` in the module of its name.
_VERBS = {
    "boot": "boot a flash and show what the bootloader decides, and why",
    "cloud": "roll out firmware from a script: login, images, jobs, nodes",
    "demo": "one OTA, end to end: seven chapters on real firmware",
    "efuse": "make, show and burn an eFuse file",
    "elf2image": "make an app image of a linked RISC-V program",
    "erase-flash": "erase a flash file",
    "erase-region": "erase sectors or a partition of a flash file",
    "evidence": "check an evidence pack of a sweep: whole, unchanged, and signed by whom",
    "explain": "why does it (not) boot, update or roll back: a console log, explained line by line",
    "fleet": "a job for very many devices, as a file describes them: who has it, who has not, and why",
    "fuzz-corpus": "make images, sound and corrupted, for a fuzzer to start from",
    "hunt": "play random worlds in which things go wrong, and find the one that breaks a promise",
    "image-info": "what an image is, whether it is sound, and if not, where",
    "merge-bin": "put parts or a build directory into one flash image",
    "migrate": "plan a new partition table or bootloader for a device in the field, and cut the power everywhere in it",
    "node": "one virtual RainMaker node against any broker and cloud, its flash a file",
    "nvs": "read and change the values in an NVS partition",
    "otadata": "read and change which slot boots",
    "partition-table": "read, check and convert a partition table",
    "preflight": "say before an update whether it will run, and what a rollback would land on",
    "profiles": "how Arduino, ESPHome, WLED, Tasmota, MicroPython confirm, write and lose an update",
    "provision": "make the factory partition that makes a board a node",
    "read-flash": "copy a part or a partition of a flash file",
    "run": "switch a chip on: its bootloader and app run as machine code, here is the console",
    "samples": "make the files that README and the how-to pages name",
    "serve": "cloud, broker and web page on loopback until Ctrl-C",
    "sign": "sign an image, judge its signatures, or make a key",
    "split": "take a flash image apart, into a build directory",
    "sweep": "pull the plug at every flash operation of an update, and see what boots",
    "teach": "make a page to touch: drag along an update, pull the plug anywhere, see what boots",
    "verify-flash": "compare parts with a flash file",
    "write-flash": "write parts or a partition into a flash file",
}
_PLACES = {
    "erase-flash": ("flash_file", "erase_flash"),
    "erase-region": ("flash_file", "erase_region"),
    "merge-bin": ("merge", "merge_bin"),
    "read-flash": ("flash_file", "read_flash"),
    "split": ("merge", "split"),
    "verify-flash": ("flash_file", "verify_flash"),
    "write-flash": ("flash_file", "write_flash"),
    # otatool.py's names
    "read-otadata": ("otadata", "read"),
    "erase-otadata": ("otadata", "erase"),
    "switch-ota-partition": ("otadata", "switch"),
    # parttool.py's names
    "get-partition-info": ("parttool", "get_partition_info"),
    "read-partition": ("parttool", "read_partition"),
    "write-partition": ("parttool", "write_partition"),
    "erase-partition": ("parttool", "erase_partition"),
}


def __getattr__(name: str) -> object:
    # Lazy, so that the quick way through `esp-ota` does not import click.
    if name == "main":
        from py_esp_ota.cli.verbs import main

        return main
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
