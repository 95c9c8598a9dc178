"""View tokens: with one, a standard WHEP client that knows no cookie watches one camera for a person who is signed in.

Owns: the tokens, by digest, in memory, for minutes.  Must never know: HTTP, pictures, whether the person may watch (policy).
"""

from collections import deque
from dataclasses import dataclass

from relay.base.clock import SECOND_NS, SteadyClock
from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.base.ids import new_token, token_digest
from relay.people.sign_ins import SignedIn, SignIns
from relay.policy.roles import Person

MAX_PER_SIGN_IN = 64
"""View tokens of one sign-in, the latest ones: four walls of sixteen tiles."""
VIEW_TOKEN_SECONDS = 120


@dataclass(frozen=True, slots=True)
class ViewToken:
    """A token shown once, for a standard WHEP client; `expires_ns` is steady UTC."""

    token: str
    expires_ns: int


@dataclass(frozen=True, slots=True)
class ViewGrant:
    """What a view token opens: this person, this camera, this intervention, nothing else."""

    person: Person
    camera: str
    intervention: str
    sign_in: str
    """The sign-in behind the token: viewer sessions opened with the token end with it."""
    expires_ns: int
    """When that sign-in ends (steady UTC)."""


@dataclass(frozen=True, slots=True)
class _Issued:
    user: str
    sign_in: str
    camera: str
    intervention: str
    expires_ns: int


class ViewTokens:
    """All view tokens; each ends with its sign-in, and all with the process."""

    def __init__(self, sign_ins: SignIns, steady: SteadyClock, lasts_seconds: float = VIEW_TOKEN_SECONDS) -> None:
        self._sign_ins = sign_ins
        self._steady = steady
        self._lasts_ns = int(lasts_seconds * SECOND_NS)
        self._issued: dict[str, _Issued] = {}
        self._of_sign_in: dict[str, deque[str]] = {}
        sign_ins.on_ended.append(self._drop)

    def __len__(self) -> int:
        return len(self._issued)

    def issue(self, signed_in: SignedIn, camera: str, intervention: str) -> ViewToken:
        """Return a short-lived token for one camera and one intervention, kept by digest in memory.

        A sign-in has at most 64: its own oldest one is dropped, never one of another's.
        """
        self._drop_expired()
        token = new_token()
        expires_ns = self._steady.utc_ns() + self._lasts_ns
        issued = _Issued(signed_in.person.user, signed_in.sign_in, camera, intervention, expires_ns)
        digest = token_digest(token)
        self._issued[digest] = issued
        mine = self._of_sign_in.setdefault(signed_in.sign_in, deque())
        mine.append(digest)
        if len(mine) > MAX_PER_SIGN_IN:
            del self._issued[mine.popleft()]
        return ViewToken(token, expires_ns)

    async def redeem(self, token: str, camera: str) -> ViewGrant:
        """Return the grant of a token.  Raises TheirError(UNAUTHENTICATED): unknown, over, of another camera, sign-in over."""
        issued = self._issued.get(token_digest(token))
        if issued is None or issued.expires_ns <= self._steady.utc_ns() or issued.camera != camera:
            raise TheirError(Kind.UNAUTHENTICATED, "this view token is unknown or over", code=Code.VIEW_TOKEN_INVALID)
        found = await self._sign_ins.person_of(issued.sign_in)
        if found is None:
            raise TheirError(Kind.UNAUTHENTICATED, "the session behind this view token is over", code=Code.VIEW_TOKEN_INVALID)
        return ViewGrant(found[0], issued.camera, issued.intervention, issued.sign_in, found[1])

    def _drop_expired(self) -> None:
        """Forget what is over.  All tokens last equally long, so that the first is the first to expire."""
        now_ns = self._steady.utc_ns()
        while self._issued and (first := next(iter(self._issued.items())))[1].expires_ns <= now_ns:
            digest, issued = first
            del self._issued[digest]
            its = self._of_sign_in[issued.sign_in]
            its.popleft()
            if not its:
                del self._of_sign_in[issued.sign_in]

    def _drop(self, user: str, sign_in: str | None) -> None:
        """Forget the tokens of a sign-in that ended; `sign_in` None: of every sign-in of the person."""
        ended = {
            one.sign_in for one in self._issued.values() if one.sign_in == sign_in or (sign_in is None and one.user == user)
        }
        for its in ended:
            for digest in self._of_sign_in.pop(its):
                del self._issued[digest]
