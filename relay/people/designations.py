"""People: designated, changed and removed by an administrator (ACC-01), or by `CONSOLE` from the command line.

Owns: which fields of a person may change, and which changes end the person's sign-ins.  Must never know: HTTP, how a password
is checked, what a role may do.
"""

import secrets
from typing import Any

from relay.base.clock import Clock
from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.base.ids import is_slug
from relay.people.authorize import Authorizer
from relay.people.passwords import Passwords
from relay.people.sign_ins import SignIns, person_entry
from relay.policy.access import Facts
from relay.policy.roles import Action, Person, Role
from relay.policy.texts import clean_text
from relay.runtime.deadlines import NO_DEADLINE, Deadline, run_to_completion
from relay.store.accounts import Account, Accounts
from relay.store.journal import Journal, Operation


class Designations:
    """All people who may sign in."""

    def __init__(
        self,
        accounts: Accounts,
        journal: Journal,
        authorizer: Authorizer,
        sign_ins: SignIns,
        passwords: Passwords,
        clock: Clock,
        *,
        service: str,
        deadline: Deadline = NO_DEADLINE,
    ) -> None:
        """`deadline`: how long a request waits for the disk."""
        self._accounts = accounts
        self._accounts_in_time = accounts.within(deadline)
        self._journal = journal
        self._authorizer = authorizer
        self._sign_ins = sign_ins
        self._passwords = passwords
        self._clock = clock
        self._service = service
        self._deadline = deadline

    async def list_all(self, actor: Person) -> list[Account]:
        """Return all people; for administrators."""
        await self._authorizer.require(actor, Action.MANAGE_PEOPLE)
        return await self._accounts_in_time.list_users()

    async def add(
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
        """Designate a person (ACC-01); return the one-time password (generated unless given), which is shown once."""
        facts = Facts(service=self._service)
        await self._authorizer.require(actor, Action.MANAGE_PEOPLE, facts, object_type="user", object_id=user)
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

    async def update(self, actor: Person, user: str, **changes: Any) -> Account:
        """Change `name`, `role`, `communes`, `valid_to_ns`, `disabled`, `act_ref`; changed rights end the person's sign-ins."""
        await self._authorized(actor, user)
        unknown = changes.keys() - {"name", "role", "communes", "valid_to_ns", "disabled", "act_ref"}
        if unknown or not changes:
            raise TheirError(
                Kind.INVALID,
                f"cannot change {', '.join(sorted(unknown)) or 'nothing'}",
                code=Code.FIELD_FIXED,
                facts={"field": ", ".join(sorted(unknown))},
            )
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
        """Give a person a new one-time password, which must be changed; all sign-ins end."""
        await self._authorized(actor, user)
        one_time = secrets.token_urlsafe(12)
        hashed = await self._passwords.hash(one_time)
        await self._enter(actor, Operation.HABILITATION, user, event="password reset")
        await run_to_completion(self._update(user, {"password": hashed, "must_change": True}, ends=True), self._deadline)
        return one_time

    async def remove(self, actor: Person, user: str) -> None:
        """Delete a person; all sign-ins end, and the journal keeps the name."""
        await self._authorized(actor, user)
        await self._enter(actor, Operation.HABILITATION, user, event="user removed")
        await run_to_completion(self._remove(user), self._deadline)

    async def sign_out(self, actor: Person, user: str) -> int:
        """End all sign-ins of a person; return how many there were."""
        await self._authorized(actor, user)
        await self._enter(actor, Operation.CONNEXION, user, event="forced sign-out")
        return await run_to_completion(self._sign_ins.end_all(user), self._deadline)

    async def _authorized(self, actor: Person, user: str) -> None:
        """Return where the actor may manage this person; raises TheirError as policy says, and NOT_FOUND to who may."""
        found = await self._accounts_in_time.user(user)
        facts = Facts(service=found[0].person.service) if found is not None else None
        await self._authorizer.require(actor, Action.MANAGE_PEOPLE, facts, object_type="user", object_id=user)
        _existing(user, found)

    async def _require_account(self, user: str) -> tuple[Account, str]:
        return _existing(user, await self._accounts_in_time.user(user))

    async def _update(self, user: str, changes: dict[str, Any], *, ends: bool) -> None:
        await self._accounts.update_user(user, changes)
        if ends:
            await self._sign_ins.end_all(user)

    async def _remove(self, user: str) -> None:
        await self._sign_ins.end_all(user)
        await self._accounts.remove_user(user)

    async def _enter(self, actor: Person, operation: Operation, user: str, **details: str | None) -> None:
        await self._journal.append(person_entry(actor, operation, user, **details), deadline=self._deadline)


def _role(role: str) -> Role:
    try:
        return Role(role)
    except ValueError:
        raise TheirError(Kind.INVALID, f"role must be one of {', '.join(Role)}", code=Code.ROLE_UNKNOWN) from None


def _existing(user: str, found: tuple[Account, str] | None) -> tuple[Account, str]:
    if found is None:
        raise TheirError(Kind.NOT_FOUND, f"no user {user}", code=Code.USER_NOT_FOUND, facts={"user": user})
    return found
