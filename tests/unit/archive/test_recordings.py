"""A recording's row follows its chain; its picture is shown within a journalled view and nowhere else."""

from unittest.mock import patch

import pytest

from relay.archive.recordings import Recordings
from relay.base.errors import Kind, TheirError
from relay.channel.messages import RecordingClosed
from relay.evidence.chain import ChainWriter
from relay.evidence.seal import new_session
from relay.people.identity import CONSOLE
from relay.policy.roles import Person
from relay.recorder.sealing import start_of
from tests.support.services import ADMINISTRATOR, AUDITOR, COMMANDER, OPERATOR, House, seal


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
        house.vault,
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


async def test_a_commander_plays_what_was_recorded_within_a_journalled_view(house: House) -> None:
    recording = await house.record()
    view = await house.recordings.open_view(COMMANDER, recording, "procédure 12/2026")
    assert "consultation/playback opened" in await house.events()
    text = house.recordings.playlist(COMMANDER, view.view)
    assert '#EXT-X-MAP:URI="0.init.mp4"' in text
    assert "#EXTINF:3.000,\n0.m4s" in text
    assert await house.recordings.init(COMMANDER, view.view, 0) == b"init"
    pieces = [piece async for piece in await house.recordings.media(COMMANDER, view.view, 0)]
    assert [len(piece) for piece in pieces] == [2_000] * 3
    await house.recordings.close_view(COMMANDER, view.view)
    assert (await house.events())[-1] == "systeme/playback closed"
    assert await house.catalogue.views.list_open() == []


@pytest.mark.parametrize("person", [OPERATOR, AUDITOR, ADMINISTRATOR])
async def test_only_commanders_play_recordings_and_the_refusal_is_entered(house: House, person: Person) -> None:
    recording = await house.record()
    await _refused(Kind.FORBIDDEN, house.recordings.open_view(person, recording, "curiosité"))
    assert (await house.events())[-1] == "refus/play_recording"


@pytest.mark.parametrize("motive", [None, "", "  ", "x", "test"])
async def test_without_a_motive_there_is_no_picture(house: House, motive: str | None) -> None:
    recording = await house.record()
    await _refused(Kind.INCOMPLETE, house.recordings.open_view(COMMANDER, recording, motive))
    assert (await house.events())[-1] == "refus/play_recording"


async def test_a_view_is_nobody_elses(house: House) -> None:
    view = await house.recordings.open_view(COMMANDER, await house.record(), "procédure 12")
    other = Person("cora", "Cora", COMMANDER.role, COMMANDER.service)
    with pytest.raises(TheirError):
        house.recordings.playlist(other, view.view)


async def test_a_view_that_ends_serves_not_one_fragment_more(house: House) -> None:
    view = await house.recordings.open_view(COMMANDER, await house.record(), "procédure 12")
    served = []
    async for piece in await house.recordings.media(COMMANDER, view.view, 0):
        served.append(piece)
        await house.recordings.end_views_of("carl", "signed out")
    assert len(served) == 1


async def test_the_key_of_a_playback_is_forgotten_with_the_recording(house: House) -> None:
    view = await house.recordings.open_view(COMMANDER, await house.record(), "procédure 12")
    assert [piece async for piece in await house.recordings.media(COMMANDER, view.view, 0)]
    assert len(house.keyring._opened) == 1
    house.clock.advance(40 * 86_400)
    await house.retention.sweep()
    assert len(house.keyring._opened) == 0


async def test_an_idle_view_closes_itself(house: House) -> None:
    view = await house.recordings.open_view(COMMANDER, await house.record(), "procédure 12")
    house.clock.advance(599)
    await house.recordings.tick()
    house.recordings.playlist(COMMANDER, view.view)
    house.clock.advance(601)
    await house.recordings.tick()
    await _refused(Kind.NOT_FOUND, house.recordings.close_view(COMMANDER, view.view))


