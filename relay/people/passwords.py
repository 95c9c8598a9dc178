"""Argon2id off the event loop.  Owns: the hasher, its one thread and who waits for it.  Must never know: who signs in."""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.people.waiting import Waiting

T = TypeVar("T")
MIN_LENGTH = 12
MAX_LENGTH = 256
MAX_WAITING = 32
"""Places for known sources, and as many for strangers: two seconds of one core each."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody waits: sources take turns, and those that signed in before have places kept."""

    source: str
    known: bool


STRANGER = Place("?", known=False)
_SIGNED_IN = Place("", known=True)
"""Only people who are signed in set passwords."""


@dataclass(frozen=True, slots=True)
class _Job:
    work: Callable[[], object]
    done: asyncio.Future[object]


class Passwords:
    """Hashes and checks, one at a time: a flood of sign-ins takes at most one core and 64 MiB, and delays no packet."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="argon2")
        self._waiting: Waiting[_Job] = Waiting(MAX_WAITING)
        self._busy = False
        self._decoy = self._hasher.hash("nobody's password")

    async def hash(self, password: str, *, forbidden: Iterable[str] = ()) -> str:
        """Return an Argon2id string; TheirError(INVALID) if shorter than 12, longer than 256, or one of `forbidden`."""
        if not MIN_LENGTH <= len(password) <= MAX_LENGTH or password in set(forbidden):
            raise TheirError(
                Kind.INVALID,
                f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters and is not an old one",
                code=Code.PASSWORD_UNACCEPTABLE,
                facts={"min": MIN_LENGTH, "max": MAX_LENGTH},
            )
        return await self._run(lambda: self._hasher.hash(password), _SIGNED_IN)

    async def matches(self, hashed: str | None, password: str, place: Place = STRANGER) -> bool:
        """Return whether a password matches; None as hash takes as long as a real one and never matches."""
        right = await self._run(lambda: self._verify(hashed or self._decoy, password[: MAX_LENGTH + 1]), place)
        return right and hashed is not None

    def _verify(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T], place: Place) -> T:
        """Wait for a place and for the result.  Raises TheirError(TOO_MANY) where the places of this kind are taken."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        refused = self._waiting.add(place.source, _Job(work, done), known=place.known)  # type: ignore[arg-type]
        if refused is not None and not refused.done.done():
            error = TheirError(Kind.TOO_MANY, "too many sign-ins at once", retry_after=2.0, code=Code.TOO_MANY_SIGN_INS)
            refused.done.set_exception(error)
        self._begin_next()
        return await done

    def _begin_next(self) -> None:
        while not self._busy and len(self._waiting):
            job = self._waiting.next()
            if not job.done.done():
                self._busy = True
                running = asyncio.get_running_loop().run_in_executor(self._pool, job.work)
                running.add_done_callback(lambda result, job=job: self._finish(job, result))  # type: ignore[misc]

    def _finish(self, job: _Job, result: asyncio.Future[object]) -> None:
        self._busy = False
        if not job.done.done():
            error = result.exception()
            if error is not None:
                job.done.set_exception(error)
            else:
                job.done.set_result(result.result())
        self._begin_next()

    def close(self) -> None:
        """Stop the thread."""
        self._pool.shutdown()
