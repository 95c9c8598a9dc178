"""The encoding is canonical, the parser is strict, and the writer keeps the order of records."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.base.errors import TheirError
from relay.evidence.chain import (
    PREAMBLE,
    ChainWriter,
    Record,
    frame,
    iterate,
    newest_head,
    parse_record,
    recover,
    stream,
    survey,
)
from relay.evidence.records import (
    CAUSES_OF_OLD,
    Cause,
    Correction,
    Gap,
    Link,
    Point,
    Reason,
    Recovery,
    Start,
    SyncSource,
    TrackKind,
)
from relay.evidence.seal import (
    MemorySigner,
    decrypt_fragment,
    encrypt_fragment,
    issue_certificate,
    sample_digest,
    sha256,
    signature_holds,
)
from relay.evidence.wire import Choice, Codec, Fixed, Flag, Maybe, Pairs, Raw, Repeat, SInt, Text, UInt, decode, encode
from tests.support.recordings import LONGTERM, RECORDING, SECOND, T0, build, session, start_record

SCRIPT = build("SIPPGgPKPIAPE")
RAW = [SCRIPT.files["chain"][record.position : record.position + record.size] for record in SCRIPT.records()]


# --- primitives -------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**64 - 1))
def test_unsigned_numbers_come_back(value: int) -> None:
    assert decode(UInt(), encode(UInt(), value)) == value


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_numbers_come_back(value: int) -> None:
    assert decode(SInt(), encode(SInt(), value)) == value


@pytest.mark.parametrize("value", [-1, 2**64])
def test_a_number_out_of_bounds_is_our_bug(value: int) -> None:
    with pytest.raises(ValueError, match="not in"):
        encode(UInt(), value)


@pytest.mark.parametrize(
    ("codec", "data"),
    [
        (UInt(), b"\x80\x00"),
        (UInt(), b"\xff" * 10 + b"\x01"),
        (UInt(100), b"\x65"),
        (UInt(), b"\xff" * 9 + b"\x7f"),
        (Flag(), b"\x02"),
        (Maybe(Flag()), b"\x02\x01"),
        (Text(3), b"\x04abcd"),
        (Text(9), b"\x02\xff\xff"),
        (Text(9), b"\x05ab"),
        (Raw(3), b"ab"),
        (Fixed(4), b"abc"),
        (Choice(Cause), b"\x00"),
        (Choice(Cause), b"\x0d"),
        (Choice(CAUSES_OF_OLD), b"\x09"),
        (Repeat(Flag(), 2), b"\x03\x01\x01\x01"),
        (Pairs(4, 9, 9), b"\x02\x01b\x01x\x01a\x01x"),
        (Pairs(4, 9, 9), b"\x02\x01a\x01x\x01a\x01y"),
        (Flag(), b"\x01\x01"),
    ],
)
def test_anything_but_the_one_encoding_is_refused_with_its_position(codec: Codec[Any], data: bytes) -> None:
    with pytest.raises(TheirError, match=r"^byte \d+: "):
        decode(codec, data)


@given(st.binary(max_size=40))
def test_what_decodes_encodes_to_the_same_bytes(data: bytes) -> None:
    codecs: list[Codec[Any]] = [UInt(), SInt(), Text(30), Maybe(UInt()), Repeat(UInt(), 9), Pairs(4, 9, 9)]
    for codec in codecs:
        try:
            value = decode(codec, data)
        except TheirError:
            continue
        assert encode(codec, value) == data


def test_unsorted_metadata_is_our_bug() -> None:
    with pytest.raises(ValueError, match="sorted"):
        encode(Pairs(4, 9, 9), (("b", ""), ("a", "")))


# --- records ----------------------------------------------------------------------------------------------------------


@settings(max_examples=400)
@given(st.sampled_from(range(len(RAW))), st.data())
def test_a_changed_record_is_refused_or_reads_as_exactly_what_it_says(number: int, data: st.DataObject) -> None:
    raw = RAW[number]
    at = data.draw(st.integers(0, len(raw) - 1))
    changed = raw[:at] + bytes([raw[at] ^ data.draw(st.integers(1, 255))]) + raw[at + 1 :]
    try:
        record = parse_record(changed)
    except TheirError:
        return
    again = frame(record.sequence, record.previous, record.body, MemorySigner(bytes(32)))
    assert again[:-64] == changed[:-64]
    assert not signature_holds(session().public_key, record.signed, record.signature)


def test_records_come_back_as_they_were_written() -> None:
    kinds = [type(record.body).__name__ for record in SCRIPT.records()]
    assert kinds == [
        "Start",
        "Link",
        "Link",
        "Link",
        "Gap",
        "Gap",
        "Link",
        "KeyRollover",
        "Link",
        "Link",
        "Link",
        "Link",
        "End",
    ]
    assert [record.body for record in SCRIPT.records() if isinstance(record.body, Link)] == SCRIPT.links


def test_each_record_names_the_head_before_it() -> None:
    records = SCRIPT.records()
    assert records[0].previous == bytes(32)
    assert [record.previous for record in records[1:]] == [sha256(raw) for raw in RAW[:-1]]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PREAMBLE[:-1] + b"\0",
        PREAMBLE + b"\0\0",
        PREAMBLE + b"\0\0\x40" + bytes(64),
        PREAMBLE + RAW[0][:-1],
        PREAMBLE + RAW[0] + b"\1",
    ],
)
def test_a_broken_chain_is_refused_with_a_position(data: bytes) -> None:
    with pytest.raises(TheirError, match=r"^byte \d+"):
        list(iterate(data))


@given(st.integers(1, 700), st.integers(0, len(SCRIPT.files["chain"])))
def test_a_chain_in_pieces_says_what_it_says_in_one(size: int, length: int) -> None:
    data = SCRIPT.files["chain"][:length]
    asked = 0

    def pieces() -> Iterator[bytes]:
        nonlocal asked
        for at in range(0, length, size):
            asked = at + size
            yield data[at : at + size]

    def read(records: Iterator[Record]) -> tuple[list[Record], str]:
        found: list[Record] = []
        try:
            for record in records:
                found.append(record)
                assert asked == 0 or asked - (record.position + record.size) <= size, "no piece is asked for before its time"
        except TheirError as error:
            return found, error.detail
        return found, ""

    whole = read(iterate(data))
    assert read(stream(pieces())) == whole


def test_a_link_is_small_enough_for_two_megabits() -> None:
    """At most 0.3 % of 2 Mbit/s (100 kB in 0.4 s), also twelve hours into a recording."""
    link = SCRIPT.links[3]
    far = replace(
        link,
        fragment=100_000,
        offset=6_000_000,
        plain_length=100_000,
        stored_length=100_016,
        tracks=tuple(replace(part, first=90_000 * 43_200, duration=36_000) for part in link.tracks),
        clocks=(),
        metadata=(),
    )
    assert len(frame(100_000, bytes(32), far, LONGTERM)) <= 300


# --- the writer -------------------------------------------------------------------------------------------------------


def writer() -> ChainWriter:
    signer = session()
    return ChainWriter(signer, start_record(signer))


def test_nothing_comes_before_the_start_nor_after_the_end() -> None:
    chain = writer()
    with pytest.raises(ValueError, match="no Link here"):
        chain.link(replace(SCRIPT.links[0]))
    chain.start()
    with pytest.raises(ValueError, match="already started"):
        chain.start()
    chain.end(Reason.STOPPED, None, T0)
    with pytest.raises(ValueError, match="no Gap here"):
        chain.gap(Gap(T0, 1, None, Cause.RADIO))


def test_a_fragment_number_is_never_skipped_nor_repeated() -> None:
    chain = writer()
    chain.start()
    chain.link(SCRIPT.links[0])
    for number in (0, 2):
        with pytest.raises(ValueError, match="where 1 belongs"):
            chain.link(replace(SCRIPT.links[1], fragment=number))


def test_a_start_under_another_session_key_is_our_bug() -> None:
    with pytest.raises(ValueError, match="another session key"):
        ChainWriter(session("other"), start_record(session()))


def test_a_previous_recording_and_its_head_go_together() -> None:
    with pytest.raises(ValueError, match="go together"):
        start_record(session(), previous_recording="x")


def test_a_field_out_of_bounds_is_refused_when_written() -> None:
    signer = session()
    with pytest.raises(ValueError, match="201"):
        ChainWriter(signer, start_record(signer, label="x" * 201)).start()


# --- recovery ---------------------------------------------------------------------------------------------------------


@given(st.integers(0, len(SCRIPT.files["chain"])))
def test_a_torn_chain_is_cut_after_its_last_whole_record(length: int) -> None:
    data = SCRIPT.files["chain"][:length]
    whole = [record for record in SCRIPT.records() if record.position + record.size <= length]
    if not whole:
        with pytest.raises(TheirError):
            survey(data)
        return
    torn = survey(data)
    assert (torn.records, torn.head, torn.chain_length) == (len(whole), whole[-1].head, whole[-1].position + whole[-1].size)
    assert torn.links == sum(isinstance(record.body, Link) for record in whole)


def test_the_newest_head_is_that_of_the_last_whole_record() -> None:
    assert newest_head(SCRIPT.files["chain"]) == survey(SCRIPT.files["chain"]).head
    assert newest_head(SCRIPT.files["chain"] + b"\x00\x00") == survey(SCRIPT.files["chain"]).head


def test_a_recovery_closes_a_torn_chain_once() -> None:
    open_chain = build("SIPP").files["chain"]
    torn = survey(open_chain)
    record = recover(torn, session("later"), cause="died", recovered_ns=T0, dropped_chain_bytes=0, dropped_media_bytes=0)
    closed = survey(open_chain + record)
    assert isinstance(list(iterate(open_chain + record))[-1].body, Recovery)
    assert closed.closed
    with pytest.raises(ValueError, match="closed"):
        recover(closed, session("later"), cause="", recovered_ns=0, dropped_chain_bytes=0, dropped_media_bytes=0)


# --- keys and the cipher ----------------------------------------------------------------------------------------------


def test_a_certificate_holds_for_its_issuer_only() -> None:
    certificate = session().certificate
    assert certificate.issued_by(LONGTERM.public_key)
    assert not certificate.issued_by(MemorySigner.generate().public_key)
    assert not replace(certificate, not_after_ns=certificate.not_after_ns + 1).issued_by(LONGTERM.public_key)


def test_a_certificate_covers_its_life_bounds_included() -> None:
    certificate = issue_certificate(LONGTERM, bytes(32), role="recorder", index=0, not_before_ns=10, not_after_ns=20)
    assert [certificate.covers(at) for at in (9, 10, 20, 21)] == [False, True, True, False]


def test_a_public_key_that_is_no_point_holds_nothing() -> None:
    assert not signature_holds(b"\xff" * 32, b"message", bytes(64))
    assert not signature_holds(b"short", b"message", bytes(64))


@given(st.binary(max_size=200), st.integers(0, 2**32 - 1))
def test_a_fragment_opens_only_at_its_place(plain: bytes, number: int) -> None:
    key = bytes(range(32))
    stored = encrypt_fragment(key, RECORDING, number, plain)
    assert decrypt_fragment(key, RECORDING, number, stored) == plain
    for other in ((key, RECORDING, number + 1), (key, RECORDING[::-1], number), (bytes(32), RECORDING, number)):
        with pytest.raises(TheirError, match="does not open"):
            decrypt_fragment(*other, stored)


def test_where_samples_are_cut_is_part_of_their_digest() -> None:
    assert sample_digest([b"ab", b"c"]) != sample_digest([b"a", b"bc"])
    assert sample_digest([b"ab", memoryview(b"c")]) == sha256(b"\0\0\0\2ab\0\0\0\1c")


def test_clocks_are_those_of_the_codecs() -> None:
    assert (TrackKind.VIDEO.clock_rate, TrackKind.AUDIO.clock_rate) == (90_000, 48_000)
    assert SCRIPT.links[1].tracks[0].end == 36_000
    assert SCRIPT.links[1].arrival_end_ns == T0 + 2 * SECOND // 5
    assert isinstance(SCRIPT.records()[0].body, Start)


POINTS = st.builds(
    Point,
    st.integers(0, 2**32 - 1),
    st.sampled_from(SyncSource),
    st.integers(0, 2**64 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
)


@given(st.lists(POINTS, max_size=200))
def test_a_correction_is_read_as_it_was_written(points: list[Point]) -> None:
    writer = ChainWriter(session(), start_record(session()))
    chain = writer.start() + writer.correction(Correction(tuple(points)))
    assert list(iterate(chain))[1].body == Correction(tuple(points))


@pytest.mark.parametrize("cause", [Cause.NOT_RECORDED, Cause.LATE_TRACK, Cause.SILENCE, Cause.RECOVERY_POINT])
def test_a_chain_of_an_earlier_version_takes_no_cause_that_its_readers_do_not_know(cause: Cause) -> None:
    signer = session(version=2)
    writer = ChainWriter(signer, start_record(signer), version=2)
    writer.start()
    with pytest.raises(ValueError, match="no code"):
        writer.gap(Gap(T0, 1, 1, cause))
    with pytest.raises(ValueError, match="version 2"):
        writer.correction(Correction(()))


def test_a_correction_has_a_bounded_number_of_points() -> None:
    point = Point(1, SyncSource.ARRIVAL, 0, 0, gradual=False)
    writer = ChainWriter(session(), start_record(session()))
    writer.start()
    with pytest.raises(ValueError, match="201"):
        writer.correction(Correction((point,) * 201))