@pytest.mark.parametrize("step", [3600, -3600])
async def test_a_step_of_the_wall_clock_makes_no_playback_idle_and_keeps_none_open(house: House, step: float) -> None:
    view = await house.recordings.open_view(COMMANDER, await house.record(), "procédure 12")
    house.clock.step_utc(step)
    house.clock.advance(599)
    await house.recordings.tick()
    assert view.view in house.recordings.views()
    house.clock.advance(2)
    await house.recordings.tick()
    assert house.recordings.views() == frozenset()


async def test_a_recording_in_progress_is_not_played(house: House) -> None:
    await house.enrolment.enrol(CONSOLE, "cam-1", "Un", "bodycam_pm")
    its = await house.interventions.open_by_camera("cam-1", "Rixe", "appel")
    camera = await house.enrolment.camera("cam-1")
    plan, _ = await house.recordings.begin(camera, its.intervention, trigger="bouton", threat="agents")
    refusal = await _refused(Kind.CONFLICT, house.recordings.open_view(COMMANDER, plan.recording, "procédure 12"))
    assert "ACC-03" in refusal.detail


async def test_another_services_recording_is_neither_listed_nor_played(house: House) -> None:
    recording = await house.record()
    stranger = Person("sam", "Sam", COMMANDER.role, "Gendarmerie")
    assert await house.recordings.list(stranger) == []
    await _refused(Kind.FORBIDDEN, house.recordings.open_view(stranger, recording, "procédure 12"))


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


async def test_a_recording_found_damaged_is_entered_counted_and_told(house: House) -> None:
    told: list[str] = []
    house.recordings.on_damaged.append(told.append)
    recording = await house.record()
    await house.recordings.closed(RecordingClosed(recording, "damaged", 4, bytes(32), 1, True, 0, 1, 1, "fragment 2"))
    assert told == ["cam-1"]
    assert house.counters.values["recordings_damaged"] == 1
    body = (await house.journal.read(limit=1000))[-1].body
    assert body is not None
    assert isinstance(body["details"], dict)
    assert (body["details"]["reason"], body["details"]["damage"]) == ("damaged", "fragment 2")


async def test_whatever_is_said_at_the_press_fits_into_the_signed_start(house: House) -> None:
    await house.enrolment.enrol(CONSOLE, "cam-1", "é" * 80, "bodycam_pm")
    camera = await house.enrolment.camera("cam-1")
    its = await house.interventions.open_by_camera("cam-1", "Rixe", "appel")
    said = "é" * 200
    plan, _ = await house.recordings.begin(camera, its.intervention, trigger=said, threat="agents", bearer=said)
    assert plan.trigger == plan.bearer == "é" * 100
    signer = new_session(house.keyring.signer, role="recorder", index=0, not_before_ns=0, not_after_ns=1 << 62)
    assert ChainWriter(signer, start_of(plan, None, signer)).start()


async def test_the_end_of_a_playback_says_which_segments_were_served(house: House) -> None:
    recording = await house.record()
    for served in ("", "0"):
        view = await house.recordings.open_view(COMMANDER, recording, "procédure 12/2026")
        if served:
            assert [piece async for piece in await house.recordings.media(COMMANDER, view.view, 0)]
        with patch.object(house.journal, "append", wraps=house.journal.append) as entered:
            await house.recordings.close_view(COMMANDER, view.view)
        assert entered.call_args.args[0].details["segments"] == served


async def test_a_playback_open_as_control_died_is_closed_at_the_next_start(house: House) -> None:
    recording = await house.record()
    await house.recordings.open_view(COMMANDER, recording, "procédure 12/2026")
    house.recordings._views.clear()
    await house.recordings.bury()
    assert (await house.events())[-1] == "systeme/playback closed"
    assert await house.catalogue.views.list_open() == []
    await house.recordings.bury()
    assert (await house.events()).count("systeme/playback closed") == 1
