"""The JSON of RainMaker's resources, made from the cloud's values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from py_esp_ota.cloud.groups import GroupView
from py_esp_ota.cloud.images import StoredImage
from py_esp_ota.cloud.job_rows import JobView
from py_esp_ota.cloud.jobs import NodeState
from py_esp_ota.cloud.nodes import Node, NodeDetail
from py_esp_ota.cloud.roles import Act, NodeRole, Role, may
from py_esp_ota.cloud.sharing import NodeUsers, Offer
from py_esp_ota.cloud.store import Page

Item = TypeVar("Item")
Json = dict[str, Any]


def success(description: str, **fields: object) -> Json:
    """A success body."""
    return {"status": "success", "description": description, **fields}


def listing(key: str, page: Page[Item], shape: Callable[[Item], Any]) -> Json:
    """One page of a list; ``next_id`` is absent at the end."""
    body: Json = {key: [shape(item) for item in page.items], "total": page.total}
    if page.next_id is not None:
        body["next_id"] = page.next_id
    return body


def single(key: str, resources: Sequence[Json]) -> Json:
    """One resource found by its id: bare, and as a list for clients that expect one in every case."""
    bare = resources[0] if resources else {}
    return {**bare, key: list(resources), "total": len(resources)}


def user_json(user_id: str, user_name: str, role: Role) -> Json:
    """An account, as itself and as who manages accounts sees it."""
    return {
        "user_id": user_id,
        "user_name": user_name,
        "super_admin": role is Role.SUPER_ADMIN,
        "admin": may(role, Act.ADMINISTER),
        "email": user_name,
        "phone_number": "",
        "name": "",
        "picture_url": "",
        "mfa": False,
        "user_roles": [],
    }


def offer_json(offer: Offer) -> Json:
    """A sharing request."""
    return {
        "request_id": offer.request_id,
        "request_status": offer.request_status.value,
        "request_timestamp": offer.request_timestamp,
        "node_ids": list(offer.node_ids),
        "user_name": offer.user_name,
        "primary_user_name": offer.primary_user_name,
        "metadata": dict(offer.metadata),
    }


def node_users_json(users: NodeUsers) -> Json:
    """Who has a node. A secondary user learns who gave it, not who else got it."""
    names = {role.value: list(users.names[role]) for role in NodeRole}
    if users.mine is NodeRole.PRIMARY:
        return {"node_id": users.node_id, "users": names}
    return {"node_id": users.node_id, "users": {"primary": names["primary"]}, "sources": ["NODE"]}


def image_json(image: StoredImage, image_url: str) -> Json:
    """An image; the link in it is good for a day."""
    return {**asdict(image), "image_url": image_url}


def job_json(view: JobView) -> Json:
    """A job with its counts."""
    job = view.job
    return {
        "ota_job_id": job.ota_job_id,
        "ota_job_name": job.ota_job_name,
        "ota_image_id": job.ota_image_id,
        "fw_version": job.fw_version,
        "status": view.status.value,
        "total_count": view.summary["total"],
        "completed_count": view.summary["success"],
        "rejected_count": view.summary["rejected"],
        "failed_count": view.summary["failed"],
        "triggered_timestamp": job.triggered_timestamp,
        "cancelled_timestamp": job.cancelled_timestamp,
        "nodes": list(job.nodes),
        "groups": list(job.groups),
        "archived": job.archived,
        "metadata": dict(job.metadata),
        "description": job.description,
        "priority": job.priority,
        "timeout": job.timeout,
        "force_push": job.force_push,
        "user_approval": job.user_approval,
        "notify_flag": job.notify,
        "continuous": job.continuous,
        "network_serialised": job.network_serialised,
        "plan": job.plan.to_json(),
        "campaign": {
            "state": view.state.value,
            "why": job.progress.why,
            "at_gate": job.progress.at_gate,
            "gate_met": job.progress.gate_met > 0,
            "phase": job.progress.phase + 1,
            "phases": list(job.sizes),
            "released": job.progress.released,
        },
    }


def node_state_json(state: NodeState) -> Json:
    """What became of a job on one node."""
    return {
        "node_id": state.node_id,
        "status": state.status.value,
        "timestamp": state.timestamp,
        "additional_info": state.additional_info,
    }


def connectivity_json(node: Node) -> Json:
    """Whether a node is connected, and since when it is or is not."""
    return {"connectivity": {"connected": node.connected, "timestamp": node.connectivity_timestamp}}


def node_info_json(node: Node) -> Json:
    """A node as an admin sees it."""
    return {
        "node_id": node.node_id,
        "name": node.name,
        "type": node.type,
        "model": node.model,
        "fw_version": node.fw_version,
        "node_status": "online" if node.connected else "offline",
        "registration_timestamp": node.registration_timestamp,
        "status": connectivity_json(node),
    }


def node_detail_json(detail: NodeDetail, *, status: bool, config: bool, params: bool) -> Json:
    """A node as its user sees it; each of the three large parts can be left out."""
    body: Json = {
        "id": detail.node.node_id,
        "node_type": detail.node.type,
        "role": detail.role.value,
        "primary": detail.role is NodeRole.PRIMARY,
        "tags": list(detail.tags),
        "metadata": dict(detail.metadata),
        "mapping_timestamp": detail.mapping_timestamp,
    }
    if status:
        body["status"] = connectivity_json(detail.node)
    if config:
        body["config"] = dict(detail.config)
    if params:
        body["params"] = dict(detail.params)
    return body


def group_json(view: GroupView, *, sub_groups: bool) -> Json:
    """A group, how many nodes it has, and the groups below it as far as they are wanted."""
    group = view.group
    body = {
        "group_id": group.group_id,
        "group_name": group.group_name,
        "parent_group_id": group.parent_group_id,
        "type": group.type,
        "description": group.description,
        "mutually_exclusive": group.mutually_exclusive,
        "is_matter": group.is_matter,
        "group_query": group.query.to_json(),
        "custom_data": dict(group.custom_data),
        "group_metadata": dict(group.group_metadata),
        "total": view.total,
    }
    below = [group_json(each, sub_groups=True) for each in view.sub_groups] if sub_groups else []
    return {**body, "sub_groups": below} if sub_groups else body
