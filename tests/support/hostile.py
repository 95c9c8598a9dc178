"""Attackers in a process of their own: `python -m tests.support.hostile NAME... < TARGETS`, until standard input ends.

Owns: the list of attackers, and what each is given.  Must never know: what they cost the relay.  Attackers speak to 127.0.0.0/8
only, and come from an address of their own there, never from 127.0.0.1: limits per address must meet them as they would
outside.  The process prints a line when it begins, and how often each attacker acted at its end.

First line of standard input: a JSON list, the target of each.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence

from tests.support import hostile_live, hostile_peer, hostile_requests, hostile_udp
from tests.support.hostile_target import Target

Attack = Callable[[Target, asyncio.Event], Awaitable[int]]

ATTACKS: dict[str, Attack] = {
    "idle udp": hostile_udp.idle,
    "idle http": hostile_requests.idle,
    "strangers": hostile_udp.strangers,
    "tcp fillers": hostile_udp.fillers,
    "forged source": hostile_peer.forged,
    "dtls data": hostile_peer.dtls_data,
    "feedback": hostile_peer.feedback,
    "offers": hostile_requests.offers,
    "guesses": hostile_requests.guesses,
    "tokens": hostile_requests.tokens,
    "probes": hostile_requests.probes,
    "texts": hostile_requests.texts,
    "refused acts": hostile_requests.refused,
    "page socket": hostile_live.page,
    "camera socket": hostile_live.camera,
}
"""The first two are honest: what the machine alone does to its neighbours while somebody is as busy."""


async def main(names: Sequence[str]) -> None:
    """Attack until standard input ends."""
    targets = [Target(**each) for each in json.loads(sys.stdin.readline())]
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.run_in_executor(None, sys.stdin.read).add_done_callback(lambda _: over.set())
    print("attacking", flush=True)
    acts = await asyncio.gather(*(ATTACKS[name](target, over) for name, target in zip(names, targets, strict=True)))
    print(*acts, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
