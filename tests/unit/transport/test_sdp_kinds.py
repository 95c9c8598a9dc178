"""Offers of every kind that clients send, one file each: what is taken of them, and what a refusal names.

Then honest offers are changed: in ways that an honest client could write them, they must be served as before; where a needed
attribute is taken away, the refusal must name it.
"""

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from aiortc.sdp import SessionDescription
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.base.errors import Kind, TheirError
from relay.transport import sdp
from relay.transport.sdp import Fingerprint, Local, MediaIn, MediaOut, PublisherAnswer, ViewerAnswer
from relay.transport.sdp_fmtp import MAX_PARAMETERS

FOLDER = Path(__file__).parent / "offers"
LOCAL = Local("abcd1234", "p" * 32, Fingerprint("sha-256", bytes(range(32))), (("203.0.113.7", 4000),))


def offers(folder: str) -> dict[str, str]:
    return {path.stem: path.read_bytes().decode() for path in (FOLDER / folder).glob("*.sdp")}


CAMERAS, VIEWERS, REFUSED = offers("cameras"), offers("viewers"), offers("refused")
HONEST = {name: text for name, text in offers(".").items() if "viewer" not in name}
OPUS = "offers PCMA, PCMU; needed: opus/48000/2"
DECLINED = {
    "bundle_first_line_g711": [f"m-line 1 (audio) {OPUS}"],
    "bundle_of_picture_only": ["m-line 1 (audio) is not in the BUNDLE group"],
    "bundle_policy_none": ["m-line 2 (audio) is not in the BUNDLE group"],
    "data_channel_first": ["m-line 1 (application) is neither video nor audio"],
    "data_channel_last": ["m-line 3 (application) is neither video nor audio"],
    "disabled_line": ["m-line 3 (video) is disabled"],
    "g711_beside_h264": ["m-line 1 (audio) offers PCMA; needed: opus"],
    "h265_line_beside_h264": ["m-line 1 (video) offers H265; needed: H264/90000"],
    "inactive_line": ["m-line 2 (audio) is inactive"],
    "static_payload_types": ["m-line 2 (audio) offers G722, PCMA, PCMU; needed: opus"],
    "talkback_line": ["m-line 3 (audio) is recvonly; needed: sendonly"],
    "text_line": ["m-line 2 (text) is neither video nor audio"],
    "two_bundles": ["m-line 3 (video) is not in the BUNDLE group", "m-line 4 (application) is neither"],
    "two_cameras": ["m-line 2 (video) is one video more"],
    "g711_sound": ["m-line 2 (audio) offers PCMU; needed: opus"],
    "talk_line": ["m-line 2 (audio) is sendonly; needed: recvonly"],
    "two_sounds": ["m-line 3 (audio) is one audio more"],
}
LACKS = {
    "no_video_line": "the offer has no video line",
    "no_h264": "offers AV1, VP8; needed: H264/90000",
    "h265_only": "offers H265; needed: H264/90000",
    "h264_interleaved_only": "offers H264/90000 with packetization-mode 2; needed: H264/90000 with packetization-mode 1 or 0",
    "h264_of_another_clock": "offers H264/48000",
    "jpeg_by_static_type": "offers JPEG; needed: H264/90000",
    "only_receives": "is recvonly; needed: sendonly",
    "all_disabled": "is disabled (port 0)",
    "ice_lite": "the offerer must send connectivity checks",
    "no_ufrag": "lacks a=ice-ufrag",
    "no_fingerprint": "lacks a well-formed a=fingerprint of sha-256, sha-384, sha-512",
    "fingerprint_of_sha1": "lacks a well-formed a=fingerprint",
    "fingerprint_cut": "lacks a well-formed a=fingerprint",
    "sdes_keys": "DTLS-SRTP is needed",
    "no_mux": "lacks a=rtcp-mux",
    "holds_the_connection": "a=setup must be one of actpass, active, passive",
    "over_another_protocol": "is over udp; needed: UDP/TLS/RTP/SAVPF",
    "same_mid_twice": "two m-lines have the same mid",
    "no_m_line": "no m-line",
    "m_line_cut": "m-line 2 lacks kind, port, protocol or format",
    "mid_not_ascii": "a mid that is not of visible ASCII",
}


def camera(offer: str) -> PublisherAnswer:
    return sdp.answer_publisher(offer, LOCAL)


