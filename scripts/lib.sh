# shellcheck shell=bash disable=SC2034 # what is set here is used where this is sourced
# What scripts/servers, scripts/run and scripts/test share. It is sourced, never run, and expects `set -euo pipefail`.

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }

die() {
    say "${0##*/}: $*"
    exit 1
}

# usage: the comment at the top of the calling script, which is its --help.
usage() { awk 'NR == 1 { next } !/^#/ { exit } { sub(/^# ?/, ""); print }' "$0"; }

# listeners PORT: the inodes of the sockets that listen on PORT, whatever their address. Reading the kernel's table, rather than
# connecting, leaves no trace in the log of the server that happens to be there.
listeners() {
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        awk -v port=":$(printf '%04X' "$1")" '$4 == "0A" && substr($2, length($2) - 4) == port { print $10 }'
}

port_taken() { [[ -n $(listeners "$1") ]]; }

# need_rust COMPONENT…: says what to install instead of failing somewhere in the middle.
need_rust() {
    command -v cargo >/dev/null ||
        die "cargo is not on PATH. Install Rust from https://rustup.rs (the version that Cargo.toml names as rust-version, or newer)."
    command -v cc >/dev/null ||
        die "there is no C compiler, which Rust links with. On Debian: apt-get install gcc libc6-dev"
    command -v make >/dev/null ||
        die "there is no make, which builds the memory allocator. On Debian: apt-get install make"
    local component
    for component in "$@"; do
        cargo "$component" --version >/dev/null 2>&1 || die "cargo $component is missing: rustup component add ${component/fmt/rustfmt}"
    done
}

# group: the process group of the command that `in_group` or `background` started last. `end_group` ends all of it.
group=

# background COMMAND…: starts it in a process group of its own. Ctrl-C then reaches this script only, which decides what ends when,
# and nothing that the command started outlives it unseen.
background() {
    set -m
    "$@" </dev/null &
    group=$!
    set +m
}

# in_group COMMAND…: the same, and waits for it. Unlike a plain foreground command, this lets a trap run at once.
in_group() {
    background "$@"
    local status=0
    wait "$group" || status=$?
    group=
    return "$status"
}

end_group() {
    [[ -n $group ]] || return 0
    kill -TERM -- "-$group" 2>/dev/null || true
    wait "$group" 2>/dev/null || true
    group=
}

# private: not empty where `use_servers` uses private servers. started: those that it started, to be stopped by the caller.
private=
started=()

# use_servers DIR [FLAG…]: DATABASE_URL and AMQP_URL as they are where both are set, and else those of private servers in DIR.
use_servers() {
    local dir=$1 server
    shift
    if [[ -n ${DATABASE_URL:-} && -n ${AMQP_URL:-} ]]; then
        say "servers: those that DATABASE_URL and AMQP_URL name"
        return
    fi
    [[ -z ${DATABASE_URL:-}${AMQP_URL:-} ]] ||
        say "servers: only one of DATABASE_URL and AMQP_URL is set; it is not used, private servers are"
    private=yes
    "$root/scripts/servers" install
    for server in postgres rabbitmq; do
        "$root/scripts/servers" status "$dir" "$server" >/dev/null || started+=("$server")
    done
    "$root/scripts/servers" start "$@" "$dir"
    # shellcheck disable=SC1091
    . "$dir/env"
}

# target_folder: where cargo, called in the project's folder, puts what it builds.
target_folder() {
    local folder=${CARGO_TARGET_DIR:-target}
    [[ $folder == /* ]] || folder=$root/$folder
    echo "$folder"
}
