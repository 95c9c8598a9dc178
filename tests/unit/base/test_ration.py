"""Errors of one kind: the first few in full, then a count a minute, and never more kinds than are bounded."""

import io
import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.base.logs import JsonLines, RationedHandler
from relay.base.ration import FULL, MAX_KINDS, WINDOW_SECONDS, Ration


def test_the_first_few_are_written_then_they_are_counted_once_a_minute() -> None:
    ration = Ration()
    assert [ration.take("a", 0.0) for _ in range(FULL + 7)] == [True] * FULL + [False] * 7
    assert ration.take("b", 1.0)
    assert ration.due(59.0) == []
    assert ration.due(61.0) == [("a", 7)]
    assert not ration.take("a", 62.0)
    assert ration.due(122.0) == [("a", 1)]


def test_a_kind_that_did_not_come_for_a_minute_is_written_again() -> None:
    ration = Ration()
    for _ in range(10):
        ration.take("a", 0.0)
    ration.due(61.0)
    ration.due(122.0)
    assert ration.take("a", 123.0)


@given(st.lists(st.tuples(st.integers(0, 1000), st.floats(0, 30)), max_size=300))
def test_what_is_remembered_and_written_is_bounded_and_nothing_is_lost(steps: list[tuple[int, float]]) -> None:
    ration, now, written, counted = Ration(), 0.0, 0, 0
    for kind, pause in steps:
        now += pause
        counted += sum(count for _, count in ration.due(now))
        written += ration.take(str(kind), now)
        assert len(ration) <= MAX_KINDS + 1
    counted += sum(count for _, count in ration.due(now + 2 * WINDOW_SECONDS))
    assert written + counted == len(steps)


def test_a_traceback_that_is_repeated_leaves_a_few_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    written, now = io.StringIO(), [0.0]
    monkeypatch.setattr(sys, "stderr", written)
    handler = RationedHandler(lambda: now[0])
    handler.setFormatter(JsonLines("control"))
    logger = logging.Logger("relay.test")
    logger.addHandler(handler)
    for number in range(10_000):
        now[0] = number * 0.001
        try:
            raise ValueError(f"number {number}")
        except ValueError:
            logger.exception("failed %d", number)
    now[0] = 70.0
    logger.info("something else")
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line["event"] for line in lines[:3]] == ["failed 0", "failed 1", "failed 2"]
    assert "9997 further errors of one kind in 60 s were not written: ValueError at" in lines[3]["event"]
    assert [line["event"] for line in lines[4:]] == ["something else"]


def test_lines_of_libraries_about_peers_are_rationed_and_ours_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    handler = RationedHandler(lambda: 0.0)
    handler.setFormatter(JsonLines("control"))
    for name in ("asyncio", "aiohttp.server", "relay.live"):
        logger = logging.Logger(name)
        logger.addHandler(handler)
        for number in range(50):
            logger.warning("socket.send() raised exception, %d", number)
    names = [json.loads(line)["logger"] for line in written.getvalue().splitlines()]
    assert (names.count("asyncio"), names.count("aiohttp.server"), names.count("relay.live")) == (FULL, FULL, 50)
