"""Who may do what: by the scope of an API key, by network, or as a visitor.

`HOMEPRICES_API_KEYS` says what needs a key. A trusted network needs none. A key that is sent is checked wherever it
comes from: a wrong one is refused (401), and one without the scope too (403), also where no key is needed.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import BadRequest, Forbidden, Unauthorized

from homeprices.keys.key_ring import Scope
from homeprices.keys.key_token import HANDLE_PATTERN
from inference.backend.runtime.request_context import Caller

Mode = Literal["off", "optional", "required"]
OPEN_TO_VISITORS: Final[dict[Mode, frozenset[Scope]]] = {
    "off": frozenset({"predict", "feedback", "batch"}),
    "optional": frozenset({"predict", "feedback"}),
    "required": frozenset(),
}
ENDPOINT_SCOPES: Final[dict[str, Scope]] = {
    "predict.predict_home_price": "predict",
    "predict.get_location_names": "predict",
    "explain.explain_home_price": "predict",
    "predict.feedback": "feedback",
    "batch.predict_batch": "batch",
}
OPERATIONS = "operations."
NEEDS_KEY = "this needs an API key or a trusted network; send the key as `Authorization: Bearer hp_...`"
KEY_IN_ADDRESS = (
    "an API key does not belong in an address, which logs and browsers store; rotate this one, and send it as "
    "`Authorization: Bearer hp_...`"
)
_KEY_IN_QUERY = re.compile(HANDLE_PATTERN)


def scope_of(endpoint: str | None) -> Scope | None:
    """Return the scope that an endpoint of the application needs; None for one that is open to all."""
    if endpoint is None:
        return None
    return "operate" if endpoint.startswith(OPERATIONS) else ENDPOINT_SCOPES.get(endpoint)


def refuse_key_in_query(query: str) -> None:
    """Raise BadRequest for a query string with an API key in it."""
    if _KEY_IN_QUERY.search(query):
        raise BadRequest(KEY_IN_ADDRESS)


class Access:
    """The rules of one mode."""

    def __init__(self, mode: Mode) -> None:
        self._mode = mode
        self._open = OPEN_TO_VISITORS[mode]

    def permits(self, caller: Caller, scope: Scope) -> bool:
        """Return whether the caller may do this."""
        if caller.key is not None:
            return scope in caller.scopes
        if caller.key_problem is not None:
            return False
        return scope in self._open or caller.insider

    def require(self, caller: Caller, scope: Scope) -> None:
        """Raise Unauthorized or Forbidden, with the reason, if the caller may not do this."""
        if self.permits(caller, scope):
            return
        if caller.key is not None:
            raise Forbidden(f"API key {caller.key} does not have the scope {scope}")
        if self._mode == "off":
            raise Forbidden("this is open to trusted networks only")
        error = {"error": "invalid_token"} if caller.key_problem else {}
        challenge = WWWAuthenticate("bearer", {"realm": "homeprices", **error})
        raise Unauthorized(caller.key_problem or NEEDS_KEY, www_authenticate=challenge)
