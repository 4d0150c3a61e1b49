"""What every updater here has in common: it ends well, or with an answer of its project."""

from __future__ import annotations

from py_esp_ota.errors import EspErr, EspError, OtaError
from py_esp_ota.field.profiles.profile import Answer


class UpdaterError(OtaError):
    """A project's updater says no: ``answer`` is what it says, ``err`` what ESP-IDF said below it."""

    def __init__(self, err: EspErr | int, what: str = "", /, **fact: object) -> None:
        super().__init__(err, what, **fact)

    @property
    def answer(self) -> Answer:
        """The answer."""
        return Answer(int(str(self.fact["code"])), str(self.fact["name"]), str(self.fact["text"]))

    def __str__(self) -> str:
        """In the project's words, and the cause in ESP-IDF's."""
        return self.what.format(**self.fact)


def refused(updater: str, answer: Answer, cause: EspError | str) -> UpdaterError:
    """The error of ``updater`` that says ``answer``, because of ``cause``."""
    err = cause.err if isinstance(cause, EspError) else EspErr.ESP_FAIL
    what = "{updater} answers {number}, {text} ({name}): {cause}"
    number = f"0x{answer.code:02x}" if answer.code >= 0x80 and answer.name.isupper() else str(answer.code)
    return UpdaterError(
        err,
        what,
        updater=updater,
        number=number,
        code=answer.code,
        name=answer.name,
        text=answer.text,
        cause=str(cause),
    )
