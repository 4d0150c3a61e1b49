"""A node's parameters as controls: which there are by its config, what they are now, what a form may set. No I/O.

A config comes from a node, so that anything may be in it: what cannot be read is left out, and nothing is believed
beyond its type.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.strict_json import read_json

Control = Literal["switch", "number", "choice", "text", "json", "none"]
"""How a parameter is set; ``none`` of what is only shown."""

SHOWN = 256
"""Devices and services, and parameters of each, that a page shows; choices of one, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """One parameter of a device or service."""

    name: str
    type: str
    data_type: str
    control: Control
    value: Any  # as it was reported; ``None`` when it was not
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: Sequence[str] = ()

    @property
    def text(self) -> str:
        """The value for people; a dash when none was reported."""
        if self.value is None:
            return "\N{EN DASH}"
        return self.value if isinstance(self.value, str) else json.dumps(self.value, ensure_ascii=False)

    @property
    def bounded(self) -> bool:
        """Whether a slider can stand for it."""
        return self.control == "number" and None not in {self.minimum, self.maximum}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamGroup:
    """A device or a service with its parameters."""

    name: str
    type: str
    service: bool
    params: Sequence[Param]


def groups(config: Mapping[str, Any], values: Mapping[str, Any]) -> list[ParamGroup]:
    """Devices, then services, in the config's order; what was only reported comes last and is only shown."""
    found = [
        group
        for key in ("devices", "services")
        for group in (_group(each, values, service=key == "services") for each in _objects(config.get(key)))
        if group.name
    ]
    told = {group.name for group in found}
    rest = [name for name in list(values)[:SHOWN] if name not in told and isinstance(values[name], Mapping)]
    found += [_group({"name": name}, values, service=False) for name in rest]
    return [group for group in found if group.params]


def _group(config: Mapping[str, Any], values: Mapping[str, Any], *, service: bool) -> ParamGroup:
    name = _text(config.get("name"))
    reported = values.get(name)
    reported = reported if isinstance(reported, Mapping) else {}
    params = [_param(each, reported) for each in _objects(config.get("params")) if _text(each.get("name"))]
    told = {param.name for param in params}
    rest = [_param({"name": key, "properties": []}, reported) for key in list(reported)[:SHOWN] if key not in told]
    return ParamGroup(name=name, type=_text(config.get("type")), service=service, params=[*params, *rest])


def _param(config: Mapping[str, Any], values: Mapping[str, Any]) -> Param:
    name, data_type = _text(config.get("name")), _text(config.get("data_type"))
    properties = config.get("properties")
    bounds = config.get("bounds")
    bounds = bounds if isinstance(bounds, Mapping) else {}
    choices = config.get("valid_strs")
    choices = [each for each in choices[:SHOWN] if isinstance(each, str)] if isinstance(choices, list) else []
    writable = isinstance(properties, list) and "write" in properties
    return Param(
        name=name,
        type=_text(config.get("type")),
        data_type=data_type,
        control=_control(data_type, choices) if writable else "none",
        value=values.get(name),
        minimum=_number(bounds.get("min")),
        maximum=_number(bounds.get("max")),
        step=_number(bounds.get("step")) or None,
        choices=choices,
    )


def _control(data_type: str, choices: Sequence[str]) -> Control:
    if data_type == "string":
        return "choice" if choices else "text"
    known: dict[str, Control] = {"bool": "switch", "int": "number", "float": "number"}
    return known.get(data_type, "json" if data_type in {"object", "array"} else "none")


def setting(found: Sequence[ParamGroup], group: str, name: str, text: str) -> dict[str, dict[str, Any]]:
    """What a form sends to a node as ``params/remote``. Raises ``CloudError`` (INVALID_REQUEST)."""
    for each in found:
        for param in each.params:
            if (each.name, param.name) == (group, name):
                return {group: {name: _read(param, text)}}
    raise CloudError(Refusal.INVALID_REQUEST, f"the node has no parameter {group}.{name}"[:500])


def _read(param: Param, text: str) -> Any:
    match param.control:
        case "none":
            raise _no(param, "can only be read")
        case "switch":
            if text not in {"true", "false"}:
                raise _no(param, "is true or false")
            return text == "true"
        case "number":
            return _in_bounds(param, text)
        case "choice":
            if text not in param.choices:
                raise _no(param, f"is one of {', '.join(param.choices)}")
            return text
        case "json":
            return _json(param, text)
        case "text":
            return text


def _in_bounds(param: Param, text: str) -> float:
    try:
        value = int(text) if param.data_type == "int" else float(text)
    except ValueError:
        raise _no(param, f"is {'a whole' if param.data_type == 'int' else 'a'} number") from None
    if not math.isfinite(value):
        raise _no(param, "is a number")
    low, high = param.minimum, param.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        sides = [f"at least {low:g}"] * (low is not None) + [f"at most {high:g}"] * (high is not None)
        raise _no(param, f"is {' and '.join(sides)}")
    return value


def _json(param: Param, text: str) -> Any:
    try:
        value = read_json(text.encode())
    except ValueError:
        value = None
    if not isinstance(value, dict if param.data_type == "object" else list):
        raise _no(param, f"is a JSON {param.data_type}")
    return value


def _no(param: Param, what: str) -> CloudError:
    return CloudError(Refusal.INVALID_REQUEST, f"{param.name} {what}"[:500])


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value[:SHOWN] if isinstance(each, Mapping)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < 2**53 else None
