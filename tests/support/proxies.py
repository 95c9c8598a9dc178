"""The proxies of OPERATING.md, run as they stand there: only names, ports and files are those of the test.

Owns: one proxy process of one test.  Must never know: what is asked through it.
"""

import asyncio
import contextlib
import os
import re
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import trustme

OPERATING = Path(__file__).parents[2] / "relay" / "OPERATING.md"
KINDS = ("nginx", "caddy")
PATH = f"{os.environ['PATH']}:/usr/sbin"


def free_port() -> int:
    """Return a TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def block(language: str) -> str:
    """Return the one code block of OPERATING.md in this language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", OPERATING.read_text(encoding="utf-8"), re.DOTALL)
    return str(found)


def _prepare(kind: str, folder: Path, port: int, relay_port: int, authority: trustme.CA) -> tuple[str, Path]:
    """Write certificate and configuration; return the program and the configuration."""
    folder.mkdir()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(folder / "tls.key")
    for part in certificate.cert_chain_pems:
        part.write_to_path(folder / "tls.crt", append=True)
    given = {"/etc/relay/tls": f"{folder}/tls", "127.0.0.1:8080": f"127.0.0.1:{relay_port}"}
    text = _nginx(folder, port) if kind == "nginx" else _caddy(port)
    for name, value in given.items():
        assert name in text, name
        text = text.replace(name, value)
    config = folder / "config"
    config.write_text(text)
    command = shutil.which(kind, path=PATH)
    assert command is not None, f"{kind} is missing (Debian: apt-get install {kind})"
    return command, config


@contextlib.asynccontextmanager
async def proxy(kind: str, folder: Path, port: int, relay_port: int, authority: trustme.CA) -> AsyncIterator[None]:
    """Run a proxy with TLS on `port` of 127.0.0.1, before a relay."""
    command, config = _prepare(kind, folder, port, relay_port, authority)
    arguments = {
        "nginx": ["-p", str(folder), "-c", str(config), "-e", "stderr", "-g", "daemon off;"],
        "caddy": ["run", "--adapter", "caddyfile", "--config", str(config)],
    }[kind]
    environment = {
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "PATH": PATH,
    }
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(command, *arguments, env=environment, stdout=log, stderr=log)
    try:
        await _listening(process, port, folder / "log")
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def _nginx(folder: Path, port: int) -> str:
    """Return the whole configuration: the block stands in an `http` section, as in Debian's sites-enabled."""
    site = block("nginx").replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl").replace("relay.example", "localhost")
    temporary = "".join(f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return f"pid {folder}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{site}}}\n"


def _caddy(port: int) -> str:
    options = "{\n    admin off\n    default_bind 127.0.0.1\n    auto_https disable_redirects\n}\n"
    return options + block("caddyfile").replace("relay.example", f"https://localhost:{port}")


async def _listening(process: asyncio.subprocess.Process, port: int, log: Path) -> None:
    async with asyncio.timeout(60):
        while True:
            if process.returncode is not None:
                raise AssertionError(await asyncio.to_thread(log.read_text))
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)
