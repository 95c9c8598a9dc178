"""Constructs the services of control, and connects the events of each to the others.

Owns: which service is given which, and who listens to whom.  Must never know: what any of them does.
"""

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path

from relay.app.keyrings import keyring_of
from relay.app.places import places
from relay.app.private import make_private
from relay.app.settings import Settings
from relay.archive.check import Check
from relay.archive.export_zip import DERIVE
from relay.archive.exports import Exports
from relay.archive.playback import Playbacks
from relay.archive.recordings import Recordings
from relay.archive.repair import Repair
from relay.archive.retention import Retention
from relay.archive.unopened import Unopened
from relay.archive.verification import Verification
from relay.base.clock import Clock, SteadyClock, SystemClock
from relay.base.counters import Counters
from relay.base.errors import OurError
from relay.base.ids import token_digest
from relay.channel.messages import PeerCloseReason, RecorderReport, WorkerReport
from relay.evidence.keys import public_key_from
from relay.evidence.standalone import single_file
from relay.evidence.statement import predecessors
from relay.http.connections import Connections
from relay.http.context import Context, Options
from relay.http.doors import Door, Proofs
from relay.http.hub import LiveHub, disk_message
from relay.http.limits import Buckets
from relay.http.proxies import networks
from relay.http.shares import DOWNLOADS_PER_PERSON, DOWNLOADS_PER_SIGN_IN, LIVE_PER_PERSON, LIVE_PER_SIGN_IN, Shares
from relay.live.cages import Cages
from relay.live.camera_intents import CameraIntents
from relay.live.camera_sockets import CameraSockets
from relay.live.capture import Capture
from relay.live.media_addresses import MediaAddresses
from relay.live.offer_refusals import OfferRefusals
from relay.live.processes import ProcessClient, Processes
from relay.live.rules import LiveRules
from relay.live.session_keys import SessionKeys
from relay.live.streams import Streams
from relay.live.telemetry import Telemetry
from relay.live.time_limit import TimeLimit
from relay.people.authorize import Authorizer
from relay.people.designations import Designations
from relay.people.enrolment import Enrolment
from relay.people.interventions import Interventions
from relay.people.known_browsers import KnownBrowsers
from relay.people.passwords import Passwords
from relay.people.sign_ins import SignIns
from relay.people.view_tokens import ViewTokens
from relay.policy.lockout import Limits
from relay.protocol.page import AlarmReason, CageReport, InterventionsChanged, WorkerChanged
from relay.runtime.background import Background
from relay.runtime.deadlines import Deadline
from relay.runtime.descriptors import limit_now
from relay.runtime.host_addresses import HostAddresses, resolve
from relay.store.accounts import Accounts
from relay.store.catalogue import Catalogue
from relay.store.database import Database
from relay.store.journal import Journal
from relay.store.keyring import Keyring
from relay.store.passes import CONSOLE, KEPT, Passes, control_of
from relay.store.revocations import attested, revoked_keys
from relay.store.vault import Vault
from relay.store.vault_probe import VaultProbe
from relay.viewing.camera_state import CameraStates
from relay.viewing.viewing import Viewing

MIN_METRICS_TOKEN = 20
"""Characters: a token that a person thinks up is shorter."""


@dataclass(frozen=True)
class Stores:
    """The opened stores of the data folder."""

    database: Database
    keyring: Keyring
    passes: Passes
    journal: Journal
    accounts: Accounts
    catalogue: Catalogue
    vault: Vault


@dataclass(frozen=True)
class Control:
    """Everything that a running control consists of."""

    context: Context
    stores: Stores
    processes: Processes
    capture: Capture
    retention: Retention
    sessions: SessionKeys
    offer_refusals: OfferRefusals
    unopened: Unopened
    background: Background


def journal_origin(keyring: Keyring) -> str:
    """Return the name under which the journal's checkpoints are signed (C2SP).  It is named after the first key, for ever."""
    return journal_name([keyring.public_key, *keyring.earlier_keys()][-1])


def journal_name(first_key: bytes) -> str:
    """Return the journal's name, made from the public half of its first signing key."""
    return f"bodycam-relay/{hashlib.sha256(first_key).hexdigest()[:16]}"


def database_url(settings: Settings) -> str:
    """Return the database's URL."""
    return settings.store.url or f"sqlite:///{settings.data.resolve() / 'relay.db'}"


