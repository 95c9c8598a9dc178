"""Measure `relay verify` on one core: a synthetic recording, as stored, with its key, and as an export; and what sealing costs.

    scripts/bench verify [--minutes 30] [--mbit 2]

Owns: the recording and the figures.  Must never know: how a verdict is reached.  Prints MB/s, µs per fragment, peak memory,
bytes added by sealing.  The machine should be idle; say so when quoting numbers.
"""

import argparse
import hashlib
import os
import random
import resource
import tempfile
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from relay.evidence.chain import ChainWriter
from relay.evidence.media import run_inline
from relay.evidence.records import Link, Reason, TrackKind, TrackPart
from relay.evidence.seal import encrypt_fragment, sha256
from relay.evidence.verify import verify
from relay.store.readers import open_reader
from tests.support.recordings import LONGTERM, RECORDING, RECORDING_KEY, T0, session, start_record

FRAGMENT_NS = 400_000_000
PER_SEGMENT = 150
MOST_GROWTH = 8
"""Four times the bytes may cost this many times as much; beginning again for each read would cost sixteen times."""


def write(folder: Path, plain: Path, minutes: float, mbit: float) -> tuple[int, float]:
    """Write a vault folder and the same as an export; return the number of fragments and the seconds of sealing."""
    folder.mkdir()
    plain.mkdir()
    size, count = int(mbit * 1e6 / 8 * 0.4), int(minutes * 60 / 0.4)
    signer = session()
    writer = ChainWriter(signer, start_record(signer))
    spent, noise = 0.0, hashlib.shake_256(b"noise").digest(size)
    with (folder / "chain").open("wb") as chain:
        chain.write(writer.start())
        for number in range(count):
            data = noise[:-8] + number.to_bytes(8, "big")
            segment = number // PER_SEGMENT
            begun = time.process_time()
            stored = encrypt_fragment(RECORDING_KEY, RECORDING, number, data)
            record = writer.link(link(number, segment, data, stored))
            spent += time.process_time() - begun
            chain.write(record)
            with (folder / f"{segment:05d}.seg").open("ab") as file:
                file.write(stored)
            with (plain / f"{segment:05d}.mp4").open("ab") as file:
                file.write(data)
        chain.write(writer.end(Reason.STOPPED, None, T0 + count * FRAGMENT_NS))
    (plain / "chain").write_bytes((folder / "chain").read_bytes())
    return count, spent


def link(number: int, segment: int, data: bytes, stored: bytes) -> Link:
    """Return a link with the digests that a recorder would compute (those of the tracks included)."""
    at = number * 2 // 5
    cut = len(data) - 4000
    parts = (
        TrackPart(1, TrackKind.VIDEO, 12, sha256(memoryview(data)[:cut]), number * 36_000, 36_000),
        TrackPart(2, TrackKind.AUDIO, 20, sha256(memoryview(data)[cut:]), number * 19_200, 19_200),
    )
    offset = number % PER_SEGMENT * len(stored)
    bare = Link(number, segment, False, offset, len(data), len(stored), sha256(data), sha256(stored), parts, 0, FRAGMENT_NS)
    return replace(
        bare, arrival_start_ns=T0 + number * FRAGMENT_NS, metadata=(("battery", str(at)),) if number % 25 == 0 else ()
    )


def measure(name: str, path: Path, key: bytes | None, count: int, size: int, cores: int = 1) -> None:
    """Verify once to warm the cache, then three times; print the best: CPU time on one core, elapsed time on several."""
    clock = time.process_time if cores == 1 else time.perf_counter

    def once() -> float:
        begun = clock()
        with open_reader(path) as reader, ThreadPoolExecutor(cores) as pool:
            verdict = verify(reader, LONGTERM.public_key, key, submit=run_inline if cores == 1 else pool.submit)
        if verdict.exit_code:
            raise SystemExit(f"{name}: {verdict.findings[:3]}")
        return clock() - begun

    once()
    best = min(once() for _ in range(3))
    print(f"{name:<12} {size / best / 1e6:7.0f} MB/s   {best / count * 1e6:6.1f} µs per fragment")


def zipped(plain: Path, method: int, path: Path) -> Path:
    """Return the export as an archive."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in sorted(plain.iterdir()):
            archive.write(file, file.name)
    return path


def in_turn(folder: Path, megabytes: int) -> float:
    """Return the seconds of CPU for two deflated members that are read in turn, as a segment and its copy are."""
    path, size = folder / f"{megabytes}.zip", megabytes << 20
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("segment", "copy"):
            archive.writestr(name, random.Random(name).randbytes(size))
    begun = time.process_time()
    with open_reader(path) as reader:
        for at in range(0, size, 100_000):
            for name in ("segment", "copy"):
                reader.read(name, at, 100_000)
    return time.process_time() - begun


def timed(work: Callable[[], object], rounds: int) -> float:
    """Return µs of CPU per round."""
    begun = time.process_time()
    for _ in range(rounds):
        work()
    return (time.process_time() - begun) / rounds * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--mbit", type=float, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, plain = Path(name, "vault"), Path(name, "export")
        count, spent = write(folder, plain, options.minutes, options.mbit)
        stored = sum(path.stat().st_size for path in folder.glob("*.seg"))
        chain = (folder / "chain").stat().st_size
        media = sum(path.stat().st_size for path in plain.glob("*.mp4"))
        print(f"{count} fragments, {media / 1e6:.0f} MB of media at {options.mbit} Mbit/s")
        measure("as stored", folder, None, count, stored)
        measure("with key", folder, RECORDING_KEY, count, stored)
        measure("export", plain, None, count, media)
        measure(f"key, {os.cpu_count()} cores", folder, RECORDING_KEY, count, stored, os.cpu_count() or 1)
        added, tags = chain / media * 100, (stored - media) / media * 100
        print(f"sealing    {added:.3f} % of the media ({chain / count:.0f} bytes per link); cipher tags {tags:.3f} %")
        print(f"sealing    {spent / count * 1e6:.0f} µs of CPU per fragment (encrypt, four digests, link, sign)")
        print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
        for name, method in (("stored zip", zipfile.ZIP_STORED), ("deflated zip", zipfile.ZIP_DEFLATED)):
            measure(name, zipped(plain, method, Path(folder.parent, f"{name}.zip")), None, count, media)
        short, long = in_turn(folder.parent, 32), in_turn(folder.parent, 128)
        print(f"in turn      32 MiB {short:.2f} s, 128 MiB {long:.2f} s of CPU for two deflated members")
        if long > MOST_GROWTH * short:
            raise SystemExit(f"deflated members: four times the bytes cost {long / short:.1f} times as much")
        block = bytes(1 << 20)
        print(f"this machine now: SHA-256 {(1 << 20) / timed(lambda: sha256(block), 200):.0f} MB/s")


if __name__ == "__main__":
    main()
