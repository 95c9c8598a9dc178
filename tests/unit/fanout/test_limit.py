"""A viewer that cannot keep up gets less, and gets it back."""

from relay.fanout import limit as rules
from relay.fanout.limit import Load, QualityLevel, ViewerLimit


def load(
    level: QualityLevel = QualityLevel.ALL,
    kbps: float = 2000,
    loss: float = 0.0,
    droppable: bool = False,
    layered: bool = False,
) -> Load:
    """One leg."""
    return Load(level, kbps, loss, droppable=droppable, layered=layered)


def drive(
    limit: ViewerLimit, seconds: int, remb: int | None, loads: list[Load], start: float = 0.0
) -> list[tuple[int, QualityLevel]]:
    """Let seconds pass under the same complaint; returns the moves, which are carried out."""
    moves = []
    for second in range(seconds):
        move = limit.update(remb, loads, start + second)
        if move is not None:
            loads[move[0]].level = move[1]
            moves.append(move)
    return moves


def test_a_viewer_that_keeps_up_is_left_alone() -> None:
    assert drive(ViewerLimit(), 60, 3_000_000, [load()]) == []
    assert drive(ViewerLimit(), 60, None, [load(loss=0.05)]) == []


def test_a_narrow_way_climbs_down_all_rungs_that_change_anything() -> None:
    full = drive(ViewerLimit(), 12, 500_000, [load(droppable=True, layered=True)])
    assert full == [(0, QualityLevel.NO_DROPPABLE), (0, QualityLevel.SMALL), (0, QualityLevel.KEYFRAMES)]
    assert drive(ViewerLimit(), 12, 500_000, [load()]) == [(0, QualityLevel.KEYFRAMES)]


def test_one_bad_second_is_forgiven() -> None:
    limit = ViewerLimit()
    for second in range(60):
        bad = second % rules.COMPLAINTS_BEFORE_DOWN == 0
        assert limit.update(500_000 if bad else 3_000_000, [load()], second) is None


def test_heavy_loss_counts_as_much_as_a_low_remb() -> None:
    assert drive(ViewerLimit(), rules.COMPLAINTS_BEFORE_DOWN, None, [load(loss=0.2)]) == [(0, QualityLevel.KEYFRAMES)]


def test_the_leg_that_costs_most_gives_way_first() -> None:
    loads = [load(kbps=300), load(kbps=2000, layered=True), load(kbps=300)]
    assert drive(ViewerLimit(), rules.COMPLAINTS_BEFORE_DOWN, 1_000_000, loads) == [(1, QualityLevel.SMALL)]


def test_what_was_taken_comes_back_after_a_rest() -> None:
    limit = ViewerLimit()
    loads = [load(layered=True)]
    drive(limit, rules.COMPLAINTS_BEFORE_DOWN, 500_000, loads)
    loads[0].kbps = 300
    start = float(rules.COMPLAINTS_BEFORE_DOWN)
    moves = drive(limit, 10, 3_000_000, loads, start)
    assert moves == [(0, QualityLevel.ALL)]


def test_no_room_no_step_up() -> None:
    limit = ViewerLimit()
    loads = [load(QualityLevel.SMALL, kbps=300, layered=True)]
    assert drive(limit, 60, 350_000, loads, 100.0) == []


def test_a_try_that_fails_makes_the_next_one_wait_longer() -> None:
    limit = ViewerLimit()
    loads = [load(layered=True)]
    ups = []
    for second in range(400):
        wide = loads[0].level is QualityLevel.ALL
        loads[0].kbps = 2000 if wide else 300
        move = limit.update(600_000, loads, float(second))
        if move is not None:
            loads[0].level = move[1]
            if move[1] is QualityLevel.ALL:
                ups.append(second)
    pauses = [after - before for before, after in zip(ups, ups[1:], strict=False)]
    assert pauses == sorted(pauses)
    assert pauses[-1] >= rules.MAX_REST_SECONDS
