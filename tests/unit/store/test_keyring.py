"""The keyring: what is wrapped opens where it was put and nowhere else; what is destroyed is gone from the disk."""

import contextlib
import errno
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.base.errors import Kind, OurError, TheirError
from relay.evidence.seal import CERTIFICATE, MemorySigner, signature_holds
from relay.evidence.statement import read_succession, succession_holds
from relay.evidence.wire import decode
from relay.store.keyring import Keyring
from relay.store.vault import FileOps
from tests.support.faulty_disk import FaultyOps, Killed, killing, never

ONE, TWO = "1" * 32, "2" * 32
DAY, LATER = "2026-12-22", "2027-06-01"


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "keys")


def everything(root: Path) -> bytes:
    return b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())


def test_keys_survive_a_restart_and_are_private(ring: Keyring, tmp_path: Path) -> None:
    key = ring.create_recording_key(ONE, DAY)
    ring.dtls_pem()
    again = Keyring(tmp_path / "keys")
    assert again.recording_key(ONE) == key
    assert again.public_key == ring.public_key == (tmp_path / "keys" / "signing.pub").read_bytes()
    for path in (tmp_path / "keys").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)


def test_plain_key_is_nowhere_on_disk(ring: Keyring, tmp_path: Path) -> None:
    assert ring.create_recording_key(ONE, DAY) not in everything(tmp_path)


def test_destroyed_recording_leaves_neither_plain_nor_wrapped_bytes(ring: Keyring, tmp_path: Path) -> None:
    key, other = ring.create_recording_key(ONE, DAY), ring.create_recording_key(TWO, DAY)
    wrapped = (tmp_path / "keys" / "wrapped" / DAY / f"{ONE}.key").read_bytes()
    ring.destroy_recording(ONE)
    ring.destroy_recording(ONE)
    assert key not in everything(tmp_path)
    assert wrapped not in everything(tmp_path)
    assert ring.recording_key(TWO) == other
    with pytest.raises(TheirError) as caught:
        ring.recording_key(ONE)
    assert caught.value.kind is Kind.GONE


def test_destroyed_day_takes_all_its_recordings_even_those_copied_aside(ring: Keyring, tmp_path: Path) -> None:
    ring.create_recording_key(ONE, DAY)
    ring.create_recording_key(TWO, LATER)
    shutil.copytree(tmp_path / "keys" / "wrapped", tmp_path / "backup")
    assert ring.destroy_day(DAY) == [ONE]
    assert ring.destroy_day(DAY) == []
    assert ring.days() == [LATER]
    shutil.copytree(tmp_path / "backup", tmp_path / "keys" / "wrapped", dirs_exist_ok=True)
    with pytest.raises(TheirError) as caught:
        ring.recording_key(ONE)
    assert caught.value.kind is Kind.GONE
    assert ring.recording_key(TWO)


def test_held_recording_outlives_its_first_day(ring: Keyring) -> None:
    key = ring.create_recording_key(ONE, DAY)
    ring.rewrap(ONE, LATER)
    ring.rewrap(ONE, LATER)
    assert ring.destroy_day(DAY) == []
    assert ring.recording_key(ONE) == key
    assert ring.recordings() == {ONE: LATER}
    assert ring.expires_on(ONE) == LATER
    assert ring.expires_on(TWO) is None


def test_wrapped_key_opens_only_under_its_own_name_and_day(ring: Keyring, tmp_path: Path) -> None:
    ring.create_recording_key(ONE, DAY)
    ring.create_recording_key("3" * 32, LATER)
    folder = tmp_path / "keys" / "wrapped"
    shutil.copy(folder / DAY / f"{ONE}.key", folder / DAY / f"{TWO}.key")
    shutil.copy(folder / DAY / f"{ONE}.key", folder / LATER / f"{'4' * 32}.key")
    for moved in (TWO, "4" * 32):
        with pytest.raises(OurError):
            ring.recording_key(moved)


def test_damaged_files_are_named_as_our_fault(ring: Keyring, tmp_path: Path) -> None:
    ring.create_recording_key(ONE, DAY)
    path = tmp_path / "keys" / "wrapped" / DAY / f"{ONE}.key"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(OurError):
        ring.recording_key(ONE)
    (tmp_path / "keys" / "kek.key").write_bytes(b"short")
    with pytest.raises(OurError):
        Keyring(tmp_path / "keys")


def test_second_key_for_a_recording_and_nonsense_are_refused(ring: Keyring) -> None:
    ring.create_recording_key(ONE, DAY)
    with pytest.raises(TheirError) as caught:
        ring.create_recording_key(ONE, LATER)
    assert caught.value.kind is Kind.CONFLICT
    for recording, day in (("../x", DAY), (TWO, "2026-13-01"), (TWO, "20261222"), (TWO, "../..")):
        with pytest.raises(TheirError):
            ring.create_recording_key(recording, day)
    with pytest.raises(TheirError):
        ring.destroy_day("../wrapped")


