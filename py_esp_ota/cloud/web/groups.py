"""Node Groups: the admins' groups, static and with a query, and a page for each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from py_esp_ota.cloud.group_rows import Scope
from py_esp_ota.cloud.group_rules import NAME_LIMIT, PRESENCE, TEXT_LIMIT, NodeQuery
from py_esp_ota.cloud.groups import GroupView
from py_esp_ota.cloud.live import Notice
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.web.live import Listing, Parts
from py_esp_ota.cloud.web.monitor import job_line
from py_esp_ota.cloud.web.show import link, pager, start_of, unlink
from py_esp_ota.cloud.web.site import Site, go

PAGE_SIZE = 25
JOBS = 20
EVERYBODY = Scope()
"""The page acts for a super admin."""
WORDS = {
    "node_type": "Type",
    "node_model": "Model",
    "node_fw_version": "Version",
    "node_tag": "Tag",
    "node_chip": "Chip",
    "node_project": "Project",
    "node_presence": "Presence",
}
"""What a query names, for people."""
_SHOWN = {"words": WORDS, "presence": PRESENCE, "name_limit": NAME_LIMIT, "text_limit": TEXT_LIMIT}


def add_pages(router: APIRouter, site: Site) -> None:
    """``/groups`` and what its forms do."""
    groups = site.service.groups

    @router.get("/groups")
    async def list_groups(q: str = "", trail: str = "", removed: str = "") -> HTMLResponse:
        at = site.views.at
        here = link("/groups", {"q": q, "trail": trail})
        return site.page("groups.html", **listed(q, trail), here=here, at=at, removed=removed)

    def listed(q: str = "", trail: str = "") -> dict[str, Any]:
        page = groups.find(EVERYBODY, search=q.strip(), start_id=start_of(trail), num_records=PAGE_SIZE)
        rows = [row for view in page.items for row in ([(0, view)] if q.strip() else _flat(view, 0))]
        return {"rows": rows, "pager": pager("/groups", {"q": q}, trail, page, PAGE_SIZE), "q": q, "words": WORDS}

    site.views.add(
        Listing.maker(
            "/groups", {"group", "node"}, ("q", "trail"), lambda **query: site.html("_groups.html", **listed(**query))
        )
    )

    @router.get("/groups/add")
    async def add_form(request: Request) -> HTMLResponse:
        return form(dict(request.query_params))

    @router.post("/groups/add")
    async def add(request: Request) -> Response:
        asked = await _fields(request)
        dynamic = asked.get("kind") == "query"
        try:
            group = groups.create(
                EVERYBODY,
                asked.get("group_name", "").strip(),
                description=asked.get("description", "").strip(),
                nodes=() if dynamic else asked.get("nodes", "").replace(",", " ").split(),
                query=_query_asked(asked) if dynamic else NodeQuery(),
                parent_group_id="" if dynamic else asked.get("parent_group_id", ""),
                mutually_exclusive=not dynamic and bool(asked.get("mutually_exclusive")),
                by=site.by(request),
            )
        except CloudError as refused:
            return form(asked, refused)
        return go(f"/groups/{group.group_id}")

    def form(asked: Mapping[str, str], refused: CloudError | None = None) -> HTMLResponse:
        every = groups.find(EVERYBODY, num_records=1000).items
        parents = [row for view in every for row in _flat(view, 0) if not row[1].group.query and row[0] < 2]
        try:
            count = groups.count(NodeQuery.of(asked))
        except CloudError:
            count = 0
        status = refused.refusal.http_status if refused else 200
        error = refused.description if refused else ""
        return site.page(
            "group_add.html", status, asked=asked, parents=parents, error=error, count=count, **_SHOWN, **choices()
        )

    def choices() -> dict[str, Any]:
        """What the query's fields propose."""
        versions = site.service.field.versions()
        return {
            "proposed": {
                "node_model": sorted({each.model for each in versions if each.model}),
                "node_fw_version": sorted({each.fw_version for each in versions if each.fw_version}),
            }
        }

    @router.get("/groups/count")
    async def count(request: Request) -> HTMLResponse:
        asked = dict(request.query_params)
        try:
            return site.page("_group_count.html", count=groups.count(NodeQuery.of(asked)), error="")
        except CloudError as refused:
            return site.page("_group_count.html", count=0, error=refused.description)

    @router.get("/groups/{group_id}")
    async def group_page(group_id: str, trail: str = "") -> HTMLResponse:
        return shown(group_id, trail)

    def shown(group_id: str, trail: str = "", refused: CloudError | None = None) -> HTMLResponse:
        at = site.views.at
        view = GroupSource(site, group_id, trail)
        status, error = (refused.refusal.http_status, refused.description) if refused else (200, "")
        return site.page(
            "group.html", status, **view.look(), here=view.address, at=at, error=error, **_SHOWN, **choices()
        )

    @router.post("/groups/{group_id}/{act}")
    async def change(request: Request, group_id: str, act: str) -> Response:
        asked, by = await _fields(request), site.by(request)
        nodes = asked.get("nodes", "").replace(",", " ").split()
        try:
            match act:
                case "edit":
                    query = _query_asked(asked) if groups.get(EVERYBODY, group_id).group.query else None
                    name, text = asked.get("group_name", "").strip(), asked.get("description", "").strip()
                    exclusive = bool(asked.get("mutually_exclusive"))
                    groups.change(
                        EVERYBODY,
                        group_id,
                        query=query,
                        group_name=name,
                        description=text,
                        mutually_exclusive=exclusive,
                        by=by,
                    )
                case "add":
                    groups.change(EVERYBODY, group_id, add=nodes, by=by)
                case "take":
                    groups.change(EVERYBODY, group_id, remove=nodes, by=by)
                case "regroup":
                    groups.regroup(EVERYBODY, group_id, by)
                case "delete":
                    name = groups.get(EVERYBODY, group_id).group.group_name
                    groups.remove(EVERYBODY, group_id, by)
                    return go(link("/groups", {"removed": name}))
                case _:
                    return site.error(404, "There is no page at this address.")
        except CloudError as refused:
            return shown(group_id, refused=refused)
        return go(f"/groups/{group_id}")

    def watched(address: str) -> GroupSource | None:
        path, query = unlink(address)
        _, room, group_id, *more = (path + "/").split("/", 3)
        if room != "groups" or group_id in {"", "add", "count"} or more != [""]:
            return None
        return GroupSource(site, group_id, query.get("trail", ""))

    site.views.add(watched)


