"""`/api/users`: people, for administrators.

Owns: the JSON of people.  Must never know: password hashes.
"""

from typing import Any

from aiohttp import web

from relay.base.clock import rfc3339
from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.http import schemas
from relay.http.bodies import answer, read_body
from relay.http.context import Access, Route, context, signed_in
from relay.store.accounts import Account


def _shown(account: Account, password: str | None = None) -> schemas.UserOut:
    person = account.person
    return schemas.UserOut(
        user=person.user,
        name=person.name,
        role=person.role.value,
        communes=sorted(person.communes) if person.communes is not None else None,
        disabled=person.disabled,
        must_change=person.must_change,
        granted_by=account.granted_by,
        act_ref=account.act_ref,
        created_at=rfc3339(account.created_ns),
        password=password,
    )


async def list_users(request: web.Request) -> web.StreamResponse:
    """List all people."""
    found = await context(request).designations.list_all(signed_in(request).person)
    return answer(schemas.UserList(users=[_shown(account) for account in found]))


async def add(request: web.Request) -> web.StreamResponse:
    """Designate a person; the one-time password is returned once."""
    body = await read_body(request, schemas.UserAdd)
    designations = context(request).designations
    actor = signed_in(request).person
    communes = frozenset(body.communes) if body.communes is not None else None
    password = await designations.add(actor, body.user, body.name, body.role, communes=communes, act_ref=body.act_ref)
    made = next(account for account in await designations.list_all(actor) if account.person.user == body.user)
    return answer(_shown(made, password), 201)


async def change(request: web.Request) -> web.StreamResponse:
    """Change a person's designation, or reset the password."""
    body = await read_body(request, schemas.UserChange)
    designations = context(request).designations
    actor, user = signed_in(request).person, request.match_info["user"]
    changes: dict[str, Any] = body.model_dump(exclude_none=True, exclude={"reset_password"})
    if "communes" in changes:
        changes["communes"] = frozenset(changes["communes"])
    password = await designations.reset_password(actor, user) if body.reset_password else None
    if changes or not body.reset_password:
        return answer(_shown(await designations.update(actor, user, **changes), password))
    found = next((account for account in await designations.list_all(actor) if account.person.user == user), None)
    if found is None:
        raise TheirError(Kind.NOT_FOUND, f"no user {user}", code=Code.USER_NOT_FOUND, facts={"user": user})
    return answer(_shown(found, password))


async def remove(request: web.Request) -> web.StreamResponse:
    """Remove a person."""
    await context(request).designations.remove(signed_in(request).person, request.match_info["user"])
    return web.Response(status=204)


async def sign_out(request: web.Request) -> web.StreamResponse:
    """End all sign-ins of a person: everything the person watches ends at once."""
    ended = await context(request).designations.sign_out(signed_in(request).person, request.match_info["user"])
    return answer(schemas.SignedOut(ended=ended))


_ONE = "/api/users/{user}"
ROUTES = (
    Route("GET", "/api/users", Access.SIGNED_IN, list_users, "People", None, schemas.UserList),
    Route("POST", "/api/users", Access.SIGNED_IN, add, "Designate a person", schemas.UserAdd, schemas.UserOut, 201),
    Route("PATCH", _ONE, Access.SIGNED_IN, change, "Change a designation", schemas.UserChange, schemas.UserOut),
    Route("DELETE", _ONE, Access.SIGNED_IN, remove, "Remove a person", status=204),
    Route("POST", _ONE + "/sign-out", Access.SIGNED_IN, sign_out, "Force a sign-out", None, schemas.SignedOut),
)
