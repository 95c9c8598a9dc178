"""Who is there: sign-in, sessions, CSRF, lockout, people, view tokens.

Owns: the life of a session and of a view token (memory, minutes).  Must never know: HTTP, cookies, pictures.

API for callers:
* `await sign_in(user, password, source) -> (token, SignedIn)`; `await who(token) -> SignedIn`; `await sign_out(token)`
* `await change_password(token, old, new)`; `check_csrf(signed_in, header)`
* people (an administrator, or `CONSOLE` from the command line): `list_users add_user update_user remove_user sign_out_user`
* `issue_view_token(signed_in, camera, intervention) -> ViewToken`; `await redeem_view_token(token, camera) -> ViewGrant`
* `on_signed_out.append(callback(user))`: told at every forced or asked sign-out, so that sockets and views can be closed.
Errors: TheirError UNAUTHENTICATED, FORBIDDEN, TOO_MANY (with retry_after), CONFLICT, NOT_FOUND, INVALID.
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from relay.base.clock import SECOND_NS, Clock, SteadyClock
from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, OurError, TheirError
from relay.base.ids import is_slug, new_token, token_digest
from relay.people.authorize import Authorizer
from relay.people.passwords import Passwords
from relay.policy.lockout import Failures, Limits, Tried, failed, tried, wait_seconds
from relay.policy.motives import clean_text
from relay.policy.roles import Action, Person, Role
from relay.runtime.deadlines import NO_DEADLINE, Deadline, run_in_background, run_to_completion
from relay.store.accounts import Account, Accounts
from relay.store.journal import Entry, Journal, Operation

MAX_SIGN_INS_PER_USER = 8
MAX_TRACKED = 10_000
MAX_VIEW_TOKENS = 1_000
CONSOLE = Person("console", "Console of the machine", Role.ADMINISTRATOR, "")
"""Whoever can run `relay user add` on the machine: already has the data folder."""

declare(
    sign_ins="successful sign-ins",
    sign_in_failures="sign-ins refused: unknown name, wrong password or locked",
)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A valid session.  `session` is the digest of its token: safe to keep, useless to steal; `expires_ns` is steady UTC."""

    person: Person
    csrf: str
    expires_ns: int
    session: str


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
    session: str
    """The sign-in behind it: what was opened with the token ends with that."""
    expires_ns: int


@dataclass(frozen=True, slots=True)
class _Granted:
    user: str
    session: str
    camera: str
    intervention: str
    expires_ns: int


