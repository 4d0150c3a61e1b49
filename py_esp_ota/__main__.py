"""``python -m py_esp_ota`` and ``esp-ota``: the first step of every call.

Most calls look at one image, or at one update, often in a loop over many files. These calls are answered before the
command line parser is imported; whatever is not exactly that takes the long way (docs/adr/0016).
"""

from __future__ import annotations

import sys

_QUICK = ("image-info", "image_info")
_INTERRUPTED = 130  # as a shell has it: 128 and SIGINT


def main() -> None:
    """Answer the call in ``sys.argv`` and exit with its code."""
    try:
        _answer()
    except KeyboardInterrupt:  # before or behind the verb, which has an end of its own
        sys.exit(_INTERRUPTED)


def _answer() -> None:
    verb, *words = sys.argv[1:] or [""]
    if verb in _QUICK:
        from py_esp_ota.cli.quick import image_info

        _exit(image_info(words))
    import atexit
    import gc

    # What is imported stays to the end. To look through it again and again while it comes, and once more when all of it
    # goes, is a third of what a start of `serve` costs.
    gc.set_threshold(20_000, 20, 20)
    atexit.register(gc.freeze)
    if verb == "preflight":
        from py_esp_ota.cli.quick_preflight import answer

        _exit(answer(words))
    from py_esp_ota.cli import main as verbs
    from py_esp_ota.cli.streams import prepare

    prepare()
    verbs(prog_name="esp-ota")


def _exit(code: int | None) -> None:
    """End with the code of a quick answer; where there was none the long way goes on."""
    if code is not None:
        sys.exit(code)


if __name__ == "__main__":
    main()
