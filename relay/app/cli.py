"""`relay`: the command line.

Owns: commands and their help texts.  Must never know: how anything is done.
"""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from relay.app import backup_cmd, check_cmd, doctor, journal_cmd, keys_cmd, logs, verify_cmd
from relay.app.keyrings import keyring_of
from relay.app.private import make_private
from relay.app.settings import Settings, documentation, settings_of
from relay.app.terminal import EXIT, SOFTWARE, AsJson, ConfigOption, DataOption, ask, complain, errors, say, screen, show
from relay.app.tls import ensure_certificate
from relay.base.encodable import let_every_text_pass
from relay.base.errors import Kind, RelayError, TheirError
from relay.evidence.exits import Exit, exit_code_of
from relay.policy.roles import Role
from relay.runtime.cage import harden

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Live relay for body cameras.")
user_app = typer.Typer(no_args_is_help=True, help="People.")
camera_app = typer.Typer(no_args_is_help=True, help="Cameras.")
app.add_typer(user_app, name="user")
app.add_typer(camera_app, name="camera")
app.add_typer(journal_cmd.app, name="journal")
app.add_typer(keys_cmd.app, name="keys")
app.command("verify")(verify_cmd.verify)
app.command("check")(check_cmd.check)
app.command("doctor")(doctor.doctor)
app.command("backup")(backup_cmd.backup)
app.command("restore")(backup_cmd.restore)

JUDGING = (["verify"], ["check"], ["journal"], ["doctor"])
"""Commands that give a verdict: their exit codes are those of `evidence.exits`."""

TEMPLATE = """# Settings of this relay; `relay settings` documents all of them.  Unknown keys are refused.
[policy]
service = "{service}"

[evidence]
public_key = "{public_key}"
"""


def main() -> None:
    """Run the command line; every error becomes one line and an exit code (`terminal`, `evidence.exits`)."""
    harden()
    let_every_text_pass(sys.stdout, sys.stderr)
    verdict = sys.argv[1:2] in JUDGING
    code = exit_code_of(lambda: _run(judging=verdict))
    raise SystemExit(SOFTWARE if code == Exit.OURS and not verdict else code)


def _run(*, judging: bool) -> int:
    """Run one command and return its exit code; `judging`: it gives a verdict, so that 1 means a finding and nothing else."""
    try:
        return app(standalone_mode=False) or 0
    except typer.TyperException as error:
        complain(f"{error.format_message()}\n`relay --help` lists the commands, `relay COMMAND --help` their options.")
        return Exit.OURS if judging else EXIT[Kind.INVALID]
    except typer.Abort:
        complain("stopped")
        return Exit.STOPPED
    except SystemExit as ended:
        # The command line library ends so, with 1, where nobody reads the output any more.
        return Exit.OURS if judging else int(ended.code or 0)
    except RelayError as error:
        complain(error.detail)
        if judging:
            return Exit.UNREADABLE if isinstance(error, TheirError) else Exit.OURS
        return EXIT.get(error.kind, SOFTWARE)


@app.command()
def serve(
    config: ConfigOption = None,
    data: DataOption = None,
    in_process: Annotated[bool, typer.Option("--in-process", help="Everything in one process, for debugging")] = False,
    host: Annotated[str | None, typer.Option(help="Address to bind")] = None,
    port: Annotated[int | None, typer.Option(help="TCP port")] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Serve over TLS; a certificate is made unless settings name one")] = False,
) -> None:
    """Run the relay until Ctrl-C: workers end first, then recorders close their recordings, then control."""
    http: dict[str, object] = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    settings = tls_settings(config, data, http) if tls else settings_of(config, data, http)
    logs.configure(settings.log.level, settings.log.format, "supervisor")
    # Only here: other commands need no process of their own.
    from relay.app.serve import serve as run_relay

    run_relay(settings, one_process=in_process)


def tls_settings(config: Path | None, data: Path | None, http: dict[str, object]) -> Settings:
    """Return the settings with a certificate, made in the data folder where none is named."""
    host = http.pop("host", None)
    base = settings_of(config, data, http)
    name = str(host or base.http.host)
    certificate, key = base.http.tls_cert, base.http.tls_key
    if certificate is None or key is None:
        certificate, key = ensure_certificate(base.data / "keys", name)
    return settings_of(config, data, {**http, "host": name, "tls_cert": certificate, "tls_key": key})


@app.command()
def init(
    data: DataOption = None,
    service: Annotated[str, typer.Option(help="Name of the service, written in every signed start")] = "Service",
) -> None:
    """Make the data folder, the keys, the database and a settings file that pins the public key.  No account exists yet."""
    settings = settings_of(None, data)
    make_private(settings.data)
    keyring = keyring_of(settings)
    keyring.dtls_pem()
    path = settings.data / "settings.toml"
    if not path.exists():
        public_key = (settings.data / "keys" / "signing.pub").resolve()
        text = TEMPLATE.format(service=_toml(service), public_key=_toml(str(public_key)))
        path.write_text(text + _keys_section(settings), encoding="utf-8")
    ask(settings_of(None, data), lambda found: found.call("GET", "/healthz"))
    say(f"{settings.data}: ready; public key {keyring.public_key.hex()}")


def _keys_section(settings: Settings) -> str:
    """Return the section `keys` as it was given at `init`, nothing where all of it is by default."""
    given = settings.keys.model_dump(mode="json", exclude_defaults=True)
    lines = [f'{name} = "{_toml(str(value))}"' for name, value in given.items()]
    return "\n".join(["", "[keys]", *lines, ""]) if lines else ""