async def open_stores(settings: Settings, clock: Clock, counters: Counters) -> Stores:
    """Open keys, database, journal and vault, and make those that are missing; raises OurError."""
    await asyncio.to_thread(make_private, settings.data)
    await asyncio.to_thread(settings.run.mkdir, mode=0o700, exist_ok=True)
    keyring = await asyncio.to_thread(keyring_of, settings)
    passes = await asyncio.to_thread(Passes, settings.data / "keys")
    vault = Vault(settings.data / "vault")
    await asyncio.to_thread(vault.prepare)
    database = await Database.open(database_url(settings), counters)
    checkpoints = settings.data / "journal" / "checkpoints"
    origin, earlier = journal_origin(keyring), keyring.earlier_keys()
    journal = await Journal.open(database, keyring.signer, origin, checkpoints, clock, counters, earlier=earlier)
    return Stores(database, keyring, passes, journal, Accounts(database), Catalogue(database), vault)


@dataclass(frozen=True)
class _Basis:
    """The arguments that most services share."""

    settings: Settings
    stores: Stores
    authorizer: Authorizer
    clock: Clock
    steady: SteadyClock
    counters: Counters
    deadline: Deadline
    """How long a request waits for the disk."""


async def wire(
    settings: Settings,
    *,
    workers: int | None = None,
    clock: Clock | None = None,
    deadline: Deadline | None = None,
    passwords: Passwords | None = None,
    addresses: HostAddresses | None = None,
) -> Control:
    """Open the stores and construct all services; `workers` is 0 for a console without workers.  Raises OurError.

    `deadline`: how long a request waits for the disk; `passwords`: how passwords are hashed; where not given, as the settings
    say and by Argon2id at its full cost.  `addresses`: of this machine, opened before a cage.
    """
    clock, counters = clock or SystemClock(), Counters()
    deadline = deadline or Deadline(settings.store.patience_seconds)
    steady, stores = SteadyClock(clock), await open_stores(settings, clock, counters)
    processes = _processes(settings, workers, stores, counters)
    authorizer = Authorizer(stores.journal, clock, deadline)
    basis = _Basis(settings, stores, authorizer, clock, steady, counters, deadline)
    (sign_ins, designations), enrolment = await _people(basis, passwords or Passwords()), _cameras(basis)
    interventions = Interventions(stores.catalogue, stores.journal, authorizer, clock, deadline=deadline)
    recordings, playbacks = _recordings(basis)
    capture = Capture(processes, recordings, counters, deadline=deadline)
    camera_sockets = _camera_sockets(basis, interventions)
    rules = _rules(settings)
    streams = _streams(basis, processes, capture, camera_sockets, rules)
    Telemetry(camera_sockets, capture, streams.live, clock)
    viewing = Viewing(
        processes, streams, interventions, stores.catalogue, stores.journal, authorizer, clock, steady, counters,
        deadline=deadline,
    )  # fmt: skip
    time_limit = TimeLimit(streams, authorizer, stores.journal, clock, rules.transmission_seconds, deadline=deadline)
    camera_states = CameraStates(streams, capture, camera_sockets, viewing, time_limit, clock)
    retention = _retention(basis, playbacks, capture)
    check = _check(basis, playbacks, capture, viewing, retention)
    verification, exports = await _proofs(basis)
    sessions = SessionKeys(processes, stores.keyring, clock, counters)
    connections = Connections(places(settings, limit_now()), clock.monotonic, counters)
    credentials = Proofs()
    reports = _Reports(processes, counters, capture, streams, viewing, retention, sessions, connections)
    context = Context(
        clock=clock, steady=steady, counters=counters, deadline=deadline, options=_options(settings), authorizer=authorizer,
        sign_ins=sign_ins, designations=designations, view_tokens=ViewTokens(sign_ins, steady), enrolment=enrolment,
        interventions=interventions, camera_sockets=camera_sockets, streams=streams, viewing=viewing, time_limit=time_limit,
        camera_states=camera_states, recordings=recordings, playbacks=playbacks, verification=verification, exports=exports,
        holds=retention.holds, check=check, repair=_repair(basis, check, recordings, retention),
        live=LiveHub(enrolment, camera_states, clock, counters), journal=stores.journal, processes=processes,
        proofs=credentials, endpoint_door=Door(settings.http.door_rate, settings.http.door_burst, credentials),
        sign_in_rate=Buckets(settings.http.sign_in_rate, settings.http.sign_in_burst),
        sign_in_door=Door(settings.http.door_rate, settings.http.door_burst, credentials), connections=connections,
        live_sockets=Shares(LIVE_PER_SIGN_IN, LIVE_PER_PERSON, counters), ready=reports.ready, gauges=reports.gauges,
        downloads=Shares(DOWNLOADS_PER_SIGN_IN, DOWNLOADS_PER_PERSON, counters), console_pass=stores.passes.of(CONSOLE),
        vault_probe=VaultProbe(stores.vault.root, clock, deadline), process_counters=reports.counters,
        cages=Cages(processes, counters), media_addresses=await _media_addresses(basis, workers, addresses),
    )  # fmt: skip
    background, unopened = Background(counters), _unopened(basis, recordings, capture, processes)
    refusals = OfferRefusals(stores.journal, background, counters)
    return _introduced(Control(context, stores, processes, capture, retention, sessions, refusals, unopened, background))


