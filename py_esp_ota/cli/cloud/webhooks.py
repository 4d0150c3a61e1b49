"""``esp-ota cloud webhooks``: who is told of what happens."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from py_esp_ota.cli.cloud.answers import Json, Refused, columns, listed, number, text
from py_esp_ota.cli.cloud.options import Duration, cloud_of, of_a_cloud
from py_esp_ota.cli.files import print_json
from py_esp_ota.cli.output import say

if TYPE_CHECKING:
    from py_esp_ota.cli.cloud.client import Cloud

PATH = "local/webhooks"
_LOOK_S = 0.2


@click.group("webhooks")
def webhooks() -> None:
    """URLs that are told of what happens in a cloud."""


@webhooks.command("list")
@of_a_cloud
def list_webhooks(profile: str, as_json: bool) -> None:
    """Who is told of what, and how that goes."""
    with cloud_of(profile) as cloud:
        found = listed(cloud.ask("GET", PATH), "webhooks", PATH)
    if as_json:
        print_json({"webhooks": found})
        return
    rows = [("ID", "EVENTS", "STATE", "URL")]
    for hook in found:
        state = "on" if hook.get("active") else "given up"
        waits = f", {text(hook, 'waiting')} wait: {text(hook, 'last_answer')}" if hook.get("tries") else ""
        kinds = ",".join(str(kind) for kind in hook.get("kinds") or ()) or "all"
        rows.append((text(hook, "webhook_id"), kinds, f"{state}{waits}", text(hook, "url")))
    say(*columns(rows))


@webhooks.command("add")
@click.argument("url")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help='As job_aborted or "job_*"; can be said again.')
@of_a_cloud
def add(url: str, kinds: tuple[str, ...], profile: str, as_json: bool) -> None:
    """Tell URL of what happens from now on. Prints the secret that its letters are signed with, this one time."""
    with cloud_of(profile) as cloud:
        answer = cloud.ask("POST", PATH, body={"url": url, "kinds": list(kinds)})
    if as_json:
        print_json(answer)
    else:
        say(f"webhook {text(answer, 'webhook_id')}", f"secret  {text(answer, 'secret')}")


@webhooks.command("resume")
@click.argument("webhook")
@of_a_cloud
def resume(webhook: str, profile: str, as_json: bool) -> None:
    """Try again with one that was given up."""
    with cloud_of(profile) as cloud:
        answer = cloud.ask("POST", f"{PATH}/resume", {"webhook_id": webhook})
    if as_json:
        print_json(answer)
    else:
        say(f"webhook {webhook} is tried again")


@webhooks.command("test")
@click.argument("webhook")
@click.option("--within", type=Duration(), default=30, show_default=True, help="How long its answer is waited for.")
@of_a_cloud
def test(webhook: str, within: int, profile: str, as_json: bool) -> None:
    """Send a letter to one, and say what it answers; 1 when it does not take it."""
    with cloud_of(profile) as cloud:
        event = number(cloud.ask("POST", f"{PATH}/test", {"webhook_id": webhook}), "number")
        until = time.monotonic() + within
        brought = _brought(cloud, webhook, event)
        while brought is None and time.monotonic() < until:
            time.sleep(_LOOK_S)
            brought = _brought(cloud, webhook, event)
    if brought is None:
        raise Refused(
            f"webhook {webhook} has not had it within {within} s: letters before it wait, or the server is busy"
        )
    arrived, answer = brought.get("arrived") is True, text(brought, "answer")
    if as_json:
        print_json({"webhook_id": webhook, "arrived": arrived, "answer": answer})
    else:
        say(f"webhook {webhook} {'took it' if arrived else 'did not take it'}: {answer}")
    if not arrived:
        raise SystemExit(1)


def _brought(cloud: Cloud, webhook: str, event: int) -> Json | None:
    """What came of the letter that has the event, or of one before it that nobody takes."""
    for hook in listed(cloud.ask("GET", PATH), "webhooks", PATH):
        if text(hook, "webhook_id") == webhook:
            for letter in listed(hook, "letters", PATH):
                if number(letter, "last") >= event or letter.get("arrived") is False:
                    return letter
                break  # the newest; those before it do not count
    return None


@webhooks.command("remove")
@click.argument("webhook")
@of_a_cloud
def remove(webhook: str, profile: str, as_json: bool) -> None:
    """Tell somebody no more."""
    with cloud_of(profile) as cloud:
        answer = cloud.ask("DELETE", PATH, {"webhook_id": webhook})
    if as_json:
        print_json(answer)
    else:
        say(f"webhook {webhook} is removed")