def viewer(offer: str) -> ViewerAnswer:
    return sdp.answer_viewer(offer, LOCAL)


def refusal(offer: str, answer: Callable[[str], object] = camera) -> str:
    with pytest.raises(TheirError) as caught:
        answer(offer)
    assert caught.value.kind in (Kind.INVALID, Kind.NOT_ACCEPTABLE)
    return caught.value.detail


def m_lines(text: str) -> list[str]:
    return re.findall(r"(?m)^m=(.*?)\r?$", text)


def check_form(offer: str, answer: PublisherAnswer | ViewerAnswer) -> None:
    """An answer has the offer's m-lines in the offer's order, declines some, bundles the others, and is plain ASCII."""
    text = answer.text
    assert text.isascii()
    assert text.replace("\r\n", "").isprintable()
    lines = m_lines(text)
    assert [line.split()[0] for line in lines] == [line.split()[0] for line in re.findall(r"(?:^|[\r\n])m=([^\r\n]*)", offer)]
    assert [line.split()[1] for line in lines].count("0") <= len(answer.declined)
    assert all(line.split()[2] in offer for line in lines)
    parsed = SessionDescription.parse(text)
    bundled = [mid for group in parsed.group if group.semantic == "BUNDLE" for mid in group.items]
    kept = [media.rtp.muxId for media in parsed.media if media.port]
    if bundled:
        assert sorted(map(str, bundled)) == sorted(kept)
    for media in parsed.media:
        if media.port:
            assert media.ice is not None
            assert media.ice.usernameFragment == LOCAL.ufrag


@pytest.mark.parametrize("name", CAMERAS)
def test_every_camera_that_has_h264_is_answered(name: str) -> None:
    answer = camera(CAMERAS[name])
    check_form(CAMERAS[name], answer)
    assert answer.video.codec.name.lower() == "h264"
    wanted = DECLINED.get(name, [])
    assert len(answer.declined) == len(wanted)
    assert all(line.startswith(start) for line, start in zip(answer.declined, wanted, strict=True)), answer.declined
    assert f"a=rtpmap:{answer.video.codec.payload_type} {answer.video.codec.name}/90000" in answer.text


@pytest.mark.parametrize("name", VIEWERS)
def test_every_viewer_that_takes_h264_is_answered(name: str) -> None:
    answer = viewer(VIEWERS[name])
    check_form(VIEWERS[name], answer)
    assert len(answer.videos) == 1
    wanted = DECLINED.get(name, [])
    assert len(answer.declined) == len(wanted)
    assert all(line.startswith(start) for line, start in zip(answer.declined, wanted, strict=True)), answer.declined


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_names_what_the_relay_needs_and_the_offer_lacks(name: str) -> None:
    assert LACKS[name] in refusal(REFUSED[name])


def test_each_expectation_has_its_offer() -> None:
    assert set(LACKS) == set(REFUSED)
    assert set(DECLINED) <= set(CAMERAS) | set(VIEWERS)


@pytest.mark.parametrize(
    ("name", "mode", "payload_type"), [("mode_0", 0, 96), ("mode_not_said", 0, 96), ("mode_0_before_mode_1", 1, 97)]
)
def test_single_units_are_taken_where_the_camera_knows_nothing_else(name: str, mode: int, payload_type: int) -> None:
    codec = camera(CAMERAS[name]).video.codec
    assert (codec.packetization_mode, codec.payload_type) == (mode, payload_type)


def test_a_viewer_of_single_units_is_known_as_such() -> None:
    assert viewer(VIEWERS["mode_0"]).videos[0].codec.packetization_mode == 0
    assert viewer(VIEWERS["gst_whepsrc"]).videos[0].codec.packetization_mode == 0
    assert viewer(VIEWERS["session_direction"]).videos[0].codec.packetization_mode == 1


def test_parameter_sets_of_any_length_are_read_and_not_repeated() -> None:
    answer = camera(CAMERAS["fmtp_long_and_quoted"])
    sets = next(item for item in answer.video.codec.fmtp.split(";") if item.startswith("sprop-parameter-sets="))
    assert sets.endswith(",aO48gA==")
    assert sets.count(",") == 60
    assert "sprop" not in answer.text
    assert "vendor" not in answer.text
    assert "a=fmtp:96 packetization-mode=1;profile-level-id=640028\r\n" in answer.text


