"""Vectors of the playable copy: what forgers do to it, and honest neighbours.  The media is real; FFmpeg is the judge.

`CASES` lists copies of `copies.recording()` beside its export.  `obeyed` says whether the `ffmpeg` program shows a forgery
otherwise than the original; some values are obeyed by other players only.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from relay.evidence.lipsync import moves_of
from relay.evidence.records import Link
from tests.evidence.vectors import Files, Vector
from tests.support import copies, disagreements, forgeries
from tests.support.copies import derived_copy, ffmpeg, recording
from tests.support.forgeries import honest, tabled
from tests.support.mp4_editor import File
from tests.support.recordings import AUDIO, RECORDING_KEY, VIDEO, Built, box, full

COPY = "derived/playable.mp4"
SHOWN = ("ACPC", "derived_shown")
UNJUDGED = ("?CPC", "derived_unjudged")
PICTURE, SOUND = b"vide", b"soun"


@dataclass(frozen=True)
class Case:
    """A copy and what must be said of it; `findings` is "" for an honest one."""

    name: str
    copy: Callable[[], bytes]
    answers: str = "ICPC"
    findings: str = ""
    obeyed: bool = True
    built: Callable[[], Built] = recording

    def files(self) -> Files:
        """Return the export with this copy."""
        return {**self.built().export(), COPY: self.made()}

    @cache  # noqa: B019 - the cases live as long as the process
    def made(self) -> bytes:
        """Return the copy, made once."""
        return self.copy()


def _u32(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def shifted() -> Built:
    """A recording whose clock records move the sound."""
    return recording(late_sound_ms=300)


def reordered() -> Built:
    """A recording of a camera that makes B pictures."""
    return recording(b_pictures=True)


def drifted() -> Built:
    """A recording whose correction moves picture and sound."""
    return recording(drifted=True)


def half_corrected(sound: bool) -> bytes:
    """A copy in which the drift of one track is corrected, and that of the other is not."""
    moves = moves_of(lambda: [record.body for record in drifted().records()])
    return derived_copy(drifted(), moves=moves._replace(**{"picture" if sound else "sound": ()}))


def resized() -> Built:
    """A recording whose second segment has another resolution."""
    return recording(other_sets=True)


def numbered() -> Built:
    """A recording whose second segment has parameter sets of another number beside those of the first."""
    return recording(second_number=True)


def untold() -> Built:
    """The same; its pictures do not bring them."""
    return recording(second_number=True, told=False)


def _forged(name: str, copy: Callable[[], bytes], said: tuple[str, str], at: int | None = 1, *, obeyed: bool = True) -> Case:
    return Case(name, copy, said[0], said[1] + ("" if at is None else f"@{at}"), obeyed)


DIFFERS, UNREADABLE, TIME = ("ACPC", "derived_differs"), ("ACPC", "derived_unreadable"), ("ICPN", "derived_time")
UNITY = 0x10000

OFFSETS = [
    _forged("a second track fragment that counts from the first one's end", forgeries.second_traf, DIFFERS),
    _forged("an absolute base-data-offset that leads to black pictures", forgeries.absolute_base, DIFFERS),
    _forged("a second run without a data offset", forgeries.second_run, UNREADABLE),
    _forged("a run before its tfhd", forgeries.orphan_run, UNREADABLE),
    _forged("black pictures first, in tables with stz2", forgeries.stz2_first, DIFFERS),
    _forged("sizes twice", forgeries.both_sizes, UNREADABLE),
    _forged("chunk offsets twice", forgeries.both_offsets, UNREADABLE, obeyed=False),
    _forged("a box without length inside another", forgeries.endless_entry, UNREADABLE),
    _forged("tracks without trex", forgeries.no_trex, UNREADABLE),
    _forged("a descriptor that moves the chunks", forgeries.moved_chunks, DIFFERS),
    _forged("times for fewer samples", forgeries.short_times, UNREADABLE, obeyed=False),
    _forged("a second moov", lambda: honest() + File.of(honest()).one("moov").raw(), UNREADABLE, None, obeyed=False),
    _forged(
        "a table of shadow pictures", lambda: forgeries.add_table(full(b"stsh", 0, 0, _u32(0))), UNJUDGED, None, obeyed=False
    ),
]

EDITS = [
    _forged("an edit that cuts two seconds off", lambda: forgeries.edits(tabled(), (2000, 180_000, UNITY)), SHOWN),
    _forged(
        "an edit that dwells on a picture",
        lambda: forgeries.edits(tabled(), (2000, 0, 0), (2000, 180_000, UNITY)),
        SHOWN,
        obeyed=False,
    ),
    _forged(
        "an edit that begins just behind the first picture's beginning",
        lambda: forgeries.edits(tabled(), (4000, 60, UNITY), kinds=(PICTURE,)),
        SHOWN,
    ),
    _forged("an edit that repeats", lambda: forgeries.edits(tabled(), (1000, 0, UNITY), (3000, 0, UNITY)), SHOWN),
    _forged("an edit that ends early", lambda: forgeries.edits(tabled(), (1500, 0, UNITY)), SHOWN, None),
    _forged(
        "an empty edit of a minute before the sound",
        lambda: forgeries.edits(tabled(), (60_000, -1, UNITY), (4000, 0, UNITY), kinds=(SOUND,)),
        TIME,
    ),
]

HEADERS = [
    _forged("a picture turned round", lambda: forgeries.header(PICTURE, "tkhd", 40, forgeries.TURNED), SHOWN),
    _forged("a mirrored movie", lambda: forgeries.movie(36, forgeries.MIRRORED), SHOWN),
    _forged("a picture of eight pixels", lambda: forgeries.header(PICTURE, "tkhd", 76, _u32(8 << 16, 8 << 16)), SHOWN),
    _forged("a track that is not enabled", lambda: forgeries.header(PICTURE, "tkhd", 0, _u32(2)), SHOWN, obeyed=False),
    _forged("sound without volume", lambda: forgeries.header(SOUND, "tkhd", 36, b"\0\0"), SHOWN, obeyed=False),
    _forged("twice the rate", lambda: forgeries.movie(20, _u32(2 * UNITY)), SHOWN, obeyed=False),
    _forged("a layer behind", lambda: forgeries.header(PICTURE, "tkhd", 32, b"\0\1"), SHOWN, obeyed=False),
    _forged("a second picture track", lambda: forgeries.further_track(PICTURE), SHOWN, obeyed=False),
    _forged("text over the picture", lambda: forgeries.further_track(b"text"), SHOWN, obeyed=False),
    _forged("media in another file", forgeries.elsewhere, SHOWN, obeyed=False),
    _forged(
        "a box that makes pictures a sphere",
        lambda: forgeries.added("", box(b"uuid", bytes.fromhex("ffcc8263f8554a938814587a02521fdd"), b"<x/>")),
        UNJUDGED,
        None,
        obeyed=False,
    ),
]

SHOWN_THERE = ("ACPC", "derived_shown@7")

DECODERS = [
    Case("without the sets of its second half", lambda: derived_copy(untold()), *SHOWN_THERE, obeyed=False, built=untold),
    _forged("another avcC", forgeries.other_avcc, SHOWN),
    _forged("another picture parameter set", forgeries.flipped_pps, SHOWN),
    _forged("a second description by trex", lambda: forgeries.second_description("trex"), SHOWN, obeyed=False),
    _forged("a second description by tfhd", lambda: forgeries.second_description("tfhd"), SHOWN, obeyed=False),
    _forged("a second description by stsc", lambda: forgeries.second_description("stsc"), SHOWN),
    _forged("Opus 128 dB lower", lambda: forgeries.opus(8, struct.pack(">h", -32768)), SHOWN),
    _forged("Opus 20 dB higher", lambda: forgeries.opus(8, struct.pack(">h", 20 * 256)), SHOWN),
    _forged("Opus with a pre-skip of a second", lambda: forgeries.opus(2, b"\xbb\x80"), SHOWN),
    _forged("Opus with one channel", lambda: forgeries.opus(1, b"\1"), SHOWN),
    _forged(
        "a clean aperture",
        lambda: forgeries.in_entry(PICTURE, box(b"clap", _u32(32, 1, 32, 1, 0, 1, 0, 1))),
        UNJUDGED,
        None,
        obeyed=False,
    ),
    _forged("pixels four times as wide", lambda: forgeries.in_entry(PICTURE, box(b"pasp", _u32(4, 1))), SHOWN),
    _forged(
        "other colours",
        lambda: forgeries.in_entry(PICTURE, box(b"colr", b"nclx", struct.pack(">HHHB", 9, 16, 9, 0x80))),
        SHOWN,
        obeyed=False,
    ),
]

TIMES = [
    _forged("sound a minute later", lambda: forgeries.moved(AUDIO, 60 * 48_000), TIME),
    _forged("sound 400 ms later", lambda: forgeries.moved(AUDIO, 19_200), TIME),
    _forged("pictures a second later from the middle on", lambda: forgeries.moved(VIDEO, 90_000, since=5), TIME, 7),
    _forged("pictures that stand still inside each fragment", forgeries.frozen, TIME),
    _forged("pictures in another order", forgeries.reordered, SHOWN),
    _forged("pictures hidden behind the next ones", forgeries.hidden, SHOWN),
    _forged(
        "sound that runs 2 % fast",
        lambda: forgeries.header(SOUND, "mdia/mdhd", 12, _u32(48_960), forgeries.relay_fragments()),
        TIME,
        8,
    ),
    _forged("one fragment's pictures again in a later one's place", forgeries.replayed, DIFFERS, 5),
    _forged(
        "a remuxer that hides pictures behind others",
        lambda: ffmpeg(honest(), "-movflags", "frag_every_frame+empty_moov+separate_moof"),
        SHOWN,
        3,
    ),
    Case("sound moved where the chain does not", lambda: derived_copy(shifted()), "ICPN", "derived_time@1"),
    Case("sound moved by half of what the chain says", forgeries.half_moved, "ICPN", "derived_time@1", built=shifted),
    Case("the drift of the picture alone corrected", lambda: half_corrected(False), "ICPN", "derived_time@2", built=drifted),
    Case("the drift of the sound alone corrected", lambda: half_corrected(True), "ICPN", "derived_time@2", built=drifted),
]

READERS = [
    _forged("an avcC behind a table of colours", disagreements.colour_table, SHOWN),
    _forged("an edit list among the texts", lambda: disagreements.cut_by_texts(b"udta"), UNJUDGED, None),
    _forged("an edit list in meta", lambda: disagreements.cut_by_texts(b"meta"), UNJUDGED, None),
    _forged("an avcC among the texts", disagreements.decoder_in_texts, UNJUDGED, None),
    _forged("a track header among the texts", disagreements.turned_by_texts, UNJUDGED, None),
    _forged("sizes among the texts", disagreements.sizes_in_texts, UNJUDGED, None, obeyed=False),
    _forged("texts that make pictures sound", disagreements.pictures_as_sound, UNJUDGED, None),
    _forged("an avcC with a length of 64 bits", disagreements.wide_entry, UNREADABLE, obeyed=False),
    _forged("fragments with a length of 64 bits", disagreements.wide_moof, UNREADABLE),
    _forged("two trex of one track", disagreements.two_defaults, UNREADABLE, obeyed=False),
    _forged("a tfdt of version 2", disagreements.unknown_time_version, UNREADABLE),
    _forged("a media header of version 2", disagreements.unknown_media_version, UNREADABLE),
    _forged("a second traf of a track without a time", lambda: disagreements.two_parts(timed=False), UNREADABLE),
    _forged("an empty traf with samples", disagreements.empty_with_samples, UNREADABLE, obeyed=False),
    _forged("composition offsets beyond 2^28", disagreements.late_composition, UNREADABLE),
    _forged("sound of one tick a sample", disagreements.sound_in_ticks, UNREADABLE),
    _forged("a timescale beyond 2^31", disagreements.vast_timescale, UNREADABLE),
    _forged("two empty edits", lambda: disagreements.late_sound((1, -1), (59, -1), (0, 0)), SHOWN),
    _forged("an edit from before the beginning", lambda: disagreements.late_sound((60, -2), (0, 0)), SHOWN),
    _forged("an edit that leaves out the last half second", disagreements.cut_at_the_end, SHOWN, None),
    _forged("an edit list that repeats", disagreements.repeated, SHOWN, obeyed=False),
    _forged("pictures too short to be seen", disagreements.unseen_pictures, SHOWN),
    _forged("pictures or sound, as the player likes", disagreements.one_group, SHOWN, obeyed=False),
    _forged("pictures that are not in the movie", disagreements.not_in_movie, SHOWN, obeyed=False),
    _forged("a short track with an mvex but no fragments", disagreements.short_in_tables, SHOWN, None, obeyed=False),
    _forged("a short movie", disagreements.short_movie, SHOWN, None, obeyed=False),
    Case(
        "moved sound with a header of a second",
        lambda: forgeries.header(SOUND, "tkhd", 20, _u32(1000), ffmpeg(derived_copy(shifted()), "-copyts")),
        "ACPC",
        "derived_shown",
        built=shifted,
        obeyed=False,
    ),
    Case(
        "B pictures in the order of decoding",
        lambda: disagreements.in_decode_order(derived_copy(reordered())),
        "ACPC",
        "derived_shown@1",
        built=reordered,
    ),
    _forged("a short mehd", disagreements.short_fragments, SHOWN, None, obeyed=False),
]

HONEST = [
    Case("B pictures", lambda: derived_copy(reordered()), built=reordered),
    Case("B pictures, ffmpeg -c copy", lambda: ffmpeg(derived_copy(reordered())), built=reordered),
    Case("the relay's own copy", honest),
    Case("its fragments of 0.4 s", forgeries.relay_fragments),
    Case("ffmpeg -c copy", tabled),
    Case("the same with moov first", lambda: ffmpeg(honest(), "-movflags", "faststart")),
    Case("fragments with an absolute base-data-offset", lambda: ffmpeg(honest(), "-movflags", "frag_keyframe+empty_moov")),
    Case("a first fragment in moov", lambda: ffmpeg(honest(), "-movflags", "frag_keyframe")),
    Case(
        "fragments by default-base-is-moof", lambda: ffmpeg(honest(), "-movflags", "frag_keyframe+empty_moov+default_base_moof")
    ),
    Case("fragments without any base", lambda: ffmpeg(honest(), "-movflags", "frag_keyframe+empty_moov+omit_tfhd_offset")),
    Case("CMAF", lambda: ffmpeg(honest(), "-movflags", "cmaf+frag_keyframe")),
    Case("DASH with its index", lambda: ffmpeg(honest(), "-movflags", "dash+frag_keyframe+global_sidx")),
    Case("a late moov", lambda: ffmpeg(honest(), "-movflags", "frag_keyframe+delay_moov")),
    Case("through Matroska", lambda: ffmpeg(honest(), again="x.mkv")),
    Case("HLS fragments, put together", lambda: copies.hls(honest())),
    Case("16-bit sizes", forgeries.honest_stz2),
    Case("64-bit offsets", forgeries.honest_co64),
    Case("a free box", lambda: forgeries.added("", box(b"free", b"abc"))),
    Case("square pixels stated", lambda: forgeries.in_entry(PICTURE, box(b"pasp", _u32(1, 1)))),
    Case(
        "colours stated as unspecified",
        lambda: forgeries.in_entry(PICTURE, box(b"colr", b"nclx", struct.pack(">HHHB", 2, 2, 2, 0))),
    ),
    Case("texts of every common kind", disagreements.texts),
    Case("texts under names of their own", disagreements.keyed_texts),
    Case("two track fragments of a track with their times", lambda: disagreements.two_parts(timed=True)),
    Case("a timescale of milliseconds", lambda: ffmpeg(honest(), "-video_track_timescale", "1000")),
    Case("negative composition offsets", lambda: ffmpeg(honest(), "-movflags", "negative_cts_offsets")),
    Case("fragments that are not interleaved", lambda: ffmpeg(honest(), "-movflags", "frag_keyframe+separate_moof")),
    Case("through NUT", lambda: ffmpeg(honest(), again="x.nut")),
    Case("a second description that nothing uses", lambda: forgeries.second_description("nothing")),
    Case("sound moved as the chain says", lambda: derived_copy(shifted()), built=shifted),
    Case("the same through ffmpeg", lambda: ffmpeg(derived_copy(shifted())), built=shifted),
    Case("the same through Matroska", lambda: ffmpeg(derived_copy(shifted()), again="x.mkv"), built=shifted),
    Case("the same through ffmpeg that keeps times", lambda: ffmpeg(derived_copy(shifted()), "-copyts"), built=shifted),
    Case("sound left as it was sealed", lambda: derived_copy(shifted(), moved=False), built=shifted),
    Case("drift corrected as the chain says", lambda: derived_copy(drifted()), built=drifted),
    Case("the drift through ffmpeg", lambda: ffmpeg(derived_copy(drifted())), built=drifted),
    Case("drift left as it was sealed", lambda: derived_copy(drifted(), moved=False), built=drifted),
    Case("another resolution in mid-recording", lambda: derived_copy(resized()), built=resized),
    Case("the same in tables", lambda: ffmpeg(derived_copy(resized())), built=resized),
    Case("sets of another number in mid-recording", lambda: derived_copy(numbered()), built=numbered),
    Case("sets of another number, in tables", lambda: ffmpeg(derived_copy(numbered())), built=numbered),
]

DRIFTED_COPY = next(case for case in HONEST if case.name == "drift corrected as the chain says")
SHIFTED_COPY = next(case for case in HONEST if case.name == "sound moved as the chain says")
FORGED = OFFSETS + EDITS + HEADERS + DECODERS + TIMES + READERS
CASES = FORGED + HONEST


def _export(case: Case) -> Vector:
    return Vector(f"copy: {case.name}", "S", lambda _: case.files(), "." * 12, case.answers, case.findings)


def _alone(case: Case, marks: str, answers: str, findings: str) -> Vector:
    files = lambda _: {"chain": case.built().files["chain"], "copy.mp4": case.made()}  # noqa: E731
    return Vector(f"copy alone: {case.name}", "S", files, marks, answers, f"{findings} derived_only".strip())


def _interval(case: Case, first: int, last: int) -> Vector:
    def files(_: Built) -> Files:
        built = case.built()
        part = Built(dict(built.files), built.plain, [link for link in built.links if within(link)])
        shifts = [link for link in built.links if link.fragment <= last]
        return {**built.export(first, last), COPY: derived_copy(part, of=shifts)}

    segments = {link.segment for link in case.built().links if first <= link.fragment <= last}

    def within(link: Link) -> bool:
        return first <= link.fragment <= last or (link.init and link.segment in segments)

    marks = "".join("." if within(link) else "-" for link in case.built().links)
    return Vector(f"copy of fragments {first} to {last}: {case.name}", "S", files, marks, "IVPC")


def _folder(case: Case, key: bytes | None) -> Vector:
    files = lambda _: {**case.built().files, "copy.mp4": case.made()}  # noqa: E731
    name = f"copy beside a vault folder, {'with' if key else 'without'} its key: {case.name}"
    opened = case.answers if key else "?CPC"
    return Vector(name, "S", files, "." * 12, opened, case.findings if key else "derived_unjudged", recording_key=key)


VECTORS: list[Vector] = [
    *[_export(case) for case in CASES],
    _alone(HONEST[0], "?" * 12, "?CPC", ""),
    _alone(HONEST[2], "?" * 12, "?CPC", ""),
    _alone(SHIFTED_COPY, "?" * 12, "?CPC", ""),
    _alone(OFFSETS[0], "?" + "X" * 11, "ACPC", "derived_differs@1"),
    _alone(HEADERS[0], "?" + "X" * 11, "ACPC", "derived_shown@1"),
    _alone(TIMES[0], "?" + "X" * 11, "?CPN", "derived_time@1"),
    _interval(HONEST[0], 3, 9),
    _interval(SHIFTED_COPY, 3, 9),
    _interval(SHIFTED_COPY, 2, 4),
    _interval(DRIFTED_COPY, 3, 9),
    _alone(DRIFTED_COPY, "?" * 12, "?CPC", ""),
    _folder(HONEST[0], RECORDING_KEY),
    _folder(HONEST[0], None),
    _folder(DECODERS[0], RECORDING_KEY),
    _folder(DECODERS[0], None),
]
