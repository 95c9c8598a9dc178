"""Offers of Chromium 156, FFmpeg and aiortc, and what is wrong with others; the parser of aiortc is the second opinion."""

import contextlib
import random
import re
from functools import partial
from pathlib import Path

import pytest
from aiortc.sdp import SessionDescription
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.base.errors import Kind, TheirError
from relay.transport import sdp
from relay.transport.sdp import Fingerprint, Local, PublisherAnswer, ViewerAnswer

OFFERS = {path.stem: path.read_bytes().decode() for path in (Path(__file__).parent / "offers").glob("*.sdp")}
CAMERAS = pytest.mark.parametrize("name", ["chromium_camera", "chromium_simulcast", "ffmpeg_camera", "aiortc_camera"])
LOCAL = Local("abcd1234", "p" * 32, Fingerprint("sha-256", bytes(range(32))), (("203.0.113.7", 4000), ("2001:db8::7", 4000)))

CAMERA = OFFERS["chromium_camera"]
VIEWER = OFFERS["chromium_viewer"]


def publisher(offer: str = CAMERA) -> PublisherAnswer:
    return sdp.answer_publisher(offer, LOCAL)


def viewer(offer: str = VIEWER) -> ViewerAnswer:
    return sdp.answer_viewer(offer, LOCAL)


def refused(offer: str, kind: Kind, word: str = "", as_viewer: bool = False) -> str:
    with pytest.raises(TheirError) as caught:
        (viewer if as_viewer else publisher)(offer)
    assert caught.value.kind is kind, caught.value.detail
    assert word in caught.value.detail
    return caught.value.detail


def only_codecs(offer: str, kind: str, *names: str) -> str:
    """Keep only these encodings' payload types on the m-lines of one kind."""
    session, *sections = re.split(r"(?m)^(?=m=)", offer)
    kept = []
    for section in sections:
        if section.startswith(f"m={kind}"):
            types = [pt for pt, name in re.findall(r"a=rtpmap:(\d+) ([^/]+)/", section) if name in names]
            section = re.sub(r"(m=\w+ \d+ \S+).*", rf"\1 {' '.join(types) or '0'}", section)
            section = "".join(
                line
                for line in section.splitlines(keepends=True)
                if not (found := re.match(r"a=(?:rtpmap|fmtp|rtcp-fb):(\d+)", line)) or found[1] in types
            )
        kept.append(section)
    return session + "".join(kept)


def wall(slots: int, audio: bool = True) -> str:
    """A Chromium offer for a wall: its video m-line repeated."""
    session, video, sound = re.split(r"(?m)^(?=m=)", VIEWER)
    sections = [video.replace("a=mid:0", f"a=mid:{at}") for at in range(slots)]
    if audio:
        sections.append(sound.replace("a=mid:1", f"a=mid:{slots}"))
    mids = " ".join(str(at) for at in range(len(sections)))
    return session.replace("BUNDLE 0 1", f"BUNDLE {mids}") + "".join(sections)


@CAMERAS
def test_every_camera_gets_an_answer_that_another_parser_understands(name: str) -> None:
    answer = publisher(OFFERS[name])
    parsed = SessionDescription.parse(answer.text)
    offered = SessionDescription.parse(OFFERS[name])
    assert [(media.kind, media.rtp.muxId) for media in parsed.media] == [
        (media.kind, media.rtp.muxId) for media in offered.media
    ]
    for media in parsed.media:
        assert media.direction == "recvonly"
        assert media.rtcp_mux
        assert media.ice is not None
        assert media.dtls is not None
        assert (media.ice.usernameFragment, media.ice.password) == (LOCAL.ufrag, LOCAL.pwd)
        assert media.dtls.fingerprints[0].value == LOCAL.fingerprint.digest.hex(":").upper()
    assert parsed.media[0].ice_candidates_complete
    assert [candidate.ip for candidate in parsed.media[0].ice_candidates] == ["203.0.113.7", "2001:db8::7"]


