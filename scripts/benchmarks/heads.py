"""Measure what the heads of open recordings cost control: entries of the journal, CPU, room in the database.

    scripts/bench heads [--cameras 330] [--recorders 4] [--minutes 30]

Owns: the fleet of reports and the figures.  Must never know: what a head is for.  Every camera records all the time, and each
second every recorder reports every head, as the real ones do: the worst day there can be.  Minutes pass as fast as they can.
The run fails (exit code 1) beyond its bounds.  The last figure is `relay check` over what was entered: rows and roots compared.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from relay.archive.check import Check
from relay.archive.recordings import Recordings
from relay.base.clock import SystemClock
from relay.base.counters import Counters
from relay.channel.messages import RecordingReport
from relay.live.sealed_heads import SealedHeads
from relay.people.authorize import Authorizer
from relay.people.enrolment import Enrolment
from relay.people.interventions import Interventions
from relay.people.sign_ins import CONSOLE
from relay.store.accounts import Accounts
from relay.store.catalogue import Catalogue
from relay.store.database import Database
from relay.store.journal import Journal
from relay.store.keyring import Keyring
from relay.store.vault import Vault

SECOND = 1_000_000_000
MINUTES_A_DAY = 1440
MAX_ENTRIES_A_DAY = 1.02
"""As a share of recorders × minutes: nothing else may enter heads."""
MAX_CPU = 0.01
"""Share of one CPU, reports and entries together."""
MAX_STALL = 0.02
"""Longest CPU time (s) for which one entry keeps the loop from anything else."""


def report(recording: str, second: int) -> RecordingReport:
    """Return a recorder's report of one second."""
    links = second * 2
    return RecordingReport(
        recording, "cam", 0.0, links, 0, 100_000 * second, "recording", links.to_bytes(32, "big"), links + 1, second * SECOND
    )


async def stalls(until: asyncio.Event) -> float:
    """Return the longest time for which the loop did not come back: CPU of its thread, because other programs run, too."""
    longest, before = 0.0, time.thread_time()
    while not until.is_set():
        await asyncio.sleep(0)
        now = time.thread_time()
        longest, before = max(longest, now - before), now
    return longest


async def room(database: Database) -> int:
    """Return the bytes that the database takes."""
    pages = await database.read(lambda connection: connection.exec_driver_sql("PRAGMA page_count").scalar_one())
    return int(pages) * 4096


async def measure(root: Path, cameras: int, recorders: int, minutes: int) -> bool:
    """Run the fleet; print the figures; return whether they are within their bounds."""
    clock, counters, keyring, vault = SystemClock(), Counters(), Keyring(root / "keys"), Vault(root / "vault")
    vault.prepare()
    database = await Database.open(f"sqlite:///{root}/relay.db", counters)
    journal = await Journal.open(database, keyring.signer, "bench/journal", root / "checkpoints", clock, counters)
    accounts, catalogue = Accounts(database), Catalogue(database)
    authorizer = Authorizer(journal, clock)
    recordings = Recordings(catalogue, journal, authorizer, keyring, clock, counters)
    await Enrolment(accounts, journal, authorizer, clock, service="Bench", communes=(), max_cameras=None).enrol(
        CONSOLE, "cam-1", "Bench", "bodycam_pm"
    )
    camera = await accounts.camera("cam-1")
    assert camera is not None
    its = await Interventions(catalogue, journal, authorizer, clock).open_by_camera("cam-1", "Bench", "bench")
    names = []
    for index in range(cameras):
        plan, _ = await recordings.begin(
            camera, its.intervention, trigger="bouton", threat="personnes", recorder=index % recorders
        )
        names.append(plan.recording)
    heads, before, size = SealedHeads(recordings.heads, counters), journal.size, await room(database)
    noting = entering = stalled = 0.0
    for minute in range(minutes):
        began = time.process_time()
        for second in range(60):
            for index, name in enumerate(names):
                heads.note(index % recorders, report(name, minute * 60 + second + 1))
        noting += time.process_time() - began
        ended = asyncio.Event()
        watching = asyncio.create_task(stalls(ended))
        await asyncio.sleep(0)
        await heads.tick()
        ended.set()
        stalled = max(stalled, await watching)
        began = time.process_time()
        for index, name in enumerate(names):  # once more, without the watcher, which spends all that is left of the CPU
            heads.note(index % recorders, report(name, minute * 60 + 61))
        await heads.tick()
        entering += time.process_time() - began
    entries = (journal.size - before) / 2
    grown = await room(database) - size
    began = time.perf_counter()
    found = {one.kind for one in await Check(catalogue, journal, vault, keyring, clock).run()}
    checking = time.perf_counter() - began
    good = _print(cameras, recorders, minutes, entries, noting, entering, stalled, grown, checking)
    await journal.close()
    await database.close()
    return good and not found & {"heads_altered", "heads_missing"}


def _print(
    cameras: int, recorders: int, minutes: int, entries: float, noting: float, entering: float, stalled: float, grown: int,
    checking: float,
) -> bool:  # fmt: skip
    day, bound = entries / minutes * MINUTES_A_DAY, recorders * MINUTES_A_DAY * MAX_ENTRIES_A_DAY
    cpu = (noting + entering) / (minutes * 60)
    rows = cameras * minutes * 2
    print(f"{cameras} cameras on {recorders} recorders, {minutes} minutes")
    print(f"journal: {day:.0f} entries a day (bound {bound:.0f}); one for each camera and minute: {cameras * MINUTES_A_DAY}")
    print(f"control: {cpu * 100:.2f} % of one CPU (bound {MAX_CPU * 100:.0f} %)")
    print(f"  a report: {noting / (minutes * 60 * cameras) * 1e6:.1f} µs, reading it from its socket apart")
    print(f"  a minute's entries: {entering / minutes * 1e3:.1f} ms of CPU")
    print(f"  an entry keeps the loop for {stalled * 1e3:.1f} ms of CPU at most (bound {MAX_STALL * 1e3:.0f})")
    print(f"database: {grown / rows:.0f} bytes a head, {grown / rows * cameras * MINUTES_A_DAY / 1e6:.0f} MB a day")
    print(f"relay check: {checking / rows * 1e6:.0f} µs a head")
    return day <= bound and cpu <= MAX_CPU and stalled <= MAX_STALL


def main() -> None:
    """Run the measurement from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=330)
    parser.add_argument("--recorders", type=int, default=4)
    parser.add_argument("--minutes", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-heads-") as folder:
        good = asyncio.run(measure(Path(folder), options.cameras, options.recorders, options.minutes))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
