"""Two kinds of error: theirs (a peer, a person, a file that came from outside) and ours (a bug, a broken disk).

Owns: the classes and the kinds.  Must never know: how an error is answered or logged.

A hostile camera must never be logged as our bug, nor the reverse.  `Kind` is mapped to an HTTP status in one place
(`relay.http.middleware`) and to a process exit code in one place (`relay.app.cli`).
"""

from collections.abc import Mapping
from enum import StrEnum

from relay.base.codes import Code


class Kind(StrEnum):
    """What went wrong, independent of the protocol that carries the answer."""

    INVALID = "invalid"  # 400: cannot be parsed or breaks a rule of the format
    UNAUTHENTICATED = "unauthenticated"  # 401
    FORBIDDEN = "forbidden"  # 403
    NOT_FOUND = "not_found"  # 404
    NOT_ACCEPTABLE = "not_acceptable"  # 406: well-formed, but nothing we can serve
    CONFLICT = "conflict"  # 409
    GONE = "gone"  # 410
    STALE = "stale"  # 412: If-Match names another ETag
    TOO_LARGE = "too_large"  # 413
    UNSUPPORTED = "unsupported"  # 415
    INCOMPLETE = "incomplete"  # 422: a required field (a motive, say) is missing or empty
    PRECONDITION_REQUIRED = "precondition_required"  # 428
    TOO_MANY = "too_many"  # 429
    UNAVAILABLE = "unavailable"  # 503


class RelayError(Exception):
    """Base of both kinds.

    `code` is for programs (the general code of `kind` where none is given), `detail` for people, `retry_after` in seconds.
    `facts` are the values that a sentence in another language needs: `{"max": 80}`.
    """

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        code: Code | None = None,
        facts: Mapping[str, str | int] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.code = Code(kind.value) if code is None else code
        self.facts = dict(facts or {})
        self.retry_after = retry_after


class TheirError(RelayError):
    """The other side's fault: answered clearly, counted, never a traceback."""


class OurError(RelayError):
    """Our fault or our machine's: logged with its chain."""

    def __init__(
        self, detail: str, *, kind: Kind = Kind.UNAVAILABLE, code: Code | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(kind, detail, code=code, retry_after=retry_after)