def _processes(settings: Settings, workers: int | None, stores: Stores, counters: Counters) -> Processes:
    count = settings.workers.count if workers is None else workers
    return Processes(settings.run, count, counters, lambda name: stores.passes.of(control_of(name)))


def _camera_sockets(basis: _Basis, interventions: Interventions) -> CameraSockets:
    intents = CameraIntents(interventions, basis.stores.catalogue, basis.clock, basis.counters)
    return CameraSockets(intents, interventions, basis.authorizer, basis.clock, basis.counters)


async def _media_addresses(basis: _Basis, workers: int | None, addresses: HostAddresses | None) -> MediaAddresses:
    settings, machine = basis.settings, addresses or HostAddresses()
    bound = () if workers == 0 else await asyncio.to_thread(resolve, settings.media_host)
    return MediaAddresses(bound, settings.workers.advertise, machine, basis.clock.monotonic, basis.counters)


def _streams(basis: _Basis, processes: Processes, capture: Capture, camera_sockets: CameraSockets, rules: LiveRules) -> Streams:
    stores = basis.stores
    return Streams(
        processes, capture, camera_sockets, stores.catalogue, stores.accounts, rules, basis.clock, basis.counters,
        kept_key=stores.passes.of(KEPT), deadline=basis.deadline,
    )  # fmt: skip


def _rules(settings: Settings) -> LiveRules:
    return LiveRules(
        settings.workers.silence_after,
        settings.recorder.record_grace,
        settings.policy.transmission_minutes * 60,
        {str(regime): seconds for regime, seconds in settings.recorder.record_grace_by_regime.items()},
    )


async def _people(basis: _Basis, passwords: Passwords) -> tuple[SignIns, Designations]:
    stores, settings, lockout = basis.stores, basis.settings, basis.settings.lockout
    browsers = KnownBrowsers(await asyncio.to_thread(stores.keyring.browser_key))
    limits = Limits(
        lockout.free_failures, lockout.first_seconds, lockout.longest_seconds, lockout.forget_seconds, lockout.free_names
    )
    sign_ins = SignIns(
        stores.accounts, stores.journal, basis.authorizer, basis.clock, basis.counters,
        passwords=passwords, browsers=browsers, limits=limits,
        lasts_seconds=int(settings.http.session_hours * 3600), steady=basis.steady, deadline=basis.deadline,
    )  # fmt: skip
    designations = Designations(
        stores.accounts, stores.journal, basis.authorizer, sign_ins, passwords, basis.clock,
        service=settings.policy.service, deadline=basis.deadline,
    )  # fmt: skip
    return sign_ins, designations


def _cameras(basis: _Basis) -> Enrolment:
    policy = basis.settings.policy
    return Enrolment(
        basis.stores.accounts,
        basis.stores.journal,
        basis.authorizer,
        basis.clock,
        service=policy.service,
        communes=policy.communes,
        max_cameras=policy.max_cameras,
        deadline=basis.deadline,
    )


def _recordings(basis: _Basis) -> tuple[Recordings, Playbacks]:
    stores, days = basis.stores, basis.settings.policy.prefect_days
    recordings = Recordings(
        stores.catalogue, stores.journal, basis.authorizer, stores.keyring, basis.clock, basis.counters,
        prefect_days=days, deadline=basis.deadline,
    )  # fmt: skip
    playbacks = Playbacks(
        stores.catalogue, stores.journal, basis.authorizer, stores.vault, stores.keyring, basis.clock, basis.counters,
        deadline=basis.deadline,
    )  # fmt: skip
    return recordings, playbacks


