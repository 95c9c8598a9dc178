"""Argon2id off the event loop.  Owns: the hasher, its one thread and its bounded queue.  Must never know: who signs in."""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from relay.base.codes import Code
from relay.base.errors import Kind, TheirError

T = TypeVar("T")
MIN_LENGTH = 12
MAX_LENGTH = 256
MAX_WAITING = 32


class Passwords:
    """Hashes and checks, one at a time: a flood of sign-ins takes at most one core and 64 MiB, and delays no packet."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="argon2")
        self._waiting = 0
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
        return await self._run(lambda: self._hasher.hash(password))

    async def matches(self, hashed: str | None, password: str) -> bool:
        """Return whether a password matches; None as hash takes as long as a real one and never matches."""
        right = await self._run(lambda: self._verify(hashed or self._decoy, password[: MAX_LENGTH + 1]))
        return right and hashed is not None

    def _verify(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise TheirError(Kind.TOO_MANY, "too many sign-ins at once", retry_after=2.0, code=Code.TOO_MANY_SIGN_INS)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Stop the thread."""
        self._pool.shutdown()
