"""`relay doctor`: at which addresses cameras and pages reach this relay, and what keeps them from it.

Owns: what is said, and which of it is a finding.  Must never know: how a candidate becomes a line of an answer.

Nothing here knows the firewall or the NAT before the machine: what must be let in and forwarded is said as a hint.
"""

import ipaddress
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import typer

from relay.app import start_checks, tls
from relay.app.installation import installed_settings
from relay.app.settings import Settings, is_loopback
from relay.app.supervise import is_locked
from relay.app.terminal import AsJson, ConfigOption, DataOption, say
from relay.base.addresses import parse_address
from relay.base.errors import RelayError
from relay.live.media_addresses import Reach, offered
from relay.runtime.host_addresses import machine_addresses, resolve
from relay.transport.binding import reachable

OUTSIDE: Final = "8.8.8.8"
"""Stands for a caller from the internet; nothing is sent there."""
RMEM_MAX: Final = Path("/proc/sys/net/core/rmem_max")

logger = logging.getLogger(__name__)


@dataclass
class Report:
    """What `relay doctor` says.  `findings`: what keeps callers away; `hints`: what the machine's owner has to see to."""

    runs: bool
    http: list[str] = field(default_factory=list)
    """URLs of page and WHIP."""
    media: list[str] = field(default_factory=list)
    """Addresses that are served."""
    ports: str = ""
    candidates: dict[str, list[str]] = field(default_factory=dict)
    """By the way in which a request comes: the addresses that its answer offers, the best first."""
    findings: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Yield the report as a person reads it."""
        yield "the relay runs" if self.runs else "the relay does not run; so it would with its settings"
        yield f"page, WHIP, WHEP   {'  '.join(self.http)}"
        yield f"media              {self.ports} on {', '.join(self.media) or 'no address'}"
        yield "candidates of a camera or page, the best first:"
        width = max(map(len, self.candidates), default=0)
        for way, hosts in self.candidates.items():
            yield f"  {way:<{width}}   {', '.join(hosts) or 'none'}"
        yield from (f"FINDING: {each}" for each in self.findings)
        yield from (f"hint: {each}" for each in self.hints)


def doctor(config: ConfigOption = None, data: DataOption = None, as_json: AsJson = False) -> None:
    """Say which addresses cameras and pages get, and what to set behind NAT; exit 1 where something keeps them away."""
    settings = installed_settings(config, data)
    running = running_settings(settings)
    report = examine(running or settings, machine_addresses(), runs=running is not None)
    if running is None:
        try:
            start_checks.check_ports(settings)
        except RelayError as error:
            report.findings.append(error.detail)
    if as_json:
        typer.echo(json.dumps(report.__dict__))
    else:
        for line in report.lines():
            say(line)
    raise typer.Exit(1 if report.findings else 0)


def running_settings(settings: Settings) -> Settings | None:
    """Return the settings with which the relay runs (options of `relay serve` among them); None where it does not."""
    try:
        if not is_locked(settings.run / "supervisor.pid"):
            return None
        return Settings.model_validate_json((settings.run / "control.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def note_at_start(settings: Settings) -> None:
    """Log what `relay doctor` would find; addresses are for the terminal, not for the log."""
    try:
        report = examine(settings, machine_addresses(), runs=False)
    except RelayError:
        return  # the start checks say so
    if report.findings:
        logger.warning("cameras or pages on other machines cannot reach the media: `relay doctor` says why")
    logger.info("`relay doctor` lists the candidates", extra={"ports": report.ports, "addresses": len(report.media)})


def examine(settings: Settings, machine: tuple[str, ...], *, runs: bool) -> Report:
    """Return the report on some settings of a machine with these addresses.  Raises OurError for a name without address."""
    bound, listening = resolve(settings.media_host), reachable(resolve(settings.http.host), machine)
    report = Report(runs, media=list(reachable(bound, machine)), ports=ports_of(settings))
    scheme = "https" if settings.http.tls_cert is not None else "http"
    own = [f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.http.port}" for host in listening]
    report.http = [settings.http.public_origin, *own] if settings.http.public_origin else own
    for way, reach in _ways(settings, listening):
        report.candidates[way] = list(offered(reach, bound, settings.workers.advertise, machine))
    report.findings += _findings(settings, report)
    report.hints += _hints(settings, report, machine)
    return report


def ports_of(settings: Settings) -> str:
    """Return the media ports as a firewall's rule names them."""
    workers = settings.workers
    kinds = "UDP and TCP" if workers.tcp else "UDP"
    if workers.port_base == 0:
        return f"{kinds}, any port"
    last = workers.port_base + workers.count - 1
    return f"{kinds} {workers.port_base}" + (f" to {last}" if workers.count > 1 else "")


