"""The verdict on a recording, requested by the page: that of `relay verify --json`, with the pinned public key.

Owns: one verification at a time, off the loop, and its entry in the journal.  Must never know: how a verdict is reached.

API: `await verify(person, recording) -> dict` (the verdict's JSON), for commanders and auditors (INT-01).
"""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import closing
from typing import Any

from relay.base.codes import Code
from relay.base.errors import Kind, OurError, TheirError
from relay.evidence.verify import verify
from relay.people.authorize import Authorizer
from relay.policy.access import Facts
from relay.policy.roles import Action, Person
from relay.runtime.deadlines import NO_DEADLINE, Deadline
from relay.store.catalogue import Catalogue
from relay.store.journal import Entry, Journal, Operation
from relay.store.keyring import Keyring
from relay.store.readers import FolderReader
from relay.store.vault import Vault

MAX_WAITING = 4


class Verification:
    """Verifies recordings on request."""

    def __init__(
        self,
        catalogue: Catalogue,
        journal: Journal,
        authorizer: Authorizer,
        vault: Vault,
        keyring: Keyring,
        *,
        public_key: bytes,
        revoked: Mapping[bytes, Collection[bytes]],
        deadline: Deadline = NO_DEADLINE,
    ) -> None:
        """`public_key`: the long-term key pinned in the settings (32 bytes), never one found beside the recording.

        `revoked`: as `evidence.verify` takes it; keys are revoked only while nothing runs.  `deadline`: how long a request
        waits for the disk.
        """
        self._deadline = deadline
        self._revoked = revoked
        self._catalogue = catalogue.within(deadline)
        self._journal = journal
        self._vault = vault
        self._keyring = keyring
        self._public_key = public_key
        self._authorizer = authorizer
        self._one = asyncio.Lock()
        self._waiting = 0

    async def verify(self, person: Person, recording: str) -> dict[str, Any]:
        """Return the verdict.

        Raises TheirError FORBIDDEN, NOT_FOUND (also where its files are gone from the vault), GONE (erased), TOO_MANY, INVALID
        (unreadable), and OurError where the disk does not give the files.
        """
        row = await self._catalogue.recordings.get(recording)
        facts = Facts().of(row)
        await self._authorizer.require(person, Action.VERIFY_RECORDING, facts, object_type="recording", object_id=recording)
        if row.state == "erased":
            raise TheirError(
                Kind.GONE,
                "this recording was erased at its term (RET-01)",
                code=Code.RECORDING_ERASED,
                facts={"rule": "RET-01"},
            )
        if self._waiting >= MAX_WAITING:
            raise TheirError(Kind.TOO_MANY, "verifications are waiting", retry_after=10.0, code=Code.TOO_MANY_VERIFICATIONS)
        still_open = await self._sealed(recording) if row.state == "open" else None
        self._waiting += 1
        try:
            async with self._one:
                verdict = await asyncio.to_thread(self._judge, recording, still_open)
        finally:
            self._waiting -= 1
        await self._enter(person, recording, verdict)
        return verdict

    async def _sealed(self, recording: str) -> int:
        """Return how many fragments of an open recording were sealed at least, by its rows: a shorter chain was cut."""
        return max((row.last_link + 1 for row in await self._catalogue.recordings.segments(recording)), default=0)

    def _judge(self, recording: str, still_open: int | None) -> dict[str, Any]:
        try:
            key = self._keyring.recording_key(recording)
        except TheirError:
            key = None
        successions = self._keyring.successions()
        try:
            with closing(FolderReader(self._vault.folder(recording))) as reader:
                return verify(
                    reader, self._public_key, key, successions=successions, revoked=self._revoked, still_open=still_open
                ).as_json()
        except FileNotFoundError:
            detail = "the files of this recording are not in the vault: `relay check` says what is missing"
            raise TheirError(Kind.NOT_FOUND, detail, code=Code.RECORDING_FILES_MISSING) from None
        except OSError as error:
            raise OurError(f"the files of this recording cannot be read: {error.strerror}") from error

    async def _enter(self, person: Person, recording: str, verdict: dict[str, Any]) -> None:
        details: dict[str, str | int | bool | None] = {"event": "verified", "exit_code": int(verdict["exit_code"])}
        await self._journal.append(
            Entry(
                Operation.SYSTEME,
                person.user,
                person.role.value,
                object_type="recording",
                object_id=recording,
                details=details,
            ),
            deadline=self._deadline,
        )