def test_all_fmtp_lines_of_a_payload_type_count() -> None:
    answer = camera(CAMERAS["fmtp_on_two_lines"])
    assert answer.video.codec.packetization_mode == 1
    assert "sprop-parameter-sets=Z00AKJWoHgCJ+WE=,aO48gA==" in answer.video.codec.fmtp
    assert "a=fmtp:96 packetization-mode=1;profile-level-id=4d0028\r\n" in answer.text


def test_of_endless_lists_no_more_is_read_than_any_client_sends() -> None:
    """Each would cost a worker hundreds of milliseconds."""
    plain = CAMERAS["mode_0"]
    endless = "a=fmtp:96 packetization-mode=0;" + ";".join(f"a{at}=1" for at in range(9000))
    assert camera(plain + endless).video.codec.fmtp.count(";") < MAX_PARAMETERS
    group = "a=group:BUNDLE " + " ".join(f"x{at}" for at in range(9000)) + " 0 0 0"
    assert "a=group:BUNDLE 0\r\n" in camera(plain.replace("a=group:BUNDLE 0", group)).text
    extmaps = "".join(f"a=extmap:{at % 14 + 1} urn:{at % 14}\r\n" for at in range(5000))
    assert camera(plain.replace("a=group", extmaps + "a=group")).video.extensions == sdp.Extensions()


@pytest.mark.parametrize(
    ("name", "rids"),
    [
        ("simulcast_rids", ("hi_res", "lo-res")),
        ("simulcast_of_another_codec", ("h",)),
        ("simulcast_old_draft", ("hi", "lo")),
        ("simulcast_without_extension", ()),
        ("simulcast_undeclared", ()),
    ],
)
def test_layers_are_agreed_where_they_can_be_told_apart(name: str, rids: tuple[str, ...]) -> None:
    answer = camera(CAMERAS[name])
    assert answer.video.rids == rids
    assert (answer.video.extensions.rid is not None) is bool(rids)
    assert ("a=simulcast:recv" in answer.text) is bool(rids)


def test_an_extension_id_that_stands_for_two_is_not_used() -> None:
    assert camera(CAMERAS["extmap_id_for_two"]).video.extensions == sdp.Extensions()
    assert camera(CAMERAS["extmap_line_twice"]).video.extensions == sdp.Extensions(mid=3, abs_send_time=4)
    assert camera(CAMERAS["extmap_in_session_part"]).video.extensions == sdp.Extensions(mid=3)


def test_a_mid_that_no_short_extension_can_carry_is_answered_without_it() -> None:
    slot = viewer(VIEWERS["long_mids"]).videos[0]
    assert len(slot.mid) == 36
    assert slot.extensions == sdp.Extensions(abs_send_time=2)
    assert camera(CAMERAS["long_mids"]).video.extensions.mid == 4


def test_every_fingerprint_that_is_known_counts() -> None:
    found = camera(CAMERAS["fingerprints_of_many_kinds"]).remote.fingerprints
    assert [(each.algorithm, len(each.digest)) for each in found] == [("sha-256", 32), ("sha-384", 48), ("sha-512", 64)]


def test_the_transport_of_the_first_line_taken_is_the_bundles() -> None:
    """Under the policy max-compat each line has credentials of its own."""
    offer = CAMERAS["bundle_policy_max_compat"]
    first, second = re.findall(r"a=ice-ufrag:(\S+)", offer)
    assert camera(offer).remote.ufrag == first
    assert camera(offer.replace("opus/48000", "speex/16000")).remote.ufrag == second


@pytest.mark.parametrize("name", ["bundle_first_line_g711", "g711_beside_h264"])
def test_the_first_line_of_a_bundle_stays_inactive_because_the_transport_stands_on_it(name: str) -> None:
    answer = camera(CAMERAS[name])
    audio, video = SessionDescription.parse(answer.text).media
    assert (audio.port, audio.direction) == (4000, "inactive")
    assert video.direction == "recvonly"
    assert "a=group:BUNDLE 0 1\r\n" in answer.text


def test_sound_that_a_camera_would_send_and_that_cannot_be_taken_is_told() -> None:
    told = {name for name, offer in CAMERAS.items() if camera(offer).is_sound_declined}
    assert told == {
        "bundle_first_line_g711", "bundle_of_picture_only", "bundle_policy_none", "g711_beside_h264", "static_payload_types",
    }  # fmt: skip
    assert not sdp.answer_publisher(CAMERAS["g711_beside_h264"], LOCAL, sound=False).is_sound_declined


