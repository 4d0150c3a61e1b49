"""Webhooks, below the account: who is told of what happens, how that goes, and a letter to try it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse

from py_esp_ota.cloud.events import By, Kind
from py_esp_ota.cloud.refusals import CloudError
from py_esp_ota.cloud.web.show import link
from py_esp_ota.cloud.web.site import Site, go

PATH = "/account/webhooks"


def add_pages(router: APIRouter, site: Site) -> None:
    """``/account/webhooks`` and its buttons."""
    hooks = site.service.webhooks

    @router.get(PATH)
    async def webhooks(tried: str = "") -> HTMLResponse:
        return _page(tried=tried)

    @router.post(f"{PATH}/add")
    async def add(
        request: Request,
        url: Annotated[str, Form(max_length=2048)] = "",
        kinds: Annotated[str, Form(max_length=2000)] = "",
    ) -> HTMLResponse:
        try:
            made = hooks.add(url.strip(), kinds.replace(",", " ").split(), site.by(request))
        except CloudError as refused:
            return _page(refused, url=url, kinds=kinds)
        return _page(made=made)  # no redirect: the secret is shown this one time

    acts: dict[str, Callable[[str, By], object]] = {"test": hooks.test, "resume": hooks.resume, "delete": hooks.remove}

    @router.post(PATH + "/{webhook_id}/{act}")
    async def change(request: Request, webhook_id: str, act: str) -> Response:
        if act not in acts:
            return site.error(404, "There is no page at this address.")
        try:
            acts[act](webhook_id, site.by(request))
        except CloudError as refused:
            return _page(refused)
        return go(link(PATH, {"tried": webhook_id if act == "test" else ""}))

    def _page(
        refused: CloudError | None = None, *, made: Any = None, tried: str = "", url: str = "", kinds: str = ""
    ) -> HTMLResponse:
        return site.page(
            "webhooks.html",
            refused.refusal.http_status if refused else 200,
            hooks=[(hook, hooks.brought(hook.webhook_id)) for hook in hooks.all()],
            error=refused.description if refused else "",
            made=made,
            tried=tried,
            url=url,
            kinds=kinds,
            known=list(Kind),
        )