def _retention(basis: _Basis, playbacks: Playbacks, capture: Capture) -> Retention:
    stores = basis.stores
    return Retention(
        stores.catalogue, stores.journal, basis.authorizer, stores.vault, stores.keyring, basis.clock, basis.counters,
        end_views=playbacks.end_of_recording, close_open=lambda recording: capture.finish(recording, "stopped"),
        deadline=basis.deadline,
    )  # fmt: skip


def _unopened(basis: _Basis, recordings: Recordings, capture: Capture, processes: Processes) -> Unopened:
    return Unopened(
        recordings, basis.stores.vault, basis.clock, held=capture.open,
        is_ready=lambda: all(recorder.up for recorder in processes.recorders),
    )  # fmt: skip


def _check(basis: _Basis, playbacks: Playbacks, capture: Capture, viewing: Viewing, retention: Retention) -> Check:
    stores = basis.stores
    return Check(
        stores.catalogue, stores.journal, stores.vault, stores.keyring, basis.clock,
        recording_now=capture.open, viewing_now=lambda: viewing.known() | playbacks.open_views(),
        believed_ns=retention.believed_ns,
    )  # fmt: skip


def _repair(basis: _Basis, check: Check, recordings: Recordings, retention: Retention) -> Repair:
    stores = basis.stores
    return Repair(
        check, stores.catalogue, stores.journal, basis.authorizer, stores.vault, stores.keyring, stores.accounts.camera,
        recordings, retention, basis.clock, basis.counters,
    )  # fmt: skip


async def _proofs(basis: _Basis) -> tuple[Verification, Exports]:
    """Return verification and exports.  Revoked keys are read once: none is revoked while control runs."""
    settings, stores = basis.settings, basis.stores
    pinned = settings.evidence.public_key or settings.data / "keys" / "signing.pub"
    public_key = public_key_from(pinned.read_bytes())
    keys = [public_key, *predecessors(public_key, stores.keyring.successions())]
    checkpoints, name = settings.data / "journal" / "checkpoints", journal_name(keys[-1])
    known = revoked_keys(settings.data / "keys" / "revoked")
    revoked = await attested(stores.database, checkpoints, keys, name, basis.clock.utc_ns(), known)
    verification = Verification(
        stores.catalogue, stores.journal, basis.authorizer, stores.vault, stores.keyring,
        public_key=public_key, revoked=revoked, deadline=basis.deadline,
    )  # fmt: skip
    exports = Exports(
        stores.catalogue, stores.journal, basis.authorizer, stores.vault, stores.keyring, basis.clock, basis.counters,
        verifier=single_file().encode(), derive=DERIVE, revoked=revoked, deadline=basis.deadline,
    )  # fmt: skip
    return verification, exports


def _options(settings: Settings) -> Options:
    http, tls = settings.http, settings.http.tls_cert is not None
    return Options(
        tls=tls,
        https=tls or (http.public_origin or "").startswith("https:"),
        trusted_proxies=networks(http.trusted_proxies),
        behind_proxy=http.public_origin is not None and not tls and not http.trusted_proxies,
        metrics_token=_digest_in(http.metrics_token_file),
        origins=frozenset({http.public_origin} if http.public_origin else ()),
        allowed_origins=frozenset(http.allowed_origins),
        ice_servers=http.ice_servers,
        ui_dir=http.ui_dir,
        live_queue=http.live_queue,
    )


def _digest_in(path: Path | None) -> str | None:
    """Return the digest of the token in a file; raises OurError."""
    if path is None:
        return None
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OurError(f"http.metrics_token_file: {path} cannot be read: {error}") from error
    if len(token) < MIN_METRICS_TOKEN:
        raise OurError(f"http.metrics_token_file: the token in {path} needs at least {MIN_METRICS_TOKEN} characters")
    return token_digest(token)