def _ways(settings: Settings, listening: tuple[str, ...]) -> Iterator[tuple[str, Reach]]:
    """Yield the ways in which a request can come."""
    is_proxied = _is_behind_proxy(settings)
    for host in listening:
        if not is_loopback(host) or (len(listening) == 1 and not is_proxied):
            yield f"asked at {host}", Reach(host, host, host)
    if is_proxied:
        yield "through the proxy, from inside", Reach(None, "10.0.0.1")
        yield "through the proxy, from the internet", Reach(None, OUTSIDE)
    elif settings.workers.advertise:
        exposed = next((host for host in listening if not is_loopback(host)), None)
        yield "from the internet", Reach(exposed, OUTSIDE)


def _is_behind_proxy(settings: Settings) -> bool:
    return bool(settings.http.trusted_proxies) or (settings.http.public_origin is not None and settings.http.tls_cert is None)


def _findings(settings: Settings, report: Report) -> Iterator[str]:
    exposed = _is_behind_proxy(settings) or not is_loopback(settings.http.host)
    if exposed and all(is_loopback(host) for hosts in report.candidates.values() for host in hosts):
        yield (
            "media are served on loopback only: no camera or page on another machine gets a picture through. "
            'Set workers.host to an address of this machine, or to "0.0.0.0" or "::" for all; behind NAT workers.advertise, too'
        )
    for host in settings.workers.advertise:
        address = parse_address(host)
        if address is None or address.is_unspecified or address.is_multicast:
            yield f"workers.advertise: {host} is no address that a camera can reach: name an IP address"


def _hints(settings: Settings, report: Report, machine: tuple[str, ...]) -> Iterator[str]:
    http, offered_now = settings.http, {host for hosts in report.candidates.values() for host in hosts}
    if is_loopback(http.host) and not _is_behind_proxy(settings):
        yield "only this machine reaches the relay. For others: `relay serve --host ADDRESS --tls`, or a proxy (OPERATING.md)"
        return
    page = "the proxy's TCP port" if is_loopback(http.host) else f"TCP {http.port}"
    yield f"let in: {page}, and {report.ports}"
    if not settings.workers.advertise and not any(ipaddress.ip_address(host).is_global for host in offered_now):
        yield (
            "behind NAT nobody reaches these addresses from the internet: forward the same ports to this machine, and set "
            'workers.advertise = ["the outside address"]'
        )
    if settings.media_host == "0.0.0.0" and any(":" in host and not is_loopback(host) for host in machine):  # noqa: S104
        yield 'this machine has IPv6, and "0.0.0.0" serves IPv4 only: "::" serves both'
    yield from _certificate_hint(settings, report)
    yield from _buffer_hint(settings.workers.socket_buffer, RMEM_MAX)


def _certificate_hint(settings: Settings, report: Report) -> Iterator[str]:
    """Only the certificate of `--tls`: one from elsewhere is mostly for a name."""
    made = settings.data / "keys" / "tls.crt"
    if settings.http.tls_cert is None or settings.http.tls_cert.resolve() != made.resolve():
        return
    asked = [way.removeprefix("asked at ") for way in report.candidates if way.startswith("asked at ")]
    unnamed = [host for host in asked if not tls.is_named(made, host)]
    if unnamed:
        yield (
            f"the certificate of --tls does not name {', '.join(unnamed)}: clients that check it refuse to connect there. "
            f"Remove {made}, and start again; clients that were given the old one need the new one"
        )


def _buffer_hint(wanted: int, limit: Path) -> Iterator[str]:
    """A user without rights over the network gets no larger socket buffers than the system's limit."""
    try:
        most = int(limit.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return
    if most < wanted:
        yield (
            f"the system allows UDP buffers of {most >> 10} KiB, and {wanted >> 10} KiB are wanted for bursts of many cameras: "
            f"sysctl net.core.rmem_max={wanted} net.core.wmem_max={wanted}"
        )