@CAMERAS
def test_what_is_read_of_an_offer_agrees_with_another_parser(name: str) -> None:
    answer = publisher(OFFERS[name])
    offered = SessionDescription.parse(OFFERS[name])
    for entry, media in zip(
        filter(None, (answer.video, answer.audio)), sorted(offered.media, key=lambda m: m.kind != "video"), strict=True
    ):
        codec = next(codec for codec in media.rtp.codecs if codec.payloadType == entry.codec.payload_type)
        assert codec.name.lower() == entry.codec.name.lower()
        assert codec.clockRate == entry.codec.clock_rate
        ids = {extension.id: extension.uri for extension in media.rtp.headerExtensions}
        assert entry.extensions.mid is None or ids[entry.extensions.mid].endswith("sdes:mid")
        assert media.dtls is not None
        assert answer.remote.fingerprints[0].digest.hex(":").upper() == media.dtls.fingerprints[0].value
        assert media.ice is not None
        assert (answer.remote.ufrag, answer.remote.pwd) == (media.ice.usernameFragment, media.ice.password)


def test_chromium_as_camera() -> None:
    answer = publisher()
    assert answer.remote.setup == "actpass"
    assert "a=setup:passive" in answer.text
    video, audio = answer.video, answer.audio
    assert "packetization-mode=1" in video.codec.fmtp
    assert video.codec.feedback == {"nack", "nack pli", "ccm fir", "goog-remb", "transport-cc"}
    assert video.codec.rtx_payload_type is not None
    assert video.extensions.transport_cc is not None
    assert video.extensions.rid is None
    assert len(video.ssrcs) == 1
    assert list(video.rtx.values()) == list(video.ssrcs)
    assert audio is not None
    assert (audio.codec.name, audio.codec.channels) == ("opus", 2)
    assert video.cname
    assert video.cname == audio.cname


def test_ffmpeg_as_camera_gets_an_active_answer_and_no_feedback_that_it_did_not_offer() -> None:
    answer = publisher(OFFERS["ffmpeg_camera"])
    assert "a=setup:active" in answer.text
    assert answer.video.codec.feedback == {"nack"}
    assert answer.audio is None
    assert answer.video.extensions == sdp.Extensions()
    assert len(answer.video.ssrcs) == 1


def test_simulcast_layers_are_agreed_with_their_extensions() -> None:
    answer = publisher(OFFERS["chromium_simulcast"])
    assert answer.video.rids == ("l", "m", "h")
    assert "a=simulcast:recv l;m;h" in answer.text
    assert "a=rid:m recv" in answer.text
    assert answer.video.extensions.rid is not None
    assert answer.video.extensions.rrid is not None
    assert answer.video.ssrcs == ()


def test_a_fourth_simulcast_layer_is_not_asked_for() -> None:
    offer = OFFERS["chromium_simulcast"].replace("a=simulcast:send l;m;h", "a=rid:x send\r\na=simulcast:send l,x;~m;h;x")
    assert publisher(offer.replace("l,x;~m;h;x", "l,m;~m;h;x")).video.rids == ("l", "m", "h")


@pytest.mark.parametrize("value", ["send q", "send ", "send", "send ;", "recv l"])
def test_simulcast_that_makes_no_sense_is_ignored(value: str) -> None:
    offer = re.sub(r"a=simulcast:.*", f"a=simulcast:{value}", OFFERS["chromium_simulcast"])
    answer = publisher(offer)
    assert answer.video.rids == ()
    assert answer.video.extensions.rid is None
    assert "simulcast" not in answer.text


@pytest.mark.parametrize("profile", ["64001f", "4d0028", "640c1f", "42e01f", "f4001f", ""])
def test_any_profile_is_passed_through(profile: str) -> None:
    level = f";profile-level-id={profile}" if profile else ""
    offer = re.sub(r";profile-level-id=42000c", level, OFFERS["ffmpeg_camera"])
    answer = publisher(offer)
    assert answer.video.codec.payload_type == 106
    assert f"packetization-mode=1{level}" in answer.text


