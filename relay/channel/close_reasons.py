"""Why control closes a peer at a worker: the codes that a worker decides by, and the sentence of each.

Owns: the reasons of `messages.PeerClose`.  Must never know: sessions, the journal, who decided.
"""

from enum import Enum


class PeerCloseReason(Enum):
    """A reason of `PeerClose`.  It is no `str`, so that no code is shown where a sentence is meant."""

    LOST_TAKEN_OVER = "lost_taken_over"
    LOST_PLACED_ELSEWHERE = "lost_placed_elsewhere"
    STOPPED_BY_CAMERA = "stopped_by_camera"
    INTERVENTION_CLOSED = "intervention_closed"
    TIME_LIMIT = "time_limit"
    TOKEN_REVOKED = "token_revoked"
    RECORDING_FAILED = "recording_failed"
    ADMISSION_FAILED = "admission_failed"
    CLOSED_BY_VIEWER = "closed_by_viewer"
    VIEW_REFUSED = "view_refused"
    VIEW_INTERVENTION_CLOSED = "view_intervention_closed"
    SIGNED_OUT = "signed_out"
    SIGN_IN_OVER = "sign_in_over"

    @property
    def is_loss(self) -> bool:
        """Whether a camera's session counts as lost: its recording stays open and goes on with the camera's next session."""
        return self in _LOSSES

    @property
    def sentence(self) -> str:
        """The sentence that pages, journal and logs show."""
        return _SENTENCES[self]


_LOSSES = frozenset({PeerCloseReason.LOST_TAKEN_OVER, PeerCloseReason.LOST_PLACED_ELSEWHERE})

_SENTENCES = {
    PeerCloseReason.LOST_TAKEN_OVER: "lost: taken over",
    PeerCloseReason.LOST_PLACED_ELSEWHERE: "lost: placed elsewhere",
    PeerCloseReason.STOPPED_BY_CAMERA: "stopped by the camera",
    PeerCloseReason.INTERVENTION_CLOSED: "the intervention was closed",
    PeerCloseReason.TIME_LIMIT: "the transmission reached its longest time",
    PeerCloseReason.TOKEN_REVOKED: "token revoked",
    PeerCloseReason.RECORDING_FAILED: "the recording failed",
    PeerCloseReason.ADMISSION_FAILED: "the relay could not decide whether to admit the transmission",
    PeerCloseReason.CLOSED_BY_VIEWER: "closed by the viewer",
    PeerCloseReason.VIEW_REFUSED: "refused",
    PeerCloseReason.VIEW_INTERVENTION_CLOSED: "intervention closed",
    PeerCloseReason.SIGNED_OUT: "signed out",
    PeerCloseReason.SIGN_IN_OVER: "the sign-in is over",
}
