"""What we agree with a camera or a viewer: offers in, answers out.

Owns: the names by which other floors use the SDP files beside it.  Must never know: sockets, keys in use,
cameras' names, policy.  Sources: RFC 8866, RFC 8829, RFC 8843 (BUNDLE), RFC 8839 (ICE), RFC 8842 (DTLS), RFC 8840
(fragments), RFC 9725 (WHIP), RFC 6184 (H.264), RFC 7587 (Opus), RFC 4588 (RTX), RFC 8853 (simulcast).
"""

from relay.transport.sdp_answer import answer_publisher, answer_viewer
from relay.transport.sdp_fragment import answer_fragment, parse_fragment
from relay.transport.sdp_types import (
    Codec,
    Extensions,
    Fingerprint,
    Local,
    MediaIn,
    MediaKind,
    MediaOut,
    PublisherAnswer,
    Remote,
    SdpFragment,
    Setup,
    ViewerAnswer,
)

__all__ = [
    "Codec",
    "Extensions",
    "Fingerprint",
    "SdpFragment",
    "Local",
    "MediaIn",
    "MediaKind",
    "MediaOut",
    "PublisherAnswer",
    "Remote",
    "Setup",
    "ViewerAnswer",
    "answer_fragment",
    "answer_publisher",
    "answer_viewer",
    "parse_fragment",
]
