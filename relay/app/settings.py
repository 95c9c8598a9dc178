"""Every setting of the relay: one TOML file, environment variables over it, defaults under both.

Owns: names, meanings, defaults and bounds.  Must never know: who uses them.  The models are frozen and
handed down; cores receive plain numbers.  `RELAY_HTTP__PORT=8443` overrides `port` of section `[http]`.
"""

import ipaddress
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from relay.base.errors import Kind, TheirError
from relay.http import proxies
from relay.policy.regimes import Regime

ENV_PREFIX = "RELAY_"
_REPOSITORY = Path(__file__).resolve().parents[2]


class Section(BaseModel):
    """Base of the sections: frozen, no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def is_loopback(host: str) -> bool:
    """Return whether binding `host` exposes nothing beyond this machine: 127.0.0.0/8 or ::1, never a name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Http(Section):
    """The HTTP server for people and cameras."""

    host: str = Field(default="127.0.0.1", description="Address to bind; without a certificate only 127.0.0.0/8 or ::1")
    port: int = Field(default=8080, ge=0, le=65535, description="TCP port; 0 lets the system choose")
    tls_cert: Path | None = Field(
        default=None, description="PEM certificate chain; with `tls_key` everything is served over TLS"
    )
    tls_key: Path | None = Field(default=None, description="PEM private key of `tls_cert`")
    public_origin: str | None = Field(
        default=None,
        pattern=r"^https?://[^/]+$",
        description="Origin under which browsers reach the relay, behind a proxy for example",
    )
    allowed_origins: tuple[str, ...] = Field(
        default=(),
        description="Further origins whose pages may use the WHIP and WHEP endpoints with tokens (CORS); never with cookies",
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(),
        description="Networks (`10.0.0.0/8`) or addresses of the proxies before the relay; only from there `Forwarded` and "
        "`X-Forwarded-*` are believed",
    )
    metrics_token_file: Path | None = Field(
        default=None, description="File with a Bearer token that opens `/metrics`, for a Prometheus elsewhere or beside a proxy"
    )
    ui_dir: Path = Field(default=_REPOSITORY / "command_room_ui" / "dist", description="Folder of the built page")
    ice_servers: tuple[str, ...] = Field(
        default=(), description="`stun:`/`turn:` URLs sent to clients in `Link` headers (RFC 9725 §4.6)"
    )
    session_hours: float = Field(default=12, gt=0, le=24, description="Hours after which a sign-in ends: a shift at most")
    door_rate: float = Field(
        default=10,
        gt=0,
        description="Requests per second at the WHIP, WHEP and wall endpoints and at the sign-in, on average: of an address, "
        "and of each token or sign-in that was right before",
    )
    door_burst: int = Field(default=200, ge=1, description="Requests at once there")
    sign_in_rate: float = Field(default=0.2, gt=0, description="Sign-in attempts per second from one address for one name")
    sign_in_burst: int = Field(default=10, ge=1, description="Sign-in attempts at once from one address for one name")
    max_connections: int = Field(
        default=4096,
        ge=64,
        description="HTTP connections at once; fewer where the process may not open that many descriptors (`LimitNOFILE`)",
    )
    connections_per_address: int = Field(
        default=64,
        ge=8,
        description="Connections of one address (IPv6: /64) at once that are not signed in; four times as many where somebody "
        "signed in or a camera published within 12 hours; a trusted proxy has no such limit",
    )
    live_queue: int = Field(
        default=256, ge=16, description="Answers and ends that may wait for one slow live socket before it is closed"
    )

    @model_validator(mode="after")
    def _exposed_only_under_tls(self) -> Self:
        proxies.networks(self.trusted_proxies)
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        if self.tls_cert is None and not is_loopback(self.host):
            raise ValueError(
                f"{self.host} needs a certificate (tls_cert, tls_key, or --tls): without TLS only loopback is served"
            )
        return self


class Workers(Section):
    """The processes that move packets."""

    count: int = Field(default=1, ge=1, le=64, description="Workers (and recorders); one per core at most")
    host: str | None = Field(
        default=None,
        description="Address for media (UDP, and TCP): `0.0.0.0` every IPv4 address of the machine, `::` every address; "
        "default: `http.host`",
    )
    port_base: int = Field(
        default=8500, ge=0, le=65000, description="UDP port of worker 0; worker i uses the i-th port after it; 0: any"
    )
    advertise: tuple[str, ...] = Field(
        default=(),
        description="Addresses at which cameras and viewers reach the media ports from outside (NAT): offered as candidates "
        "beside the address that their request came to",
    )
    tcp: bool = Field(
        default=True, description="Also take media over TCP on the same port numbers, for networks that block UDP"
    )
    socket_buffer: int = Field(
        default=4 << 20, ge=65536, description="Bytes asked for as kernel buffer of each UDP socket, each way"
    )
    silence_after: float = Field(
        default=4.0, ge=1, le=60, description="Seconds without a packet after which a camera is declared lost"
    )
    max_camera_kbps: int = Field(default=8000, ge=100, description="Bit rate that a camera is asked not to exceed (REMB)")
    playout_delay_max_ms: int = Field(
        default=400, ge=0, le=10000, description="Upper bound of a viewer's buffer (playout-delay extension)"
    )


