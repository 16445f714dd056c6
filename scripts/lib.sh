# shellcheck shell=bash
# Shared by the scripts beside it: messages, steps with a time limit, and the summary. Source it; it changes to the tree's root.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
export ROOT

# Pinned: a newer release must not turn yesterday's green run red.
export NEXTEST_VERSION=0.9.151 DENY_VERSION=0.20.2 MUTANTS_VERSION=27.1.0 \
    CLAUDE_VERSION=2.1.329 CODEX_VERSION=0.169.0 QWEN_VERSION=0.15.10 \
    GEMINI_VERSION=0.61.0 OPENCODE_VERSION=1.18.33

# Tools that the scripts install go here and nowhere else, so that nothing of the user's is replaced.
TOOLS_DIR=${TOOLS_DIR:-$ROOT/target/tools}
PATH=$TOOLS_DIR/bin:$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
export PATH TOOLS_DIR

# The real agents that tests drive, outside the tree: one copy for all trees of a user (scripts/install-agents.sh).
TEST_AGENTS_DIR=${TEST_AGENTS_DIR:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/auto-claude-test}
export TEST_AGENTS_DIR

# Where a step's SKIPPED lines are gathered; a script that starts others hands its own file down.
mkdir -p target
SKIPS_FILE=${SKIPS_FILE:-$ROOT/target/skips.txt}
export SKIPS_FILE

say() { printf '\n== %s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
die() { warn "error: $*"; exit 1; }

# skipped WHAT REASON: says that a part does not run here, and keeps it for the summary.
skipped() {
    printf 'SKIPPED: %s: %s\n' "$1" "$2" | tee -a "$SKIPS_FILE"
}

have() { command -v "$1" >/dev/null 2>&1; }

need_cargo() {
    have cargo || die "cargo is not installed. Install the Rust toolchain, then run this again:
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh
  (or the rustup package of your distribution; rust-toolchain.toml names the version, rustup fetches it by itself)"
    have cc || [ "${NEED_CC:-1}" = 0 ] || as_root_install gcc libc6-dev || true
    have cc || die "no C compiler (cc): the bundled SQLite is compiled from source. On Debian: apt-get install gcc libc6-dev"
}

# release_cargo COMMAND ARG…: cargo for release binaries, which hold their C library (glibc's static libraries come with
# libc6-dev; without them the binaries are linked as usual). Each task is a process of ours: without a dynamic loader it
# starts sooner, which is a sixth more tasks per second. A target of its own, or build scripts and macros would get the flag.
release_cargo() {
    local command=$1 flags=${RUSTFLAGS:-}
    shift
    if echo 'int main(void) { return 0; }' | cc -static -x c - -o target/static-probe 2>/dev/null; then
        flags="$flags -C target-feature=+crt-static"
    fi
    rm -f target/static-probe
    RUSTFLAGS=$flags cargo "$command" --locked --target "$(host_triple)" "$@"
}

host_triple() { rustc -vV | sed -n 's/^host: //p'; }

# as_root CMD…: as root, by sudo without a password where possible; fails otherwise.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}

# as_root_install PACKAGE…: Debian packages, without a question and without starting a service.
as_root_install() {
    have apt-get || return 1
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >/dev/null 2>&1 && return 0
    # The package lists of a fresh image are empty or old.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null 2>&1 || return 1
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >/dev/null 2>&1
}

# ---- Steps: every one runs, even after a failure; the summary says which failed.

STARTED_S=$SECONDS
FAILED_STEPS=()

# seconds_left LIMIT_S: what is left of a limit counted from the start of this script; 0 when it is used up.
seconds_left() {
    local left=$(($1 - (SECONDS - STARTED_S)))
    [ "$left" -gt 0 ] && echo "$left" || echo 0
}

# step NAME CMD…: runs CMD inside what is left of LIMIT_S.
step() {
    local name=$1 left rc=0 begun=$SECONDS
    shift
    left=$(seconds_left "$LIMIT_S")
    if [ "$left" = 0 ]; then
        FAILED_STEPS+=("$name (no time left of $LIMIT_S s)")
        warn "error: $name: not run, the limit of $LIMIT_S s is used up"
        return 0
    fi
    say "$name"
    # --foreground keeps Ctrl-C working; cargo replaces itself by its subcommand, so that one gets the signal.
    timeout --foreground --kill-after=20 "$left" "$@" || rc=$?
    case $rc in
        0) printf -- '-- %s: ok, %s s\n' "$name" "$((SECONDS - begun))" ;;
        124 | 137) FAILED_STEPS+=("$name (over the limit of $LIMIT_S s)") ;;
        *) FAILED_STEPS+=("$name") ;;
    esac
}

# attribute JUNIT NAME: a number of the outermost element of a JUnit file; 0 without one.
attribute() {
    [ -f "$1" ] || { echo 0; return; }
    { grep -m1 -oE "<testsuites [^>]*" "$1" || true; } | { grep -oE " $2=\"[0-9]+" || true; } |
        awk -F'"' '{ n = $2 } END { print n + 0 }'
}

# junit_failed JUNIT and junit_passed JUNIT: how many tests of a nextest run.
junit_failed() { echo $(($(attribute "$1" failures) + $(attribute "$1" errors))); }
junit_passed() { echo $(($(attribute "$1" tests) - $(junit_failed "$1"))); }

# show_skips: what was skipped, each once, with its reason.
show_skips() {
    if [ -s "$SKIPS_FILE" ]; then
        echo "Skipped, and why:"
        sort -u "$SKIPS_FILE" | sed 's/^SKIPPED: /  - /'
    else
        echo "Nothing was skipped."
    fi
}
