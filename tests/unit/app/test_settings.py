"""Settings: one file, unknown keys refused with their line, nothing exposed without TLS."""

from pathlib import Path

import pytest

from relay.app import settings
from relay.base.errors import Kind, TheirError


def _load(tmp_path: Path, text: str) -> settings.Settings:
    path = tmp_path / "relay.toml"
    path.write_text(text, encoding="utf-8")
    return settings.load(path)


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert _load(tmp_path, "") == settings.Settings()


def test_an_unknown_key_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(TheirError) as refused:
        _load(tmp_path, '[http]\nport = 1\n\n[workers]\ncount = 1\nprot = 2\nhost = "127.0.0.1"\n')
    assert refused.value.kind is Kind.INVALID
    assert "relay.toml:6: workers.prot: unknown key" in refused.value.detail


def test_an_unknown_section_and_a_dotted_key_are_refused_with_their_lines(tmp_path: Path) -> None:
    with pytest.raises(TheirError) as refused:
        _load(tmp_path, "http.prot = 1\n[what]\nx = 1\n")
    assert "relay.toml:1: http.prot" in refused.value.detail
    assert "relay.toml:2: what" in refused.value.detail


def test_a_wrong_value_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(TheirError, match=r"relay.toml:2: http.port"):
        _load(tmp_path, "[http]\nport = 70000\n")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "localhost", "example.org"])
def test_only_loopback_addresses_are_bound_without_a_certificate(tmp_path: Path, host: str) -> None:
    with pytest.raises(TheirError, match="needs a certificate"):
        _load(tmp_path, f'[http]\nhost = "{host}"\n')


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1"])
def test_loopback_needs_no_certificate(tmp_path: Path, host: str) -> None:
    assert _load(tmp_path, f'[http]\nhost = "{host}"\n').http.host == host


def test_the_environment_wins_over_the_file_and_the_command_line_over_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "relay.toml"
    path.write_text("[http]\nport = 1\nlive_queue = 20\n", encoding="utf-8")
    monkeypatch.setenv("RELAY_HTTP__PORT", "2")
    assert settings.load(path).http.port == 2
    assert settings.load(path).http.live_queue == 20
    assert settings.load(path, {"http": {"port": 3}}).http.port == 3


def test_an_unknown_setting_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_HTTP__PROT", "2")
    with pytest.raises(TheirError, match="RELAY_HTTP__PROT"):
        settings.load(None)


def test_every_setting_has_a_description() -> None:
    assert [path for path, _, meaning in settings.describe() if len(meaning) < 15] == []


def test_settings_survive_their_dump(tmp_path: Path) -> None:
    loaded = _load(tmp_path, "[workers]\ncount = 3\n")
    assert settings.Settings.model_validate_json(loaded.model_dump_json()) == loaded


@pytest.mark.parametrize(
    "keys",
    [
        {"kek": "pkcs11"},
        {"signing": "pkcs11", "pkcs11_module": "/x.so", "pkcs11_token": "t"},
        {"pkcs11_module": "/x.so", "pkcs11_token": "t", "pkcs11_pin_file": "/pin", "pkcs11_pin_variable": "PIN"},
        {"pkcs11_module": "/x.so", "pkcs11_pin_file": "/pin"},
    ],
)
def test_a_token_is_named_whole_or_not_at_all(keys: dict[str, str]) -> None:
    with pytest.raises(TheirError, match="a token needs"):
        settings.load(None, {"keys": keys})
