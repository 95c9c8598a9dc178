"""`scripts/lib.sh`: Node.js trusts the system's certificates unless the caller has chosen others."""

import os
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
import trustme

LIB = Path(__file__).parents[3] / "scripts/lib.sh"
GET = "fetch(process.argv[1]).then(a => a.text()).then(console.log, e => console.log(e.cause?.code ?? e))"


def shell(commands: str, **variables: str) -> str:
    """Source `lib.sh`, run commands without any variable of ours but these, and return what they print."""
    environment = {"PATH": os.environ["PATH"], **variables}
    ran = subprocess.run(
        ["bash", "-c", f'source "$0"; {commands}', str(LIB)], env=environment, capture_output=True, text=True, check=True
    )
    return ran.stdout.strip()


def node_gets(url: str, certificates: Path) -> str:
    """Return what Node.js reads at an address, or the code of its error, where these are the system's certificates."""
    return shell(f"system_certificates='{certificates}'; trust_system_certificates; node -e '{GET}' '{url}'")


def serve_once(authority: trustme.CA) -> tuple[str, threading.Thread]:
    """Answer one HTTPS request on a free port with `hello`; return the address and the thread that serves it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    listening = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with listening:
            raw, _ = listening.accept()
            try:
                with context.wrap_socket(raw, server_side=True) as accepted:
                    accepted.recv(65536)
                    accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
            except OSError:
                raw.close()

    thread = threading.Thread(target=answer)
    thread.start()
    return f"https://localhost:{listening.getsockname()[1]}/", thread


def test_node_is_given_the_systems_certificates(tmp_path: Path) -> None:
    bundle = tmp_path / "system.crt"
    bundle.write_text("")
    asked = f"system_certificates='{bundle}'; trust_system_certificates; bash -c 'echo $NODE_EXTRA_CA_CERTS'"
    assert shell(asked) == str(bundle)


def test_a_choice_of_the_caller_stays(tmp_path: Path) -> None:
    bundle = tmp_path / "system.crt"
    bundle.write_text("")
    asked = f"system_certificates='{bundle}'; trust_system_certificates; bash -c 'echo $NODE_EXTRA_CA_CERTS'"
    assert shell(asked, NODE_EXTRA_CA_CERTS="chosen.crt") == "chosen.crt"


def test_a_system_without_the_bundle_leaves_node_as_it_is(tmp_path: Path) -> None:
    asked = (
        f"system_certificates='{tmp_path / 'none'}'; trust_system_certificates; bash -c 'echo ${{NODE_EXTRA_CA_CERTS:-unset}}'"
    )
    assert shell(asked) == "unset"


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node.js on PATH")
@pytest.mark.parametrize(("trusted", "answer"), [(True, "hello"), (False, "UNABLE_TO_VERIFY_LEAF_SIGNATURE")])
def test_node_reads_through_a_proxy_that_opens_tls(tmp_path: Path, trusted: bool, answer: str) -> None:
    proxy, another = trustme.CA(), trustme.CA()
    bundle = tmp_path / "system.crt"
    (proxy if trusted else another).cert_pem.write_to_path(bundle)
    url, serving = serve_once(proxy)
    assert node_gets(url, bundle) == answer
    serving.join(30)
