"""People, their sign-ins and cameras' tokens at rest.

Owns: rows of `users`, `sessions` (the sign-ins), `cameras`.  Must never know: passwords in clear, HTTP, what a role may do.
Tokens are stored as SHA-256 only, passwords as Argon2id strings that the caller makes.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection, Row, delete, select, update

from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.policy.roles import Person, Role
from relay.runtime.deadlines import NO_DEADLINE, Deadline
from relay.store.database import Database
from relay.store.tables import cameras, sign_ins, users

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Account:
    """A person, and the designation as an administrator sees it (ACC-01)."""

    person: Person
    granted_by: str
    act_ref: str
    created_ns: int


@dataclass(frozen=True, slots=True)
class Camera:
    """An enrolled camera (REC-03)."""

    camera: str
    label: str
    regime: str
    service: str
    commune: str
    original: str
    live_audio: bool
    enrolled_ns: int
    revoked_ns: int | None


FindCamera: TypeAlias = Callable[[str], Awaitable[Camera | None]]
"""Return a camera by its name, None where it is not enrolled."""


class Accounts:
    """All statements about people, sign-ins and cameras."""

    def __init__(self, database: Database, deadline: Deadline = NO_DEADLINE) -> None:
        self._database = database
        self._deadline = deadline

    def within(self, deadline: Deadline) -> "Accounts":
        """Return these accounts for a request: every method raises OurError once the deadline has passed."""
        return Accounts(self._database, deadline)

    async def add_user(self, account: Account, password: str) -> None:
        """Insert a person; TheirError(CONFLICT) if the name is taken."""
        person = account.person
        values = {
            "user": person.user,
            "name": person.name,
            "role": person.role.value,
            "service": person.service,
            "communes": _communes_out(person.communes),
            "password": password,
            "must_change": person.must_change,
            "disabled": person.disabled,
            "valid_from_ns": person.valid_from_ns,
            "valid_to_ns": person.valid_to_ns,
            "granted_by": account.granted_by,
            "act_ref": account.act_ref,
            "created_ns": account.created_ns,
        }
        await self._write(lambda connection: connection.execute(users.insert().values(**values)))

    async def user(self, user: str) -> tuple[Account, str] | None:
        """Return a person and the Argon2id string, or None."""
        row = await self._read(lambda c: c.execute(select(users).where(users.c.user == user)).one_or_none())
        return None if row is None else (_account(row), row.password)

    async def list_users(self) -> list[Account]:
        """Return all people, by name of account."""
        found = await self._read(lambda c: c.execute(select(users).order_by(users.c.user)).all())
        return [_account(row) for row in found]

    async def update_user(self, user: str, values: dict[str, Any]) -> None:
        """Change columns of a person; TheirError(NOT_FOUND)."""
        if "communes" in values:
            values = {**values, "communes": _communes_out(values["communes"])}

        def work(connection: Connection) -> int:
            return connection.execute(update(users).where(users.c.user == user).values(**values)).rowcount

        if not await self._write(work):
            raise TheirError(Kind.NOT_FOUND, f"no user {user}", code=Code.USER_NOT_FOUND, facts={"user": user})

    async def remove_user(self, user: str) -> None:
        """Delete a person and every sign-in; TheirError(NOT_FOUND).  The journal keeps the name."""
        found = await self._write(lambda c: c.execute(delete(users).where(users.c.user == user)).rowcount)
        if not found:
            raise TheirError(Kind.NOT_FOUND, f"no user {user}", code=Code.USER_NOT_FOUND, facts={"user": user})

    async def add_sign_in(self, digest: str, user: str, now_ns: int, expires_ns: int, max_count: int) -> None:
        """Insert a sign-in; delete the oldest beyond `max_count` of the same person, and all that are over."""

        def work(connection: Connection) -> None:
            connection.execute(delete(sign_ins).where(sign_ins.c.expires_ns <= now_ns))
            mine = select(sign_ins.c.digest).where(sign_ins.c.user == user).order_by(sign_ins.c.created_ns.desc())
            extra = connection.scalars(mine.offset(max_count - 1)).all()
            connection.execute(delete(sign_ins).where(sign_ins.c.digest.in_(extra)))
            row = {"digest": digest, "user": user, "created_ns": now_ns, "expires_ns": expires_ns}
            connection.execute(sign_ins.insert().values(**row))

        await self._write(work)

    async def sign_in(self, digest: str, now_ns: int) -> tuple[Person, int] | None:
        """Return the person and the sign-in's end, or None when it is unknown or over."""
        query = select(users, sign_ins.c.expires_ns).join(sign_ins, sign_ins.c.user == users.c.user)
        query = query.where(sign_ins.c.digest == digest, sign_ins.c.expires_ns > now_ns)
        row = await self._read(lambda c: c.execute(query).one_or_none())
        return None if row is None else (_account(row).person, row.expires_ns)

    async def end_sign_in(self, digest: str) -> None:
        """Delete one sign-in."""
        await self._write(lambda c: c.execute(delete(sign_ins).where(sign_ins.c.digest == digest)))

    async def end_sign_ins(self, user: str) -> int:
        """Delete all sign-ins of a person; return how many there were."""
        return await self._write(lambda c: c.execute(delete(sign_ins).where(sign_ins.c.user == user)).rowcount)

    async def add_camera(self, camera: Camera, token_digest: str, max_count: int | None) -> None:
        """Insert a camera; TheirError(CONFLICT) if the name is taken or `max_count` valid ones exist already (REC-03)."""

        def work(connection: Connection) -> None:
            valid = connection.execute(select(cameras.c.camera).where(cameras.c.revoked_ns.is_(None))).all()
            if max_count is not None and len(valid) >= max_count:
                raise TheirError(
                    Kind.CONFLICT,
                    f"the authorisation covers {max_count} cameras (REC-03, R241-8)",
                    code=Code.CAMERAS_AUTHORISED,
                    facts={"max": max_count, "rule": "REC-03, R241-8"},
                )
            connection.execute(cameras.insert().values(token_digest=token_digest, **_camera_values(camera)))

        await self._write(work)

    async def update_camera(self, camera: str, values: dict[str, Any]) -> None:
        """Change columns of a camera; TheirError(NOT_FOUND)."""

        def work(connection: Connection) -> int:
            return connection.execute(update(cameras).where(cameras.c.camera == camera).values(**values)).rowcount

        if not await self._write(work):
            raise TheirError(Kind.NOT_FOUND, f"no camera {camera}", code=Code.CAMERA_NOT_FOUND, facts={"camera": camera})

    async def camera(self, camera: str) -> Camera | None:
        """Return a camera, revoked or not."""
        return await self._one_camera(cameras.c.camera == camera)

    async def camera_of_token(self, token_digest: str) -> Camera | None:
        """Return the camera whose token hashes to this, revoked or not."""
        return await self._one_camera(cameras.c.token_digest == token_digest)

    async def list_cameras(self) -> list[Camera]:
        """Return all cameras by name."""
        found = await self._read(lambda c: c.execute(select(cameras).order_by(cameras.c.camera)).all())
        return [_camera(row) for row in found]

    async def _write(self, work: Callable[[Connection], T]) -> T:
        return await self._database.write(work, deadline=self._deadline)

    async def _read(self, work: Callable[[Connection], T]) -> T:
        return await self._database.read(work, deadline=self._deadline)

    async def _one_camera(self, condition: Any) -> Camera | None:
        row = await self._read(lambda c: c.execute(select(cameras).where(condition)).one_or_none())
        return None if row is None else _camera(row)


def _account(row: Row[Any]) -> Account:
    communes: Sequence[str] | None = None if row.communes is None else json.loads(row.communes)
    person = Person(
        row.user,
        row.name,
        Role(row.role),
        row.service,
        None if communes is None else frozenset(communes),
        row.valid_from_ns,
        row.valid_to_ns,
        row.disabled,
        row.must_change,
    )
    return Account(person, row.granted_by, row.act_ref, row.created_ns)


def _communes_out(communes: frozenset[str] | None) -> str | None:
    return None if communes is None else json.dumps(sorted(communes))


def _camera(row: Row[Any]) -> Camera:
    return Camera(
        row.camera,
        row.label,
        row.regime,
        row.service,
        row.commune,
        row.original,
        row.live_audio,
        row.enrolled_ns,
        row.revoked_ns,
    )


def _camera_values(camera: Camera) -> dict[str, Any]:
    return {name: getattr(camera, name) for name in Camera.__slots__}
