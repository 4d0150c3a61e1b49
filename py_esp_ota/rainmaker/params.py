"""Devices, services and their params (components/esp_rainmaker/src/core/esp_rmaker_param.c)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from py_esp_ota.errors import EspErr
from py_esp_ota.rainmaker.json_text import JsonValue, parse
from py_esp_ota.rainmaker.messages import Params, ParamValue, encode_params

# The smallest report that says anything: {"D":{"P":1}}
RMAKER_MIN_VALID_PARAMS_SIZE = 13

_DATA_TYPES = {bool: "bool", int: "int", float: "float", str: "string"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """``esp_rmaker_param_bounds_t`` of a number."""

    min: float
    max: float
    step: float = 0

    def config(self) -> dict[str, object]:
        """Its place in the node config."""
        step: dict[str, object] = {"step": self.step} if self.step else {}
        return {"min": self.min, "max": self.max} | step


@dataclass(slots=True, eq=False)
class Param:
    """``_esp_rmaker_param_t``; the type of ``value`` is the param's for ever."""

    name: str
    type: str
    value: ParamValue
    properties: tuple[str, ...] = ("read", "write")
    bounds: Bounds | None = None
    valid_strs: tuple[str, ...] = ()
    ui_type: str | None = None
    changed: bool = field(default=False, init=False)
    notifies: bool = field(default=False, init=False)

    def update(self, value: ParamValue) -> None:
        """``esp_rmaker_param_update``: the new value waits to be reported."""
        self.value = value
        self.changed = True

    def update_and_notify(self, value: ParamValue) -> None:
        """The half of ``esp_rmaker_param_update_and_notify`` that marks: users are to hear of it, too."""
        self.update(value)
        self.notifies = True

    def read(self, values: JsonValue) -> ParamValue | None:
        """This param's value in a set request; ``None`` when it is missing or of another JSON type."""
        if isinstance(self.value, bool):
            return values.get_bool(self.name)
        if isinstance(self.value, int):
            return values.get_int(self.name)
        if isinstance(self.value, float):
            return values.get_float(self.name)
        return values.get_string(self.name)

    def config(self) -> dict[str, object]:
        """``esp_rmaker_report_param_config``: its place in the node config."""
        body: dict[str, object] = {
            "name": self.name,
            "type": self.type,
            "data_type": _DATA_TYPES[type(self.value)],
            "properties": list(self.properties),
        }
        if self.bounds is not None:
            body["bounds"] = self.bounds.config()
        if self.valid_strs:
            body["valid_strs"] = list(self.valid_strs)
        if self.ui_type is not None:
            body["ui_type"] = self.ui_type
        return body


WriteCallback = Callable[[Param, ParamValue], EspErr]


def accept(param: Param, value: ParamValue) -> EspErr:
    """The write callback of a device that does what it is told."""
    param.update(value)
    return EspErr.ESP_OK


@dataclass(slots=True, eq=False)
class ParamDevice:
    """``_esp_rmaker_device_t``: a device or a service."""

    name: str
    type: str
    params: list[Param]
    is_service: bool = False
    write: WriteCallback = accept
    subtype: str | None = None
    model: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    primary: str | None = None  # the name of a param

    def at_boot(self) -> ParamDevice:
        """The same as it is when an app has just made it: values of RAM do not outlive a reset."""
        return replace(self, params=[replace(param) for param in self.params])

    def param(self, name: str) -> Param:
        """``esp_rmaker_device_get_param_by_name``. Raises ``KeyError``."""
        for param in self.params:
            if param.name == name:
                return param
        raise KeyError(name)

    def config(self) -> dict[str, object]:
        """``esp_rmaker_report_devices_or_services``: its place in the node config."""
        body: dict[str, object] = {"name": self.name, "type": self.type}
        if self.subtype is not None:
            body["subtype"] = self.subtype
        if self.model is not None:
            body["model"] = self.model
        if self.attributes:
            body["attributes"] = [{"name": name, "value": value} for name, value in self.attributes.items()]
        if self.primary is not None:
            body["primary"] = self.primary
        if self.params:
            body["params"] = [param.config() for param in self.params]
        return body


class ParamStore:
    """All devices and services of a node, in the order of adding; ``well_formed``: names and texts are escaped."""

    def __init__(self, *, well_formed: bool = False) -> None:
        self._well_formed = well_formed
        self.devices: list[ParamDevice] = []

    def add(self, device: ParamDevice) -> None:
        """``esp_rmaker_node_add_device``. Raises ``ValueError`` for a name that is taken."""
        if device.name in (known.name for known in self.devices):
            raise ValueError(f"the node already has a device or service {device.name!r}")
        self.devices.append(device)

    def device(self, name: str) -> ParamDevice:
        """``esp_rmaker_node_get_device_by_name``. Raises ``KeyError``."""
        for device in self.devices:
            if device.name == name:
                return device
        raise KeyError(name)

    def config(self, *, services: bool) -> list[dict[str, object]]:
        """The ``devices`` or the ``services`` list of the node config."""
        return [device.config() for device in self.devices if device.is_service is services]

    def everything(self) -> bytes | None:
        """``esp_rmaker_populate_params`` for ``params/local/init``: every param, write-only ones too, if there are."""
        return self._worth_saying(self._marked(lambda _param: True))

    def take_changed(self) -> bytes | None:
        """``esp_rmaker_populate_params`` for ``params/local``: what changed, now no longer; ``None`` if nothing did.

        The shortest that there can be has 13 characters.
        """
        changed = self._marked(lambda param: param.changed)
        for _, param in self._pairs():
            param.changed = False
        return self._worth_saying(changed)

    def take_notifying(self) -> bytes | None:
        """The same for ``alert``: what users are to hear of."""
        notifying = self._marked(lambda param: param.notifies)
        for _, param in self._pairs():
            param.notifies = False
        return self._worth_saying(notifying)

    def _marked(self, mark: Callable[[Param], bool]) -> dict[str, dict[str, ParamValue]]:
        marked: dict[str, dict[str, ParamValue]] = {}
        for device, param in self._pairs():
            if mark(param):
                marked.setdefault(device.name, {})[param.name] = param.value
        return marked

    def handle_set(self, payload: bytes) -> Iterator[tuple[ParamDevice, list[tuple[Param, EspErr]]]]:
        """``esp_rmaker_handle_set_params``, device by device: what was written, and how that went.

        Unknown names and wrong types are passed over. A device is written when it is its turn.

        Raises:
            ValueError: The payload is no JSON.
        """
        root = parse(payload)
        for device in self.devices:
            values = root.get_object(device.name)
            if values is None:
                continue
            found = [(param, param.read(values)) for param in device.params]
            yield device, [(param, device.write(param, value)) for param, value in found if value is not None]

    def _pairs(self) -> Iterator[tuple[ParamDevice, Param]]:
        for device in self.devices:
            for param in device.params:
                yield device, param

    def _worth_saying(self, params: Params) -> bytes | None:
        payload = encode_params(params, well_formed=self._well_formed)
        return payload if len(payload) >= RMAKER_MIN_VALID_PARAMS_SIZE else None
