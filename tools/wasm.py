"""Build the core as WebAssembly into the package, for the page of `esp-ota teach`: `python tools/wasm.py`.

It needs the standard library for wasm32 of the very compiler that is used: rustup has it for its own, Debian for its
own (`libstd-rust-dev-wasm32`, from rustc 1.85 on). Where neither can be had, a sentence says so, and pages are made
without it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = "wasm32-unknown-unknown"
MADE = ROOT / "target" / TARGET / "wasm" / "esp_ota_wasm.wasm"
PLACE = ROOT / "py_esp_ota" / "view" / "teach" / "core.wasm"
DEBIAN = ("libstd-rust-dev-wasm32", "lld")


def said(*words: str) -> tuple[int, str]:
    """Exit code and output of a program; 127 where it is absent."""
    if shutil.which(words[0]) is None:
        return 127, ""
    done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)  # noqa: S603
    return done.returncode, done.stdout.strip()


def has_std() -> bool:
    """Whether the compiler of this checkout has the target's standard library."""
    code, folder = said("rustc", "--print", "target-libdir", "--target", TARGET)
    return code == 0 and any(Path(folder).glob("libstd-*.rlib"))


def fetch_std() -> bool:
    """Ask rustup, then Debian where we may install; whether it is there now."""
    if said("rustup", "target", "add", TARGET)[0] == 0 and has_std():
        return True
    if os.name == "posix" and os.geteuid() == 0 and shutil.which("rustup") is None:
        said("apt-get", "install", "-y", "-qq", "--no-install-recommends", *DEBIAN)
    return has_std()


def main() -> int:
    """Build it, or say why not. Exit 1 only when the build itself fails."""
    if not (has_std() or fetch_std()):
        print(
            f"not built: the core as WebAssembly (rustc has no {TARGET}; with rustup: rustup target add {TARGET}; "
            f"with Debian's rustc 1.85 or later: apt-get install {' '.join(DEBIAN)}); "
            "`esp-ota teach` makes its page without it"
        )
        return 0
    build = ["cargo", "build", "--quiet", "--locked", "--profile", "wasm", "-p", "esp-ota-wasm", "--target", TARGET]
    done = subprocess.run(build, cwd=ROOT, check=False)  # noqa: S603
    if done.returncode == 0:
        shutil.copyfile(MADE, PLACE)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