def _toml(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


@app.command()
def settings(as_json: AsJson = False) -> None:
    """Print the documentation of every setting."""
    if as_json:
        screen.print_json(json.dumps(Settings.model_json_schema()))
    else:
        typer.echo(documentation())


@user_app.command("add")
def user_add(
    user: str,
    role: Annotated[Role, typer.Option(help="What the person is designated for")],
    name: Annotated[str, typer.Option(help="Name of the person; default: the account's")] = "",
    act_ref: Annotated[str, typer.Option(help="Reference of the act of designation")] = "",
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Designate a person; prints a one-time password, which must be changed at the first sign-in."""
    body = {"user": user, "name": name or user, "role": role.value, "act_ref": act_ref}
    found = ask(settings_of(config, data), lambda made: made.call("POST", "/api/users", body))
    typer.echo(found["password"])


@user_app.command("list")
def user_list(config: ConfigOption = None, data: DataOption = None, as_json: AsJson = False) -> None:
    """List people."""
    found = ask(settings_of(config, data), lambda made: made.call("GET", "/api/users"))
    show(found["users"], ("user", "name", "role", "disabled", "must_change", "created_at"), as_json=as_json)


@user_app.command("remove")
def user_remove(user: str, config: ConfigOption = None, data: DataOption = None) -> None:
    """Remove a person; what they watch ends, the journal keeps their name."""
    ask(settings_of(config, data), lambda made: made.call("DELETE", f"/api/users/{user}"))


@user_app.command("sign-out")
def user_sign_out(user: str, config: ConfigOption = None, data: DataOption = None) -> None:
    """Sign a person out everywhere; what they watch ends at once."""
    found = ask(settings_of(config, data), lambda made: made.call("POST", f"/api/users/{user}/sign-out"))
    typer.echo(f"{found['ended']} sessions ended")


@user_app.command("reset-password")
def user_reset(user: str, config: ConfigOption = None, data: DataOption = None) -> None:
    """Give a person a new one-time password."""
    found = ask(settings_of(config, data), lambda made: made.call("PATCH", f"/api/users/{user}", {"reset_password": True}))
    typer.echo(found["password"])


class Original(StrEnum):
    """Where the one recording lives."""

    RELAY = "relay"
    CAMERA = "camera"


@camera_app.command("enrol")
def camera_enrol(
    camera: str,
    label: Annotated[str, typer.Option(help="What people call it; default: its name")] = "",
    regime: Annotated[str, typer.Option(help="Legal regime")] = "bodycam_pm",
    original: Annotated[Original, typer.Option(help="Where the one recording lives")] = Original.RELAY,
    live_audio: Annotated[bool, typer.Option("--live-audio", help="Its sound may be heard live")] = False,
    commune: Annotated[str, typer.Option(help="INSEE code of the commune")] = "",
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Enrol a camera; prints its token, once."""
    body = {
        "camera": camera,
        "label": label or camera,
        "regime": regime,
        "original": original.value,
        "live_audio": live_audio,
        "commune": commune,
    }
    found = ask(settings_of(config, data), lambda made: made.call("POST", "/api/cameras", body))
    typer.echo(found["token"])


@camera_app.command("list")
def camera_list(config: ConfigOption = None, data: DataOption = None, as_json: AsJson = False) -> None:
    """List cameras."""
    found = ask(settings_of(config, data), lambda made: made.call("GET", "/api/cameras"))
    show(found["cameras"], ("camera", "label", "regime", "original", "live_audio", "revoked_at"), as_json=as_json)


@camera_app.command("revoke")
def camera_revoke(camera: str, config: ConfigOption = None, data: DataOption = None) -> None:
    """Revoke a camera: its publishing stops within a second."""
    ask(settings_of(config, data), lambda made: made.call("DELETE", f"/api/cameras/{camera}"))


@app.command()
def export(
    recording: str,
    out: Annotated[Path, typer.Argument(help="Zip file to write")],
    user: Annotated[str, typer.Option(help="Commander who extracts; the password is asked for")],
    motive: Annotated[str, typer.Option(help="Why")],
    legal_basis: Annotated[str, typer.Option(help="CPP_60-1, CPP_77-1-1, CPP_99-3, administrative, disciplinaire ...")],
    requesting_agent: Annotated[str, typer.Option(help="Who asks")],
    requesting_service: Annotated[str, typer.Option(help="Of which service")],
    procedure_no: Annotated[str, typer.Option(help="Number of the procedure")],
    from_ns: Annotated[int, typer.Option("--from", help="Start of the interval, UTC nanoseconds")] = 0,
    to_ns: Annotated[int, typer.Option("--to", help="End of the interval, UTC nanoseconds")] = (1 << 62),
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Extract a recording: sealed bytes, chain, statement, verifier.  Entered in the journal like any extraction."""
    if out.exists():
        raise TheirError(Kind.CONFLICT, f"{out} exists")
    from relay.app.extract import extract

    password = typer.prompt("Password", hide_input=True)
    body = {
        "from": from_ns,
        "to": to_ns,
        "motive": motive,
        "legal_basis": legal_basis,
        "requesting_agent": requesting_agent,
        "requesting_service": requesting_service,
        "procedure_no": procedure_no,
    }
    ask(settings_of(config, data), lambda found: extract(found, user, password, recording, body, out, errors))
