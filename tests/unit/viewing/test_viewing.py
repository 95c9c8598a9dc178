"""Live views against interventions, sign-ins and workers that end while something is being entered."""

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from relay.base.clock import ManualClock, SteadyClock
from relay.base.counters import Counters
from relay.base.errors import Kind, TheirError
from relay.channel import messages as m
from relay.live.ice_restart import IceGeneration
from relay.live.processes import Processes
from relay.live.streams import Streams
from relay.people.authorize import Authorizer
from relay.people.interventions import Interventions
from relay.policy.roles import Person, Role
from relay.runtime.deadlines import NO_DEADLINE, Deadline
from relay.store.catalogue import Catalogue, View
from relay.store.journal import Entry, Journal
from relay.viewing.registry import MAX_LEFT
from relay.viewing.sessions import Viewer, ViewerSession, make_secret
from relay.viewing.viewing import Viewing

OLGA = Person("olga", "Olga", Role.OPERATOR, "service")


class Scene:
    """One worker, one live camera, one open intervention; `entering` lets a test act while the join is being entered."""

    def __init__(self) -> None:
        self.clock, self.counters = ManualClock(), Counters()
        self.closed, self.camera_live = False, True
        self.entering: Callable[[], None] = lambda: None
        self.entries: list[dict[str, Any]] = []
        self.asked: list[m.Message] = []
        self.rows: list[View] = []
        self.inventory = m.WorkerInventory((), (), ())
        self.on_closed: list[Callable[[str], None]] = []
        self.on = SimpleNamespace(gone=[])
        self.adopters: list[Callable[[Any], Awaitable[None]]] = []
        process = SimpleNamespace(index=0, role="worker", ask=self.ask, post=self.asked.append)
        self.process = cast(Any, process)
        self.expires_ns = 10**30
        self.viewing = self.fresh()

    def fresh(self) -> Viewing:
        self.adopters.clear()
        processes = SimpleNamespace(workers=[self.process], on=lambda *_: None, on_up=self.adopters.append)
        views = SimpleNamespace(add=self.open_view, close=self.close_view, list_open=self.open_views, lease=self.lease_views)
        rows = SimpleNamespace(interventions=SimpleNamespace(get=self.intervention), views=views)
        rows.within = lambda deadline: rows
        return Viewing(
            cast(Processes, processes), cast(Streams, self), cast(Interventions, self), cast(Catalogue, rows),
            cast(Journal, self), Authorizer(cast(Journal, self), self.clock), self.clock, SteadyClock(self.clock),
            self.counters,
        )  # fmt: skip

    def viewer_session(self) -> ViewerSession:
        secret = make_secret("olga")
        made = ViewerSession(secret, "olga", 0, IceGeneration("etag"), 4, sign_in="sign-in", expires_ns=self.expires_ns)
        self.viewing.registry.add(made)
        return made

    async def show(self, viewer_session: ViewerSession) -> None:
        await self.viewing.assign(OLGA, viewer_session.secret, 0, "pm-1", "intervention", "high")

    async def up(self) -> None:
        """The worker is connected (again)."""
        for adopter in self.adopters:
            await adopter(self.process)

    def assigned(self) -> list[str | None]:
        return [asked.camera for asked in self.asked if isinstance(asked, m.SlotAssign)]

    async def settled(self) -> None:
        await self.viewing.settled()

    # --- what viewing asks ---

    async def ask(self, message: m.Message, answer: type[m.Message], seconds: float = 5.0) -> m.Message:
        self.asked.append(message)
        return self.inventory if isinstance(message, m.InventoryAsk) else m.Done()

    def live(self, camera: str) -> Any:
        if not self.camera_live:
            return None
        enrolled = SimpleNamespace(regime="bodycam_pm", service="service", commune="", live_audio=True)
        return SimpleNamespace(
            camera=enrolled, worker=0, recording_id="recording", circumstances=SimpleNamespace(threat="agents")
        )

    async def motive_of(self, person: Person, intervention: str | None) -> str:
        if self.closed:
            raise TheirError(Kind.INCOMPLETE, "this intervention is closed (LIV-07)")
        return "because"

    async def append(self, entry: Entry, *, happened: bool = False, deadline: Deadline = NO_DEADLINE) -> int:
        self.entries.append(dict(entry.details))
        self.entering()
        return len(self.entries)

    async def open_view(self, row: View) -> None:
        self.rows.append(row)

    async def close_view(self, *_: Any) -> None:
        """Its row is closed."""

    async def open_views(self) -> list[View]:
        return self.rows

    async def intervention(self, intervention: str) -> Any:
        return SimpleNamespace(closed_ns=1 if self.closed else None)

    async def lease_views(self, *_: Any) -> None:
        """Leased."""