class Recorder(Section):
    """How recordings are cut and continued."""

    fragment_seconds: float = Field(
        default=0.44, gt=0.05, lt=0.45, description="Length of a fragment, the unit that is hashed and signed"
    )
    segment_seconds: float = Field(default=60, ge=5, le=600, description="Length of a file, extended to the next keyframe")
    reorder_ms: int = Field(
        default=400, ge=0, le=2000, description="Time given to late packets before missing ones become a gap"
    )
    resume_seconds: float = Field(
        default=60, ge=1, le=600, description="A camera that is back within this time continues its recording"
    )
    keep_free_mb: int = Field(
        default=256,
        ge=0,
        description="MiB of the disk that recordings leave free for journal, gaps and the ends of recordings",
    )
    record_grace: float = Field(
        default=10,
        ge=-1,
        description="Seconds that a failed recording has to come back before the live view ends; -1: it goes on unrecorded",
    )
    record_grace_by_regime: dict[Regime, Annotated[float, Field(ge=-1)]] = Field(
        default={}, description="The same for single regimes: `{bodycam_pm = 5}`"
    )


class Evidence(Section):
    """The key on which verdicts are based."""

    public_key: Path | None = Field(
        default=None,
        description="Long-term public key that `relay verify` trusts; default: the one pinned by `relay init` in `keys/`",
    )


class Keys(Section):
    """Where long-term keys are made and found.  A key that exists stays where it is."""

    kek: Literal["file", "pkcs11"] = Field(default="file", description="Where the key-encryption key is: a file, or a token")
    signing: Literal["file", "pkcs11"] = Field(default="file", description="Where the long-term signing key is")
    pkcs11_module: Path | None = Field(default=None, description="Library of the token (PKCS#11), a `.so`")
    pkcs11_token: str | None = Field(default=None, description="Label of the token")
    pkcs11_pin_file: Path | None = Field(
        default=None, description="File that holds the token's PIN; refused where others may read it"
    )
    pkcs11_pin_variable: str | None = Field(
        default=None,
        pattern="^[A-Z][A-Z0-9_]*$",
        description="Environment variable that holds the PIN instead; kept from workers and recorders",
    )
    pkcs11_signing_label: str = Field(
        default="relay-signing", min_length=1, description="Label of the signing key in the token"
    )
    pkcs11_kek_label: str = Field(default="relay-kek", min_length=1, description="Label of the key-encryption key there")

    @model_validator(mode="after")
    def _token_is_named_whole(self) -> Self:
        named = self.pkcs11_module is not None and self.pkcs11_token is not None
        with_pin = (self.pkcs11_pin_file is None) != (self.pkcs11_pin_variable is None)
        if (self.kek == "pkcs11" or self.signing == "pkcs11" or self.pkcs11_module is not None) and not (named and with_pin):
            raise ValueError("a token needs pkcs11_module, pkcs11_token, and one of pkcs11_pin_file and pkcs11_pin_variable")
        return self


class Store(Section):
    """The database of catalogue and journal."""

    url: str | None = Field(default=None, description="Database URL; default: SQLite in the data folder")
    patience_seconds: float = Field(
        default=2.0, gt=0, description="Time after which a request is refused (503) because the data disk does not answer"
    )


class Policy(Section):
    """Who runs the relay, and the limits of its authorisation."""

    service: str = Field(default="Service", min_length=1, description="Name of the service; written in every signed start")
    communes: tuple[str, ...] = Field(
        default=(), description="INSEE codes of the communes in the prefect's authorisation; empty: not checked"
    )
    max_cameras: int | None = Field(default=None, ge=1, description="Number of cameras in the prefect's authorisation")
    prefect_days: int | None = Field(
        default=None, ge=1, le=31, description="Term of videoprotection recordings in the prefect's act, in days (VID-04)"
    )
    transmission_minutes: float = Field(
        default=120, gt=0, description="A transmission ends after this time unless confirmed again (LIV-07)"
    )


class Lockout(Section):
    """Protection against guessing of passwords."""

    free_failures: int = Field(default=5, ge=1, description="Failed sign-ins in a row before the next one has to wait")
    first_seconds: float = Field(default=2, gt=0, description="First wait; doubles with each further failure")
    longest_seconds: float = Field(default=900, gt=0, description="Longest wait between two attempts")
    forget_seconds: float = Field(default=86400, gt=0, description="Time after which failures are forgotten")
    free_names: int = Field(
        default=20,
        ge=1,
        description="Different names that may fail from one address, since the last sign-in there, before it has to wait",
    )