class GroupSource:
    """What is live on a group's page: how many nodes it has, which, and its jobs."""

    def __init__(self, site: Site, group_id: str, trail: str) -> None:
        self._site = site
        self._group = group_id
        self._trail = trail
        self.address = link(f"/groups/{group_id}", {"trail": trail})

    def look(self) -> dict[str, Any]:
        """What the page shows. Raises ``CloudError`` (GROUP_UNKNOWN)."""
        service = self._site.service
        view = service.groups.get(EVERYBODY, self._group)
        page = service.groups.nodes(EVERYBODY, self._group, start_of(self._trail), PAGE_SIZE)
        nodes = service.nodes.find(among=page.items, num_records=PAGE_SIZE)
        parent = view.group.parent_group_id
        return {
            "view": view,
            "group": view.group,
            "query": view.group.query.to_json(),
            "parent": service.groups.get(EVERYBODY, parent).group if parent else None,
            "nodes": nodes.items,
            "pager": pager(f"/groups/{self._group}", {}, self._trail, page, PAGE_SIZE),
            "lines": [job_line(service, job) for job in service.groups.jobs(self._group, JOBS)],
        }

    def concerns(self, notice: Notice) -> bool:
        """See ``Source``. Any node may come to agree with a query."""
        return notice.kind in {"node", "job"} or notice.id == self._group

    def render(self, notices: Collection[Notice] | None) -> Parts:
        """See ``Source``."""
        del notices
        context = {**self.look(), "words": WORDS}
        return {
            "lead": self._site.html("_group_lead.html", **context),
            "nodes": self._site.html("_group_nodes.html", **context),
            "jobs": self._site.html("_image_jobs.html", **context),
        }


def _flat(view: GroupView, level: int) -> Iterator[tuple[int, GroupView]]:
    """A group and those below it, from above, with their level."""
    yield level, view
    for each in view.sub_groups:
        yield from _flat(each, level + 1)


def _query_asked(asked: Mapping[str, str]) -> NodeQuery:
    """The query in a form. Raises ``CloudError`` (GROUP_REFUSED): it has none."""
    query = NodeQuery.of({name: value.strip() for name, value in asked.items()})
    if not query:
        raise CloudError(Refusal.GROUP_REFUSED, "a query asks for something: fill in at least one of its fields")
    return query


async def _fields(request: Request) -> dict[str, str]:
    """A form; of equal names, as of boxes that are ticked, all values, with a blank between them."""
    found: dict[str, str] = {}
    for name, value in (await request.form()).multi_items():
        if isinstance(value, str):
            found[name] = f"{found[name]} {value}" if name in found else value
    return found