@pytest.mark.parametrize("ends", ["intervention", "camera", "sign-in"])
async def test_what_ends_while_a_join_is_entered_shows_nothing(ends: str) -> None:
    scene = Scene()
    viewer_session = scene.viewer_session()

    def end() -> None:
        scene.entering = lambda: None
        if ends == "camera":
            scene.camera_live = False
        elif ends == "sign-in":
            scene.viewing.registry.remove(viewer_session)
        else:
            scene.closed = True
            for callback in scene.on_closed:
                callback("intervention")

    scene.entering = end
    with pytest.raises(TheirError):
        await scene.show(viewer_session)
    await scene.settled()
    assert (scene.assigned(), scene.viewing.open_views) == ([], 0)
    assert [entry["event"] for entry in scene.entries] == ["view opened", "view closed"]


async def test_a_view_of_an_open_intervention_is_shown() -> None:
    scene = Scene()
    await scene.show(scene.viewer_session())
    assert (scene.assigned(), scene.viewing.open_views) == (["pm-1"], 1)


async def _restarted(scene: Scene) -> tuple[Viewing, str]:
    """Return what a control that starts anew makes of one view that a worker still shows."""
    viewer_session = scene.viewer_session()
    await scene.show(viewer_session)
    (row,) = scene.rows
    scene.inventory = m.WorkerInventory(
        (),
        (m.ViewerHeld(viewer_session.secret, "etag", 4, True),),
        (m.LegHeld(viewer_session.secret, 0, "pm-1", row.view, None, None),),
    )
    scene.asked.clear()
    again = scene.viewing = scene.fresh()
    await again.start()
    await scene.up()
    return again, viewer_session.secret


async def test_a_view_that_outlived_control_ends_with_the_sign_in_behind_it() -> None:
    scene = Scene()
    again, secret = await _restarted(scene)
    again.end_where(m.PeerCloseReason.SIGNED_OUT, sign_in="another")
    await scene.settled()
    assert again.open_views == 1
    again.end_where(m.PeerCloseReason.SIGNED_OUT, sign_in="sign-in")
    await scene.settled()
    assert again.open_views == 0
    assert [asked.session for asked in scene.asked if isinstance(asked, m.PeerClose)] == [secret]


async def test_a_view_that_outlived_control_ends_when_the_sign_in_behind_it_does() -> None:
    scene = Scene()
    scene.expires_ns = scene.clock.utc_ns() + 60 * 10**9
    again, _ = await _restarted(scene)
    scene.clock.advance(59)
    await again.tick()
    await scene.settled()
    assert again.open_views == 1
    scene.clock.advance(1)
    await again.tick()
    await scene.settled()
    assert again.open_views == 0


async def test_a_view_that_outlived_control_belongs_to_the_sign_in_that_claims_it() -> None:
    scene = Scene()
    again, secret = await _restarted(scene)
    again.claim(Viewer(OLGA, "newer", 10**30), secret)
    again.end_where(m.PeerCloseReason.SIGNED_OUT, sign_in="newer")
    await scene.settled()
    assert again.open_views == 0


async def test_a_view_whose_intervention_was_closed_as_control_died_ends_when_it_is_back() -> None:
    scene = Scene()
    viewer_session = scene.viewer_session()
    await scene.show(viewer_session)
    scene.closed = True
    scene.viewing = scene.fresh()
    scene.inventory = m.WorkerInventory(
        (),
        (m.ViewerHeld(viewer_session.secret, "etag", 4, True),),
        (m.LegHeld(viewer_session.secret, 0, "pm-1", scene.rows[0].view, None, None),),
    )
    await scene.viewing.start()
    await scene.up()
    await scene.settled()
    assert scene.assigned()[-1] is None


async def test_a_view_whose_worker_died_is_entered_with_the_longest_span_that_it_may_have_had() -> None:
    scene = Scene()
    opened = scene.clock.utc_ns()
    await scene.show(scene.viewer_session())
    scene.clock.advance(3600)
    await scene.up()
    closed = scene.entries[-1]
    assert (closed["first_ns"], closed["last_ns"], closed["upper_bound"]) == (opened, opened + 3600 * 10**9, True)


async def test_a_viewer_that_closes_its_connection_before_it_sends_delete_is_answered_once() -> None:
    scene = Scene()
    viewer_session = scene.viewer_session()
    scene.viewing.registry.remove(viewer_session)
    for secret, user in (("another", None), (viewer_session.secret, "carl")):
        with pytest.raises(TheirError):
            await scene.viewing.close(secret, user=user)
    await scene.viewing.close(viewer_session.secret, user="olga")
    with pytest.raises(TheirError) as refused:
        await scene.viewing.close(viewer_session.secret)
    assert refused.value.kind is Kind.NOT_FOUND


def test_viewer_sessions_that_are_over_are_remembered_up_to_a_bound() -> None:
    scene = Scene()
    sessions = [scene.viewer_session() for _ in range(MAX_LEFT + 1)]
    for each in sessions:
        scene.viewing.registry.remove(each)
    assert [scene.viewing.registry.take_left(each.secret) for each in (sessions[0], sessions[1], sessions[-1])] == [
        False, True, True,
    ]  # fmt: skip
