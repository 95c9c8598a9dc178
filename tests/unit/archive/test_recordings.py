"""A recording's row follows its chain; its picture is shown within a journalled view and nowhere else."""

import asyncio
from collections.abc import Coroutine

import pytest

from relay.archive import recordings
from relay.archive.recordings import Recordings
from relay.archive.unopened import Unopened
from relay.base.errors import Kind, TheirError
from relay.channel.messages import RecordingClosed
from relay.evidence.chain import ChainWriter
from relay.evidence.seal import new_session
from relay.people.sign_ins import CONSOLE
from relay.policy.roles import Person
from relay.recorder.sealing import start_of
from relay.runtime.deadlines import background_settled
from relay.store.catalogue import RecordingFilter
from tests.support.services import COMMANDER, OPERATOR, House, seal


async def _refused(kind: Kind, awaitable: object) -> TheirError:
    with pytest.raises(TheirError) as refused:
        await awaitable  # type: ignore[misc]
    assert refused.value.kind is kind
    return refused.value


async def test_a_recording_needs_a_declared_threat_where_its_regime_asks_for_one(house: House) -> None:
    await house.enrolment.enrol(CONSOLE, "cam-1", "Un", "bodycam_pm")
    camera = await house.enrolment.camera("cam-1")
    its = await house.interventions.open_by_camera("cam-1", "Rixe", "appel")
    await _refused(Kind.FORBIDDEN, house.recordings.begin(camera, its.intervention, trigger="bouton", threat=""))
    assert house.keyring.recordings() == {}


@pytest.mark.parametrize(("regime", "term"), [("videoprotection", "2026-01-16"), ("bodycam_pm", "2026-02-01")])
async def test_the_prefects_term_goes_into_the_plan_of_a_fixed_cameras_recording(house: House, regime: str, term: str) -> None:
    shorter = Recordings(
        house.catalogue,
        house.journal,
        house.authorizer,
        house.keyring,
        house.clock,
        house.counters,
        prefect_days=15,
    )
    await house.enrolment.enrol(CONSOLE, "cam-1", "Un", regime)
    its = await house.interventions.open_by_camera("cam-1", "Rixe", "appel")
    camera = await house.enrolment.camera("cam-1")
    plan, _ = await shorter.begin(camera, its.intervention, trigger="bouton", threat="personnes")
    assert plan.expires_on == term


async def test_the_journal_knows_of_a_recording_before_its_key_and_row_exist(house: House) -> None:
    recording = await house.record()
    events = await house.events()
    assert events.index("collecte/recording begun") < events.index("systeme/recording closed")
    detail = await house.recordings.get(OPERATOR, recording)
    assert (detail.recording.state, detail.recording.links, len(detail.segments)) == ("closed", 4, 1)
    assert detail.recording.expires_on == "2026-02-01"


