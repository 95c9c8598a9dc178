"""Measure `relay check` on a synthetic data folder: real chains, rows, keys and journal entries; segment files are sparse.

    scripts/bench check [--gigabytes 20] [--mbit 2] [--minutes 10]

Owns: the folder and the figures.  Must never know: what the check compares.  The check reads chains, rows, keys and names,
never a media byte: sparse files change nothing.  Prints seconds and bytes of chain, and what that is for 1 TB.  The machine
should be idle; say so when quoting numbers.
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
from relay.channel.messages import Plan, RecordingClosed, SegmentSealed
from relay.evidence.chain import ChainWriter, Link, Original, Reason, Start
from relay.evidence.records import TrackKind, TrackPart
from relay.evidence.seal import SessionSigner, new_session
from relay.people.authorize import Authorizer
from relay.people.enrolment import Enrolment
from relay.people.interventions import Interventions
from relay.people.sign_ins import CONSOLE
from relay.store.accounts import Accounts
from relay.store.catalogue import Catalogue
from relay.store.database import Database
from relay.store.journal import Journal
from relay.store.keyring import Keyring
from relay.store.vault import FileOps, Vault

SECOND = 1_000_000_000
FRAGMENT_NS = 400_000_000
PER_SEGMENT = 150


def write(
    folder: Path, plan: Plan, session: SessionSigner, fragments: int, size: int
) -> tuple[list[SegmentSealed], RecordingClosed]:
    """Write a whole signed chain and sparse segments; return the facts that a recorder would report of them."""
    folder.mkdir(mode=0o700)
    start = Start(
        plan.recording, plan.camera, plan.camera_label, plan.regime, plan.service, Original.RELAY, plan.bearer,
        plan.intervention, plan.trigger, plan.threat, plan.expires_on, None, None, plan.started_ns, session.certificate,
    )  # fmt: skip
    writer = ChainWriter(session, start)
    pieces, facts = [writer.start()], []
    for first in range(0, fragments, PER_SEGMENT):
        segment, last = first // PER_SEGMENT, min(first + PER_SEGMENT, fragments) - 1
        for number in range(first, last + 1):
            digest = number.to_bytes(32, "big")
            part = TrackPart(1, TrackKind.VIDEO, 12, digest, number * 36_000, 36_000)
            at = plan.started_ns + number * FRAGMENT_NS
            link = Link(
                number, segment, False, (number - first) * size, size - 16, size, digest, digest, (part,), at, FRAGMENT_NS
            )
            pieces.append(writer.link(link))
        with (folder / f"{segment:05d}.seg").open("wb") as file:
            file.truncate((last + 1 - first) * size)
        begins, ends = plan.started_ns + first * FRAGMENT_NS, plan.started_ns + (last + 1) * FRAGMENT_NS
        facts.append(SegmentSealed(plan.recording, segment, first, last, begins, ends, (last + 1 - first) * size, writer.head))
    end_ns = plan.started_ns + fragments * FRAGMENT_NS
    pieces.append(writer.end(Reason.STOPPED, "", end_ns))
    (folder / "chain").write_bytes(b"".join(pieces))
    length = fragments * FRAGMENT_NS
    return facts, RecordingClosed(
        plan.recording, "stopped", writer.links, writer.head, end_ns, False, 0, length, fragments * size
    )


async def measure(root: Path, gigabytes: float, mbit: float, minutes: float) -> None:
    """Build the folder, run the check, print."""
    clock, counters = SystemClock(), Counters()
    database = await Database.open(f"sqlite:///{root}/relay.db", counters)
    keyring, vault = Keyring(root / "keys", _Unsynced()), Vault(root / "vault")
    vault.prepare()
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
    now = clock.utc_ns()
    session = new_session(keyring.signer, role="recorder", index=0, not_before_ns=now - SECOND, not_after_ns=now + 8 * 10**13)
    size, fragments = int(mbit * 1e6 / 8 * 0.4), int(minutes * 60 / 0.4)
    count = max(1, round(gigabytes * 1e9 / (size * fragments)))
    for _ in range(count):
        plan, _key = await recordings.begin(camera, its.intervention, trigger="bouton", threat="personnes")
        facts, closed = write(vault.folder(plan.recording), plan, session, fragments, size)
        for each in facts:
            await recordings.segment_sealed(each)
        await recordings.closed(closed)
    chains = sum(path.stat().st_size for path in (root / "vault").glob("*/chain"))
    began = time.perf_counter()
    found = await Check(catalogue, journal, vault, keyring, clock).run()
    seconds = time.perf_counter() - began
    assert not found, found[:5]
    real = count * fragments * size / 1e9
    print(
        f"{count} recordings, {count * fragments} fragments, {real:.1f} GB of media (sparse), {chains / 1e6:.0f} MB of chains"
    )
    print(f"relay check: {seconds:.1f} s; 1 TB: {seconds * 1000 / real / 60:.1f} min")
    await journal.close()
    await database.close()


class _Unsynced(FileOps):
    """Building the folder is not what is measured."""

    def fsync(self, descriptor: int) -> None:
        """Wait for nothing."""

    def fsync_dir(self, path: Path) -> None:
        """Wait for nothing."""


def main() -> int:
    """Run the measurement from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=20)
    parser.add_argument("--mbit", type=float, default=2)
    parser.add_argument("--minutes", type=float, default=10, help="length of a recording")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-check-") as folder:
        asyncio.run(measure(Path(folder), options.gigabytes, options.mbit, options.minutes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