def test_a_camera_keeps_its_own_preference_a_viewer_gets_the_profile_that_chromium_decodes_anything_on() -> None:
    high_first = CAMERA.replace("profile-level-id=42001f", "profile-level-id=64001f", 1)
    assert "64001f" in publisher(high_first).video.codec.fmtp
    baseline_later = re.sub(r"profile-level-id=42001f", "profile-level-id=4d001f", VIEWER, count=1)
    baseline_later = baseline_later.replace("mode=1;profile-level-id=42e01f", "mode=1;profile-level-id=42001f")
    assert "42001f" in viewer(baseline_later).videos[0].codec.fmtp


@pytest.mark.parametrize("names", [("VP8", "rtx"), ("AV1", "VP9")])
def test_without_h264_the_refusal_says_what_is_accepted(names: tuple[str, ...]) -> None:
    detail = refused(only_codecs(CAMERA, "video", *names), Kind.NOT_ACCEPTABLE, "H264/90000")
    assert all(name in detail for name in names)
    refused(only_codecs(VIEWER, "video", *names), Kind.NOT_ACCEPTABLE, "H264/90000", as_viewer=True)


@pytest.mark.parametrize("slots", [1, 4, 16])
def test_a_wall_has_a_slot_per_video_line_and_all_ssrcs_differ(slots: int) -> None:
    answer = viewer(wall(slots))
    assert [slot.mid for slot in answer.videos] == [str(at) for at in range(slots)]
    assert answer.audio is not None
    outs = [*answer.videos, answer.audio]
    ssrcs = [ssrc for out in outs for ssrc in (out.ssrc, out.rtx_ssrc) if ssrc is not None]
    assert len(set(ssrcs)) == len(ssrcs) == 2 * slots + 1
    assert 0 not in ssrcs
    parsed = SessionDescription.parse(answer.text)
    assert [media.direction for media in parsed.media] == ["sendonly"] * (slots + 1)
    assert [media.ssrc[0].ssrc for media in parsed.media] == [out.ssrc for out in outs]
    assert {source.cname for media in parsed.media for source in media.ssrc} == {answer.cname}


def test_a_single_camera_has_one_stream_for_sound_and_picture_a_wall_one_each() -> None:
    def streams(answer: ViewerAnswer) -> set[str]:
        return set(re.findall(r"a=msid:(\S+)", answer.text))

    assert len(streams(viewer())) == 1
    assert len(streams(viewer(wall(3)))) == 4


def test_chromium_as_viewer_gets_remb_and_no_transport_wide_feedback() -> None:
    answer = viewer()
    slot = answer.videos[0]
    assert "goog-remb" in slot.codec.feedback
    assert "transport-cc" not in answer.text
    assert "draft-holmer" not in answer.text
    assert slot.extensions.playout_delay is not None
    assert slot.extensions.mid is not None
    assert slot.extensions.abs_send_time is not None
    assert slot.codec.rtx_payload_type is not None


def only_mids(offer: str, video: bool) -> str:
    session, *sections = re.split(r"(?m)^(?=m=)", offer)
    kept = [section for section in sections if section.startswith("m=video") is video]
    mids = " ".join(re.findall(r"a=mid:(\S+)", "".join(kept)))
    return re.sub("BUNDLE .*?\r", f"BUNDLE {mids}\r", session) + "".join(kept)


def test_a_wall_has_a_slot_for_each_video_line_and_declines_those_beyond_the_sixteenth() -> None:
    assert len(viewer(wall(2)).videos) == 2
    answer = viewer(wall(17))
    assert len(answer.videos) == 16
    assert answer.declined == ("m-line 17 (video) is one video more than the relay takes",)
    assert [media.port for media in SessionDescription.parse(answer.text).media].count(0) == 1


def test_an_offer_of_sound_alone_is_refused() -> None:
    refused(only_mids(wall(1), video=False), Kind.NOT_ACCEPTABLE, "no video line", as_viewer=True)