class Identity:
    """Everything about people."""

    def __init__(
        self,
        accounts: Accounts,
        journal: Journal,
        authorizer: Authorizer,
        clock: Clock,
        counters: Counters,
        *,
        service: str,
        limits: Limits | None = None,
        session_seconds: int = 12 * 3600,
        view_token_seconds: int = 120,
        passwords: Passwords | None = None,
        steady: SteadyClock | None = None,
        deadline: Deadline = NO_DEADLINE,
    ) -> None:
        """`steady` judges sessions, view tokens and locks: a step of the wall clock neither ends nor prolongs them.

        `deadline`: how long a request waits for the disk.
        """
        self._deadline = deadline
        self._accounts = accounts
        self._accounts_in_time = accounts.within(deadline)
        self._journal = journal
        self._clock = clock
        self._steady = steady or SteadyClock(clock)
        self._counters = counters
        self._service = service
        self._limits = limits or Limits()
        self._session_ns = session_seconds * SECOND_NS
        self._view_token_ns = view_token_seconds * SECOND_NS
        self._passwords = passwords or Passwords()
        self._authorizer = authorizer
        self._failures: OrderedDict[str, Failures] = OrderedDict()
        self._sources: OrderedDict[str, Tried] = OrderedDict()
        self._view_tokens: OrderedDict[str, _Granted] = OrderedDict()
        self.on_signed_out: list[Callable[[str], None]] = []

    async def sign_in(self, user: str, password: str, source: str) -> tuple[str, SignedIn]:
        """Check a password; returns the session token (for the cookie) and the session.

        `source` is the caller's address, kept in memory only.  A known name is journalled by name, an unknown one anonymously.
        Raises TheirError TOO_MANY while locked (retry_after seconds), UNAUTHENTICATED otherwise, the same for all causes.
        """
        now_ns = self._steady.utc_ns()
        wait = self._wait(user[:40], source, now_ns)
        found = await self._accounts_in_time.user(user) if is_slug(user) else None
        if wait > 0:
            await self._sign_in_refused(user, found, source, Kind.TOO_MANY, "locked")
            raise TheirError(Kind.TOO_MANY, "too many failed sign-ins", retry_after=wait, code=Code.TOO_MANY_FAILED_SIGN_INS)
        # Unknown names cost one hash too, so that timing does not tell which names exist.
        right = await self._passwords.matches(found[1] if found else None, password)
        if found is None or not right or not _valid(found[0].person, self._clock.utc_ns()):
            self._remember(user[:40], source, now_ns)
            await self._sign_in_refused(user, found, source, Kind.UNAUTHENTICATED, "wrong name or password")
            raise TheirError(Kind.UNAUTHENTICATED, "wrong name or password", code=Code.WRONG_CREDENTIALS)
        return await self._begin_session(found[0].person, source, now_ns)

    async def who(self, token: str) -> SignedIn:
        """Return the session of a token; TheirError(UNAUTHENTICATED) if unknown, over, or its person is not valid."""
        digest = token_digest(token)
        found = await self._session(digest)
        if found is None or not _valid(found[0], self._clock.utc_ns()):
            raise TheirError(Kind.UNAUTHENTICATED, "sign in first", code=Code.SIGN_IN_REQUIRED)
        return SignedIn(found[0], _csrf(token), found[1], digest)

    def check_csrf(self, signed_in: SignedIn, header: str | None) -> None:
        """Raise TheirError(FORBIDDEN) unless the header carries this session's CSRF token."""
        if header is None or not hmac.compare_digest(header.encode(), signed_in.csrf.encode()):
            raise TheirError(Kind.FORBIDDEN, "X-CSRF does not match this session", code=Code.CSRF_MISMATCH)

    async def sign_out(self, token: str) -> None:
        """End a session; unknown tokens are no error."""
        found = await self._session(token_digest(token))
        if found is None:
            return
        await self._enter(found[0], Operation.CONNEXION, found[0].user, event="sign-out")
        self._drop_view_tokens(session=token_digest(token))
        await self._accounts_in_time.end_session(token_digest(token))

    async def change_password(self, token: str, old: str, new: str) -> None:
        """Change one's own password: the old one is checked, every other session ends, `must_change` is cleared."""
        signed_in = await self.who(token)
        person = signed_in.person
        await self._authorizer.require(person, Action.CHANGE_PASSWORD, object_type="user", object_id=person.user)
        found = await self._accounts_in_time.user(person.user)
        if found is None or not await self._passwords.matches(found[1], old):
            await self._journal.refuse(
                person.user, person.role.value, "change_password", "unauthenticated", "wrong password", deadline=self._deadline
            )
            raise TheirError(Kind.UNAUTHENTICATED, "the old password is wrong", code=Code.WRONG_OLD_PASSWORD)
        hashed = await self._passwords.hash(new, forbidden=(person.user, old))
        await self._enter(person, Operation.MODIFICATION, person.user, event="password changed")
        await run_to_completion(self._new_password(signed_in, hashed), self._deadline)

    async def _new_password(self, signed_in: SignedIn, hashed: str) -> None:
        user = signed_in.person.user
        await self._update(user, {"password": hashed, "must_change": False}, ends=True)
        await self._accounts.add_session(
            signed_in.session, user, self._steady.utc_ns(), signed_in.expires_ns, MAX_SIGN_INS_PER_USER
        )

    async def list_users(self, actor: Person) -> list[Account]:
        """Return everybody (administrators)."""
        await self._authorizer.require(actor, Action.MANAGE_PEOPLE)
        return await self._accounts_in_time.list_users()

    async def add_user(
        self,
        actor: Person,
        user: str,
        name: str,
        role: str,
        *,
        password: str | None = None,
        must_change: bool = True,
        communes: frozenset[str] | None = None,
        valid_to_ns: int | None = None,
        act_ref: str = "",
    ) -> str:
        """Designate a person (ACC-01); returns the one-time password (made here unless given), shown once."""
        await self._authorizer.require(actor, Action.MANAGE_PEOPLE, object_type="user", object_id=user)
        now_ns = self._clock.utc_ns()
        if not is_slug(user):
            raise TheirError(Kind.INVALID, "a user is 1 to 40 of a-z 0-9 and inner hyphens", code=Code.USER_NAME_INVALID)
        if await self._accounts_in_time.user(user) is not None:
            raise TheirError(Kind.CONFLICT, f"user {user} exists", code=Code.USER_EXISTS, facts={"user": user})
        one_time = password or secrets.token_urlsafe(12)
        person = Person(
            user, clean_text(name, "name"), _role(role), self._service, communes, now_ns, valid_to_ns, must_change=must_change
        )
        hashed = await self._passwords.hash(one_time, forbidden=(user,))
        await self._enter(actor, Operation.HABILITATION, user, event="user added", role=person.role.value, act_ref=act_ref)
        await self._accounts_in_time.add_user(Account(person, actor.user, act_ref, now_ns), hashed)
        return one_time

    async def update_user(self, actor: Person, user: str, **changes: Any) -> Account:
        """Change `name`, `role`, `communes`, `valid_to_ns`, `disabled`, `act_ref`; changed rights end the person's sessions."""
        await self._authorizer.require(actor, Action.MANAGE_PEOPLE, object_type="user", object_id=user)
        unknown = changes.keys() - {"name", "role", "communes", "valid_to_ns", "disabled", "act_ref"}
        if unknown or not changes:
            raise TheirError(
                Kind.INVALID,
                f"cannot change {', '.join(sorted(unknown)) or 'nothing'}",
                code=Code.FIELD_FIXED,
                facts={"field": ", ".join(sorted(unknown))},
            )
        await self._require_account(user)
        if "role" in changes:
            changes["role"] = _role(changes["role"]).value
        if "name" in changes:
            changes["name"] = clean_text(changes["name"], "name")
        event = "user changed: " + ", ".join(sorted(changes))
        await self._enter(actor, Operation.HABILITATION, user, event=event, role=changes.get("role"))
        ends = bool(changes.keys() & {"role", "communes", "valid_to_ns", "disabled"})
        await run_to_completion(self._update(user, changes, ends=ends), self._deadline)
        return (await self._require_account(user))[0]

    async def reset_password(self, actor: Person, user: str) -> str:
        """Give a person a new one-time password, which must be changed; every session ends."""
        await self._authorizer.require(actor, Action.MANAGE_PEOPLE, object_type="user", object_id=user)
        await self._require_account(user)
        one_time = secrets.token_urlsafe(12)
        hashed = await self._passwords.hash(one_time)
        await self._enter(actor, Operation.HABILITATION, user, event="password reset")
        await run_to_completion(self._update(user, {"password": hashed, "must_change": True}, ends=True), self._deadline)
        return one_time

    async def remove_user(self, actor: Person, user: str) -> None:
        """Delete a person; sessions end, the journal keeps the name."""
        await self._authorizer.require(actor, Action.MANAGE_PEOPLE, object_type="user", object_id=user)
        await self._require_account(user)
        await self._enter(actor, Operation.HABILITATION, user, event="user removed")
        await run_to_completion(self._remove(user), self._deadline)

    async def sign_out_user(self, actor: Person, user: str) -> int:
        """Force a sign-out everywhere; returns how many sessions ended."""
        await self._authorizer.require(actor, Action.MANAGE_PEOPLE, object_type="user", object_id=user)
        await self._require_account(user)
        await self._enter(actor, Operation.CONNEXION, user, event="forced sign-out")
        return await run_to_completion(self._end_all(user), self._deadline)

    def issue_view_token(self, signed_in: SignedIn, camera: str, intervention: str) -> ViewToken:
        """Return a short-lived token for one camera and one intervention, kept by digest in memory (bounded)."""
        token = new_token()
        expires_ns = self._steady.utc_ns() + self._view_token_ns
        granted = _Granted(signed_in.person.user, signed_in.session, camera, intervention, expires_ns)
        self._view_tokens[token_digest(token)] = granted
        while len(self._view_tokens) > MAX_VIEW_TOKENS:
            self._view_tokens.popitem(last=False)
        return ViewToken(token, expires_ns)

    async def redeem_view_token(self, token: str, camera: str) -> ViewGrant:
        """Return what the token opens; TheirError(UNAUTHENTICATED) if unknown, over, another camera's, or its session ended."""
        granted = self._view_tokens.get(token_digest(token))
        if granted is None or granted.expires_ns <= self._steady.utc_ns() or granted.camera != camera:
            raise TheirError(Kind.UNAUTHENTICATED, "this view token is unknown or over", code=Code.VIEW_TOKEN_INVALID)
        session = await self._session(granted.session)
        if session is None or not _valid(session[0], self._clock.utc_ns()):
            raise TheirError(Kind.UNAUTHENTICATED, "the session behind this view token is over", code=Code.VIEW_TOKEN_INVALID)
        return ViewGrant(session[0], granted.camera, granted.intervention, granted.session, session[1])

    async def _session(self, digest: str) -> tuple[Person, int] | None:
        """Return a session that lasts; one that would outlast a fresh one was made by a clock that has been put back since."""
        now_ns = self._steady.utc_ns()
        found = await self._accounts_in_time.session(digest, now_ns)
        return None if found is None or found[1] > now_ns + self._session_ns else found

    async def _begin_session(self, person: Person, source: str, now_ns: int) -> tuple[str, SignedIn]:
        self._failures.pop(person.user, None)
        # People work there: what others mistyped before is forgotten, so that no room is locked by a typo a shift.
        self._sources.pop(source, None)
        token = new_token()
        expires_ns = now_ns + self._session_ns
        await self._enter(person, Operation.CONNEXION, person.user, event="sign-in")
        try:
            await self._accounts_in_time.add_session(
                token_digest(token), person.user, now_ns, expires_ns, MAX_SIGN_INS_PER_USER
            )
        except OurError:
            # Nobody was given the token: whatever becomes of its row, this person is not signed in.
            run_in_background(self._enter(person, Operation.CONNEXION, person.user, NO_DEADLINE, event="sign-in not completed"))
            raise
        self._counters.count("sign_ins")
        return token, SignedIn(person, _csrf(token), expires_ns, token_digest(token))

    async def _sign_in_refused(
        self, user: str, found: tuple[Account, str] | None, source: str, kind: Kind, detail: str
    ) -> None:
        self._counters.count("sign_in_failures")
        if found is None or kind is Kind.TOO_MANY:
            # Behind a lock the name is only claimed: entering each attempt would let an outsider fill the journal.
            self._journal.refuse_anonymous(source, "sign-in")
            return
        await self._journal.refuse(
            user, found[0].person.role.value, "sign_in", kind.value, detail, requirement="SEC-01", deadline=self._deadline
        )

    def _wait(self, user: str, source: str, now_ns: int) -> float:
        limits = self._limits
        there = wait_seconds(self._sources.get(source, Tried()).failures, now_ns, limits, limits.free_names)
        return max(wait_seconds(self._failures.get(user, Failures()), now_ns, limits), there)

    def _remember(self, user: str, source: str, now_ns: int) -> None:
        self._failures[user] = failed(self._failures.get(user, Failures()), now_ns, self._limits)
        self._sources[source] = tried(self._sources.get(source, Tried()), user, now_ns, self._limits)
        self._failures.move_to_end(user)
        self._sources.move_to_end(source)
        for tracked in (self._failures, self._sources):
            while len(tracked) > MAX_TRACKED:
                tracked.popitem(last=False)

    async def _require_account(self, user: str) -> tuple[Account, str]:
        found = await self._accounts_in_time.user(user)
        if found is None:
            raise TheirError(Kind.NOT_FOUND, f"no user {user}", code=Code.USER_NOT_FOUND, facts={"user": user})
        return found

    async def _update(self, user: str, changes: dict[str, Any], *, ends: bool) -> None:
        await self._accounts.update_user(user, changes)
        if ends:
            await self._end_all(user)

    async def _remove(self, user: str) -> None:
        await self._end_all(user)
        await self._accounts.remove_user(user)

    async def _end_all(self, user: str) -> int:
        ended = await self._accounts.end_sessions(user)
        self._drop_view_tokens(user=user)
        for callback in self.on_signed_out:
            callback(user)
        return ended

    def _drop_view_tokens(self, *, user: str | None = None, session: str | None = None) -> None:
        gone = [key for key, granted in self._view_tokens.items() if user == granted.user or session == granted.session]
        for key in gone:
            del self._view_tokens[key]

    async def _enter(
        self, actor: Person, operation: Operation, user: str, deadline: Deadline | None = None, /, **details: str | None
    ) -> None:
        kept = {name: value for name, value in details.items() if value is not None}
        await self._journal.append(
            Entry(operation, actor.user, actor.role.value, object_type="user", object_id=user, details=kept),
            deadline=deadline or self._deadline,
        )


def _valid(person: Person, now_ns: int) -> bool:
    started = now_ns >= person.valid_from_ns
    return started and not person.disabled and (person.valid_to_ns is None or now_ns < person.valid_to_ns)


def _role(role: str) -> Role:
    try:
        return Role(role)
    except ValueError:
        raise TheirError(Kind.INVALID, f"role must be one of {', '.join(Role)}", code=Code.ROLE_UNKNOWN) from None


def _csrf(token: str) -> str:
    # Derived from the secret cookie, so that nothing more needs storing and another session's value never fits.
    return hashlib.sha256(b"csrf\0" + token.encode()).hexdigest()