def _introduced(control: Control) -> Control:
    """Register each service with the services whose events it needs; return the control."""
    services = control.context

    def signed_out(user: str) -> None:
        services.viewing.end_where(PeerCloseReason.SIGNED_OUT, user=user)
        services.live.sign_out("signed out", user=user)
        control.background.spawn(services.playbacks.end_of_person(user, "signed out"))

    def changed(camera: str) -> None:
        services.live.camera_changed(camera)

    services.sign_ins.on_signed_out.append(signed_out)
    services.enrolment.on_revoked.append(services.streams.revoked)
    services.interventions.on_changed.append(lambda: services.live.send_all(InterventionsChanged()))
    services.interventions.on_closed.append(services.streams.end_intervention)
    services.streams.on.change.append(changed)
    services.camera_sockets.on_change.append(changed)
    services.camera_sockets.on_press.append(services.live.camera_pressed)
    services.streams.on.gone.append(lambda camera, reason: changed(camera))
    services.streams.on.alarm.append(services.live.alarm)
    services.streams.on.refused.append(control.offer_refusals.take)
    services.recordings.on_damaged.append(lambda camera: services.live.alarm(camera, AlarmReason.RECORDING_DAMAGED))
    control.capture.disk.on_change.append(lambda outlook: services.live.send_all(disk_message(outlook)))
    services.live.greetings.append(lambda: disk_message(control.capture.disk.outlook))
    services.cages.on_change.append(lambda incomplete: services.live.send_all(CageReport(incomplete)))
    services.live.greetings.append(lambda: CageReport(services.cages.incomplete) if services.cages.incomplete else None)
    services.viewing.on_watched.append(services.camera_sockets.watched)
    services.viewing.on_watched.append(lambda camera, count: changed(camera))
    services.processes.on_down(lambda process: _send_worker(services, process, up=False))

    async def worker_up(process: ProcessClient) -> None:
        _send_worker(services, process, up=True)

    services.processes.on_up(worker_up)
    return control


def _send_worker(services: Context, process: ProcessClient, *, up: bool) -> None:
    if process.role == "worker":
        services.live.send_all(WorkerChanged(process.index, up))


class _Reports:
    """The values of metrics and of readiness."""

    def __init__(
        self,
        processes: Processes,
        counters: Counters,
        capture: Capture,
        streams: Streams,
        viewing: Viewing,
        retention: Retention,
        sessions: SessionKeys,
        connections: Connections,
    ) -> None:
        self._processes = processes
        self._own = counters
        self._capture = capture
        self._streams = streams
        self._viewing = viewing
        self._retention = retention
        self._sessions = sessions
        self._connections = connections
        self._counters: dict[str, dict[str, int]] = {}
        self._cpu: dict[str, float] = {}
        processes.on(WorkerReport, self._take)
        processes.on(RecorderReport, self._take)

    def _take(self, process: ProcessClient, report: WorkerReport | RecorderReport) -> None:
        self._counters[process.name] = report.counters
        self._cpu[process.name] = report.cpu_seconds

    def ready(self) -> dict[str, bool]:
        """Return by name whether each worker and recorder is connected: publishing and watching need all of them."""
        return {process.name: process.up for process in (*self._processes.workers, *self._processes.recorders)}

    def counters(self) -> dict[str, dict[str, float]]:
        """Return every process's counters as last reported."""
        found: dict[str, dict[str, float]] = {"control": dict(self._own.values)}
        return found | {name: dict(values) for name, values in self._counters.items()}

    def gauges(self) -> dict[str, dict[str, float]]:
        """Return gauges by name and process."""
        disk, held = self._capture.disk, map(self._capture.held, self._capture.open())
        return {
            "relay_live_cameras": {"control": len(self._streams.all())},
            "relay_open_views": {"control": self._viewing.open_views},
            "relay_http_connections": {"control": len(self._connections)},
            "relay_http_connections_max": {"control": self._connections.table.places.total},
            "relay_cpu_seconds": dict(self._cpu),
            "relay_session_seconds": self._sessions.remaining(),
            "relay_disk_free_bytes": {f"recorder-{index}": free for index, free in disk.free.items()},
            "relay_disk_full_in_seconds": {} if disk.outlook.full_in is None else {"control": disk.outlook.full_in},
            "relay_unrecorded_cameras": {"control": sum(each is not None and each.state == "unrecorded" for each in held)},
            "relay_disk_troubled": {"control": float(disk.outlook.state != "ok")},
            "relay_retention_sweep_age_seconds": {"control": self._retention.seconds_since_complete()},
            "relay_retention_late": {"control": self._retention.status().late_total},
            "relay_holds_open": {"control": self._retention.holds.open_now},
            "relay_holds_review_overdue": {"control": self._retention.holds.overdue_now},
            "relay_holds_lost": {"control": self._retention.status().holds_lost},
        }
