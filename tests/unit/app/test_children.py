"""What a process is handed at its start: a session key rests in no file, and a token that is out stops nothing."""

import base64
import json
from pathlib import Path

import pytest

from relay.app.children import children
from relay.app.serve import forget_seeds
from relay.app.settings import Settings
from relay.app.supervise import Child
from relay.base.clock import ManualClock
from relay.base.errors import OurError
from relay.evidence.seal import CERTIFICATE, DAY_NS, MemorySigner
from relay.evidence.wire import decode
from relay.store.keyring import Keyring
from relay.store.passes import Passes


class Bench:
    """The first recorder's start in an installation of its own."""

    def __init__(self, data: Path) -> None:
        self.clock = ManualClock()
        self.keyring = Keyring(data / "keys")
        fleet = children(Settings(data=data), self.keyring, Passes(data / "keys"), self.clock)
        self.child: Child = next(child for child in fleet if child.duty == "recorder")

    def start(self) -> tuple[bytes, bytes]:
        """Return the seed and the certificate that a start hands over."""
        self.child.write_config()
        handed = json.loads(self.child.handover())
        return base64.b64decode(handed["session_seed"]), base64.b64decode(handed["session_certificate"])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_each_start_has_a_session_key_of_a_day_that_no_file_holds(bench: Bench, tmp_path: Path) -> None:
    for _ in range(2):
        seed, encoded = bench.start()
        certificate = decode(CERTIFICATE, encoded)
        assert certificate.session_key == MemorySigner(seed).public_key
        assert certificate.life_ns == DAY_NS
        written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
        assert not any(form in content for content in written for form in (seed, seed.hex().encode(), base64.b64encode(seed)))


def test_a_start_while_the_token_is_out_goes_on_with_the_key_before(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    before = bench.start()

    def refuse(*_: object) -> tuple[bytes, bytes]:
        raise OurError("the token does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(bench.keyring, "issue_session", refuse)
        bench.clock.advance(40 * 3600)
        assert bench.start() == before
    assert bench.start() != before


def test_the_first_start_needs_the_token(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> tuple[bytes, bytes]:
        raise OurError("the token does not answer")

    monkeypatch.setattr(bench.keyring, "issue_session", refuse)
    with pytest.raises(OurError, match="token"):
        bench.start()


def test_a_seed_that_an_older_version_left_in_a_file_is_overwritten_and_removed(tmp_path: Path) -> None:
    left, other = tmp_path / "recorder-0.json", tmp_path / "recorder-1.json"
    left.write_text(json.dumps({"index": 0, "session_seed": "c2VlZA=="}))
    other.write_text(json.dumps({"index": 1}))
    kept = tmp_path / "the same bytes on the disk"
    kept.hardlink_to(left)
    forget_seeds(tmp_path)
    assert (left.exists(), other.exists()) == (False, True)
    assert not any(kept.read_bytes())