OTHER = Local("other567", "q" * 32, LOCAL.fingerprint, LOCAL.candidates)


@pytest.mark.parametrize("name", ["bundle_policy_none", "bundle_of_picture_only"])
def test_sound_with_a_transport_of_its_own_gets_one_of_ours(name: str) -> None:
    answer = sdp.answer_publisher(CAMERAS[name], LOCAL, more=lambda: OTHER)
    assert answer.audio is not None
    assert answer.declined == ()
    assert answer.sound_apart is not None
    local, remote = answer.sound_apart
    assert (local, remote.ufrag == answer.remote.ufrag) == (OTHER, False)
    parsed = {media.kind: media for media in SessionDescription.parse(answer.text).media}
    assert {kind: media.ice.usernameFragment for kind, media in parsed.items() if media.ice} == {
        "video": LOCAL.ufrag, "audio": OTHER.ufrag,
    }  # fmt: skip
    assert ("a=group:BUNDLE 1\r\n" in answer.text) is (name == "bundle_of_picture_only")


def test_sound_apart_that_could_not_be_told_from_the_picture_or_has_no_transport_is_declined() -> None:
    offer = CAMERAS["bundle_policy_none"]
    for changed in (offer.replace("111", "96"), re.sub(r"a=fingerprint.*\r\n(?=.*\r\na=mid:audio1)", "", offer)):
        assert changed != offer
        answer = sdp.answer_publisher(changed, LOCAL, more=lambda: OTHER)
        assert (answer.audio, answer.sound_apart, answer.is_sound_declined) == (None, None, True)


def test_bundled_sound_needs_no_second_transport() -> None:
    assert sdp.answer_publisher(HONEST["chromium_camera"], LOCAL, more=lambda: OTHER).sound_apart is None
    assert sdp.answer_publisher(CAMERAS["bundle_policy_none"], LOCAL, sound=False, more=lambda: OTHER).sound_apart is None


def test_a_line_that_is_not_wanted_may_not_have_the_mid_of_one_that_is() -> None:
    for name in ("h265_line_beside_h264", "g711_beside_h264", "data_channel_first"):
        for answer in (camera, viewer):
            offer = CAMERAS[name].replace("a=mid:1", "a=mid:0")
            text = offer if answer is camera else offer.replace("a=sendonly", "a=recvonly")
            assert "two m-lines have the same mid" in refusal(text, answer)


def test_where_there_is_no_group_none_is_answered() -> None:
    for name in ("one_line_without_bundle", "one_line_without_bundle_and_mid", "bundle_policy_none"):
        answer = camera(CAMERAS[name])
        assert "a=group" not in answer.text
    assert "a=mid" not in camera(CAMERAS["one_line_without_bundle_and_mid"]).text


def test_without_a_setup_the_offerer_begins() -> None:
    answer = camera(CAMERAS["setup_not_said"])
    assert answer.remote.setup == "active"
    assert "a=setup:passive" in answer.text


# --- honest offers, written in other ways --------------------------------------------------------------------------------


def agreed(entry: MediaIn | MediaOut | None) -> object:
    return None if entry is None else (entry.codec, entry.extensions)


def sections(text: str) -> list[list[str]]:
    return [section.splitlines() for section in re.split(r"(?m)^(?=m=)", text.replace("\r\n", "\n"))]


def joined(parts: list[list[str]], end: str = "\r\n") -> str:
    return "".join(line + end for part in parts for line in part)


def _unknown_lines(parts: list[list[str]], dice: random.Random) -> None:
    line = dice.choice(["a=x-vendor:ü", "a=rtcp:9 IN IP4 0.0.0.0", "b=AS:4000", "i=Équipe", "a=candidate:", "rubbish", "a="])
    part = dice.choice(parts)
    part.insert(dice.randrange(1, len(part) + 1), line)


def _other_candidates(parts: list[list[str]], dice: random.Random) -> None:
    for part in parts[1:]:
        part[:] = [line for line in part if not line.startswith("a=candidate")]
    extra = dice.choice(
        ["a=candidate:a-b_c 1 udp 1 ::1 9 typ host", "a=candidate:1 1 udp 9 x.local 9 typ host", "a=candidate:"]
    )
    dice.choice(parts[1:]).append(extra)


