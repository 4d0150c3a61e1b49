"""Extras: what the base install leaves out, and the sentence for who asks for it all the same."""

from __future__ import annotations


def missing(what: str, extra: str, error: ModuleNotFoundError) -> ModuleNotFoundError:
    """The error for ``what``, which needs the module that ``error`` did not find; it comes with ``extra``.

    A module of this package that is not found is a mistake of ours, and comes back as it is.
    """
    module = (error.name or "").partition(".")[0]
    if module == "py_esp_ota":
        return error
    return ModuleNotFoundError(
        f"{what} needs {module}, which comes with an extra: pip install 'py_esp_ota[{extra}]'", name=module
    )
