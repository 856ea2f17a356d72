"""Which function answers which path. Whatever stands here nowhere answers 501."""

from __future__ import annotations

from collections.abc import Callable

from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Response

from emulators.globus import admin_responses as admin
from emulators.globus import auth_responses as auth
from emulators.globus import bookmark_responses as bookmarks
from emulators.globus import control_responses as control
from emulators.globus import endpoint_responses as endpoints
from emulators.globus import login_responses as login
from emulators.globus import operation_responses as operations
from emulators.globus import pause_rule_responses as rules
from emulators.globus import submission_responses as submissions
from emulators.globus import task_responses as tasks
from emulators.globus import token_responses as tokens

Handler = Callable[..., Response]

_AUTH: list[tuple[str, str, Handler]] = [
    ("GET", "/v2/oauth2/authorize", login.start),
    ("POST", "/v2/web/provider", login.choose_provider),
    ("POST", "/v2/web/identity", login.choose_identity),
    ("POST", "/v2/web/consent", login.decide),
    ("GET", "/v2/web/auth-code", login.show_code),
    ("POST", "/v2/api/clients", login.register_client),
    ("POST", "/v2/oauth2/token", tokens.token),
    ("POST", "/v2/oauth2/token/introspect", auth.introspect),
    ("POST", "/v2/oauth2/token/validate", auth.validate),
    ("POST", "/v2/oauth2/token/revoke", auth.revoke),
    ("GET", "/v2/oauth2/userinfo", auth.userinfo),
    ("GET", "/v2/api/identities", auth.identities),
    ("GET", "/v2/api/identity_providers", auth.identity_providers),
    ("GET", "/v2/api/identities/<identity_id>/consents", auth.consents),
    ("DELETE", "/v2/api/identities/<identity_id>/consents/<int:consent_id>", auth.rescind),
    ("GET", "/v2/api/policies/<policy_id>", auth.policy),
    ("GET", "/.well-known/openid-configuration", auth.openid_configuration),
    ("GET", "/jwk.json", auth.jwks),
]

_TRANSFER: list[tuple[str, str, Handler]] = [
    ("GET", "/submission_id", submissions.submission_id),
    ("POST", "/transfer", submissions.transfer),
    ("POST", "/delete", submissions.delete),
    ("GET", "/task_list", tasks.task_list),
    ("GET", "/task/<task_id>", tasks.get_task),
    ("PUT", "/task/<task_id>", tasks.update),
    ("POST", "/task/<task_id>/cancel", tasks.cancel),
    ("GET", "/task/<task_id>/event_list", tasks.event_list),
    ("GET", "/task/<task_id>/successful_transfers", tasks.successful_transfers),
    ("GET", "/task/<task_id>/skipped_errors", tasks.skipped_errors),
    ("GET", "/task/<task_id>/pause_info", tasks.pause_info),
    ("GET", "/operation/endpoint/<collection_id>/ls", operations.ls),
    ("GET", "/operation/endpoint/<collection_id>/stat", operations.stat_path),
    ("POST", "/operation/endpoint/<collection_id>/mkdir", operations.mkdir),
    ("POST", "/operation/endpoint/<collection_id>/rename", operations.rename),
    ("GET", "/endpoint/<collection_id>", endpoints.get_endpoint),
    ("GET", "/endpoint/<collection_id>/server_list", endpoints.server_list),
    ("GET", "/endpoint_search", endpoints.endpoint_search),
    ("GET", "/endpoint/<collection_id>/my_effective_pause_rule_list", rules.effective_rules),
    ("GET", "/bookmark_list", bookmarks.bookmark_list),
    ("POST", "/bookmark", bookmarks.create),
    ("GET", "/bookmark/<bookmark_id>", bookmarks.get),
    ("PUT", "/bookmark/<bookmark_id>", bookmarks.rename),
    ("DELETE", "/bookmark/<bookmark_id>", bookmarks.delete),
    ("GET", "/endpoint_manager/monitored_endpoints", admin.monitored),
    ("GET", "/endpoint_manager/endpoint/<collection_id>", admin.get_endpoint),
    ("GET", "/endpoint_manager/task_list", admin.task_list),
    ("GET", "/endpoint_manager/task/<task_id>", admin.get_task),
    ("GET", "/endpoint_manager/task/<task_id>/event_list", admin.event_list),
    ("GET", "/endpoint_manager/task/<task_id>/pause_info", admin.pause_info),
    ("GET", "/endpoint_manager/task/<task_id>/successful_transfers", admin.successful_transfers),
    ("GET", "/endpoint_manager/task/<task_id>/skipped_errors", admin.skipped_errors),
    ("POST", "/endpoint_manager/admin_cancel", admin.cancel),
    ("GET", "/endpoint_manager/admin_cancel/<cancel_id>", admin.cancel_status),
    ("POST", "/endpoint_manager/admin_pause", admin.pause),
    ("POST", "/endpoint_manager/admin_resume", admin.resume),
    ("GET", "/endpoint_manager/pause_rule_list", rules.rule_list),
    ("POST", "/endpoint_manager/pause_rule", rules.create_rule),
    ("GET", "/endpoint_manager/pause_rule/<rule_id>", rules.get_rule),
    ("PUT", "/endpoint_manager/pause_rule/<rule_id>", rules.update_rule),
    ("DELETE", "/endpoint_manager/pause_rule/<rule_id>", rules.delete_rule),
]

_CONTROL: list[tuple[str, str, Handler]] = [
    ("GET", "/_emulator", control.overview),
    ("GET", "/_emulator/requests", control.requests_seen),
    ("POST", "/_emulator/<verb>", control.act),
]


def url_map(*, control_api: bool) -> Map:
    """The map of all that is covered; the control API only where it was asked for."""
    rows = [*_AUTH, *((method, f"/v0.10{path}", handler) for method, path, handler in _TRANSFER)]
    rows += _CONTROL if control_api else []
    table = [Rule(path, methods=[method], endpoint=handler) for method, path, handler in rows]
    return Map(table, strict_slashes=False, merge_slashes=False)
