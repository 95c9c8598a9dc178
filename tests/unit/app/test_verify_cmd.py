"""`relay verify` from its command line: exit codes, words, JSON, where the trusted key comes from."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from relay.app.verify_cmd import verify
from relay.evidence.statement import sign_revocations
from tests.support.recordings import DAY, LONGTERM, OTHER_LONGTERM, RECORDING, RECORDING_KEY, T0, build

app = typer.Typer()
app.command()(verify)
KEY = LONGTERM.public_key.hex()


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def plain(text: str) -> str:
    """Return a report as one line: where it is wrapped does not matter."""
    return " ".join(text.split())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return build("SIPPGPE").write(tmp_path / "rec")


def test_an_intact_recording_exits_0_and_says_so_in_both_languages(folder: Path) -> None:
    english, french = run(folder, "--key", KEY, "--lang", "en"), run(folder, "--key", KEY, "--lang", "fr")
    assert (english.exit_code, french.exit_code) == (0, 0)
    assert "checked as stored" in english.output
    assert "contrôlé tel que conservé" in french.output
    assert "radio link" in english.output


def test_with_the_decryption_key_it_is_no_longer_as_stored(folder: Path) -> None:
    found = CliRunner().invoke(app, [str(folder), "--key", KEY, "--recording-key", "-", "--json"], RECORDING_KEY.hex())
    assert json.loads(found.stdout)["integrity"] == "intact"
    file = folder.parent / "recording.key"
    file.write_bytes(RECORDING_KEY)
    assert json.loads(run(folder, "--key", KEY, "--recording-key", file, "--json").stdout)["integrity"] == "intact"


def test_a_decryption_key_is_not_taken_from_the_command_line(folder: Path) -> None:
    refused = run(folder, "--key", KEY, "--recording-key", RECORDING_KEY.hex(), "--lang", "en")
    assert refused.exit_code == 2
    assert "does not belong on a command line" in refused.output
    assert RECORDING_KEY.hex() not in refused.output


def test_an_altered_recording_exits_1_and_names_the_fragment(folder: Path) -> None:
    data = bytearray((folder / "00000.seg").read_bytes())
    data[-20] ^= 1
    (folder / "00000.seg").write_bytes(data)
    result = run(folder, "--key", KEY, "--lang", "en")
    assert result.exit_code == 1
    assert "! fragment 3 was altered or replaced" in result.output


def test_with_a_key_alone_it_says_that_revocation_was_not_checked(folder: Path) -> None:
    for language, words in (("en", "revocation was not checked"), ("fr", "révocation non contrôlée")):
        result = run(folder, "--key", KEY, "--lang", language)
        assert (result.exit_code, words in plain(result.output)) == (0, True)
        assert build("SIPPGPE").records()[-1].head.hex() in result.output


def test_a_list_given_later_names_a_revocation(folder: Path, tmp_path: Path) -> None:
    head, path = build("SIPPGPE").records()[-1].head, tmp_path / "list"
    for heads, code, words in (((), 1, "is revoked"), ((head,), 0, "revoked keys checked")):
        revoked = {LONGTERM.public_key: heads}
        path.write_bytes(sign_revocations(LONGTERM, head=head, issued_ns=T0 + DAY, revoked=revoked))
        result = run(folder, "--key", KEY, "--revocations", path, "--lang", "en")
        assert (result.exit_code, words in plain(result.output), "not checked" in plain(result.output)) == (code, True, False)
    path.write_bytes(b"no list")
    assert run(folder, "--key", KEY, "--revocations", path).exit_code == 2


def test_this_installation_itself_needs_no_list(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "keys").mkdir(parents=True)
    (tmp_path / "data" / "keys" / "signing.pub").write_bytes(LONGTERM.public_key)
    assert "not checked" not in run(folder, "--data", tmp_path / "data", "--lang", "en").output


def test_without_any_key_origin_is_not_proved(folder: Path) -> None:
    result = run(folder, "--lang", "en")
    assert result.exit_code == 1
    assert "no trusted public key was given" in result.output


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data" / "keys").mkdir(parents=True)
    (tmp_path / "data" / "keys" / "signing.pub").write_bytes(LONGTERM.public_key)
    return tmp_path / "data"


def test_the_pinned_key_of_a_named_installation_is_the_default(
    folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(folder, "--data", data).exit_code == 0
    monkeypatch.setenv("RELAY_DATA", str(data))
    assert run(folder).exit_code == 0


def test_the_key_that_an_installations_settings_name_comes_before_its_own(folder: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(OTHER_LONGTERM.public_key)
    (data / "settings.toml").write_text(f'[evidence]\npublic_key = "{tmp_path / "other"}"\n')
    assert run(folder, "--data", data).exit_code == 1


def test_a_data_folder_where_the_command_is_typed_is_not_believed(folder: Path, data: Path) -> None:
    """A forger's archive may hold one: whoever unpacks it and verifies there must not trust the key that came along."""
    result = run(folder, "--lang", "en")
    assert result.exit_code == 1
    assert "no trusted public key was given" in result.output


def test_settings_that_pin_a_key_make_no_installation_of_a_folder_where_the_command_is_typed(
    folder: Path, data: Path, tmp_path: Path
) -> None:
    """Its list of revoked keys, empty perhaps, would pass for the relay's."""
    (tmp_path / "pin.toml").write_text(f'[evidence]\npublic_key = "{data / "keys" / "signing.pub"}"\n')
    result = run(folder, "--config", tmp_path / "pin.toml", "--lang", "en")
    assert (result.exit_code, "revocation was not checked" in plain(result.output)) == (0, True)
    (tmp_path / "whole.toml").write_text(f'data = "{data}"\n')
    assert "revocation was not checked" not in plain(run(folder, "--config", tmp_path / "whole.toml", "--lang", "en").output)


def test_an_installation_inside_what_is_verified_is_refused(folder: Path, data: Path) -> None:
    data.rename(folder / "data")
    result = run(folder, "--data", folder / "data", "--lang", "en")
    assert result.exit_code == 2
    assert "came with the recording" in result.output


def test_a_key_beside_the_recording_is_not_believed(folder: Path) -> None:
    (folder / "signing.pub").write_bytes(LONGTERM.public_key)
    assert run(folder).exit_code == 1


@pytest.mark.parametrize("content", [b"", b"short", b"-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----\n"])
def test_an_unreadable_key_or_recording_exits_2(folder: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    assert run(folder, "--key", tmp_path / "key").exit_code == 2
    assert run(tmp_path / "nowhere", "--key", KEY).exit_code == 2
    assert run().exit_code == 3


def test_the_standalone_verifier_is_written(tmp_path: Path) -> None:
    assert run("--emit-standalone", tmp_path / "verify.py").exit_code == 0
    compile((tmp_path / "verify.py").read_text(), "verify.py", "exec")


def test_another_recording_than_expected_is_a_finding(folder: Path) -> None:
    assert run(folder, "--key", KEY, "--expect", RECORDING).exit_code == 0
    result = run(folder, "--key", KEY, "--expect", "0" * 32, "--lang", "en")
    assert (result.exit_code, "this is not recording" in result.output) == (1, True)
    named = folder.rename(folder.parent / ("0" * 32))
    assert run(named, "--key", KEY).exit_code == 1
