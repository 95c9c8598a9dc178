"""The disk's transition table against the flags that it replaced, and invariants over any sequence of events."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from relay.recorder.disk_state import TRANSITIONS, Action, Event, State, report, step

EVENTS = st.lists(st.sampled_from(Event), max_size=60)
REFUSALS = (Event.REFUSED, Event.NO_ROOM)
PROBES = (Event.FOUND_ROOM, Event.RESERVE_ONLY, Event.NO_RESERVE)


@dataclass
class Flags:
    """The same rules, written as flags."""

    condition: str = "ok"
    reserve: bool = False

    def refused(self, no_room: bool) -> Action:
        action = Action.REPORT if self.condition == "ok" else Action.NONE
        if self.condition == "ok":
            self.condition = "stalled"
        if no_room:
            self.condition = "full"
        return action

    def probed(self, *, held: bool, roomy: bool) -> None:
        self.reserve = held or roomy
        if roomy or (held and self.condition == "stalled"):
            self.condition = "ok"

    def step(self, event: Event) -> Action:
        if event in REFUSALS:
            return self.refused(event is Event.NO_ROOM)
        if event in PROBES:
            self.probed(held=event is Event.RESERVE_ONLY, roomy=event is Event.FOUND_ROOM)
        elif event is Event.CARRIED_OUT and self.condition == "stalled":
            self.condition = "ok"
        elif event is Event.URGENT and self.condition == "full" and self.reserve:
            self.reserve = False
            return Action.UNLINK_RESERVE
        return Action.NONE

    @property
    def state(self) -> State:
        return State[self.condition.upper() + ("" if self.reserve else "_NO_RESERVE")]


@given(EVENTS)
def test_the_table_says_what_the_flags_say(events: list[Event]) -> None:
    state, flags = State.OK_NO_RESERVE, Flags()
    for event in events:
        state, action = step(state, event)
        assert action is flags.step(event)
        assert state is flags.state


@given(EVENTS)
def test_a_full_disk_takes_media_again_only_once_a_probe_found_room(events: list[Event]) -> None:
    state = State.OK_NO_RESERVE
    for event in events:
        before, (state, _) = state, step(state, event)
        if before.is_full and not state.is_full:
            assert event is Event.FOUND_ROOM
        if before.drops_media and not state.drops_media:
            assert event in (Event.FOUND_ROOM, Event.RESERVE_ONLY)


@given(EVENTS)
def test_the_reserve_is_given_up_once_and_only_on_a_full_disk(events: list[Event]) -> None:
    state, held = State.OK_NO_RESERVE, False
    for event in events:
        before, (state, action) = state, step(state, event)
        if action is Action.UNLINK_RESERVE:
            assert before.may_give_up_reserve
            assert held
            assert state.drops_media
            held = False
        elif event in PROBES:
            held = event is not Event.NO_RESERVE


@given(EVENTS)
def test_a_refusal_is_reported_once_until_the_disk_is_ok_again(events: list[Event]) -> None:
    state, refusing = State.OK_NO_RESERVE, False
    for event in events:
        state, action = step(state, event)
        assert (action is Action.REPORT) == (event in REFUSALS and not refusing)
        refusing = not state.is_ok


def test_every_state_can_be_left_and_the_table_names_no_transition_that_is_none() -> None:
    assert all(after is not before for (before, _), after in TRANSITIONS.items())
    for state in State:
        assert step(step(state, Event.NO_ROOM)[0], Event.FOUND_ROOM) == (State.OK, Action.NONE)


def test_a_stalled_disk_whose_room_cannot_be_read_is_reported_as_gone() -> None:
    assert [report(State.STALLED, free_bytes=free, slow=True) for free in (0, 1)] == ["gone", "stalled"]
    assert [report(State.OK, free_bytes=0, slow=slow) for slow in (False, True)] == ["ok", "stalled"]
    assert report(State.FULL_NO_RESERVE, free_bytes=0, slow=True) == "full"
