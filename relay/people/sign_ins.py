"""Sign-ins: begun with a password, found again by their token, ended.

Owns: the life of a sign-in, and which changes end it.  Must never know: HTTP, cookies, pictures, who manages people.

API for callers:
* `await sign_in(user, password, source, browser) -> (token, SignedIn)`; `await known_browser(signed_in, cookie) -> cookie`;
  `await who(token) -> SignedIn`; `await sign_out(token)`
* `await change_password(token, old, new)`; `check_csrf(signed_in, header)`
* `await person_of(digest)`, `await end_all(user)` for the rest of `people`
* `on_signed_out.append(callback(user))`: called when all sign-ins of a person end, so that sockets and views are closed;
  `on_ended.append(callback(user, sign_in))`: called at every end, with the one sign-in that ends, or None for all.
Errors: TheirError UNAUTHENTICATED, FORBIDDEN, TOO_MANY (with retry_after), INVALID.
"""

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from relay.base.clock import SECOND_NS, Clock, SteadyClock
from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, OurError, TheirError
from relay.base.ids import is_slug, new_token, token_digest
from relay.people.attempts import Attempt, Attempts, Claim
from relay.people.authorize import Authorizer
from relay.people.known_browsers import KnownBrowsers
from relay.people.passwords import Passwords, Place
from relay.policy.lockout import Limits
from relay.policy.roles import Action, Person, Role
from relay.runtime.deadlines import NO_DEADLINE, Deadline, run_in_background, run_to_completion
from relay.store.accounts import Account, Accounts
from relay.store.journal import Entry, Journal, Operation

MAX_SIGN_INS_PER_USER = 8
CONSOLE = Person("console", "Console of the machine", Role.ADMINISTRATOR, None)
"""The command line on the machine: who can run it has the data folder already."""

