"""``esp-ota cloud images``: firmware that jobs can bring to nodes."""

from __future__ import annotations

from pathlib import Path

import click

from py_esp_ota.cli.cloud.answers import Json, Refused, columns, number, text
from py_esp_ota.cli.cloud.firmware import ID, PATH, body_of, find, upload
from py_esp_ota.cli.cloud.options import cloud_of, moment, of_a_cloud
from py_esp_ota.cli.files import print_json, read_app
from py_esp_ota.cli.output import say

_SHOWN = ("ota_image_id", "image_name", "fw_version", "type", "model", "chip", "file_size", "file_md5")


@click.group("images")
def images() -> None:
    """Firmware images of a cloud."""


@images.command("upload")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--name", help="What one image is called; PROJECT-VERSION of its descriptor, without.")
@click.option("--version", "fw_version", help="Its version, in place of the descriptor's.")
@click.option("--type", help="The type of node that it is for, in place of the project's name.")
@click.option("--model", help="The model that it is for, in place of the project's name.")
@of_a_cloud
def upload_images(
    files: tuple[Path, ...],
    name: str | None,
    fw_version: str | None,
    type: str | None,  # noqa: A002 (the API's name)
    model: str | None,
    profile: str,
    as_json: bool,
) -> None:
    """Upload app images. All are judged here before the first one is sent."""
    if name and len(files) > 1:
        raise click.UsageError("--name is for one file")
    said = {"fw_version": fw_version, "type": type, "model": model}
    ready = [(file, body_of(read_app(file), name, **said)) for file in files]
    done: list[Json] = []
    with cloud_of(profile) as cloud:
        for file, body in ready:
            try:
                done.append({"file": str(file), **upload(cloud, body)})
            except Refused as error:
                raise error.about(str(file), images=done) from None
            if not as_json:
                say(f"{file}: {done[-1]['image_name']}, id {done[-1][ID]}")
    if as_json:
        print_json({"images": done})


@images.command("list")
@click.option("--name", help="Only those whose name has this in it.")
@click.option("--type", help="Only those for this type of node.")
@click.option("--model", help="Only those for this model.")
@click.option("--archived", is_flag=True, help="Those that are archived.")
@click.option("--all", "every", is_flag=True, help="Those that are archived, too.")
@of_a_cloud
def list_images(
    name: str | None,
    type: str | None,  # noqa: A002 (the API's name)
    model: str | None,
    archived: bool,
    every: bool,
    profile: str,
    as_json: bool,
) -> None:
    """Images, newest first."""
    asked = {"image_name": name, "contains": "true" if name else None, "type": type, "model": model}
    flags = {"archived": "true" if archived else None, "all": "true" if every else None}
    query = {key: value for key, value in {**asked, **flags}.items() if value}
    with cloud_of(profile) as cloud:
        found = list(cloud.pages(PATH, "ota_images", query))
    if as_json:
        print_json({"images": found})
        return
    head = ("ID", "NAME", "VERSION", "MODEL", "UPLOADED (UTC)", "")
    rows = [
        (
            *(text(each, key) for key in (ID, "image_name", "fw_version", "model")),
            moment(number(each, "upload_timestamp")),
            "archived" if each.get("archived") else "",
        )
        for each in found
    ]
    say(*columns([head, *rows]))


@images.command("show")
@click.argument("image", metavar="NAME|ID")
@of_a_cloud
def show_image(image: str, profile: str, as_json: bool) -> None:
    """One image."""
    with cloud_of(profile) as cloud:
        found = find(cloud, image)
    if as_json:
        print_json(found)
        return
    uploaded = ("uploaded (UTC)", moment(number(found, "upload_timestamp")))
    archived = ("archived", "yes" if found.get("archived") else "no")
    say(*columns([*((key, text(found, key)) for key in _SHOWN), uploaded, archived]))


@images.command("archive")
@click.argument("image", metavar="NAME|ID")
@click.option("--undo", is_flag=True, help="Bring it back.")
@of_a_cloud
def archive_image(image: str, undo: bool, profile: str, as_json: bool) -> None:
    """Put an image away: no job can be started with it until it is brought back."""
    with cloud_of(profile) as cloud:
        found = find(cloud, image)
        cloud.ask("PUT", PATH, {ID: text(found, ID), "archive": "false" if undo else "true"})
    if as_json:
        print_json({ID: text(found, ID), "image_name": text(found, "image_name"), "archived": not undo})
    else:
        say(f"{text(found, 'image_name')} is {'back' if undo else 'archived'}")


@images.command("delete")
@click.argument("image", metavar="NAME|ID")
@click.option("--force", is_flag=True, help="Also when cancelled jobs used it.")
@of_a_cloud
def delete_image(image: str, force: bool, profile: str, as_json: bool) -> None:
    """Delete an image that no job uses."""
    with cloud_of(profile) as cloud:
        found = find(cloud, image)
        cloud.ask("DELETE", PATH, {ID: text(found, ID), "force_delete": "true" if force else "false"})
    if as_json:
        print_json({ID: text(found, ID), "image_name": text(found, "image_name"), "deleted": True})
    else:
        say(f"{text(found, 'image_name')} is deleted")
