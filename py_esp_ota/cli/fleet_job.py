"""The job of a fleet over sockets, in a cloud that speaks RainMaker's API: uploaded before, started with one press."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from py_esp_ota.cli.cloud.answers import Json, Unreached, text
from py_esp_ota.cli.cloud.firmware import brought
from py_esp_ota.cli.cloud.job_order import with_image
from py_esp_ota.cli.cloud.watch import PATH
from py_esp_ota.cloud.plan import AT_ONCE

if TYPE_CHECKING:
    from py_esp_ota.cli.cloud.client import Cloud
    from py_esp_ota.fleet import JobOrder, Member

_NAMED = 100  # nodes that a job may name; more are a group
_GROUPS = "admin/node_group"
_GROUP = "group_id"


class Button:
    """The jobs of a fleet, ready to be started.

    Args:
        cloud: logged in.
        orders: the jobs, whose images go into the cloud now, unless they are there.
        members: the devices, by their names in that cloud.

    Raises:
        Refused: the cloud says no.
        Unreached: nobody answers.
    """

    def __init__(self, cloud: Cloud, orders: Sequence[JobOrder], members: Sequence[Member]) -> None:
        self._cloud = cloud
        self._ready = [(order, brought(cloud, order.image)) for order in orders]
        self._members = members

    def press(self) -> None:
        """Start all of them. Raises as above."""
        for order, image in self._ready:
            nodes = [member.node_id for member in self._members if member.kind.name in order.kinds]
            body: Json = {
                "ota_job_name": order.name,
                "metadata": dict(order.metadata),
                "priority": order.priority,
                "timeout": order.timeout,
                **({"nodes": nodes} if len(nodes) <= _NAMED else {"groups": [self._group(order, nodes)]}),
                **({} if order.plan == AT_ONCE else {"plan": order.plan.to_json()}),
            }
            query = {"force_push": "true"} if order.force_push else {}
            self._cloud.ask("POST", PATH, query, body=with_image(body, image))

    def _group(self, order: JobOrder, nodes: Sequence[str]) -> str:
        """A group of them, for they are more than a job may name."""
        answer = self._cloud.ask("POST", _GROUPS, body={"group_name": f"fleet: {order.name}", "nodes": nodes[:_NAMED]})
        group = text(answer, _GROUP)
        if not group:
            raise Unreached(f"{_GROUPS} answers without {_GROUP}: it is no RainMaker cloud, or another release of it")
        for start in range(_NAMED, len(nodes), _NAMED):
            more = {"operation": "add", "nodes": nodes[start : start + _NAMED]}
            self._cloud.ask("PUT", _GROUPS, {_GROUP: group}, body=more)
        return group
