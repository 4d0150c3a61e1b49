"""Start OTA: which nodes get an image, how, and, before anything is sent, which of them will not take it.

Nothing is started that was not foretold: the button sends along which preview stood on the page, and where that is
none, or something has changed since, the page comes back with the present one.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from py_esp_ota.cloud.jobs import MAX_NODES
from py_esp_ota.cloud.new_job import JOB_NAME_LIMIT
from py_esp_ota.cloud.preview import Certainty
from py_esp_ota.cloud.previews import Preview
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.web.rehearse import planned
from py_esp_ota.cloud.web.show import hints
from py_esp_ota.cloud.web.site import Site, by_htmx, go
from py_esp_ota.cloud.web.start_form import ADVANCED, FIELDS, ROLLOUT, TEXTS, StartForm, Wrong, options_of, wrong_of

LISTED = 500
"""Nodes offered one by one; more than anybody ticks, and a job names at most 100."""
SHOWN = 10
"""Nodes that the page of one reason lists at once."""
CHANGED = "Something has changed since the preview that you saw: look at this one, and press again."

TONES = {
    Certainty.WILL_REFUSE: "failed",
    Certainty.MAY_REFUSE: "delayed",
    Certainty.UNKNOWN: "delayed",
    Certainty.WAITS: "triggered",
    Certainty.NOTHING_TO_DO: "success",
    Certainty.RISK: "delayed",
}


def add_pages(router: APIRouter, site: Site) -> None:
    """``/images/<id>/start``: the form, its preview, its rehearsal, and what it does."""
    service = site.service

    @router.get("/images/{ota_image_id}/start")
    async def start_form(request: Request, ota_image_id: str) -> HTMLResponse:
        image = service.images.get(ota_image_id)
        form = StartForm.read(request.query_params.getlist)
        if "job_name" not in request.query_params:
            name = f"{image.model} {image.fw_version}"[:JOB_NAME_LIMIT]
            form = StartForm(texts={**form.texts, "job_name": name}, nodes=form.nodes, groups=form.groups)
        return _page(ota_image_id, form, q=request.query_params.get("q", ""))

    @router.post("/images/{ota_image_id}/start")
    async def start(request: Request, ota_image_id: str) -> Response:
        form = await _read(request)
        try:
            found = _look(ota_image_id, form)
            if form.seen != mark_of(found):
                return _page(ota_image_id, form, found, changed=bool(form.seen))
            name, by = form.texts["job_name"].strip(), site.by(request)
            view = service.jobs.create(name, ota_image_id, by=by, **options_of(form))
        except CloudError as refused:
            return _page(ota_image_id, form, refused=refused)
        return go(f"/jobs/{view.job.ota_job_id}")

    @router.post("/images/{ota_image_id}/start/preview")
    async def preview(request: Request, ota_image_id: str) -> Response:
        form = await _read(request)
        found, refused = None, None
        try:
            if not (by_htmx(request) and form.aims_at_nothing):  # somebody who still fills it in is not told off
                found = _look(ota_image_id, form)
        except CloudError as error:
            refused = error
        if not by_htmx(request):
            return _page(ota_image_id, form, found, refused=refused)
        return site.page("_foretold.html", **_foretold(form, found, refused), alone=True)

    @router.post("/images/{ota_image_id}/start/rehearse")
    async def rehearse(request: Request, ota_image_id: str) -> Response:
        form = await _read(request)
        try:
            return await planned(site, request, form.texts["job_name"].strip(), ota_image_id, options_of(form))
        except CloudError as refused:
            return _page(ota_image_id, form, refused=refused)

    def _look(ota_image_id: str, form: StartForm) -> Preview:
        name = form.texts["job_name"].strip()
        return service.previews.preview(name, ota_image_id, num_records=SHOWN, **options_of(form))

    def _page(
        ota_image_id: str,
        form: StartForm,
        found: Preview | None = None,
        *,
        refused: CloudError | None = None,
        changed: bool = False,
        q: str = "",
    ) -> HTMLResponse:
        try:
            image = service.images.get(ota_image_id)
        except CloudError as gone:
            return site.error(
                gone.refusal.http_status, "This image is not there any more, so that nothing was started."
            )
        if refused is not None and refused.refusal is Refusal.WRONG_CHIP:
            found = _look(ota_image_id, form)
        page = service.nodes.find(search=q.strip(), num_records=LISTED)
        listed = {node.node_id: node for node in page.items}
        missing = [node_id for node_id in form.nodes[:MAX_NODES] if node_id not in listed]
        ticked = service.nodes.find(among=missing).items if missing else []
        return site.page(
            "start.html",
            refused.refusal.http_status if refused else 200,
            image=image,
            offers=[(node, hints(node, image)) for node in [*ticked, *page.items]],
            total=service.nodes.count(),
            found_total=page.total,
            q=q,
            groups=service.previews.groups(),
            job_name_limit=JOB_NAME_LIMIT,
            max_nodes=MAX_NODES,
            rollout=not form.folded(ROLLOUT, ("confirm",)),
            advanced=not form.folded(ADVANCED, ("continuous", "network_serialised", "host_mcu")),
            changed=CHANGED if changed else "",
            **_foretold(form, found, refused),
            alone=False,
        )


async def _read(request: Request) -> StartForm:
    sent = await request.form(max_files=0, max_fields=1000)
    return StartForm.read(lambda name: [value for value in sent.getlist(name) if isinstance(value, str)])


def _foretold(form: StartForm, found: Preview | None, refused: CloudError | None) -> dict[str, Any]:
    """What the templates need of a form and its preview."""
    wrong = wrong_of(refused) if refused else Wrong("", "")
    if refused is not None and refused.refusal is Refusal.WRONG_CHIP:
        wrong = Wrong("", "")  # the preview says it, and how to do it all the same
    return {
        "form": form,
        "fields": FIELDS,
        "first": TEXTS,
        "found": found,
        "mark": mark_of(found) if found else "",
        "wrong": wrong,
        "tones": TONES,
    }


def mark_of(found: Preview) -> str:
    """What a preview says in short: another mark means that whoever saw it has not seen this."""
    refusing = [f"{each.obstacle.reason}={each.count}" for each in found.reasons if each.obstacle.refused_by]
    return ":".join([str(found.total), ",".join(refusing), found.earlier])
