"""What happens to recordings in the hands of ordinary people, and forgers who count on it being forgiven."""

from collections.abc import Callable

from tests.evidence.vectors import (
    Files,
    Tamper,
    Vector,
    append,
    both,
    cut_records,
    exported,
    flip_fragment,
    nothing,
    rearrange,
    remove,
    stored,
    truncate,
)
from tests.support.recordings import RECORDING, RECORDING_KEY, Built, init_segment

Change = Callable[[Built, Files], None]

APPLE_DOUBLE = b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(40)
OTHER = "0190a1b2c3d4e5f60718293a4b5c6d7f"
NOT_YET = b"bytes of a fragment that has no link yet"


def beside(*names: str, data: bytes = b"x") -> Change:
    def change(built: Built, files: Files) -> None:
        files.update(dict.fromkeys(names, data))

    return change


def inside(folder: str, tamper: Tamper, *others: str) -> Tamper:
    """Put everything into a folder, and other files beside that."""
    return lambda built: {
        **{f"{folder}/{name}": data for name, data in tamper(built).items()},
        **dict.fromkeys(others, APPLE_DOUBLE),
    }


def renumbered(_: Built, files: Files) -> None:
    files["00005.seg"] = files.pop("00001.seg")


def torn(bytes_left: int) -> Change:
    """Cut the last record, but for its first bytes."""

    def change(built: Built, files: Files) -> None:
        last = built.records()[-1]
        files["chain"] = files["chain"][: last.position + bytes_left]

    return change