def test_cameras_that_press_at_once_on_a_new_day_all_keep_their_keys(ring: Keyring) -> None:
    recordings = [f"{number:032x}" for number in range(8)]
    together = threading.Barrier(len(recordings))

    def create(recording: str) -> bytes:
        together.wait(10)
        return ring.create_recording_key(recording, DAY)

    with ThreadPoolExecutor(len(recordings)) as pool:
        made = list(pool.map(create, recordings))
    assert [ring.recording_key(recording) for recording in recordings] == made


def test_session_key_is_certified_by_the_long_term_key(ring: Keyring) -> None:
    seed, encoded = ring.issue_session("recorder", 3, 10, 20)
    certificate = decode(CERTIFICATE, encoded)
    assert certificate.issued_by(ring.public_key)
    assert (certificate.role, certificate.index) == ("recorder", 3)
    signer = MemorySigner(seed)
    assert signature_holds(certificate.session_key, b"x", signer.sign(b"x"))
    assert ring.issue_session("recorder", 3, 10, 20)[0] != seed


def test_dtls_certificate_is_p256_and_made_once(ring: Keyring) -> None:
    path = ring.dtls_pem()
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)
    before = path.read_bytes()
    assert ring.dtls_pem().read_bytes() == before


@given(at=st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_death_at_any_operation_of_a_rewrap_never_loses_the_key(tmp_path_factory: pytest.TempPathFactory, at: int) -> None:
    root = tmp_path_factory.mktemp("ring") / "keys"
    key = Keyring(root).create_recording_key(ONE, DAY)
    ring = Keyring(root, FaultyOps(killing(at)))
    with contextlib.suppress(Killed):
        ring.rewrap(ONE, LATER)
    survivor = Keyring(root, FileOps())
    assert survivor.recording_key(ONE) == key
    survivor.rewrap(ONE, LATER)
    assert survivor.destroy_day(DAY) == []
    assert survivor.recording_key(ONE) == key


@given(at=st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_nothing_of_a_destroyed_recordings_key_is_left_wherever_a_rewrap_died(
    tmp_path_factory: pytest.TempPathFactory, at: int
) -> None:
    root = tmp_path_factory.mktemp("ring") / "keys"
    Keyring(root).create_recording_key(ONE, DAY)
    ring = Keyring(root, FaultyOps(killing(at)))
    with contextlib.suppress(Killed):
        ring.rewrap(ONE, LATER)
    Keyring(root).destroy_recording(ONE)
    assert list((root / "wrapped").rglob(f"{ONE}*")) == []


def test_a_destroyed_day_takes_what_a_crash_left_of_its_key(ring: Keyring, tmp_path: Path) -> None:
    ring.create_recording_key(ONE, DAY)
    (days,) = tmp_path.rglob("days")
    (days / f"{DAY}.key.tmp").write_bytes(b"half a key")
    ring.destroy_day(DAY)
    assert list(days.iterdir()) == []


def test_a_lost_key_encryption_key_is_not_replaced_in_silence(ring: Keyring, tmp_path: Path) -> None:
    ring.create_recording_key(ONE, DAY)
    (tmp_path / "keys" / "kek.key").unlink()
    with pytest.raises(OurError, match="missing"):
        Keyring(tmp_path / "keys")
    assert not (tmp_path / "keys" / "kek.key").exists()


def test_a_lost_signing_key_is_not_replaced_in_silence(ring: Keyring, tmp_path: Path) -> None:
    (tmp_path / "keys" / "signing.key").unlink()
    with pytest.raises(OurError, match="missing"):
        Keyring(tmp_path / "keys")


def test_keys_that_do_not_open_are_named(ring: Keyring, tmp_path: Path) -> None:
    ring.create_recording_key(ONE, DAY)
    ring.create_recording_key(TWO, LATER)
    assert ring.broken() == {}
    for path in (tmp_path / "keys" / "wrapped" / DAY / f"{ONE}.key", tmp_path / "keys" / "days" / f"{LATER}.key"):
        path.write_bytes(path.read_bytes()[:-1] + b"\0")
    assert set(ring.broken()) == {ONE, LATER}


def test_a_new_key_encryption_key_opens_everything_and_the_old_one_is_gone(ring: Keyring, tmp_path: Path) -> None:
    keys = {ONE: ring.create_recording_key(ONE, DAY), TWO: ring.create_recording_key(TWO, LATER)}
    old = (tmp_path / "keys" / "kek.key").read_bytes()
    wrapped = {path: path.read_bytes() for path in (tmp_path / "keys" / "wrapped").rglob("*.key")}
    days = [path.read_bytes() for path in (tmp_path / "keys" / "days").glob("*.key")]
    assert ring.rotate_kek() == 2
    for each in (ring, Keyring(tmp_path / "keys")):
        assert {name: each.recording_key(name) for name in keys} == keys
        assert each.broken() == {}
    assert not [each for each in (old, *days) if each in everything(tmp_path)]
    assert {path: path.read_bytes() for path in wrapped} == wrapped


@given(at=st.integers(1, 60))
@settings(max_examples=30, deadline=None)
def test_death_at_any_operation_of_a_rotation_never_loses_a_key(tmp_path_factory: pytest.TempPathFactory, at: int) -> None:
    root = tmp_path_factory.mktemp("ring") / "keys"
    first = Keyring(root)
    keys = {ONE: first.create_recording_key(ONE, DAY), TWO: first.create_recording_key(TWO, LATER)}
    dying = Keyring(root, FaultyOps(killing(at)))
    with contextlib.suppress(Killed):
        dying.rotate_kek()
    survivor = Keyring(root, FileOps())
    assert {name: survivor.recording_key(name) for name in keys} == keys
    assert survivor.broken() == {}
    assert not (root / "kek.next").exists()
    assert not (root / "kek.old").exists()


def test_a_new_signing_key_takes_over_and_vouches_for_all_before_it(ring: Keyring, tmp_path: Path) -> None:
    first, secret = ring.public_key, (tmp_path / "keys" / "signing.key").read_bytes()
    ring.rotate_signing(5, "yearly")
    second = ring.public_key
    ring.rotate_signing(6, "a guard left")
    for each in (ring, Keyring(tmp_path / "keys")):
        assert each.earlier_keys() == [second, first]
        assert each.public_key == each.signer.public_key == (tmp_path / "keys" / "signing.pub").read_bytes()
    assert len({first, second, ring.public_key}) == 3
    assert secret not in everything(tmp_path)
    found = [read_succession(each) for each in ring.successions()]
    assert [(each.at_ns, each.reason, succession_holds(each)) for each in found] == [
        (5, "yearly", True),
        (6, "a guard left", True),
    ]


def test_a_rotation_that_cannot_be_written_down_changes_nothing(ring: Keyring, tmp_path: Path) -> None:
    before = ring.public_key
    with pytest.raises(TheirError):
        ring.rotate_signing(5, "x" * 201)
    for number in range(32):
        ring.rotate_signing(number, "again")
    last = ring.public_key
    with pytest.raises(TheirError, match="33 successions"):
        ring.rotate_signing(33, "once more")
    assert before != last == ring.public_key == Keyring(tmp_path / "keys").public_key
    assert not (tmp_path / "keys" / "signing.next").exists()


def test_damaged_successions_are_named(ring: Keyring, tmp_path: Path) -> None:
    ring.rotate_signing(5, "yearly")
    (tmp_path / "keys" / "successions").write_bytes(b"no succession\n")
    with pytest.raises(OurError, match=r"keys/successions is damaged \(line 1"):
        ring.earlier_keys()


@given(at=st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_death_at_any_operation_leaves_the_old_signing_key_or_the_new(
    tmp_path_factory: pytest.TempPathFactory, at: int
) -> None:
    root = tmp_path_factory.mktemp("ring") / "keys"
    first = Keyring(root)
    old, secret = first.public_key, (root / "signing.key").read_bytes()
    dying = Keyring(root, FaultyOps(killing(at)))
    with contextlib.suppress(Killed):
        dying.rotate_signing(5, "yearly")
    survivor = Keyring(root, FileOps())
    if survivor.public_key == old:
        assert survivor.successions() == []
    else:
        assert survivor.earlier_keys() == [old]
        assert secret not in everything(root)
    assert survivor.public_key == (root / "signing.pub").read_bytes()
    assert not (root / "signing.next").exists()
    assert not (root / "signing.old").exists()


@given(at=st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_after_a_rotation_that_the_disk_refused_the_next_one_in_the_same_process_loses_no_key(
    tmp_path_factory: pytest.TempPathFactory, at: int
) -> None:
    root = tmp_path_factory.mktemp("ring") / "keys"
    first = Keyring(root)
    keys = {ONE: first.create_recording_key(ONE, DAY), TWO: first.create_recording_key(TWO, LATER)}
    ops = FaultyOps(lambda number, _: errno.EIO if number == at else None)
    ring = Keyring(root, ops)
    with contextlib.suppress(OSError):
        ring.rotate_kek()
    ops.plan = never
    assert ring.rotate_kek() == 2
    for each in (ring, Keyring(root)):
        assert {name: each.recording_key(name) for name in keys} == keys
        assert each.broken() == {}
    assert not (root / "kek.next").exists()


@given(at=st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_after_a_signing_key_that_the_disk_refused_the_next_one_in_the_same_process_vouches_for_all_before_it(
    tmp_path_factory: pytest.TempPathFactory, at: int
) -> None:
    root = tmp_path_factory.mktemp("ring") / "keys"
    old = Keyring(root).public_key
    ops = FaultyOps(lambda number, _: errno.EIO if number == at else None)
    ring = Keyring(root, ops)
    with contextlib.suppress(OSError):
        ring.rotate_signing(5, "yearly")
    ops.plan = never
    ring.rotate_signing(6, "once more")
    for each in (ring, Keyring(root)):
        assert each.earlier_keys()[-1] == old
        assert each.public_key == each.signer.public_key == (root / "signing.pub").read_bytes()
        found = [read_succession(succession) for succession in each.successions()]
        assert [succession.new_key for succession in found] == [*reversed(each.earlier_keys()[:-1]), each.public_key]
    assert not (root / "signing.next").exists()
