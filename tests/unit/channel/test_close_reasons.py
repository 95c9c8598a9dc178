"""Why a peer is closed: a worker decides by the code, people read the sentence."""

import pytest

from relay.channel.close_reasons import PeerCloseReason
from relay.channel.framing import FrameKind, pack, unpack
from relay.channel.messages import PeerClose


@pytest.mark.parametrize("reason", PeerCloseReason)
def test_every_reason_has_a_sentence_and_crosses_the_channel_as_its_code(reason: PeerCloseReason) -> None:
    assert reason.sentence
    message = PeerClose("session", reason)
    frame = pack(FrameKind.POST, 0, message)
    assert reason.value.encode() in frame
    assert unpack(frame[4:])[2] == message


def test_only_a_session_that_goes_on_elsewhere_is_lost() -> None:
    assert {reason for reason in PeerCloseReason if reason.is_loss} == {
        PeerCloseReason.LOST_TAKEN_OVER,
        PeerCloseReason.LOST_PLACED_ELSEWHERE,
    }