def _another_order(parts: list[list[str]], dice: random.Random) -> None:
    """Attributes of an m-line have no order; rtpmaps and extmaps of one kind keep theirs."""
    part = dice.choice(parts[1:])
    head = [line for line in part if not line.startswith("a=")]
    rest = [line for line in part if line.startswith("a=")]
    names = sorted({line.partition(":")[0] for line in rest})
    dice.shuffle(names)
    part[:] = head + [line for name in names for line in rest if line.partition(":")[0] == name]


def _line_twice(parts: list[list[str]], dice: random.Random) -> None:
    part = dice.choice(parts[1:])
    part.append(dice.choice(part[1:]))


def _data_line(parts: list[list[str]], dice: random.Random) -> None:
    transport = [line for line in parts[1] if line.startswith(("a=ice-", "a=fingerprint", "a=setup"))]
    parts.append(["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", *transport, "a=mid:data"])
    parts[0][:] = [line + " data" if line.startswith("a=group:BUNDLE") else line for line in parts[0]]


def _direction_in_session_part(parts: list[list[str]], dice: random.Random) -> None:
    found = {line for part in parts[1:] for line in part if line in ("a=sendonly", "a=sendrecv", "a=recvonly")}
    if len(found) == 1:
        parts[0].append(found.pop())
        for part in parts[1:]:
            part[:] = [line for line in part if line != parts[0][-1]]


def _transport_in_session_part(parts: list[list[str]], dice: random.Random) -> None:
    name = dice.choice(["a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:", "a=setup:"])
    parts[0] += [line for line in parts[1] if line.startswith(name)]
    for part in parts[1:]:
        part[:] = [line for line in part if not line.startswith(name)]


def _names_in_utf8(parts: list[list[str]], dice: random.Random) -> None:
    parts[0][:] = ["s=Caméra piéton № 7" if line.startswith("s=") else line for line in parts[0]]


def _static_types(parts: list[list[str]], dice: random.Random) -> None:
    for part in parts[1:]:
        if part[0].startswith("m=audio"):
            part[0] += " 0 8 13"


def _other_fingerprints(parts: list[list[str]], dice: random.Random) -> None:
    for part in parts[1:]:
        part.append("a=fingerprint:sha-1 " + ":".join(["AB"] * 20))


HARMLESS = (
    _unknown_lines, _other_candidates, _another_order, _line_twice, _data_line, _direction_in_session_part,
    _transport_in_session_part, _names_in_utf8, _static_types, _other_fingerprints,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(HONEST)),
    st.integers(0, 1 << 32),
    st.integers(1, 8),
    st.sampled_from(["\r\n", "\n", "\r", "\r\n\r\n"]),
)
def test_an_honest_offer_written_in_another_way_is_served_as_before(name: str, seed: int, count: int, end: str) -> None:
    dice = random.Random(seed)
    parts = sections(HONEST[name])
    for change in [dice.choice(HARMLESS) for _ in range(count)]:
        if change is not _data_line or "a=mid:data" not in joined(parts):
            change(parts, dice)
    before, after = camera(HONEST[name]), camera(joined(parts, end))
    assert (agreed(after.video), agreed(after.audio)) == (agreed(before.video), agreed(before.audio))
    assert after.video.rids == before.video.rids
    assert after.remote.ufrag == before.remote.ufrag
    assert set(before.remote.fingerprints) <= set(after.remote.fingerprints)


NEEDED = {
    "a=ice-ufrag": "a=ice-ufrag",
    "a=fingerprint": "a=fingerprint",
    "a=rtcp-mux": "a=rtcp-mux",
    "a=rtpmap": "H264/90000",
    "m=video": "no video line",
}


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted({**HONEST, **CAMERAS})), st.sampled_from(sorted(NEEDED)), st.integers(0, 1 << 32))
def test_an_offer_without_something_needed_is_refused_by_its_name(name: str, start: str, seed: int) -> None:
    parts = sections({**HONEST, **CAMERAS}[name].replace("\r", "\n").replace("\n\n", "\n"))
    if start == "m=video":
        parts = [part for part in parts if not part[0].startswith(start)]
    else:
        parts = [[line for line in part if not line.startswith(start)] for part in parts]
    _unknown_lines(parts, random.Random(seed))
    if len(parts) > 1:
        assert NEEDED[start] in refusal(joined(parts))
    else:
        assert "no m-line" in refusal(joined(parts))
