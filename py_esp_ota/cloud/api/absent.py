"""The calls of RainMaker that this cloud does not serve. Each is answered 501, with a sentence that names it.

The gateway's ``Missing Authentication Token``, which a mistyped path gets, would say nothing to who calls what exists
elsewhere. Nothing of such a request is looked at but its token.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from fastapi import Request, Response
from starlette.routing import BaseRoute, Route

from py_esp_ota.cloud.api.auth import identify, only_admin
from py_esp_ota.cloud.refusals import CloudError, Refusal


class Call(NamedTuple):
    """One call: its method, its path below ``/v1``, what it is, where it is documented."""

    method: str
    path: str
    what: str
    source: str


SWAGGER = "swagger 1.1.17"
NEWER = "swagger 3, as clients have it"
CLI = "official CLI 1.14.1"
ADMIN_CLI = "official admin CLI"
APP = "Android app and TypeScript SDK"

ABSENT = [
    Call("POST", "logout", "logout of the first user pool", SWAGGER),
    Call("PUT", "forgotpassword", "a forgotten password of the first user pool", SWAGGER),
    Call("PUT", "password", "a new password in the first user pool", SWAGGER),
    Call("PUT", "password2", "a new password for who knows the old one", SWAGGER),
    Call("PUT", "user", "the name of a user of the first user pool", SWAGGER),
    Call("PUT", "user2", "name and phone number of a user", SWAGGER),
    Call("DELETE", "user", "the end of an account of the first user pool", SWAGGER),
    Call("POST", "user/assume_role", "AWS credentials of a user, for video streams", CLI),
    Call("GET", "user/custom_data", "what an app keeps for a user", SWAGGER),
    Call("PUT", "user/custom_data", "what an app keeps for a user", SWAGGER),
    Call("GET", "user/nodes/cmd", "commands to nodes, and what they answered", CLI),
    Call("POST", "user/nodes/cmd", "a command to nodes", CLI),
    Call("GET", "user/nodes/tsdata", "time series of parameters", SWAGGER),
    Call("POST", "user/nodes/mapping/initiate", "mapping by challenge and response", CLI),
    Call("POST", "user/nodes/mapping/verify", "mapping by challenge and response", CLI),
    Call("POST", "user/nodes/{node_id}/proxy/params", "parameters that a phone brings from a node", CLI),
    Call("POST", "user/nodes/{node_id}/proxy/initparams", "first parameters that a phone brings from a node", CLI),
    Call("POST", "user/nodes/{node_id}/proxy/config", "a node's config that a phone brings", CLI),
    Call("GET", "user/node_group/sharing", "who shares a group", CLI),
    Call("PUT", "user/node_group/sharing", "sharing a group with a user", CLI),
    Call("DELETE", "user/node_group/sharing", "the end of sharing a group", CLI),
    Call("GET", "user/node_group/sharing/requests", "requests to share a group", CLI),
    Call("PUT", "user/node_group/sharing/requests", "the answer to a request to share a group", CLI),
    Call("DELETE", "user/node_group/sharing/requests", "taking back a request to share a group", CLI),
    Call("GET", "user/node_automation", "automations", CLI),
    Call("POST", "user/node_automation", "a new automation", CLI),
    Call("PUT", "user/node_automation", "a change of an automation", CLI),
    Call("DELETE", "user/node_automation", "the end of an automation", CLI),
    Call("GET", "user/event_filter", "which events a user hears of", SWAGGER),
    Call("POST", "user/event_filter", "which events a user hears of", SWAGGER),
    Call("PUT", "user/event_filter", "which events a user hears of", SWAGGER),
    Call("DELETE", "user/event_filter", "which events a user hears of", SWAGGER),
    Call("GET", "user/push_notification/mobile_platform_endpoint", "phones that get notifications", SWAGGER),
    Call("POST", "user/push_notification/mobile_platform_endpoint", "a phone that gets notifications", SWAGGER),
    Call("DELETE", "user/push_notification/mobile_platform_endpoint", "a phone that gets no notifications", SWAGGER),
    Call("GET", "user/file/upload_request", "a link to upload a file of an end user to", APP),
    Call("POST", "user/file/upload_confirm", "the end of the upload of an end user's file", APP),
    Call("GET", "user/file", "files of an end user", APP),
    Call("DELETE", "user/file", "the end of an end user's file", APP),
    Call("GET", "admin/user", "users of the first user pool", SWAGGER),
    Call("POST", "admin/user", "a new user of the first user pool", SWAGGER),
    Call("PUT", "admin/user", "what a user of the first user pool may do", SWAGGER),
    Call("DELETE", "admin/user", "the end of a user of the first user pool", SWAGGER),
    Call("GET", "admin/user_role", "the roles of a user", SWAGGER),
    Call("PUT", "admin/user_role", "the roles of a user", SWAGGER),
    Call("GET", "admin/role", "roles", SWAGGER),
    Call("POST", "admin/role", "a new role", SWAGGER),
    Call("PUT", "admin/role", "a change of a role", SWAGGER),
    Call("DELETE", "admin/role", "the end of a role", SWAGGER),
    Call("GET", "admin/policy", "policies of roles", SWAGGER),
    Call("POST", "admin/policy", "a new policy of roles", SWAGGER),
    Call("PUT", "admin/policy", "a change of a policy of roles", SWAGGER),
    Call("DELETE", "admin/policy", "the end of a policy of roles", SWAGGER),
    Call("GET", "admin/rainmaker_deployment_details", "the state of a deployment on AWS", ADMIN_CLI),
    Call("GET", "admin/api_paths_method", "the calls that roles are made of", ADMIN_CLI),
    Call("GET", "admin/api_paths_methods", "the calls that roles are made of", SWAGGER),
    Call("GET", "admin/stats_info", "numbers of users and nodes over time", SWAGGER),
    Call("POST", "admin/stats_init", "the first numbers of users and nodes", SWAGGER),
    Call("GET", "admin/mail_failures", "mails that were not sent", SWAGGER),
    Call("GET", "admin/custom_data", "what an app keeps for a user", SWAGGER),
    Call("PUT", "admin/custom_data", "what an app keeps for a user", SWAGGER),
    Call("GET", "admin/common_custom_data", "what an app keeps for all users", SWAGGER),
    Call("PUT", "admin/common_custom_data", "what an app keeps for all users", SWAGGER),
    Call("GET", "admin/deployment_settings/{service}", "settings of a service of the deployment", SWAGGER),
    Call("PUT", "admin/deployment_settings/config/{service}", "settings of a service of the deployment", SWAGGER),
    Call("PUT", "admin/deployment_settings/backup/{service}", "a copy of a service's settings", SWAGGER),
    Call("PUT", "admin/deployment_settings/restore/{service}", "a service's settings as they were", SWAGGER),
    Call("PUT", "admin/nodes", "switching a node's certificate on or off", SWAGGER),
    Call("GET", "admin/nodes/cmd", "commands to nodes, and what they answered", SWAGGER),
    Call("POST", "admin/nodes/cmd", "a command to nodes", SWAGGER),
    Call("GET", "admin/otaimage/package/upload", "a link to upload a package of images to", NEWER),
    Call("POST", "admin/otaimage/package", "a package of images", NEWER),
    Call("GET", "admin/event_filter", "which events an integration hears of", SWAGGER),
    Call("POST", "admin/event_filter", "which events an integration hears of", SWAGGER),
    Call("PUT", "admin/event_filter", "which events an integration hears of", SWAGGER),
    Call("DELETE", "admin/event_filter", "which events an integration hears of", SWAGGER),
    Call("GET", "admin/system_event_filter", "which events of the deployment are told", SWAGGER),
    Call("PUT", "admin/system_event_filter", "which events of the deployment are told", SWAGGER),
    Call("GET", "admin/webhook_integration", "webhooks", SWAGGER),
    Call("POST", "admin/webhook_integration", "a new webhook", SWAGGER),
    Call("PUT", "admin/webhook_integration", "a change of a webhook", SWAGGER),
    Call("DELETE", "admin/webhook_integration", "the end of a webhook", SWAGGER),
    Call("GET", "admin/webhook_event_mapping", "which event goes to which webhook", SWAGGER),
    Call("PUT", "admin/webhook_event_mapping", "which event goes to which webhook", SWAGGER),
    Call("DELETE", "admin/webhook_event_mapping", "which event goes to which webhook", SWAGGER),
    Call("GET", "admin/webhook_user_node_integration", "webhooks of users and nodes", SWAGGER),
    Call("POST", "admin/webhook_user_node_integration", "a new webhook of users or nodes", SWAGGER),
    Call("PUT", "admin/webhook_user_node_integration", "a change of a webhook of users or nodes", SWAGGER),
    Call("DELETE", "admin/webhook_user_node_integration", "the end of a webhook of users or nodes", SWAGGER),
    Call("GET", "admin/push_notification/mobile_platform", "notification services of phones", SWAGGER),
    Call("POST", "admin/push_notification/mobile_platform", "a new notification service", SWAGGER),
    Call("DELETE", "admin/push_notification/mobile_platform", "the end of a notification service", SWAGGER),
    Call("GET", "admin/push_notification/custom_message_template", "texts of notifications", SWAGGER),
    Call("POST", "admin/push_notification/custom_message_template", "a new text of notifications", SWAGGER),
    Call("PUT", "admin/push_notification/custom_message_template", "a change of a text of notifications", SWAGGER),
    Call("POST", "admin/push_notification/publish_message", "a message to phones", SWAGGER),
    Call("GET", "admin/mqtt_host", "where nodes connect, for an admin", ADMIN_CLI),
    Call("GET", "admin/node_ids", "node ids that were asked for", ADMIN_CLI),
    Call("POST", "admin/node_ids", "new node ids", ADMIN_CLI),
    Call("GET", "admin/node_certificates/register", "the registration of certificates", ADMIN_CLI),
    Call("POST", "admin/node_certificates/register", "the registration of certificates", ADMIN_CLI),
    Call("POST", "claim/initiate", "the begin of a node's claiming", CLI),
    Call("POST", "claim/verify", "the end of a node's claiming", CLI),
    Call("GET", "node/otafetch", "a node's question for an update, over HTTPS", NEWER),
    Call("POST", "node/otastatus", "a node's report on an update, over HTTPS", NEWER),
    Call("GET", "node/config", "a node's config, over HTTPS", NEWER),
    Call("POST", "node/config", "a node's config, over HTTPS", NEWER),
    Call("GET", "node/params/local", "a node's parameters, over HTTPS", NEWER),
    Call("POST", "node/params/local", "a node's parameters, over HTTPS", NEWER),
]
"""Ordered by who calls: a user, an admin, who claims, a node. A call that comes to be served leaves this list."""

_OPEN = ("claim/", "node/", "forgotpassword")  # who calls these has no access token


async def _answer(call: Call, request: Request) -> Response:
    if not call.path.startswith(_OPEN):
        user = identify(request)
        if call.path.startswith("admin/"):
            only_admin(user)
    sentence = f"{call.method} /v1/{call.path} ({call.what}) is a call of RainMaker that this cloud does not serve"
    raise CloudError(Refusal.NOT_SERVED, sentence)


def _routes() -> Iterator[BaseRoute]:
    # Plain routes: the framework's own would look for parameters in each, and the document is of what is served.
    for call in ABSENT:
        route = Route(f"/v1/{call.path}", partial(_answer, call), methods=[call.method], include_in_schema=False)
        route.methods = {call.method}  # without the HEAD that comes with GET
        yield route


ROUTES = list(_routes())
"""To stand behind all that is served."""