def test_directions_that_cannot_work_are_named() -> None:
    refused(VIEWER, Kind.NOT_ACCEPTABLE, "is recvonly; needed: sendonly or sendrecv")
    refused(CAMERA, Kind.NOT_ACCEPTABLE, "is sendonly; needed: recvonly", as_viewer=True)


def test_a_slot_that_the_viewer_holds_inactive_stays_so() -> None:
    answer = viewer(VIEWER.replace("a=recvonly", "a=inactive", 1))
    assert not answer.videos[0].active
    assert "a=inactive" in answer.text


def test_a_viewer_that_offers_both_ways_only_receives() -> None:
    assert "a=sendrecv" not in viewer(VIEWER.replace("a=recvonly", "a=sendrecv")).text


@pytest.mark.parametrize("text", ["", "\r\n", "v=0", "v=0\r\n", "hello", "v=0\r\nm=\r\n", "v=0\r\nm=video\r\n", "\0" * 10])
def test_what_is_no_description_is_invalid(text: str) -> None:
    refused(text, Kind.INVALID)


def test_sizes_are_bounded() -> None:
    refused(CAMERA + "a=x\r\n" * 40_000, Kind.TOO_LARGE, "bytes")
    refused(CAMERA + "a=x\r\n" * 7_000, Kind.TOO_LARGE, "lines")
    refused(CAMERA + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" * 40, Kind.TOO_LARGE, "m-lines")


def test_attributes_of_the_transport_may_stand_in_the_session_part() -> None:
    moved = re.findall(r"(?m)^(a=(?:ice-ufrag|ice-pwd|fingerprint|setup):.*\r\n)", CAMERA)
    offer = CAMERA
    for line in moved:
        offer = offer.replace(line, "")
    offer = offer.replace("a=group", "".join(dict.fromkeys(moved)) + "a=group", 1)
    assert publisher(offer).remote == publisher().remote


def test_bundle_only_lines_of_port_0_are_welcome() -> None:
    offer = wall(3).replace("m=video 9", "m=video 0").replace("a=rtcp-mux\r\n", "a=rtcp-mux\r\na=bundle-only\r\n")
    assert len(viewer(offer).videos) == 3


def test_lines_may_end_in_a_single_newline() -> None:
    assert publisher(CAMERA.replace("\r\n", "\n")).video == publisher().video


FRAGMENT = """a=ice-ufrag:EsAw\r
a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r
m=audio 9 RTP/AVP 0\r
a=mid:0\r
a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r
a=candidate:3471623853 1 udp 2122194687 1f4b-a.local 61765 typ host\r
a=candidate:473322822 1 tcp 1518280447 2001:db8::1 9 typ host tcptype active\r
a=end-of-candidates\r
"""


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", Kind.INVALID),
        ("v=0\r\n", Kind.INVALID),
        ("a=mid:0\r\n", Kind.INVALID),
        ("a=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\n", Kind.INVALID),
        ("a=end-of-candidates\r\n" * 8_000, Kind.TOO_LARGE),
        ("a=end-of-candidates\r\n" * 30_000, Kind.TOO_LARGE),
    ],
)
def test_a_fragment_that_says_nothing_or_too_much_is_refused(text: str, kind: Kind) -> None:
    with pytest.raises(TheirError) as caught:
        sdp.parse_fragment(text)
    assert caught.value.kind is kind


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host", "a=candidate:"),
        ("1387637174", "host-1_udp"),
        ("2122260223", "99999999999"),
        ("a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n", ""),
        ("a=mid:0", "a=mid:6f1f2c1e-0d55-4f3b-9a5e-2f7f0c1d9f11"),
        ("a=ice-ufrag", "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=Caméra\r\nt=0 0\r\na=ice-ufrag"),
    ],
)
def test_what_an_ice_lite_relay_does_not_need_of_a_fragment_is_not_read(old: str, new: str) -> None:
    assert old in FRAGMENT
    fragment = sdp.parse_fragment(FRAGMENT.replace(old, new))
    assert (fragment.ufrag, fragment.candidates, fragment.complete) == ("EsAw", 3, True)


