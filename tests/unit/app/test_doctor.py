"""What an operator is told about addresses before the first camera fails."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from relay.app import cli, doctor
from relay.app.doctor import examine, note_at_start, running_settings
from relay.app.settings import Settings
from relay.app.supervise import PidLock, write_private
from relay.app.tls import ensure_certificate

MACHINE = ("127.0.0.1", "10.0.0.5", "192.168.1.5", "::1", "2001:db8::5")


def settings(tmp_path: Path, **sections: dict[str, object]) -> Settings:
    http = sections.pop("http", {})
    if not str(http.get("host", "127")).startswith("127"):
        http |= {"tls_cert": tmp_path / "c", "tls_key": tmp_path / "k"}
    return Settings.model_validate({"data": tmp_path, "http": http, **sections})


def test_each_address_of_a_wildcard_has_its_candidates_and_comes_first_where_it_is_asked(tmp_path: Path) -> None:
    found = examine(settings(tmp_path, http={"host": "0.0.0.0", "port": 8443}), MACHINE, runs=True)
    assert found.http == ["https://127.0.0.1:8443", "https://10.0.0.5:8443", "https://192.168.1.5:8443"]
    assert found.candidates == {
        "asked at 10.0.0.5": ["10.0.0.5", "192.168.1.5"],
        "asked at 192.168.1.5": ["192.168.1.5", "10.0.0.5"],
    }
    assert found.findings == []
    assert found.hints[0] == "let in: TCP 8443, and UDP and TCP 8500"
    assert 'workers.advertise = ["the outside address"]' in found.hints[1]
    assert '"::" serves both' in found.hints[2]


def test_media_on_loopback_behind_a_proxy_are_a_finding(tmp_path: Path) -> None:
    proxied: dict[str, object] = {"public_origin": "https://relay.example", "trusted_proxies": ["127.0.0.1"]}
    found = examine(settings(tmp_path, http=proxied), MACHINE, runs=False)
    assert found.http[0] == "https://relay.example"
    assert "Set workers.host" in found.findings[0]
    served = settings(tmp_path, http=proxied, workers={"host": "::", "advertise": ["5.39.0.5"]})
    found = examine(served, MACHINE, runs=False)
    assert found.findings == []
    assert found.candidates["through the proxy, from the internet"][0] == "5.39.0.5"
    assert found.candidates["through the proxy, from inside"][0] == "10.0.0.5"
    assert not any("NAT" in hint for hint in found.hints)
    assert found.hints[0].startswith("let in: the proxy's TCP port")


def test_loopback_for_media_beside_http_for_all_is_a_finding(tmp_path: Path) -> None:
    found = examine(settings(tmp_path, http={"host": "10.0.0.5"}, workers={"host": "127.0.0.1"}), MACHINE, runs=False)
    assert found.candidates == {"asked at 10.0.0.5": ["127.0.0.1"]}
    assert "Set workers.host" in found.findings[0]


@pytest.mark.parametrize("name", ["relay.example", "0.0.0.0", "224.0.0.1", "::"])
def test_an_advertised_host_that_is_no_address_is_a_finding(tmp_path: Path, name: str) -> None:
    found = examine(settings(tmp_path, workers={"advertise": [name]}), MACHINE, runs=False)
    assert f"workers.advertise: {name} is no address" in found.findings[0]


def test_a_relay_for_this_machine_alone_has_no_finding(tmp_path: Path) -> None:
    found = examine(settings(tmp_path), MACHINE, runs=False)
    assert found.findings == []
    assert [hint.partition(".")[0] for hint in found.hints] == ["only this machine reaches the relay"]


def test_a_certificate_of_ours_that_does_not_name_an_address_is_a_hint(tmp_path: Path) -> None:
    certificate, key = ensure_certificate(tmp_path / "keys", "10.0.0.5")
    own: dict[str, object] = {"host": "0.0.0.0", "tls_cert": certificate, "tls_key": key}
    found = examine(Settings.model_validate({"data": tmp_path, "http": own}), MACHINE, runs=True)
    assert any("does not name 192.168.1.5: clients" in hint for hint in found.hints)
    assert not any("10.0.0.5" in hint for hint in found.hints)


def test_small_buffers_of_the_system_are_named(tmp_path: Path) -> None:
    limit = tmp_path / "rmem_max"
    limit.write_text("212992\n")
    assert "sysctl net.core.rmem_max=4194304" in next(doctor._buffer_hint(4 << 20, limit))
    assert list(doctor._buffer_hint(1 << 16, limit)) == []
    assert list(doctor._buffer_hint(4 << 20, tmp_path / "none")) == []


@pytest.mark.parametrize(
    ("workers", "ports"),
    [
        ({"count": 2}, "UDP and TCP 8500 to 8501"),
        ({"tcp": False, "port_base": 9000}, "UDP 9000"),
        ({"port_base": 0}, "UDP and TCP, any port"),
    ],
)
def test_ports_are_named_as_a_firewall_wants_them(tmp_path: Path, workers: dict[str, object], ports: str) -> None:
    assert doctor.ports_of(settings(tmp_path, workers=workers)) == ports


def test_a_running_relay_is_described_with_the_options_of_its_start(tmp_path: Path) -> None:
    here = settings(tmp_path)
    assert running_settings(here) is None
    here.run.mkdir()
    lock = PidLock(here.run / "supervisor.pid")
    try:
        started = settings(tmp_path, http={"host": "10.0.0.5", "port": 8443})
        write_private(here.run / "control.json", started.model_dump_json().encode())
        assert running_settings(here) == started
    finally:
        lock.release()


def test_the_command_says_it_in_lines_and_in_json_and_exits_1_on_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAY_HTTP__PORT", "0")
    monkeypatch.setenv("RELAY_WORKERS__PORT_BASE", "0")
    runner = CliRunner()
    assert runner.invoke(cli.app, ["init", "--data", str(tmp_path)]).exit_code == 0
    told = runner.invoke(cli.app, ["doctor", "--data", str(tmp_path)])
    assert told.exit_code == 0
    assert "candidates of a camera or page, the best first:" in told.output
    monkeypatch.setenv("RELAY_WORKERS__ADVERTISE", '["relay.example"]')
    told = runner.invoke(cli.app, ["doctor", "--data", str(tmp_path), "--json"])
    assert told.exit_code == 1
    assert json.loads(told.output)["findings"]


def test_the_start_says_it_without_an_address(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    note_at_start(settings(tmp_path, http={"trusted_proxies": ["127.0.0.1"]}))
    assert "cameras or pages on other machines cannot reach the media" in caplog.text
    assert "`relay doctor` lists the candidates" in caplog.text
    assert "127.0.0.1" not in caplog.text
