"""Make the kept recording of this format version, and print its test vectors for FORMAT.md §9.

    python scripts/make_kept_recording.py tests/evidence/kept/v1

Owns: the recording's script.  Must never know: how bytes are sealed.  Run once per format version; a kept recording is never
changed afterwards: it is what proves that old versions stay verifiable.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from relay.evidence.chain import VERSION
from relay.evidence.seal import key_id
from relay.evidence.verify import verify
from tests.support.recordings import LONGTERM, RECORDING_KEY, Built, build

SCRIPTS = {1: "SIPPPGKPPIPAPE", 2: "SIPPPGKPPIPAPE", 3: "SIPPPCGKPPIlpPsVVVAPCE"}
SCRIPT = SCRIPTS[VERSION]


def write(built: Built, folder: Path) -> None:
    """Write the vault folder, an export of an interval, the keys and both verdicts."""
    folder.mkdir(parents=True)
    built.write(folder / "vault")
    (folder / "export").mkdir()
    for name, data in built.export(2, 6).items():
        (folder / "export" / name).write_bytes(data)
    (folder / "public_key.hex").write_text(LONGTERM.public_key.hex() + "\n")
    (folder / "recording_key.hex").write_text(RECORDING_KEY.hex() + "\n")


def vectors(built: Built) -> str:
    """Return the table for FORMAT.md."""
    rows = [("long-term public key (private: SHA-256 of `long-term`)", LONGTERM.public_key.hex())]
    rows += [("its id", key_id(LONGTERM.public_key).hex()), ("recording key (SHA-256 of `recording key`)", RECORDING_KEY.hex())]
    for record in built.records():
        rows.append((f"record {record.sequence}, {type(record.body).__name__}, {record.size} bytes: head", record.head.hex()))
    first = built.links[1]
    rows += [(f"fragment 1, {first.plain_length} bytes: plain digest", first.plain_digest.hex())]
    rows += [
        ("fragment 1: stored digest", first.stored_digest.hex()),
        ("fragment 1: video samples", first.tracks[0].digest.hex()),
    ]
    return "\n".join(["| what | hex |", "|---|---|", *[f"| {what} | `{value}` |" for what, value in rows]])


def main() -> None:
    """Write everything and print the table."""
    folder = Path(sys.argv[1])
    built = build(SCRIPT)
    write(built, folder)
    verdict = verify(built.reader(), LONGTERM.public_key, RECORDING_KEY, revoked={})
    (folder / "verdict.json").write_text(json.dumps(verdict.as_json(), ensure_ascii=False, indent=1) + "\n")
    print(vectors(built))


if __name__ == "__main__":
    main()
