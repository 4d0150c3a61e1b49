"""Each event as one sentence, for who reads what happened. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from py_esp_ota.cloud.events import Actor, Event, Kind

ROLES = {
    Actor.NODE: "node",
    Actor.ADMIN: "admin",
    Actor.USER: "user",
    Actor.CLOUD: "the cloud",
    Actor.CLOCK: "the clock",
}


def who(event: Event) -> str:
    """Who did it: ``admin ann``, ``node n1``, ``the cloud``."""
    return f"{ROLES[event.by.actor]} {event.by.who}".strip()


def sentence(event: Event) -> str:
    """What happened, in words; ids are named as they are, what was said is quoted."""
    said = _SENTENCES[event.kind]
    return said(event, event.data) if callable(said) else said


def _quoted(data: Mapping[str, Any], key: str) -> str:
    return f"“{data.get(key, '')}”"


def _released(_event: Event, data: Mapping[str, Any]) -> str:
    return f"The turn of {data['released']} nodes has come, phase {data['phase'] + 1}"


def _reported(event: Event, data: Mapping[str, Any]) -> str:
    return f"Node {event.node_id} reported {data['status']}: {_quoted(data, 'additional_info')}"


def _created(_event: Event, data: Mapping[str, Any]) -> str:
    return f"Job {_quoted(data, 'ota_job_name')} was started for {len(data['targets'])} nodes"


def _timed_out(event: Event, data: Mapping[str, Any]) -> str:
    return f"Node {event.node_id} had its time: {_quoted(data, 'additional_info')}"


def _of_node(words: str) -> Callable[[Event, Mapping[str, Any]], str]:
    return lambda event, _data: words.format(node=f"Node {event.node_id}", user=event.user_name or "a user")


def _of_image(words: str) -> Callable[[Event, Mapping[str, Any]], str]:
    return lambda event, data: words.format(f"Image “{data.get('image_name', event.ota_image_id)}”")


def _of_group(words: str) -> Callable[[Event, Mapping[str, Any]], str]:
    return lambda _event, data: words.format(f"Group “{data.get('group_name', data.get('group_id', ''))}”")


def _of_webhook(words: str) -> Callable[[Event, Mapping[str, Any]], str]:
    return lambda _event, data: words.format(f"Webhook {data.get('webhook_id', '')}", data.get("url", ""))


def _of_user(words: str) -> Callable[[Event, Mapping[str, Any]], str]:
    return lambda event, _data: words.format(event.user_name or event.by.who or "somebody")


def _why(words: str) -> Callable[[Event, Mapping[str, Any]], str]:
    return lambda _event, data: f"{words}: {data.get('why', '')}"


_SENTENCES: Mapping[Kind, str | Callable[[Event, Mapping[str, Any]], str]] = {
    Kind.JOB_CREATED: _created,
    Kind.JOB_CANCELLED: "The job was cancelled",
    Kind.JOB_ARCHIVED: "The job went to the archive",
    Kind.JOB_UNARCHIVED: "The job came back from the archive",
    Kind.JOB_DELETED: lambda _event, data: f"Job {_quoted(data, 'ota_job_name')} was deleted",
    Kind.RELEASED: _released,
    Kind.GATE_MET: lambda _event, data: f"Phase {data['phase'] + 1} has met its gate",
    Kind.JOB_PAUSED: _why("The job paused"),
    Kind.JOB_RESUMED: "The job was resumed",
    Kind.JOB_ABORTED: _why("The job aborted itself"),
    Kind.JOB_ENDED: "The job's time was over",
    Kind.URL_SENT: _of_node("{node} was sent the URL"),
    Kind.URL_WITHDRAWN: _of_node("{node} was not sent the URL after all"),
    Kind.REPORTED: _reported,
    Kind.UP_TO_DATE: _of_node("{node} asked and runs the version already"),
    Kind.APPROVED: _of_node("The update of {node} was approved"),
    Kind.EXPIRED: _timed_out,
    Kind.TIMED_OUT: _timed_out,
    Kind.GIVEN_UP: _of_node("{node} failed and did not ask again"),
    Kind.SILENT: _of_node("{node} has the URL and does not answer"),
    Kind.HELD_BACK: _of_node("{node} asked before its turn"),
    Kind.RETRIED: _of_node("{node} begins anew"),
    Kind.NODE_ADDED: _of_node("{node} joined the job"),
    Kind.JOIN_REFUSED: lambda event, data: f"Node {event.node_id} did not join the job: {data.get('why', '')}",
    Kind.USERS_NOTIFIED: _of_node("The users of {node} were told that an update waits"),
    Kind.IMAGE_UPLOADED: _of_image("{} was uploaded"),
    Kind.IMAGE_ARCHIVED: _of_image("{} went to the archive"),
    Kind.IMAGE_UNARCHIVED: _of_image("{} came back from the archive"),
    Kind.IMAGE_DELETED: _of_image("{} was deleted"),
    Kind.NODE_JOINED: _of_node("{node} was heard of for the first time"),
    Kind.NODE_MAPPED: _of_node("{node} got {user} as its user"),
    Kind.NODE_UNMAPPED: _of_node("{node} lost {user} as its user"),
    Kind.NODE_OFFERED: _of_user("Nodes were offered to {}"),
    Kind.NODE_SHARED: _of_node("{node} was shared with {user}"),
    Kind.NODE_UNSHARED: _of_node("{node} is no longer shared with {user}"),
    Kind.NODE_CLAIMED: _of_node("{node} was claimed for {user}"),
    Kind.NODE_FORGOTTEN: _of_node("{node} was removed"),
    Kind.BOARD_NOTED: _of_node("What is known of the board of {node} was noted"),
    Kind.GROUP_CREATED: _of_group("{} was made"),
    Kind.GROUP_CHANGED: _of_group("{} was changed"),
    Kind.GROUP_DELETED: _of_group("{} was deleted"),
    Kind.WEBHOOK_CREATED: _of_webhook("{} tells {} of what happens"),
    Kind.WEBHOOK_CHANGED: _of_webhook("{} was switched on or off"),
    Kind.WEBHOOK_DELETED: _of_webhook("{} was deleted"),
    Kind.WEBHOOK_TESTED: _of_webhook("{} was sent a letter to try it"),
    Kind.SIGNED_UP: _of_user("{} signed up"),
    Kind.CONFIRMED: _of_user("{} confirmed the account"),
    Kind.LOGGED_IN: _of_user("{} logged in"),
    Kind.LOGIN_REFUSED: _of_user("A login of {} was refused"),
    Kind.LOGGED_OUT: _of_user("{} logged out"),
    Kind.ROLE_CHANGED: _of_user("The role of {} was changed"),
    Kind.ACCOUNT_DELETED: _of_user("The account of {} was deleted"),
    Kind.PASSWORD_RESET: _of_user("{} has a new password"),
}
