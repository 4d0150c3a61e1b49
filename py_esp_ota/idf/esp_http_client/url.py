"""URLs as ``esp_http_client`` takes them: what parses, what is asked for, where a redirect leads."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from py_esp_ota.errors import EspErr, HttpsOtaError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 0xFFFF
_CHAR = r"[!-\"$->@-~]"  # what an URL is made of, without # and ?
_URL = re.compile(
    rf"""
    [a-zA-Z]+ ://
    ( [\w.!~*'()%;:&=+$,-]* @ )?
    ( [a-zA-Z0-9.-]+ | \[ [0-9a-fA-F:.]+ ( % [\w%.~-]+ )? \] )
    ( : (?P<port> [0-9]+ ) )?
    (?! \# ) ( / {_CHAR}* )? ( \? ( {_CHAR} | \? )* )? ( \# ( {_CHAR} | [?\#] )* )?
    """,
    re.ASCII | re.VERBOSE,
)


def parse_url(url: str) -> SplitResult | None:
    """``http_parser_parse_url``: an absolute URL of any scheme, else ``None``. A host has no underscore in its name."""
    found = _URL.fullmatch(url)
    return urlsplit(url) if found and int(found["port"] or 0) <= _MAX_PORT else None


def has_transport(parts: SplitResult) -> bool:
    """``esp_transport_list_get_transport``: http or https."""
    return parts.scheme in _DEFAULT_PORTS


def without_userinfo(parts: SplitResult) -> str:
    """The URL without ``user:pass@``, as it is asked for."""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def request_target(url: str) -> str:
    """Path and query, as the request line has them."""
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def port_of(parts: SplitResult) -> int:
    """The port, also where the URL does not say it; 0 for a scheme without one."""
    return _DEFAULT_PORTS.get(parts.scheme, 0) if parts.port is None else parts.port


def host_header(parts: SplitResult) -> str:
    """``_get_host_header``: the two default ports are left out, whatever the scheme."""
    name, port = parts.hostname or "", port_of(parts)
    return name if port in _DEFAULT_PORTS.values() else f"{name}:{port}"


def redirection(
    origin: str, location: str | None, *, refuses_downgrade: bool = True, one_transport: bool = True
) -> str:
    """``esp_http_client_set_redirection``: the next URL after a 30x (components/esp_http_client/esp_http_client.c).

    Args:
        origin: The URL that redirects.
        location: Its ``Location``.
        refuses_downgrade: An https origin may point to an ``https://`` URL alone; relative targets are refused too.
        one_transport: The transport of the first URL stays, whatever scheme the next one has.

    Raises:
        HttpsOtaError: ESP_ERR_INVALID_ARG without a usable Location; ESP_ERR_HTTP_REDIRECT_DOWNGRADE.
    """
    if not location:
        raise HttpsOtaError(EspErr.ESP_ERR_INVALID_ARG, "redirected without a Location header")
    source = urlsplit(origin)
    if refuses_downgrade and source.scheme == "https" and not location.lower().startswith("https://"):
        what = "redirected from https to {location}"
        raise HttpsOtaError(EspErr.ESP_ERR_HTTP_REDIRECT_DOWNGRADE, what, location=location)
    if location.startswith("/"):
        return f"{source.scheme}://{source.netloc}{location}"
    target = parse_url(location)
    if target is None:
        raise HttpsOtaError(EspErr.ESP_ERR_INVALID_ARG, "redirected to {location}, no URL", location=location)
    if one_transport and source.scheme != target.scheme:
        # A plain client stays plain and one of TLS stays so, on the port that the new scheme implies, or on its own.
        netloc = target.netloc if target.port else f"{target.netloc}:{port_of(target) or port_of(source)}"
        return target._replace(scheme=source.scheme, netloc=netloc).geturl()
    return location
