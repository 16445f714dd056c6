#!/usr/bin/env bash
# Installs what the tests need, as far as rights and network allow: Debian packages for everyone, cargo-nextest and
# cargo-deny into target/tools, the real agents outside the tree (install-agents.sh). What cannot be had is said; the tests
# that need it skip with a reason.
# Usage: install-tools.sh [test|machine|mutants]; `mutants` installs cargo-mutants only.
source "$(dirname "$0")/lib.sh"
tier=${1:-test}

# command:package, one per line; a package is installed when its command is missing.
wanted=(
    cc:gcc strace:strace faketime:faketime jq:jq sqlite3:sqlite3 curl:curl
    mke2fs:e2fsprogs unshare:util-linux systemd-analyze:systemd ps:procps setsid:util-linux
    shellcheck:shellcheck mandoc:mandoc bash:bash zsh:zsh fish:fish
)
if [ "$tier" = machine ]; then
    wanted+=(mmdebstrap:mmdebstrap systemd-nspawn:systemd-container qemu-system-x86_64:qemu-system-x86 setpriv:util-linux)
fi

# Administration tools may sit outside a user's PATH.
present() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null 2>&1; }

install_packages() {
    local pair missing=() commands=()
    for pair in "${wanted[@]}"; do
        present "${pair%%:*}" && continue
        commands+=("${pair%%:*}")
        missing+=("${pair##*:}")
    done
    [ ${#missing[@]} = 0 ] && return 0
    say "Debian packages: ${missing[*]}"
    as_root_install "${missing[@]}" || {
        # One unknown name fails the whole call: try them one by one before giving up.
        local package
        for package in "${missing[@]}"; do as_root_install "$package" || true; done
    }
    for pair in "${commands[@]}"; do
        present "$pair" || skipped "$pair" "not installed, and it could not be installed (needs apt-get with root or passwordless sudo)"
    done
}

# Unoptimised and without debug information: they build in a third of the time, and a test run does not notice.
cargo_tool() {
    local crate=$1 version=$2 rc=0
    shift 2
    "$crate" "${crate#cargo-}" --version 2>/dev/null | grep -qF " $version" && return 0
    say "cargo install $crate $version (once, 1 to 3 minutes)"
    CARGO_TARGET_DIR=$ROOT/target/tools/build CARGO_PROFILE_DEV_DEBUG=false CARGO_INCREMENTAL=0 \
        timeout --foreground 900 cargo install --quiet --locked --debug --root "$TOOLS_DIR" "$@" "$crate@$version" || rc=$?
    # 450 MB of objects that nothing uses again.
    rm -rf "$ROOT/target/tools/build"
    return $rc
}

if [ "$tier" = mutants ]; then
    need_cargo
    cargo_tool cargo-mutants "$MUTANTS_VERSION" || warn "cargo-mutants $MUTANTS_VERSION could not be installed"
    exit 0
fi
install_packages
need_cargo
cargo_tool cargo-deny "$DENY_VERSION" || skipped "cargo deny" "cargo-deny $DENY_VERSION could not be installed (is the crate registry reachable?)"
cargo_tool cargo-nextest "$NEXTEST_VERSION" --no-default-features --features default-no-update ||
    warn "cargo-nextest $NEXTEST_VERSION could not be installed; the tests run under cargo test"
scripts/install-agents.sh "$tier"