def test_a_trickled_fragment_is_read() -> None:
    fragment = sdp.parse_fragment(FRAGMENT)
    assert fragment == sdp.SdpFragment("EsAw", 3, True, ("0",))
    assert sdp.parse_fragment("m=audio 9 RTP/AVP 0\na=mid:0\na=end-of-candidates\n").ufrag is None


def test_the_answer_to_a_restart_carries_our_new_credentials_and_is_itself_a_fragment() -> None:
    text = sdp.answer_fragment(LOCAL, sdp.parse_fragment(FRAGMENT))
    assert sdp.parse_fragment(text) == sdp.SdpFragment(LOCAL.ufrag, 2, True, ("0",))
    bare = sdp.answer_fragment(LOCAL, sdp.SdpFragment("them", 0, False, ()))
    assert sdp.parse_fragment(bare).mids == ("0",)


def test_where_no_sound_is_recorded_a_cameras_audio_is_answered_inactive() -> None:
    heard, mute = publisher(), sdp.answer_publisher(CAMERA, LOCAL, sound=False)
    assert heard.audio is not None
    assert mute.audio is None
    assert mute.video == heard.video
    directions = {media.kind: media.direction for media in SessionDescription.parse(mute.text).media}
    assert directions == {"audio": "inactive", "video": "recvonly"}
    assert "inactive" not in heard.text


def test_an_answer_repeats_no_parameter_whose_value_is_malformed() -> None:
    offer = OFFERS["chromium_simulcast"].replace("useinbandfec=1", "useinbandfec=1-")
    text = sdp.answer_publisher(offer, LOCAL).text
    assert "a=fmtp:111 minptime=10\r\n" in text
    SessionDescription.parse(text)


EVERY_KIND = {
    f"{path.parent.name}/{path.stem}": re.sub("[\r\n]+", "\r\n", path.read_bytes().decode())
    for path in (Path(__file__).parent / "offers").rglob("*.sdp")
}
SECOND = Local("wxyz6789", "q" * 32, LOCAL.fingerprint, LOCAL.candidates)


def mangle(text: str, seed: int, count: int) -> str:
    """Drop, repeat, cut and scramble lines, as no honest peer would."""
    dice = random.Random(seed)
    lines = text.split("\r\n")
    for _ in range(count):
        lines = lines or [""]
        at = dice.randrange(len(lines))
        line = lines[at]
        cut = dice.randrange(len(line) + 1)
        lines[at : at + 1] = dice.choice(
            [[], [line, line], [line[:cut]], [line[:cut] + dice.choice(":;/ =-~0aZ\t") + line[cut + 1 :]], [dice.choice(lines)]]
        )
    return "\r\n".join(lines)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(EVERY_KIND)), st.integers(0, 1 << 32), st.integers(1, 12))
def test_mangled_offers_are_answered_or_refused_cleanly(name: str, seed: int, count: int) -> None:
    offer = mangle(EVERY_KIND[name], seed, count)
    for answer in (partial(sdp.answer_publisher, more=lambda: SECOND), sdp.answer_viewer):
        with contextlib.suppress(TheirError):
            text = answer(offer, LOCAL).text
            assert text.isprintable() or set(text) - set("\r\n") <= set(map(chr, range(32, 127)))
            # A declined line keeps its protocol, and the other parser knows those in capital letters only.
            if all(re.fullmatch("[A-Z/]+", protocol) for protocol in re.findall(r"(?m)^m=\S+ \d+ (\S+)", text)):
                SessionDescription.parse(text)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=400) | st.lists(st.text("amv=:; 0159abcilrtx/\r\n", max_size=40), max_size=20).map("\r\n".join))
def test_arbitrary_text_is_refused_cleanly(text: str) -> None:
    for parse in (publisher, viewer, sdp.parse_fragment):
        with contextlib.suppress(TheirError):
            parse(text)
