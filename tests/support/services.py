"""Services over a real database, journal, vault and keyring in a temporary folder; a clock set by hand."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
from argon2 import PasswordHasher

from relay.archive.playback import Playbacks
from relay.archive.recordings import Recordings
from relay.archive.retention import Retention
from relay.base.clock import ManualClock, SteadyClock
from relay.base.counters import Counters
from relay.channel.messages import Plan, RecordingClosed, SegmentSealed
from relay.evidence.chain import ChainWriter, Gap, Link, Original, Reason, Start
from relay.evidence.records import TrackKind, TrackPart
from relay.evidence.seal import encrypt_fragment, new_session, sha256
from relay.people.authorize import Authorizer
from relay.people.designations import Designations
from relay.people.enrolment import Enrolment
from relay.people.interventions import Interventions
from relay.people.passwords import Passwords
from relay.people.sign_ins import CONSOLE, SignIns
from relay.people.view_tokens import ViewTokens
from relay.policy.roles import Person, Role
from relay.store.accounts import Accounts
from relay.store.catalogue import Catalogue, Export
from relay.store.database import Database
from relay.store.journal import Journal
from relay.store.keyring import Keyring
from relay.store.vault import FileOps, RecordingWriter, Vault

SERVICE = "Police municipale de Testville"
OPERATOR = Person("olga", "Olga Op", Role.OPERATOR, SERVICE)
COMMANDER = Person("carl", "Carl Com", Role.COMMANDER, SERVICE)
AUDITOR = Person("aude", "Aude It", Role.AUDITOR, SERVICE)
ADMINISTRATOR = Person("adam", "Adam In", Role.ADMINISTRATOR, SERVICE)
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class House:
    """Everything that control holds, without HTTP, workers and recorders."""

    root: Path
    clock: ManualClock
    counters: Counters
    database: Database
    journal: Journal
    authorizer: Authorizer
    keyring: Keyring
    vault: Vault
    accounts: Accounts
    catalogue: Catalogue
    passwords: Passwords
    sign_ins: SignIns
    designations: Designations
    view_tokens: ViewTokens
    enrolment: Enrolment
    interventions: Interventions
    recordings: Recordings
    playbacks: Playbacks
    retention: Retention

    def fresh_playbacks(self) -> Playbacks:
        """Return the playbacks of a control that has just started: it knows of none."""
        return Playbacks(self.catalogue, self.journal, self.authorizer, self.vault, self.keyring, self.clock, self.counters)

    async def events(self) -> list[str]:
        """Return the entries of the journal, in order: `operation/event` or `operation/action`."""
        names = []
        for leaf in await self.journal.read(limit=1000):
            assert leaf.body is not None
            details = leaf.body["details"]
            assert isinstance(details, dict)
            names.append(f"{leaf.body['operation']}/{details.get('event') or details.get('action') or details.get('door')}")
        return names

    async def record(self, camera: str = "cam-1", seconds: int = 3) -> str:
        """Make a closed recording as camera, recorder and control would; its intervention is closed too."""
        if await self.accounts.camera(camera) is None:
            await self.enrolment.enrol(CONSOLE, camera, "Patrouille 1", "bodycam_pm")
        found = await self.enrolment.camera(camera)
        its = await self.interventions.open_by_camera(camera, "Rixe", "appel 17")
        plan, key = await self.recordings.begin(found, its.intervention, trigger="bouton", threat="personnes", bearer="agent 7")
        sealed, closed = seal(self, plan, key, seconds)
        await self.recordings.segment_sealed(sealed)
        await self.recordings.closed(closed)
        await self.interventions.close_system(its.intervention, "over")
        return plan.recording

    async def hand_over(self, recording: str, procedure_no: str, *, whole: bool = True) -> None:
        """Enter an extraction for a procedure as one that was delivered, or that was only asked for."""
        now_ns = self.clock.utc_ns()
        words = ("réquisition", "CPP_60-1", "OPJ B.", "SRPJ", procedure_no, COMMANDER.user)
        digest, state = ("0" * 64, "delivered") if whole else (None, "ready")
        await self.catalogue.exports.add(Export(f"{now_ns:032x}", recording, 0, 1, *words, now_ns, state, sha256=digest))
        self.clock.advance(1)


class Sealing(Protocol):
    """The parts of a house, or of a control's stores, that sealing uses."""

    @property
    def keyring(self) -> Keyring:
        """The keys."""
        ...

    @property
    def vault(self) -> Vault:
        """Where it goes."""
        ...


