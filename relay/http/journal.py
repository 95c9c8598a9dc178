"""`/api/journal`: entries, checkpoints and proofs.

Owns: the JSON of the journal, and the entry that each reading makes (JRN-04).  Must never know: how the
journal is stored.
"""

from aiohttp import web

from relay.base.clock import rfc3339
from relay.http import schemas
from relay.http.bodies import answer, number
from relay.http.context import Access, Context, Route, context, signed_in
from relay.policy.roles import Action, Person
from relay.store.journal import Entry, Operation


async def _enter(services: Context, person: Person, event: str) -> None:
    await services.authorizer.require(person, Action.READ_JOURNAL, object_type="journal")
    await services.journal.append(
        Entry(
            Operation.CONSULTATION,
            person.user,
            person.role.value,
            motive="audit",
            object_type="journal",
            details={"event": event},
        ),
        deadline=services.deadline,
    )


async def read(request: web.Request) -> web.StreamResponse:
    """Read entries in order."""
    services = context(request)
    after = number(request, "after", -1, -1, 1 << 62)
    limit = number(request, "limit", 200, 1, 1000)
    await _enter(services, signed_in(request).person, f"journal read after {after}")
    leaves = [
        schemas.JournalLeaf(
            leaf=leaf.leaf,
            at=rfc3339(leaf.at_ns),
            body=dict(leaf.body) if leaf.body is not None else None,
            leaf_hash=leaf.leaf_hash.hex(),
        )
        for leaf in await services.journal.read(after, limit, deadline=services.deadline)
    ]
    return answer(schemas.JournalPage(size=services.journal.size, leaves=leaves))


async def checkpoint(request: web.Request) -> web.StreamResponse:
    """Return a fresh signed checkpoint."""
    services = context(request)
    await _enter(services, signed_in(request).person, "checkpoint read")
    found = await services.journal.checkpoint(deadline=services.deadline)
    return answer(schemas.CheckpointOut(note=found))


async def proof(request: web.Request) -> web.StreamResponse:
    """Return the inclusion proof of one entry."""
    services = context(request)
    leaf = number(request, "leaf", 0, 0, 1 << 62)
    await _enter(services, signed_in(request).person, f"proof of leaf {leaf}")
    [found] = await services.journal.proofs([leaf], deadline=services.deadline)
    return answer(
        schemas.ProofOut(
            leaf=leaf,
            leaf_hash=found.leaf_hash.hex(),
            salt=found.salt.hex() if found.salt else None,
            body=found.entry.hex() if found.entry is not None else None,
            path=[item.hex() for item in found.path],
            checkpoint=found.note,
            file=found.text(),
        )
    )


ROUTES = (
    Route("GET", "/api/journal", Access.SIGNED_IN, read, "Entries of the journal", None, schemas.JournalPage),
    Route("GET", "/api/journal/checkpoint", Access.SIGNED_IN, checkpoint, "A signed checkpoint", None, schemas.CheckpointOut),
    Route("GET", "/api/journal/proof", Access.SIGNED_IN, proof, "An inclusion proof", None, schemas.ProofOut),
)
