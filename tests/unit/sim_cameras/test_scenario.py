import pytest

from sim_cameras import scenario
from sim_cameras.impair import Network
from sim_cameras.scenario import ScenarioError

SCRIPT = """
[[step]]
at = 10
do = "network"
loss = 0.05
delay = 0.03

[[step]]
at = 2.0
camera = "cam1"
do = "press"
threat = "assault"

[[step]]
at = 20
camera = "cam[12]"
do = "cut"
seconds = 0.5
"""


def test_steps_come_in_order_of_time() -> None:
    assert [step.do for step in scenario.parse(SCRIPT)] == ["press", "network", "cut"]


def test_a_step_knows_whom_it_concerns() -> None:
    press, network, cut = scenario.parse(SCRIPT)
    assert [press.concerns("cam1"), press.concerns("cam2")] == [True, False]
    assert network.concerns("anything")
    assert [cut.concerns("cam2"), cut.concerns("cam3")] == [True, False]


def test_a_network_step_gives_its_network() -> None:
    assert scenario.parse(SCRIPT)[1].network() == Network(loss=0.05, delay=0.03)


def test_an_empty_script_does_nothing() -> None:
    assert scenario.parse("") == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[step]]\nat = 1\n", "do"),
        ('[[step]]\nat = 1\ndo = "explode"\n', "explode"),
        ('[[step]]\nat = -1\ndo = "press"\n', "step 1: at must not"),
        ('[[step]]\nat = 1\ndo = "press"\nloss = 0.1\n', "step 1: loss means nothing to press"),
        ('[[step]]\nat = 1\ndo = "cut"\n', "seconds"),
        ('[[step]]\nat = 1\ndo = "battery"\nlevel = 120\n', "0 to 100"),
        ('[[step]]\nat = 1\ndo = "network"\nloss = 2.0\n', "step 1: shares must be 0..1"),
        ('[[step]]\nat = 1\ndo = "press"\nunknown = 1\n', "unknown"),
        ("[[step]]\nat = \n", "Invalid value"),
        ('[[steps]]\nat = 1\ndo = "press"\n', "steps"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_reason(text: str, why: str) -> None:
    with pytest.raises(ScenarioError, match=why):
        scenario.parse(text)
