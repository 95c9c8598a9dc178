"""The command line: which file it reads, and what each kind of error exits with."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from relay.app import cli, settings
from relay.base.errors import Kind, TheirError


def test_the_settings_beside_the_data_are_used_and_options_win(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("[http]\nport = 1\nlive_queue = 99\n")
    found = settings.settings_of(None, tmp_path, {"port": 2})
    assert (found.data, found.http.port, found.http.live_queue) == (tmp_path, 2, 99)


def test_a_named_file_wins_over_the_one_beside_the_data(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("[http]\nport = 1\n")
    named = tmp_path / "other.toml"
    named.write_text("[http]\nport = 3\n")
    assert settings.settings_of(named, tmp_path).http.port == 3


def test_tls_makes_a_certificate_and_opens_other_addresses(tmp_path: Path) -> None:
    with pytest.raises(TheirError, match="needs a certificate"):
        settings.settings_of(None, tmp_path, {"host": "192.0.2.9"})
    found = cli.tls_settings(None, tmp_path, {"host": "192.0.2.9", "port": 8443})
    assert found.http.tls_cert == tmp_path / "keys" / "tls.crt"
    assert (found.http.host, found.http.port) == ("192.0.2.9", 8443)


@pytest.mark.parametrize(("kind", "code"), [(Kind.INVALID, 64), (Kind.NOT_FOUND, 66), (Kind.FORBIDDEN, 77), (Kind.STALE, 70)])
def test_an_error_is_one_line_and_its_exit_code(
    kind: Kind, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(**_options: object) -> None:
        raise TheirError(kind, "no, because [of] this")

    monkeypatch.setattr(cli, "app", fails)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
    assert capsys.readouterr().err == "no, because [of] this\n"


def test_relay_settings_documents_every_setting() -> None:
    printed = CliRunner().invoke(cli.app, ["settings"]).stdout
    assert "`http.port`" in printed
    assert "`recorder.record_grace`" in printed
