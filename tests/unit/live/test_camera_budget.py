"""A camera that floods: its last press and release are carried out within a second, at a bounded rate, and nothing is lost."""

from hypothesis import given
from hypothesis import strategies as st

from relay.live.camera_budget import (
    ACTS_AT_ONCE,
    ACTS_PER_SECOND,
    ALL_AT_ONCE,
    ALL_PER_SECOND,
    MAX_WAITING,
    Act,
    CameraBudget,
    WaitingActs,
)
from relay.live.camera_intents import MAX_REQUESTS
from relay.protocol import camera as messages

BUTTON = st.one_of(
    st.builds(messages.Press, reason=st.integers(0, 999).map(str)),
    st.just(messages.Release()),
)
ACTS = st.one_of(
    BUTTON,
    st.builds(messages.Accept, request=st.integers(0, 20).map(str)),
    st.builds(messages.Decline, request=st.integers(0, 20).map(str)),
)
STEPS = st.lists(st.tuples(st.sampled_from([0.0, 0.001, 0.1, 1.5]), ACTS), max_size=120)


def test_acts_within_the_rate_are_carried_out_at_once_and_in_order() -> None:
    acts = WaitingActs()
    for number in range(int(ACTS_AT_ONCE) // 2):
        press = messages.Press(reason=str(number))
        assert acts.put(press, 0.0) == (press,)
        assert acts.put(messages.Release(), 0.0) == (messages.Release(),)


def test_a_flood_of_presses_is_the_last_press_within_a_second() -> None:
    acts, carried = WaitingActs(), 0
    for number in range(1000):
        carried += len(acts.put(messages.Press(reason=str(number)), 5.0))
    assert carried == ACTS_AT_ONCE
    assert acts.due(5.9) == ()
    assert acts.due(6.0) == (messages.Press(reason="999"),)
    assert acts.due(60.0) == ()


def test_a_press_that_is_released_while_it_waits_is_carried_out_before_its_release() -> None:
    acts = WaitingActs()
    for _ in range(100):
        acts.put(messages.Press(), 0.0)
        acts.put(messages.Release(), 0.0)
    assert acts.due(1.0) == (messages.Press(), messages.Release())


def test_a_publication_does_not_wait_for_the_rate() -> None:
    acts = WaitingActs()
    for _ in range(100):
        acts.put(messages.Press(), 0.0)
    assert acts.all() == (messages.Press(),)
    assert len(acts) == 0


@given(STEPS)
def test_whatever_comes_the_button_ends_as_it_was_left_and_no_press_is_lost(steps: list[tuple[float, Act]]) -> None:
    acts, now = WaitingActs(), 0.0
    carried: list[Act] = []
    lots = 0
    for pause, act in steps:
        now += pause
        due = acts.put(act, now)
        lots += bool(due)
        carried += due
        assert len(acts) <= MAX_WAITING
    assert lots <= ACTS_AT_ONCE + now * ACTS_PER_SECOND + 1e-6
    carried += acts.due(now + 1 / ACTS_PER_SECOND)
    button = [act for _, act in steps if isinstance(act, messages.Press | messages.Release)]
    done = [act for act in carried if isinstance(act, messages.Press | messages.Release)]
    assert done[-1:] == button[-1:]
    assert [act for act in done if isinstance(act, messages.Press)][-1:] == [
        act for act in button if isinstance(act, messages.Press)
    ][-1:]


@given(st.lists(st.tuples(st.integers(0, MAX_REQUESTS - 1).map(str), st.booleans()), max_size=60))
def test_each_request_that_the_relay_remembers_gets_its_last_answer(answers: list[tuple[str, bool]]) -> None:
    acts = WaitingActs()
    carried: list[Act] = []
    for request, accepts in answers:
        carried += acts.put(messages.Accept(request) if accepts else messages.Decline(request), 0.0)
    carried += acts.due(1.0)
    assert {
        act.request: isinstance(act, messages.Accept)
        for act in carried
        if not isinstance(act, messages.Press | messages.Release)
    } == dict(answers)


def test_beats_beyond_their_rate_are_dropped_and_cost_the_clock_nothing() -> None:
    budget = CameraBudget()
    assert [budget.allows(messages.Beat(), 0.0) for _ in range(12)] == [True] * 10 + [False] * 2
    assert budget.allows(messages.CameraTime(), 0.0)
    assert budget.allows(messages.Beat(), 1.0)


@given(st.lists(st.floats(0, 0.05), max_size=1500))
def test_all_kinds_together_have_a_rate(pauses: list[float]) -> None:
    budget, now, taken = CameraBudget(), 0.0, 0
    for pause in pauses:
        now += pause
        taken += budget.take(now)
    assert taken <= ALL_AT_ONCE + now * ALL_PER_SECOND + 1e-6
    assert taken >= min(len(pauses), ALL_AT_ONCE)
