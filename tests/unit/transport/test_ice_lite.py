"""Whose addresses are whose, and where media goes."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from relay.transport import stun
from relay.transport.ice_lite import MAX_ADDRESSES, QUIET_SECONDS, Address, Budget, IceLite, Outcome
from relay.transport.sdp import Fingerprint, Local
from tests.support.clients import binding_request

HOME: Address = ("192.0.2.1", 1000)
STREET: Address = ("198.51.100.2", 2000)


def local(ufrag: str = "ours") -> Local:
    return Local(ufrag, f"password of {ufrag}", Fingerprint("sha-256", bytes(32)), (("192.0.2.9", 9),))


@dataclass
class Agent:
    """An agent and the peer's way to check it."""

    ice: IceLite = field(default_factory=lambda: IceLite(local(), "them"))

    def check(
        self,
        source: Address,
        now: float = 0.0,
        *,
        nominate: bool = True,
        ours: str = "ours",
        theirs: str = "them",
        pwd: str = "",
    ) -> Outcome | None:
        data = binding_request(f"{ours}:{theirs}", pwd or local(ours).pwd, nominate)
        return self.ice.check(data, stun.parse_request(data), source, now)


def test_an_authentic_nomination_selects_its_address_and_is_answered() -> None:
    agent = Agent()
    outcome = agent.check(HOME)
    assert outcome is not None
    assert outcome.nominated
    assert outcome.answer[:2] == b"\x01\x01"
    assert agent.ice.selected == HOME


def test_a_check_with_a_wrong_password_or_username_changes_nothing() -> None:
    agent = Agent()
    assert agent.check(HOME, pwd="wrong") is None
    assert agent.check(HOME, theirs="others") is None
    assert agent.check(HOME, ours="ourselves", pwd=local().pwd) is None
    assert agent.ice.selected is None
    assert not agent.ice.validated


def test_a_check_without_nomination_validates_but_selects_nothing() -> None:
    agent = Agent()
    assert agent.check(HOME, nominate=False) is not None
    assert agent.ice.selected is None
    assert HOME in agent.ice.validated


def test_the_latest_nomination_wins_at_once() -> None:
    agent = Agent()
    agent.check(HOME, 0.0)
    agent.check(STREET, 0.01)
    assert agent.ice.selected == STREET


def test_a_warm_second_interface_does_not_take_a_live_stream_away() -> None:
    agent = Agent()
    agent.check(HOME, 0.0)
    for step in range(10):
        agent.ice.note_packet(HOME, step / 10)
        agent.check(STREET, step / 10, nominate=False)
        agent.ice.note_packet(STREET, step / 10)
    assert agent.ice.selected == HOME


def test_a_rebound_peer_that_never_nominates_again_is_followed_when_the_old_address_is_quiet() -> None:
    agent = Agent()
    agent.check(HOME, 0.0)
    agent.check(STREET, QUIET_SECONDS / 2, nominate=False)
    assert agent.ice.selected == HOME
    agent.check(STREET, QUIET_SECONDS + 0.01, nominate=False)
    assert agent.ice.selected == STREET


def test_what_comes_before_any_nomination_chooses_its_own_way_back() -> None:
    agent = Agent()
    agent.check(HOME, 0.0, nominate=False)
    agent.ice.note_packet(HOME, 0.1)
    assert agent.ice.selected == HOME


def test_media_from_a_validated_address_is_followed_when_the_selected_one_is_quiet() -> None:
    agent = Agent()
    agent.check(STREET, 0.0, nominate=False)
    agent.check(HOME, 0.0)
    agent.ice.note_packet(STREET, QUIET_SECONDS + 0.01)
    assert agent.ice.selected == STREET


def test_addresses_of_one_peer_are_bounded_and_the_selected_one_is_never_evicted() -> None:
    agent = Agent()
    agent.check(HOME, 0.0)
    evicted = []
    for port in range(100):
        outcome = agent.check(("203.0.113.1", port), 0.001 * port, nominate=False)
        assert outcome is not None
        evicted.append(outcome.evicted)
    assert len(agent.ice.validated) == MAX_ADDRESSES
    assert HOME in agent.ice.validated
    assert HOME not in evicted
    assert len({address for address in evicted if address}) == 100 - (MAX_ADDRESSES - 1)


def test_a_restart_keeps_the_old_credentials_until_the_new_ones_are_used() -> None:
    agent = Agent()
    agent.check(HOME, 0.0)
    assert agent.ice.restart(local("new"), "them2") is None
    assert list(agent.ice.ufrags) == ["ours", "new"]
    assert agent.check(HOME, 1.0) is not None
    assert agent.ice.selected == HOME
    outcome = agent.check(STREET, 1.1, ours="new", theirs="them2")
    assert outcome is not None
    assert outcome.retired == "ours"
    assert list(agent.ice.ufrags) == ["new"]
    assert agent.ice.selected == STREET
    assert agent.check(HOME, 1.2) is None


def test_a_second_restart_voids_an_unused_first_one() -> None:
    agent = Agent()
    agent.ice.restart(local("new"), "them2")
    assert agent.ice.restart(local("newer"), "them3") == "new"
    assert agent.check(HOME, ours="new", theirs="them2") is None
    assert agent.check(HOME, ours="newer", theirs="them3") is not None


def test_an_address_that_now_belongs_to_someone_else_is_forgotten() -> None:
    agent = Agent()
    agent.check(HOME)
    agent.ice.forget(HOME)
    assert agent.ice.selected is None
    assert not agent.ice.validated


def test_when_the_selected_address_is_lost_the_one_heard_last_takes_over() -> None:
    agent = Agent()
    agent.check(("203.0.113.9", 9), 0.0, nominate=False)
    agent.check(STREET, 0.1, nominate=False)
    agent.check(HOME, 0.2)
    agent.ice.forget(HOME)
    assert agent.ice.selected == STREET


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 200)), max_size=20))
def test_a_budget_never_gives_more_than_its_rate_and_one_second_ahead(steps: list[tuple[float, int]]) -> None:
    budget, now, spent = Budget(10.0), 0.0, 0
    for pause, tries in steps:
        now += pause
        for _ in range(tries):
            if not budget.is_spent(now):
                budget.spend(now)
                spent += 1
    assert spent <= 10 + 10 * now + 1


@given(
    st.lists(
        st.tuples(st.sampled_from(["nominate", "check", "heard", "forged", "restart", "new"]), st.integers(0, 20)),
        max_size=40,
    )
)
def test_the_selected_address_is_always_a_validated_one(steps: list[tuple[str, int]]) -> None:
    agent = Agent()
    now = 0.0
    for what, port in steps:
        now += 0.1
        source = ("192.0.2.3", port)
        if what in ("nominate", "check"):
            agent.check(source, now, nominate=what == "nominate")
        elif what == "heard" and source in agent.ice.validated:
            agent.ice.note_packet(source, now)
        elif what == "forged":
            agent.check(source, now, pwd="wrong")
        elif what == "restart":
            agent.ice.restart(local("new"), "them")
        elif what == "new":
            agent.check(source, now, ours="new")
        assert agent.ice.selected is None or agent.ice.selected in agent.ice.validated
        assert len(agent.ice.validated) <= MAX_ADDRESSES
        assert len(agent.ice.ufrags) <= 2
