"""Which m-lines of an offer are taken, and why the others are not (RFC 3264 §6, RFC 8829 §5.3, RFC 9143).

Owns: that choice, and the reasons that refusals name.  Must never know: answers' text, sockets, cameras' names.

A line that is not wanted is declined, and the others are served.  An offer is refused only where it has no video line that we
can serve, or where its transport lacks what we need.

Without BUNDLE each line has a transport of its own (bundle policy none).  The first video line that we can serve decides which
transport is ours.  One sound line may have another one, where its role wants that; lines of other transports are declined.
"""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from relay.base.errors import TheirError
from relay.transport.sdp_codecs import NEEDED, choose_codec, offered_names
from relay.transport.sdp_offer import MAX_BYTES, MediaOffer, Offer, invalid, is_visible, not_acceptable
from relay.transport.sdp_remote import lacks_mux, remote_of
from relay.transport.sdp_types import Codec, Remote

_PROTOCOLS: Final = frozenset(
    ("UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "TCP/DTLS/RTP/SAVPF", "TCP/DTLS/RTP/SAVP", "TCP/TLS/RTP/SAVPF",
     "TCP/TLS/RTP/SAVP", "RTP/SAVPF", "RTP/SAVP", "RTP/AVPF", "RTP/AVP")
)  # fmt: skip
"""RFC 8829 §5.1.2: all of these mean DTLS-SRTP where there is a fingerprint."""


def is_srtp(media: MediaOffer) -> bool:
    """Whether the line's protocol means DTLS-SRTP."""
    return media.protocol in _PROTOCOLS


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one role wants of an offer.  `feedback` and `first_choice`: see `choose_codec`."""

    directions: tuple[str, ...]
    videos: int
    """How many video lines are taken."""
    feedback: frozenset[str]
    first_choice: str = ""
    sound_apart: bool = False
    """Whether a sound line is taken that has a transport of its own."""


@dataclass(frozen=True, slots=True)
class Apart:
    """A sound line that is not bundled with the picture, and its own transport."""

    media: MediaOffer
    codec: Codec
    remote: Remote


@dataclass(frozen=True, slots=True)
class Choice:
    """The lines taken, in the order of the offer, with their codecs.

    `group`: lines of our transport in the order of their BUNDLE group, also those that were not taken.  `reasons`: a sentence
    for each line that was not taken.  `has_group`: whether there is a BUNDLE group at all.
    """

    remote: Remote
    taken: dict[MediaOffer, Codec]
    group: tuple[MediaOffer, ...]
    has_group: bool
    reasons: dict[MediaOffer, str]
    apart: Apart | None = None

    def of_kind(self, kind: str) -> list[MediaOffer]:
        """Return the lines taken of one kind."""
        return [media for media in self.taken if media.kind == kind]

    @property
    def declined(self) -> tuple[str, ...]:
        """The reasons, each with its line."""
        return tuple(_of_line(media, reason) for media, reason in self.reasons.items())


def choose_lines(offer: Offer, wanted: Wanted) -> Choice:
    """Choose what to take of an offer.

    Raises `TheirError` NOT_ACCEPTABLE naming what each video line lacks, or what the transport lacks, and INVALID where lines
    cannot be told apart.
    """
    usable: dict[MediaOffer, Codec] = {}
    reasons: dict[MediaOffer, str] = {}
    for media in offer.media:
        found = _usable(offer, media, wanted)
        if isinstance(found, str):
            reasons[media] = found
        else:
            usable[media] = found
    first = next((media for media in usable if media.kind == "video"), None)
    if first is None:
        raise not_acceptable(_without_video(reasons))
    _check_mids(offer, usable)
    group = offer.bundle_of(first)
    taken = dict(_within(usable, group, wanted.videos, reasons.__setitem__))
    has_sound = any(media.kind == "audio" for media in taken)
    apart = _sound_apart(offer, usable, group, taken[first]) if wanted.sound_apart and not has_sound else None
    if apart is not None:
        del reasons[apart.media]
    lines = [media for media in group if media in taken] + [media for media in group if media not in taken]
    order = {media: reasons[media] for media in offer.media if media in reasons}
    has_group = any(first.mid in each for each in offer.bundles)
    return Choice(remote_of(offer.session, lines), taken, group, has_group, order, apart)


def _sound_apart(offer: Offer, usable: dict[MediaOffer, Codec], group: tuple[MediaOffer, ...], picture: Codec) -> Apart | None:
    """Return the first sound line outside the picture's transport that has one itself.

    Its payload type must not be one of the picture's, because packets are told apart by that.
    """
    for media, codec in usable.items():
        its_own = codec.payload_type not in (picture.payload_type, picture.rtx_payload_type)
        if media.kind == "audio" and media not in group and its_own:
            with contextlib.suppress(TheirError):
                return Apart(media, codec, remote_of(offer.session, offer.bundle_of(media)))
    return None


def _within(
    usable: dict[MediaOffer, Codec], group: tuple[MediaOffer, ...], videos: int, decline: Callable[[MediaOffer, str], None]
) -> list[tuple[MediaOffer, Codec]]:
    """Return the usable lines of our transport, as many as are wanted; the others are declined."""
    left = {"video": videos, "audio": 1}
    taken = []
    for media, codec in usable.items():
        if media not in group:
            decline(media, "is not in the BUNDLE group of the picture")
        elif left[media.kind] == 0:
            decline(media, f"is one {media.kind} more than the relay takes")
        else:
            left[media.kind] -= 1
            taken.append((media, codec))
    return taken


def _usable(offer: Offer, media: MediaOffer, wanted: Wanted) -> Codec | str:
    """Return the codec to use on a line, or what the line lacks."""
    lack = _lack(offer, media, wanted)
    if lack:
        return lack
    codec = choose_codec(media, wanted.feedback, wanted.first_choice)
    return codec or f"offers {offered_names(media)}; needed: {NEEDED[media.kind]}"


def _lack(offer: Offer, media: MediaOffer, wanted: Wanted) -> str:
    """Name what a line lacks beside a codec, "" where nothing."""
    if media.kind not in NEEDED:
        return "is neither video nor audio"
    if media.is_disabled:
        return "is disabled (port 0)"
    if media.direction not in wanted.directions:
        return f"is {media.direction}; needed: {' or '.join(wanted.directions)}"
    if not is_srtp(media):
        return f"is over {media.protocol}; needed: UDP/TLS/RTP/SAVPF"
    if media.mid and not is_visible(media.mid, MAX_BYTES):
        return "has a mid that is not of visible ASCII characters"
    if lacks_mux(offer.session, offer.bundle_of(media)):
        return "lacks a=rtcp-mux: the relay has one port for RTP and RTCP"
    return ""


def _check_mids(offer: Offer, usable: Iterable[MediaOffer]) -> None:
    """No other line, wanted or not, may have the mid of a line that can be taken."""
    mids = [media.mid for media in offer.media if media.mid]
    if any(mids.count(media.mid) > 1 for media in usable):
        raise invalid("two m-lines have the same mid")


def _without_video(reasons: dict[MediaOffer, str]) -> str:
    """The refusal of an offer that has no picture for us."""
    found = [_of_line(media, reason) for media, reason in reasons.items() if media.kind == "video"]
    if not found:
        return f"the offer has no video line; needed: one with {NEEDED['video']}"
    return f"no video line can be taken: {'; '.join(found[:4])}"


def _of_line(media: MediaOffer, reason: str) -> str:
    return f"m-line {media.number} ({media.kind}) {reason}"
