"""Attackers without credentials at the media port: floods of datagrams, and connections that fill the places of ICE over TCP.

Owns: what they send.  Must never import the relay.
"""

import asyncio
import contextlib
import os
import socket
import struct

from aioice import stun

from tests.support.hostile_target import Target, paced

RATE = 20_000
"""Datagrams a second: four times the packets of a fleet of 100 cameras at 500 kbit/s."""
SEGMENTS = 20
_SOL_UDP, _UDP_SEGMENT = 17, 103


async def idle(target: Target, over: asyncio.Event) -> int:
    """Be an honest neighbour: the same datagrams at the same rate, to a socket of one's own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind((target.source, 0))
        return await _flood(target.source, sink.getsockname(), over)


async def strangers(target: Target, over: asyncio.Event) -> int:
    """Junk, SRTP, ClientHellos and checks for unknown names, from many ports."""
    return await _flood(target.source, ("127.0.0.1", target.udp_port), over)


async def _flood(source: str, destination: tuple[str, int], over: asyncio.Event) -> int:
    sent = 0
    kinds = [_run(kind) for kind in (os.urandom(60), b"\x80\x60" + os.urandom(98), _hello(), _check())]
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(64)]
        for sock in sockets:
            sock.bind((source, 0))
            sock.setblocking(False)
        async for number in paced(RATE / SEGMENTS, over):
            data, size = kinds[number % len(kinds)]
            with contextlib.suppress(OSError):
                control = [(_SOL_UDP, _UDP_SEGMENT, struct.pack("=H", size))]
                sockets[number % len(sockets)].sendmsg([data], control, 0, destination)
                sent += SEGMENTS
    return sent


def _run(datagram: bytes) -> tuple[bytes, int]:
    return datagram * SEGMENTS, len(datagram)


def _hello() -> bytes:
    body = b"\x01" + bytes(2) + b"\x50" + bytes(5) + b"\x00\x00\x50" + os.urandom(80)
    return b"\x16\xfe\xfd" + bytes(8) + len(body).to_bytes(2, "big") + body


def _check() -> bytes:
    message = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{os.urandom(4).hex()}:them"
    message.attributes["PRIORITY"] = 1
    message.attributes["ICE-CONTROLLING"] = 1
    message.add_message_integrity(b"a guessed password")
    return bytes(message)


async def fillers(target: Target, over: asyncio.Event) -> int:
    """Open connections to the port of ICE over TCP from many addresses and say nothing; come back when they are closed."""
    network = target.source.rsplit(".", 1)[0]
    opened = 0

    async def one(number: int) -> None:
        nonlocal opened
        while not over.is_set():
            with contextlib.suppress(OSError):
                address = (f"{network}.{1 + number % 250}", 0)
                reader, writer = await asyncio.open_connection("127.0.0.1", target.udp_port, local_addr=address)
                opened += 1
                if number % 2:
                    writer.write(b"\x00\x14" + os.urandom(20))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(), 10)
                writer.transport.abort()
            await asyncio.sleep(0.5)

    tasks = [asyncio.create_task(one(number)) for number in range(700)]
    await over.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return opened