declare(
    sign_ins="successful sign-ins",
    sign_in_failures="sign-ins refused: unknown name, wrong password or locked",
)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A valid sign-in.  `sign_in` is the digest of its token: safe to keep, useless to steal; `expires_ns` is steady UTC."""

    person: Person
    csrf: str
    expires_ns: int
    sign_in: str


class SignIns:
    """All sign-ins; they outlive a restart of the relay."""

    def __init__(
        self,
        accounts: Accounts,
        journal: Journal,
        authorizer: Authorizer,
        clock: Clock,
        counters: Counters,
        *,
        passwords: Passwords,
        browsers: KnownBrowsers | None = None,
        limits: Limits | None = None,
        lasts_seconds: int = 12 * 3600,
        steady: SteadyClock | None = None,
        deadline: Deadline = NO_DEADLINE,
    ) -> None:
        """`steady` judges sign-ins and locks: a step of the wall clock neither ends nor prolongs them.

        `browsers` recognises browsers that were signed in with before; without it, none from before this start.
        `lasts_seconds`: how long a sign-in lasts.  `deadline`: how long a request waits for the disk.
        """
        self._deadline = deadline
        self._accounts = accounts
        self._accounts_in_time = accounts.within(deadline)
        self._journal = journal
        self._authorizer = authorizer
        self._clock = clock
        self._steady = steady or SteadyClock(clock)
        self._counters = counters
        self._lasts_ns = lasts_seconds * SECOND_NS
        self._passwords = passwords
        self._browsers = browsers or KnownBrowsers(secrets.token_bytes(32))
        self._attempts = Attempts(limits or Limits())
        self.on_signed_out: list[Callable[[str], None]] = []
        self.on_ended: list[Callable[[str, str | None], None]] = []

    async def sign_in(self, user: str, password: str, source: str, browser: str | None = None) -> tuple[str, SignedIn]:
        """Check a password; return the token (for the cookie) and the sign-in.

        `source`: the key of the caller's address, kept in memory only.  `browser`: the cookie of `known_browser`.
        A failure of a known name is an entry; others are counted.
        Raises TheirError TOO_MANY while locked (retry_after seconds), UNAUTHENTICATED otherwise, the same for all causes.
        """
        now_ns = self._steady.utc_ns()
        found = await self._accounts_in_time.user(user) if is_slug(user) else None
        known = self._browsers.browser_of(browser, user, found[1], now_ns) if found is not None else None
        claim = Claim(user[:40], source, known, found is not None)
        wait = self._attempts.wait_seconds(claim, now_ns)
        if wait > 0:
            await self._sign_in_refused(user, found, source, Kind.TOO_MANY, "locked")
            raise _locked(wait)
        # An unknown name costs one hash too, so that timing does not reveal which names exist.
        attempt, right = await self._check(claim, found[1] if found else None, password)
        if found is None or not right or not _valid(found[0].person, self._clock.utc_ns()):
            self._attempts.failed(attempt, now_ns)
            await self._sign_in_refused(user, found, source, Kind.UNAUTHENTICATED, "wrong name or password")
            raise TheirError(Kind.UNAUTHENTICATED, "wrong name or password", code=Code.WRONG_CREDENTIALS)
        self._attempts.signed_in(attempt)
        return await self._begin(found[0].person, now_ns)

    async def _check(self, claim: Claim, stored: str | None, password: str) -> tuple[Attempt, bool]:
        """Return whether a password matches.  The attempt counts from before the check; the caller says how it ended.

        The attempt is given back where it could not be checked: TheirError(TOO_MANY) where too many wait.
        """
        attempt = self._attempts.begin(claim)
        try:
            place = Place(claim.source, self._attempts.is_known_source(claim))
            return attempt, await self._passwords.matches(stored, password, place)
        except BaseException:
            self._attempts.given_back(attempt)
            raise

    async def browser_of(self, user: str, cookie: str | None) -> str | None:
        """Return the name of the browser with this cookie where this person signed in with it before, None where not."""
        found = await self._accounts_in_time.user(user) if cookie is not None and is_slug(user) else None
        return self._browsers.browser_of(cookie, user, found[1], self._steady.utc_ns()) if found is not None else None

    async def known_browser(self, signed_in: SignedIn, cookie: str | None) -> str:
        """Return the cookie by which a browser is known that this person is signed in with; `cookie` is the one it has."""
        user = signed_in.person.user
        found = await self._accounts_in_time.user(user)
        stored = found[1] if found is not None else ""
        return self._browsers.remember(cookie, user, stored, self._steady.utc_ns())

    async def who(self, token: str) -> SignedIn:
        """Return the sign-in of a token; TheirError(UNAUTHENTICATED) if unknown, over, or its person is not valid."""
        digest = token_digest(token)
        found = await self.person_of(digest)
        if found is None:
            raise TheirError(Kind.UNAUTHENTICATED, "sign in first", code=Code.SIGN_IN_REQUIRED)
        return SignedIn(found[0], _csrf(token), found[1], digest)

    def check_csrf(self, signed_in: SignedIn, header: str | None) -> None:
        """Raise TheirError(FORBIDDEN) unless the header carries this sign-in's CSRF token."""
        if header is None or not hmac.compare_digest(token_digest(header), token_digest(signed_in.csrf)):
            raise TheirError(Kind.FORBIDDEN, "X-CSRF does not match this session", code=Code.CSRF_MISMATCH)

    async def sign_out(self, token: str) -> None:
        """End a sign-in; an unknown token is no error."""
        found = await self._find(token_digest(token))
        if found is None:
            return
        await self._enter(found[0], Operation.CONNEXION, "sign-out")
        self._notify_ended(found[0].user, token_digest(token))
        await self._accounts_in_time.end_sign_in(token_digest(token))

    async def change_password(self, token: str, old: str, new: str) -> None:
        """Change the caller's own password: check the old one, end every other sign-in, clear `must_change`."""
        signed_in = await self.who(token)
        person = signed_in.person
        await self._authorizer.require(person, Action.CHANGE_PASSWORD, object_type="user", object_id=person.user)
        found = await self._accounts_in_time.user(person.user)
        # A stolen sign-in guesses here.  What it locks is the change alone, never the sign-in of the person.
        claim, now_ns = Claim(person.user, "change", browser="change of the password"), self._steady.utc_ns()
        wait = self._attempts.wait_seconds(claim, now_ns)
        if wait > 0:
            raise _locked(wait)
        attempt, right = await self._check(claim, found[1] if found else None, old)
        if found is None or not right:
            self._attempts.failed(attempt, now_ns)
            await self._journal.refuse(
                person.user, person.role.value, "change_password", "unauthenticated", "wrong password", deadline=self._deadline
            )
            raise TheirError(Kind.UNAUTHENTICATED, "the old password is wrong", code=Code.WRONG_OLD_PASSWORD)
        self._attempts.right(attempt)
        hashed = await self._passwords.hash(new, forbidden=(person.user, old))
        await self._enter(person, Operation.MODIFICATION, "password changed")
        await run_to_completion(self._new_password(signed_in, hashed), self._deadline)

    async def _new_password(self, signed_in: SignedIn, hashed: str) -> None:
        user = signed_in.person.user
        await self._accounts.update_user(user, {"password": hashed, "must_change": False})
        await self.end_all(user)
        await self._accounts.add_sign_in(
            signed_in.sign_in, user, self._steady.utc_ns(), signed_in.expires_ns, MAX_SIGN_INS_PER_USER
        )

    async def person_of(self, sign_in: str) -> tuple[Person, int] | None:
        """Return the person behind a sign-in's digest and when it ends (steady UTC ns); None where it is over or not valid."""
        found = await self._find(sign_in)
        return None if found is None or not _valid(found[0], self._clock.utc_ns()) else found

    async def end_all(self, user: str) -> int:
        """End every sign-in of a person; return how many there were.  Waits for the disk as long as it takes."""
        ended = await self._accounts.end_sign_ins(user)
        self._notify_ended(user, None)
        for callback in self.on_signed_out:
            callback(user)
        return ended

    def _notify_ended(self, user: str, sign_in: str | None) -> None:
        for callback in self.on_ended:
            callback(user, sign_in)

    async def _find(self, digest: str) -> tuple[Person, int] | None:
        """Return the person and the end of a sign-in that is not over.

        A sign-in that would outlast a fresh one was made before the clock was put back: it is over.
        """
        now_ns = self._steady.utc_ns()
        found = await self._accounts_in_time.sign_in(digest, now_ns)
        return None if found is None or found[1] > now_ns + self._lasts_ns else found

    async def _begin(self, person: Person, now_ns: int) -> tuple[str, SignedIn]:
        token = new_token()
        expires_ns = now_ns + self._lasts_ns
        await self._enter(person, Operation.CONNEXION, "sign-in")
        try:
            await self._accounts_in_time.add_sign_in(
                token_digest(token), person.user, now_ns, expires_ns, MAX_SIGN_INS_PER_USER
            )
        except OurError:
            # Nobody was given the token: even if its row reaches the disk later, this person is not signed in.
            run_in_background(self._enter(person, Operation.CONNEXION, "sign-in not completed", NO_DEADLINE))
            raise
        self._counters.count("sign_ins")
        return token, SignedIn(person, _csrf(token), expires_ns, token_digest(token))

    async def _sign_in_refused(
        self, user: str, found: tuple[Account, str] | None, source: str, kind: Kind, detail: str
    ) -> None:
        self._counters.count("sign_in_failures")
        if found is None or kind is Kind.TOO_MANY:
            # A locked name is only claimed: with an entry for each attempt an outsider could fill the journal.
            self._journal.refuse_anonymous(source, "sign-in")
            return
        await self._journal.refuse(
            user, found[0].person.role.value, "sign_in", kind.value, detail, requirement="SEC-01", deadline=self._deadline
        )

    async def _enter(self, person: Person, operation: Operation, event: str, deadline: Deadline | None = None) -> None:
        entry = person_entry(person, operation, person.user, event=event)
        await self._journal.append(entry, deadline=deadline or self._deadline)


def person_entry(actor: Person, operation: Operation, user: str, **details: str | None) -> Entry:
    """Return the journal entry of what `actor` does to a person's account; details without a value are left out."""
    kept = {name: value for name, value in details.items() if value is not None}
    return Entry(operation, actor.user, actor.role.value, object_type="user", object_id=user, details=kept)


def _locked(wait: float) -> TheirError:
    return TheirError(Kind.TOO_MANY, "too many failed sign-ins", retry_after=wait, code=Code.TOO_MANY_FAILED_SIGN_INS)


def _valid(person: Person, now_ns: int) -> bool:
    started = now_ns >= person.valid_from_ns
    return started and not person.disabled and (person.valid_to_ns is None or now_ns < person.valid_to_ns)


def _csrf(token: str) -> str:
    # Derived from the secret cookie: nothing more is stored, and another sign-in's value never fits.
    return token_digest("csrf\0" + token)