def seal(house: Sealing, plan: Plan, key: bytes, seconds: int, gap: Gap | None = None) -> tuple[SegmentSealed, RecordingClosed]:
    """Write a recording of one fragment a second into the vault, signed and encrypted as a recorder does."""
    ns = 1_000_000_000
    session = new_session(
        house.keyring.signer,
        role="recorder",
        index=0,
        not_before_ns=plan.started_ns - ns,
        not_after_ns=plan.started_ns + 9_999 * ns,
    )
    start = Start(
        plan.recording, plan.camera, plan.camera_label, plan.regime, plan.service, Original.RELAY, plan.bearer,
        plan.intervention, plan.trigger, plan.threat, plan.expires_on, None, None, plan.started_ns, session.certificate,
    )  # fmt: skip
    writer = RecordingWriter(FileOps(), house.vault.folder(plan.recording))
    chain = ChainWriter(session, start)
    writer.append_chain(chain.start())
    for number in range(seconds + 1):
        plain = b"init" if number == 0 else secrets.token_bytes(2_000)
        stored = encrypt_fragment(key, plan.recording, number, plain)
        offset = writer.append_stored(0, stored)
        at = plan.started_ns + max(0, number - 1) * ns
        part = TrackPart(1, TrackKind.VIDEO, 30, sha256(plain), max(0, number - 1) * 90_000, 90_000)
        writer.append_chain(
            chain.link(
                Link(
                    number,
                    0,
                    number == 0,
                    offset,
                    len(plain),
                    len(stored),
                    sha256(plain),
                    sha256(stored),
                    () if number == 0 else (part,),
                    at,
                    0 if number == 0 else ns,
                )  # fmt: skip
            )
        )
    if gap is not None:
        writer.append_chain(chain.gap(gap))
    end_ns = plan.started_ns + seconds * ns
    writer.append_chain(chain.end(Reason.STOPPED, "agent 7", end_ns))
    writer.sync()
    writer.close()
    sealed = SegmentSealed(plan.recording, 0, 0, seconds, plan.started_ns, end_ns, chain.stored_bytes, chain.head)
    closed = RecordingClosed(
        plan.recording, "stopped", chain.links, chain.head, end_ns, False, 0, seconds * ns, chain.stored_bytes
    )
    return sealed, closed


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock, counters = ManualClock(), Counters()
    database = await Database.open(f"sqlite:///{tmp_path}/relay.db", counters)
    keyring, vault = Keyring(tmp_path / "keys"), Vault(tmp_path / "vault")
    vault.prepare()
    journal = await Journal.open(database, keyring.signer, "relay.test/journal", tmp_path / "checkpoints", clock, counters)
    accounts, catalogue = Accounts(database), Catalogue(database)
    authorizer = Authorizer(journal, clock)
    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    steady = SteadyClock(clock)
    sign_ins = SignIns(accounts, journal, authorizer, clock, counters, passwords=passwords, steady=steady)
    recordings = Recordings(catalogue, journal, authorizer, keyring, clock, counters)
    playbacks = Playbacks(catalogue, journal, authorizer, vault, keyring, clock, counters)
    yield House(
        tmp_path,
        clock,
        counters,
        database,
        journal,
        authorizer,
        keyring,
        vault,
        accounts,
        catalogue,
        passwords,
        sign_ins,
        Designations(accounts, journal, authorizer, sign_ins, passwords, clock, service=SERVICE),
        ViewTokens(sign_ins, steady),
        Enrolment(accounts, journal, authorizer, clock, service=SERVICE, communes=("35000", ""), max_cameras=3),
        Interventions(catalogue, journal, authorizer, clock),
        recordings,
        playbacks,
        Retention(catalogue, journal, authorizer, vault, keyring, clock, counters, end_views=playbacks.end_of_recording),
    )
    await journal.close()
    passwords.close()
    await database.close()
