"""``esp-ota explain LOG [--json]`` without the parser, as ``quick.py`` does it for ``image-info``.

It answers for one plain file that is a console; every refusal, standard input and ``--reproduce`` are left to the
command in ``explain.py``.
"""

from __future__ import annotations

from py_esp_ota.cli.quick_files import plain_file, printed


def explain_log(words: list[str]) -> int | None:
    """Explain the one log in the one file named, and print it. Returns the exit code, ``None`` for not answered."""
    files = [word for word in words if word != "--json"]
    if len(files) != 1 or len(words) > 2 or files[0].startswith("-"):
        return None
    data = plain_file(files[0])
    if data is None:
        return None
    from py_esp_ota.field.explain.explain import explain

    found = explain(data)
    if not found.is_console:
        return None
    if len(words) == 2:
        import json

        text = json.dumps({**found.to_dict(), "reproduction": None}, indent=2)
    else:
        from py_esp_ota.field.explain.words import lines_of

        lines = lines_of(files[0], found)
        if not all(map(str.isprintable, lines)):  # the way out in output.py is for these
            return None
        text = "\n".join(lines)
    return printed(text, 1 if found.faulty else 0)