class Log(Section):
    """The log on standard error."""

    level: str = Field(default="info", pattern="^(debug|info|warning|error)$", description="Least severity written")
    format: str = Field(default="auto", pattern="^(auto|json|console)$", description="json lines, console text, or by terminal")


class Settings(Section):
    """All settings."""

    data: Path = Field(default=Path("data"), description="Folder of everything that the relay stores; it writes nowhere else")
    http: Http = Http()
    workers: Workers = Workers()
    recorder: Recorder = Recorder()
    evidence: Evidence = Evidence()
    keys: Keys = Keys()
    store: Store = Store()
    policy: Policy = Policy()
    lockout: Lockout = Lockout()
    log: Log = Log()

    @property
    def media_host(self) -> str:
        """The address that workers bind."""
        return self.workers.host or self.http.host

    @property
    def run(self) -> Path:
        """Folder of sockets, pid files and the children's configurations."""
        return self.data / "run"


class _Sources(Settings, BaseSettings):
    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=ENV_PREFIX, env_nested_delimiter="__")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over file; no other source."""
        return env_settings, init_settings


def load(path: Path | None, override: Mapping[str, Mapping[str, object] | object] | None = None) -> Settings:
    """Return the settings of a TOML file (None: defaults), the environment over it and `override` over both.

    Raises TheirError (INVALID) naming each bad key and, where it stands in the file, its line.
    """
    text, values = _read(path)
    _refuse_unknown_environment()
    try:
        return Settings.model_validate(_merge(_Sources(**values).model_dump(), override or {}))
    except ValidationError as error:
        raise TheirError(Kind.INVALID, _explain(error, path, text)) from error


def settings_of(config: Path | None, data: Path | None, http: dict[str, object] | None = None) -> Settings:
    """Return the settings: the file named, else `settings.toml` in the data folder; options win.  Raises TheirError."""
    if config is None:
        beside = (data or load(None).data) / "settings.toml"
        config = beside if beside.exists() else None
    override: dict[str, object] = {"http": http or {}}
    if data is not None:
        override["data"] = data
    return load(config, override)


def _read(path: Path | None) -> tuple[str, dict[str, Any]]:
    if path is None:
        return "", {}
    try:
        text = path.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except OSError as error:
        raise TheirError(Kind.NOT_FOUND, f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TheirError(Kind.INVALID, f"{path}: {error}") from error


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        known = merged.get(key)
        merged[key] = _merge(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return merged


def _refuse_unknown_environment() -> None:
    known = {f"{ENV_PREFIX}{'__'.join(path)}".upper() for path, _, _ in describe()}
    unknown = sorted(name for name in os.environ if name.upper().startswith(ENV_PREFIX) and name.upper() not in known)
    if unknown:
        raise TheirError(Kind.INVALID, f"unknown setting in the environment: {', '.join(unknown)}")


def _explain(error: ValidationError, path: Path | None, text: str) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        loc = tuple(str(part) for part in problem["loc"])
        line = line_of(text, loc)
        where = f"{path}:{line}: " if path is not None and line is not None else ""
        what = "unknown key" if problem["type"] == "extra_forbidden" else problem["msg"]
        lines.append(f"{where}{'.'.join(loc)}: {what}")
    return "\n".join(lines)


def line_of(text: str, loc: tuple[str, ...]) -> int | None:
    """Return the 1-based line of TOML `text` on which the key at `loc` (section, key) stands, None where it does not."""
    section: tuple[str, ...] = ()
    header_line = None
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[([^\[\]]+)\]", line)
        if header:
            section = tuple(part.strip().strip("\"'") for part in header[1].split("."))
            if section == loc[: len(section)] and header_line is None:
                header_line = number
            continue
        key = re.match(r"\s*([A-Za-z0-9_.\"'-]+)\s*=", line)
        if key and (*section, *(part.strip("\"'") for part in key[1].split("."))) == loc:
            return number
    return header_line


def describe() -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Yield (path of names, default, description) of every setting."""
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            for key, inner in kind.model_fields.items():
                yield (name, key), _shown(inner.default), inner.description or ""
        else:
            yield (name,), _shown(field.default), field.description or ""


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return "[]" if not value else str(list(value))
    if isinstance(value, Path) and value.is_absolute():
        return f"<installation>/{value.relative_to(_REPOSITORY)}"
    return str(value)


def documentation() -> str:
    """Return a Markdown table of all settings, as `relay settings` prints and REFERENCE.md holds."""
    rows = [f"| `{'.'.join(path)}` | `{default}` | {description} |" for path, default, description in describe()]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])
