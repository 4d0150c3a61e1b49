"""Fuzz a validator of firmware files with images that have one fault each. This one has a bug.

Hypothesis turns bytes into examples, so any fuzzer that makes bytes can drive it: here a plain loop, and with
``--atheris`` libFuzzer, guided by what the validator does (``pip install atheris``; what follows are its options)::

    python examples/fuzz_validator.py
    python examples/fuzz_validator.py --atheris -runs=100000
"""

from __future__ import annotations

import hashlib
import random
import struct
import sys
from collections.abc import Callable

from hypothesis import given, settings

from py_esp_ota.strategies import CorruptedImage, corrupted_images


def accepts(data: bytes) -> bool:
    """Whether an updater would take this file: it follows the segments and compares the SHA-256."""
    if len(data) < 24 or data[0] != 0xE9 or not 1 <= data[1] <= 16:
        return False
    position = 24
    for _ in range(data[1]):
        if position + 8 > len(data):
            return False
        (length,) = struct.unpack_from("<I", data, position + 4)
        position += 8 + length
    end = position + 16 - position % 16
    if end > len(data):
        return False
    if data[23] == 0:
        return True  # the bug: an image without a hash still has a checksum
    return data[end : end + 32] == hashlib.sha256(data[:end]).digest()


@settings(database=None, deadline=None)
@given(corrupted_images(faults=["magic", "segment_count", "truncated", "checksum", "hash"]))
def refuses(corrupted: CorruptedImage) -> None:
    """What a chip refuses, the validator refuses."""
    assert not accepts(corrupted.data), f"accepted, although {corrupted.fault.what}: {corrupted.data!r}"


def plain_loop(one_input: Callable[[bytes], object], inputs: int = 20_000, seed: int = 1) -> str | None:
    """Random bytes, the same each time, until something is found: what, and after how many."""
    rng = random.Random(seed)  # noqa: S311
    for number in range(inputs):
        try:
            one_input(rng.randbytes(1024))
        except AssertionError as found:
            return f"after {number + 1} inputs: {found}"
    return None


def main(arguments: list[str]) -> None:
    """Fuzz by the plain loop, or by atheris."""
    one_input = refuses.hypothesis.fuzz_one_input
    if arguments[:1] != ["--atheris"]:
        print(plain_loop(one_input) or "nothing found")
        return
    try:
        import atheris  # noqa: PLC0415
    except ModuleNotFoundError:
        sys.exit("atheris is not installed: pip install atheris")
    atheris.instrument_func(accepts)
    atheris.Setup([sys.argv[0], *arguments[1:]], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
