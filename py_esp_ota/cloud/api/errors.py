"""Every error body is JSON in one of RainMaker's two shapes: its own, and that of the gateway in front of it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from py_esp_ota.cloud.refusals import CloudError, Refusal

_SHOWN = 3


class Failure(BaseModel):
    """RainMaker's error body."""

    status: str = "failure"
    error_code: int
    description: str


class GatewayFailure(BaseModel):
    """The error body of the gateway in front of RainMaker."""

    message: str


REFUSED: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Failure, "description": "Refused"},
    "5XX": {"model": Failure, "description": "No room, or a mistake of the server"},
}
"""For the OpenAPI document: any call can be refused, always in this shape."""

RESPONSES: dict[int | str, dict[str, Any]] = {
    401: {"model": GatewayFailure | Failure, "description": "No access token that counts, or a wrong password"},
    **REFUSED,
}
"""Of calls that ask who it is."""


class UnauthorizedError(Exception):
    """The request carries no access token that counts."""


def failure(refusal: Refusal, description: str, **extra: object) -> JSONResponse:
    """An error response in RainMaker's own shape."""
    body = {"status": "failure", "error_code": refusal.error_code, "description": description, **extra}
    seconds = extra.get("retry_after")
    return JSONResponse(body, refusal.http_status, None if seconds is None else {"Retry-After": str(seconds)})


def install(app: FastAPI) -> None:
    """Make every error of ``app`` come out in these shapes."""
    app.add_exception_handler(CloudError, _refused)
    app.add_exception_handler(UnauthorizedError, _unauthorized)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _crashed)


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, CloudError)  # noqa: S101 (registered for this class)
    return failure(error.refusal, error.description, **error.extra)


async def _unauthorized(_request: Request, _error: Exception) -> JSONResponse:
    return JSONResponse({"message": "Unauthorized"}, 401)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    problems = error.errors()
    shown = "; ".join(_sentence(problem) for problem in problems[:_SHOWN])
    more = len(problems) - _SHOWN
    return failure(Refusal.INVALID_REQUEST, f"{shown} (and {more} more)" if more > 0 else shown)


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    if error.status_code in {404, 405}:
        return JSONResponse({"message": "Missing Authentication Token"}, 403)
    for refusal in (Refusal.BODY_TOO_LARGE, Refusal.INVALID_REQUEST):
        if error.status_code == refusal.http_status:
            return failure(refusal, str(error.detail))
    return JSONResponse({"message": str(error.detail)}, error.status_code)


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it; the line in the log is ``guard.BodyLimit``'s


async def _crashed(_request: Request, _error: Exception) -> JSONResponse:
    return failure(Refusal.INTERNAL, "the server made a mistake; its log says more")


def _sentence(problem: dict[str, Any]) -> str:
    """One validation problem in words. The offending value is not repeated: it may be large, or a password."""
    if problem["type"] == "json_invalid":
        return f"the body is not JSON, at character {problem['loc'][-1]}"
    where = ".".join(str(part) for part in problem["loc"][1:])
    return f"{where or 'the body'}: {problem['msg']}"
