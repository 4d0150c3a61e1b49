"""Every call of RainMaker's HTTP API that a document or a client of it names, served here or not.

From swagger 1.1.17, the calls of the official CLI 1.14.1 and of the admin CLI, and what newer clients send.
"""

from __future__ import annotations

_CALLS = """
/apiversions                                     GET
/mqtt_host                                       GET
login                                            POST
login2                                           POST
logout                                           POST
logout2                                          POST
forgotpassword                                   PUT
forgotpassword2                                  PUT
password                                         PUT
password2                                        PUT
user                                             GET POST PUT DELETE
user2                                            GET POST PUT DELETE
user/assume_role                                 POST
user/custom_data                                 GET PUT
user/event_filter                                GET POST PUT DELETE
user/file                                        GET DELETE
user/file/upload_request                         GET
user/file/upload_confirm                         POST
user/node_automation                             GET POST PUT DELETE
user/node_group                                  GET POST PUT DELETE
user/node_group/sharing                          GET PUT DELETE
user/node_group/sharing/requests                 GET PUT DELETE
user/nodes                                       GET PUT DELETE
user/nodes/cmd                                   GET POST
user/nodes/config                                GET
user/nodes/mapping                               GET PUT
user/nodes/mapping/initiate                      POST
user/nodes/mapping/verify                        POST
user/nodes/ota_status                            GET
user/nodes/ota_update                            GET POST
user/nodes/params                                GET PUT
user/nodes/sharing                               GET PUT DELETE
user/nodes/sharing/requests                      GET PUT DELETE
user/nodes/status                                GET
user/nodes/tsdata                                GET
user/nodes/{node_id}/proxy/config                POST
user/nodes/{node_id}/proxy/initparams            POST
user/nodes/{node_id}/proxy/params                POST
user/otaimage                                    POST
user/push_notification/mobile_platform_endpoint  GET POST DELETE
admin/api_paths_method                           GET
admin/api_paths_methods                          GET
admin/common_custom_data                         GET PUT
admin/custom_data                                GET PUT
admin/deployment_settings/{service}              GET
admin/deployment_settings/backup/{service}       PUT
admin/deployment_settings/config/{service}       PUT
admin/deployment_settings/restore/{service}      PUT
admin/event_filter                               GET POST PUT DELETE
admin/mail_failures                              GET
admin/mqtt_host                                  GET
admin/node_certificates/register                 GET POST
admin/node_group                                 GET POST PUT DELETE
admin/node_ids                                   GET POST
admin/nodes                                      GET PUT
admin/nodes/cmd                                  GET POST
admin/otaimage                                   GET POST PUT DELETE
admin/otaimage/package                           POST
admin/otaimage/package/upload                    GET
admin/otaimage/upload_confirm                    POST
admin/otaimage/upload_request                    GET
admin/otajob                                     GET POST PUT
admin/otajob/status                              GET
admin/otajob/status/summary                      GET
admin/policy                                     GET POST PUT DELETE
admin/push_notification/custom_message_template  GET POST PUT
admin/push_notification/mobile_platform          GET POST DELETE
admin/push_notification/publish_message          POST
admin/rainmaker_deployment_details               GET
admin/role                                       GET POST PUT DELETE
admin/stats_info                                 GET
admin/stats_init                                 POST
admin/system_event_filter                        GET PUT
admin/user                                       GET POST PUT DELETE
admin/user/nodes                                 GET
admin/user2                                      GET POST PUT DELETE
admin/user_role                                  GET PUT
admin/webhook_event_mapping                      GET PUT DELETE
admin/webhook_integration                        GET POST PUT DELETE
admin/webhook_user_node_integration              GET POST PUT DELETE
claim/initiate                                   POST
claim/verify                                     POST
node/config                                      GET POST
node/otafetch                                    GET
node/otastatus                                   POST
node/params/local                                GET POST
"""

RAINMAKER_CALLS = {
    (method, path if path.startswith("/") else f"/v1/{path}")
    for path, *methods in map(str.split, _CALLS.strip().splitlines())
    for method in methods
}