async def test_a_begin_that_is_cancelled_is_entered_as_not_opened(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.enrolment.enrol(CONSOLE, "cam-1", "Patrouille 1", "bodycam_pm")
    camera = await house.enrolment.camera("cam-1")
    its = await house.interventions.open_by_camera("cam-1", "Rixe", "appel 17")
    entered = asyncio.Event()

    async def hang(making: Coroutine[object, object, bytes], *_: object) -> None:
        making.close()
        entered.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(recordings, "wait_within", hang)
    begin = house.recordings.begin(camera, its.intervention, trigger="bouton", threat="personnes", bearer=None)
    beginning = asyncio.create_task(begin)
    await entered.wait()
    beginning.cancel()
    await asyncio.wait({beginning})
    await background_settled(10)
    assert beginning.cancelled()
    assert [event for event in await house.events() if "recording" in event] == [
        "collecte/recording begun",
        "systeme/recording not opened",
    ]


async def test_entry_and_row_of_a_recording_are_written_together(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a kill between both leaves an entry that nothing answers to: `relay check` would call the recording missing."""
    await house.enrolment.enrol(CONSOLE, "cam-1", "Un", "bodycam_pm")
    camera = await house.enrolment.camera("cam-1")
    its = await house.interventions.open_by_camera("cam-1", "Rixe", "appel")

    def refuse(*_: object) -> bytes:
        raise OSError("as if control were killed")

    async def killed(*_: object) -> None:
        """Nothing is written any more."""

    with monkeypatch.context() as patch:
        patch.setattr(house.keyring, "create_recording_key", refuse)
        patch.setattr(house.recordings, "abandoned", killed)
        with pytest.raises(OSError, match="killed"):
            await house.recordings.begin(camera, its.intervention, trigger="bouton", threat="agents")
    (row,) = await house.catalogue.recordings.find(RecordingFilter())
    assert (row.state, row.links) == ("open", 0)
    house.clock.advance(1)
    unopened = Unopened(house.recordings, house.vault, house.clock, held=frozenset, is_ready=lambda: True)
    await unopened.tick()
    assert (await house.catalogue.recordings.get(row.recording)).state == "open", "its recorder may still be opening it"
    house.clock.advance(61)
    await unopened.tick()
    closed = await house.catalogue.recordings.get(row.recording)
    assert (closed.state, closed.reason) == ("closed", "refused")
    assert (await house.events())[-1] == "systeme/recording not opened"


async def test_another_services_recording_is_neither_listed_nor_played(house: House) -> None:
    recording = await house.record()
    stranger = Person("sam", "Sam", COMMANDER.role, "Gendarmerie")
    assert await house.recordings.list(stranger) == []
    await _refused(Kind.FORBIDDEN, house.playbacks.open(stranger, recording, "procédure 12"))


async def test_facts_about_an_unknown_recording_are_counted_and_stop_nothing(house: House) -> None:
    await house.enrolment.enrol(CONSOLE, "cam-1", "Un", "bodycam_pm")
    its = await house.interventions.open_by_camera("cam-1", "Rixe", "appel")
    camera = await house.enrolment.camera("cam-1")
    plan, key = await house.recordings.begin(camera, its.intervention, trigger="bouton", threat="agents")
    sealed, _ = seal(house, plan, key, 1)
    await house.recordings.segment_sealed(
        type(sealed)("0" * 32, *[getattr(sealed, name) for name in sealed.__struct_fields__[1:]])
    )
    await house.recordings.segment_sealed(sealed)
    await house.recordings.segment_sealed(sealed)
    row = await house.catalogue.recordings.get(plan.recording)
    assert row.stored_bytes == sealed.stored_bytes
    assert house.counters.values["recorder_facts_unknown"] == 1


async def test_a_recording_found_damaged_is_entered_counted_and_notified(house: House) -> None:
    notified: list[str] = []
    house.recordings.on_damaged.append(notified.append)
    recording = await house.record()
    await house.recordings.closed(RecordingClosed(recording, "damaged", 4, bytes(32), 1, True, 0, 1, 1, "fragment 2"))
    assert notified == ["cam-1"]
    assert house.counters.values["recordings_damaged"] == 1
    body = (await house.journal.read(limit=1000))[-1].body
    assert body is not None
    assert isinstance(body["details"], dict)
    assert (body["details"]["reason"], body["details"]["damage"]) == ("damaged", "fragment 2")


async def test_any_words_of_a_press_fit_into_the_signed_start(house: House) -> None:
    await house.enrolment.enrol(CONSOLE, "cam-1", "é" * 80, "bodycam_pm")
    camera = await house.enrolment.camera("cam-1")
    its = await house.interventions.open_by_camera("cam-1", "Rixe", "appel")
    said = "é" * 200
    plan, _ = await house.recordings.begin(camera, its.intervention, trigger=said, threat="agents", bearer=said)
    assert plan.trigger == plan.bearer == "é" * 100
    signer = new_session(house.keyring.signer, role="recorder", index=0, not_before_ns=0, not_after_ns=1)
    assert ChainWriter(signer, start_of(plan, None, signer)).start()
