"""Which function answers which path. Whatever stands here nowhere answers 501."""

from __future__ import annotations

from collections.abc import Callable

from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Response

from emulators.globus import auth_responses as auth
from emulators.globus import endpoint_responses as endpoints
from emulators.globus import login_responses as login
from emulators.globus import operation_responses as operations
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
]


def url_map() -> Map:
    """The map of all that is covered."""
    rows = [*_AUTH, *((method, f"/v0.10{path}", handler) for method, path, handler in _TRANSFER)]
    rules = [Rule(path, methods=[method], endpoint=handler) for method, path, handler in rows]
    return Map(rules, strict_slashes=False, merge_slashes=False)
