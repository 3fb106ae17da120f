# Shared by the other scripts. Finds and installs the system packages that the project needs.
# shellcheck shell=sh

say() { printf '%s\n' "$*" >&2; }

have() { command -v "$1" >/dev/null 2>&1; }

# Prints the folder of the newest PostgreSQL server. Searches the same places as src/dev/postgres.
postgres_binaries() {
    if [ -n "${PG_BIN:-}" ]; then
        [ -x "$PG_BIN/initdb" ] && [ -x "$PG_BIN/postgres" ] && printf '%s\n' "$PG_BIN"
        return
    fi
    {
        printf '%s\n' "$PATH" | tr ':' '\n'
        for folder in /usr/lib/postgresql/*/bin /usr/lib/postgresql*/bin /usr/pgsql-*/bin \
            /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin \
            /home/linuxbrew/.linuxbrew/opt/postgresql*/bin \
            /Applications/Postgres.app/Contents/Versions/*/bin; do
            printf '%s\n' "$folder"
        done
        if have pg_config; then pg_config --bindir 2>/dev/null; fi
    } | while IFS= read -r folder; do
        # The real folder, because a link in PATH often names one program of several.
        real=$(readlink -f "$folder/postgres" 2>/dev/null) || continue
        folder=${real%/*}
        { [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ]; } || continue
        major=$("$folder/postgres" --version 2>/dev/null </dev/null |
            sed -n 's/^postgres (PostgreSQL) \([0-9][0-9]*\).*/\1/p')
        [ "${major:-0}" -ge 13 ] && printf '%s %s\n' "$major" "$folder"
    done | sort -k 1,1nr -s | sed -n '1s/^[0-9]* //p'
}

# Installs Debian packages, as root or with sudo. Asks no questions, so it runs without a terminal.
apt_install() {
    say "Installing $* with apt-get."
    if [ "$(id -u)" -eq 0 ]; then
        set -- env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
        apt-get update -qq </dev/null >&2 || return
    else
        set -- sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
        sudo apt-get update -qq >&2 || return
    fi
    "$@" </dev/null >&2
}

can_apt() { have apt-get && { [ "$(id -u)" -eq 0 ] || have sudo; }; }

need_rust() {
    if ! have cargo && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
        PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
        export PATH
    fi
    if ! have cargo; then
        say "cargo is missing: install Rust from https://rustup.rs, and a C compiler (cc) if there is none."
        exit 1
    fi
    have cc && return
    if can_apt; then apt_install gcc libc6-dev || true; fi
    have cc && return
    say "A C compiler (cc) is missing: run \`apt-get install gcc libc6-dev\` or \`xcode-select --install\`."
    exit 1
}

# No server is needed with DATABASE_URL.
need_postgres() {
    if [ -n "${DATABASE_URL:-}" ] || [ -n "$(postgres_binaries)" ]; then return; fi
    if [ -n "${PG_BIN:-}" ]; then
        say "PG_BIN is not a folder with initdb and postgres."
        exit 1
    fi
    if can_apt; then
        apt_install postgresql || true
    elif have brew; then
        brew install postgresql@17 >&2 || true
    fi
    [ -n "$(postgres_binaries)" ] && return
    say "No PostgreSQL server (13 or newer) is installed: run \`apt-get install postgresql\` or" \
        "\`brew install postgresql@17\`, or set DATABASE_URL to a database of your own."
    exit 1
}

# Debian keeps it out of the PATH of users.
has_haproxy() { have haproxy || [ -x /usr/sbin/haproxy ]; }

need_haproxy() {
    if has_haproxy; then return; fi
    if can_apt; then
        apt_install haproxy || true
    elif have brew; then
        brew install haproxy >&2 || true
    fi
    if has_haproxy; then return; fi
    say "The tests with several servers need haproxy: run \`apt-get install haproxy\` or \`brew install haproxy\`."
    exit 1
}

# PgBouncer 1.21 or newer, or nothing. Older ones cannot pool prepared statements.
pgbouncer_program() {
    for program in "$(command -v pgbouncer 2>/dev/null)" /usr/sbin/pgbouncer target/tools/pgbouncer/run; do
        [ -x "$program" ] || continue
        "$program" --version 2>/dev/null </dev/null | grep -Eq '^PgBouncer 1\.(2[1-9]|[3-9][0-9])' || continue
        printf '%s\n' "$program"
        return
    done
}

# PgBouncer of Debian 13 with its own libraries in target/tools, because Debian 12 has 1.18. apt checks the signatures.
pgbouncer_of_trixie() {
    root=target/tools/pgbouncer
    rm -rf "$root" && mkdir -p "$root/apt/lists/partial" "$root/apt/archives/partial" "$root/root" || return
    printf 'deb [signed-by=%s] http://deb.debian.org/debian trixie main\n' \
        /usr/share/keyrings/debian-archive-keyring.gpg >"$root/apt/sources"
    : >"$root/apt/status"
    place=$PWD/$root/apt
    set -- -qq -o "Dir::State=$place" -o "Dir::State::lists=$place/lists" -o "Dir::State::status=$place/status" \
        -o "Dir::Cache=$place" -o "Dir::Etc::SourceList=$place/sources" -o Dir::Etc::SourceParts=/dev/null \
        -o APT::Sandbox::User=root
    apt-get "$@" update </dev/null >&2 || return
    (cd "$root/apt" && apt-get "$@" download 'pgbouncer=1.24.*' libc6 libcares2 libevent-2.1-7t64 libpam0g libssl3t64 \
        libsystemd0 libcap2 libaudit1 libcap-ng0 zlib1g libzstd1 libgcc-s1 </dev/null >&2) || return
    for package in "$root"/apt/*.deb; do dpkg -x "$package" "$root/root" || return; done
    rm -rf "$root/apt"
    loader=$(cd "$root" && find root -name 'ld-linux-*' -type f | head -n 1)
    # Relative to the script, so that the repository may move.
    # shellcheck disable=SC2016
    printf '#!/bin/sh\nhere=${0%%/*}\nexec "$here/%s" --library-path "$here/%s" "$here/root/usr/sbin/pgbouncer" "$@"\n' \
        "$loader" "${loader%/*}" >"$root/run"
    chmod +x "$root/run"
}

need_pgbouncer() {
    [ -n "$(pgbouncer_program)" ] && return
    if can_apt; then
        say "Installing PgBouncer."
        # An older Debian has an older one.
        case $(apt-cache policy pgbouncer 2>/dev/null | sed -n 's/^  Candidate: //p') in
        1.2[1-9].* | 1.[3-9][0-9].*) apt_install pgbouncer || true ;;
        *) pgbouncer_of_trixie || true ;;
        esac
    elif have brew; then
        brew install pgbouncer >&2 || true
    fi
    [ -n "$(pgbouncer_program)" ] && return
    say "The tests with several servers need PgBouncer 1.21 or newer, as pgbouncer in PATH."
    exit 1
}

# The program of this name in target/tools.
tool() { printf '%s\n' "target/tools/bin/$1"; }

# Builds a tool of crates.io in this version. CI keeps target/tools between its runs.
need_tool() {
    [ "$(sed -n "s/^\"$1 \([^ ]*\) .*/\1/p" target/tools/.crates.toml 2>/dev/null)" = "$2" ] && [ -x "$(tool "$1")" ] && return
    say "Building $1 $2, which takes some minutes."
    cargo install --root target/tools --locked --force --version "$2" "$1" </dev/null >&2
}

# Ends a command after so many seconds. macOS has no `timeout`.
limited() {
    if have timeout; then timeout "$@"; else shift && "$@"; fi
}