VECTORS: list[Vector] = [
    # --- files that a system leaves ----------------------------------------------------------------------------------
    Vector(
        "what macOS leaves",
        "SIPPE",
        exported(both(beside(".DS_Store", "._.DS_Store"), beside("._chain", "._00000.mp4", data=APPLE_DOUBLE))),
        "...",
        "ICPC",
    ),
    Vector("what Windows leaves", "SIPPE", exported(beside("Thumbs.db", "DESKTOP.INI", "$RECYCLE.BIN/x.txt")), "...", "ICPC"),
    Vector("what network storage leaves", "SIPPE", stored(beside("@eaDir/00000.seg/x", ".AppleDouble/chain")), "...", "SCPC"),
    Vector(
        "an archive made on a Mac",
        "SIPPE",
        inside("rec", exported(), "__MACOSX/rec/._00000.mp4", "__MACOSX/._rec", "__MACOSX/rec/._chain"),
        "...",
        "ICPC",
    ),
    Vector(
        "a film that is named like what macOS leaves",
        "SIPPE",
        exported(beside("._film.mp4", data=init_segment())),
        "...",
        "ACPC",
        "derived_shown@1",
    ),
    Vector(
        "a film in a folder of macOS",
        "SIPPE",
        exported(beside("__MACOSX/film.mp4", data=init_segment())),
        "...",
        "ACPC",
        "derived_shown@1",
    ),
    Vector(
        "a film in a folder of macOS that begins as its companions do",
        "SIPPE",
        exported(beside("__MACOSX/film.mp4", data=APPLE_DOUBLE + init_segment())),
        "...",
        "ACPC",
        "derived_unreadable@1",
    ),
    Vector(
        "a companion and no media",
        "SIPPE",
        stored(both(remove("00000.seg"), beside("._00000.mp4", data=APPLE_DOUBLE))),
        "MMM",
        "SMPC",
        "fragments_missing@0",
    ),
    Vector("a companion alone", "SIPPE", lambda _: {"._clip.mp4": APPLE_DOUBLE}, "unreadable", ""),
    # --- which recording ------------------------------------------------------------------------------------------------
    Vector("the recording that was expected", "SIPPE", nothing, "...", "SCPC", expected=RECORDING),
    Vector("another recording than expected", "SIPPE", nothing, "...", "SCNC", "other_recording", expected=OTHER),
    Vector("in the folder of its name", "SIPPE", inside(RECORDING, nothing), "...", "SCPC"),
    Vector("in the folder of another recording", "SIPPE", inside(OTHER, nothing), "...", "SCNC", "other_recording"),
    Vector("in the folder of another, deeper", "SIPPE", inside(f"a/{OTHER}", exported()), "...", "ICNC", "other_recording"),
    Vector(
        "another's folder, and another one expected",
        "SIPPE",
        inside(OTHER, nothing),
        "...",
        "SCNC",
        "other_recording other_recording",
        expected=OTHER[::-1],
    ),
    Vector("in a folder that is named after something else", "SIPPE", inside("dossier 12-2026", nothing), "...", "SCPC"),
    # --- recordings that are still made, and those that only look so ------------------------------------------------------
    Vector("copied while it was recorded", "SIPPPE", stored(cut_records(1)), "....", "SOPC", "interrupted"),
    Vector("copied in the middle of a record", "SIPPPE", stored(torn(20)), "....", "SOPC", "interrupted"),
    Vector("copied after a byte of a record", "SIPPPE", stored(torn(1)), "....", "SOPC", "interrupted"),
    Vector(
        "its chain copied first",
        "SIPPPIPE",
        stored(cut_records(4)),
        "...",
        "SOPC",
        "interrupted",
    ),
    Vector(
        "its chain copied last",
        "SIPPIPPE",
        stored(both(cut_records(1), rearrange("0", 1))),
        "....MM",
        "SOPC",
        "interrupted tail_not_copied@4",
    ),
    Vector(
        "its chain copied last, a segment later",
        "SIPPIPPE",
        stored(both(cut_records(1), remove("00001.seg"), truncate("00000.seg", 9))),
        "..MMMM",
        "SOPC",
        "interrupted tail_not_copied@2",
    ),
    Vector("the relay says that it is open", "SIPPPE", stored(cut_records(1)), "....", "SOPC", still_open=4),
    Vector(
        "the relay says that it is open, and opens it",
        "SIPPPE",
        stored(both(torn(30), append("00000.seg", NOT_YET))),
        "....",
        "IOPC",
        still_open=2,
        recording_key=RECORDING_KEY,
    ),
    Vector("the relay says that it was open, and it has ended", "SIPPPE", nothing, "....", "SCPC", still_open=2),
    Vector(
        "cut off, though the relay knows of more", "SIPPPE", stored(cut_records(2)), "...", "SOPC", "interrupted", still_open=4
    ),
    Vector(
        "media cut off, though the relay says that it is open",
        "SIPPPE",
        stored(both(cut_records(1), rearrange("012"))),
        "...M",
        "SMPC",
        "fragment_missing@3",
        still_open=4,
    ),
    Vector(
        "altered while it was recorded",
        "SIPPPE",
        stored(both(cut_records(1), flip_fragment(1))),
        ".X..",
        "AOPC",
        "fragment_altered@1 interrupted",
    ),
    Vector(
        "a fragment dropped from the middle of a cut recording",
        "SIPPPE",
        stored(both(cut_records(1), rearrange("013"))),
        "..M.",
        "SMPC",
        "interrupted fragment_missing@2",
    ),
    Vector(
        "more bytes after a cut export",
        "SIPPPE",
        exported(both(cut_records(1), append("00000.mp4", NOT_YET))),
        "....",
        "AOPC",
        "extra_bytes interrupted",
    ),
    Vector("a cut export", "SIPPPE", exported(cut_records(1)), "....", "IOPC", "interrupted"),
    Vector("a torn chain of an export", "SIPPPE", exported(torn(20)), "....", "AOPC", "chain_unreadable interrupted"),
    Vector(
        "bytes of a record after the end", "SIPPPE", stored(append("chain", b"\0\0\xff")), "....", "ACPC", "chain_unreadable"
    ),
    Vector(
        "an earlier segment that no link of a cut recording names",
        "SIPPIPE",
        stored(both(cut_records(1), renumbered, beside("00002.seg", "00003.seg", "00007.seg", data=NOT_YET))),
        ".....",
        "AOPC",
        "interrupted foreign_file foreign_file",
        start={"overrides": {3: {"segment": 5}, 4: {"segment": 5}}},
    ),
    Vector(
        "companions of an old file server",
        "SIPPE",
        inside("rec", stored(beside(".AppleDouble/chain", ".AppleDouble/00000.seg", data=APPLE_DOUBLE))),
        "...",
        "SCPC",
    ),
]
