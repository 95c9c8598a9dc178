"""A live socket's messages leave in order; a socket that takes nothing is closed, whatever else happens."""

import asyncio
from typing import Any, cast

import msgpack
import pytest
from aiohttp import WSCloseCode, web

from relay.base.counters import Counters
from relay.http import outbox as module
from relay.http.outbox import Outbox
from relay.protocol.page import Bye, InterventionsChanged, ViewStarted


class Wire:
    """A WebSocket on which sending may fail with an unforeseen error, or never ends."""

    def __init__(self, error: Exception | None = None, *, hangs: bool = False) -> None:
        self.error = error
        self.hangs = hangs
        self.sent: list[Any] = []
        self.closed: tuple[int, bytes] | None = None

    async def send_bytes(self, data: bytes) -> None:
        if self.error is not None:
            raise self.error
        if self.hangs:
            await asyncio.Event().wait()
        self.sent.append(msgpack.unpackb(data))

    async def close(self, *, code: int, message: bytes = b"") -> None:
        self.closed = code, message


def made(wire: Wire, bound: int, counters: Counters | None = None) -> Outbox:
    return Outbox(cast(web.WebSocketResponse, wire), bound, counters or Counters())


@pytest.mark.parametrize("error", [ConnectionResetError(), RuntimeError("unforeseen")])
async def test_a_socket_over_which_nothing_goes_any_more_is_closed(error: Exception) -> None:
    wire = Wire(error)
    outbox = made(wire, 4)
    outbox.send(InterventionsChanged())
    await outbox.run()
    assert wire.closed is not None


async def test_a_socket_whose_events_overflow_is_let_go_and_counted_once() -> None:
    counters, wire = Counters(), Wire()
    outbox = made(wire, 2, counters)
    for number in range(5):
        outbox.send(ViewStarted("v", number))
    await outbox.run()
    assert wire.closed == (WSCloseCode.TRY_AGAIN_LATER, b"")
    assert counters.values["live_dropped"] == 1


async def test_a_socket_that_does_not_take_one_message_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEND_SECONDS", 0.0)
    counters, wire = Counters(), Wire(hangs=True)
    outbox = made(wire, 2, counters)
    outbox.send(InterventionsChanged())
    await outbox.run()
    assert wire.closed == (WSCloseCode.TRY_AGAIN_LATER, b"")
    assert counters.values["live_dropped"] == 1


async def test_what_waits_is_sent_before_the_close_and_nothing_after_it() -> None:
    wire = Wire()
    outbox = made(wire, 1)
    outbox.send(ViewStarted("v", 1))
    outbox.send(InterventionsChanged())
    outbox.close(WSCloseCode.POLICY_VIOLATION, "too many messages")
    outbox.send(InterventionsChanged())
    await outbox.run()
    assert [message["t"] for message in wire.sent] == ["started", "interventions"]
    assert wire.closed == (WSCloseCode.POLICY_VIOLATION, b"too many messages")


async def test_a_farewell_is_sent_although_the_line_is_full() -> None:
    wire = Wire()
    outbox = made(wire, 1)
    outbox.send(ViewStarted("v", 1))
    outbox.farewell(Bye("signed out"))
    await outbox.run()
    assert [message["t"] for message in wire.sent] == ["started", "bye"]
    assert wire.closed == (WSCloseCode.GOING_AWAY, b"signed out")


async def test_who_does_not_read_the_answers_is_asked_nothing_more_until_some_are_read() -> None:
    wire = Wire()
    outbox = made(wire, 4)
    await outbox.room()
    for number in range(3):
        outbox.send(ViewStarted("v", number))
    waiting = asyncio.create_task(outbox.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    sending = asyncio.create_task(outbox.run())
    await waiting
    outbox.close()
    await sending
