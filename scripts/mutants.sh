#!/usr/bin/env bash
# `make mutants`: changes the pure rooms in every small way that cargo-mutants knows, one at a time, and says which changes no
# test of these rooms notices. Takes hours. What is known of those that stay: docs/proof.md.
#   MUTANTS_ONLY="task holds"   some rooms      MUTANTS_ARGS="…"   more arguments for cargo-mutants ("--shard 0/4", "--re …")
#
# A mutant of the whole package takes minutes to build and test. So each room gets a crate of its own (target/mutants/ROOM): it
# and the rooms above it as copies, and their tests in the same binary; a mutant takes seconds there.
source "$(dirname "$0")/lib.sh"
need_cargo
scripts/install-tools.sh mutants
have cargo-mutants || die "make mutants needs cargo-mutants $MUTANTS_VERSION (see above why it could not be installed)"

rooms=(budget task holds schedule agent attempt)
# A change that makes a test go on for ever is found by this; a room's tests take a few seconds.
timeout_s=60
work=$ROOT/target/mutants
export CARGO_TARGET_DIR=$work/build

# manifest ROOM: only what the pure rooms and their tests need, in the versions of the tree. Each crate has a name of its own, or
# cargo would take what was built of another room for it.
manifest() {
    cat <<END
[package]
name = "mutants-of-$1"
version = "0.1.0"
edition = "2024"
autotests = false
[lib]
name = "auto_claude"
doctest = false
[profile.dev]
debug = 0
[profile.dev.package."*"]
opt-level = 2
[workspace]
END
    sed -n '/^\[dependencies\]/,/^\[lints/p' Cargo.toml |
        grep -E '^\[(dev-)?dependencies|^(jiff|proptest|regex|regex-syntax|serde|serde_json|tempfile|thiserror|toml) ='
}

# library ROOM…: mounts the rooms, and below them the integration tests that begin with the last room's name.
library() {
    local room=${!#} file name
    echo "//! Some of the pure rooms, to be changed by cargo-mutants."
    printf 'pub mod %s;\n' crc "$@"
    echo '#[cfg(test)] extern crate self as auto_claude;'
    for file in "tests/$room.rs" "tests/$room"_*.rs "tests/$room"_*/main.rs; do
        [ -f "$file" ] || continue
        # What starts our programs needs all rooms.
        ! grep -q '^mod common;' "$file" || continue
        name=${file#tests/} name=${name%.rs}
        printf '#[cfg(test)] #[path = "%s/%s"] mod test_%s;\n' "$ROOT" "$file" "${name%/main}"
    done
}

# crate_of ROOM…: the crate of the last one.
crate_of() {
    local crate=$work/${!#} room
    rm -rf "$crate"
    mkdir -p "$crate/src"
    manifest "${!#}" >"$crate/Cargo.toml"
    library "$@" >"$crate/src/lib.rs"
    cp Cargo.lock rust-toolchain.toml "$crate"
    cp src/crc.rs "$crate/src"
    for room in "$@"; do cp -r "src/$room" "$crate/src"; done
    ln -s "$ROOT"/{config,docs,tests} "$crate"
}

failed=()
for i in "${!rooms[@]}"; do
    room=${rooms[i]} rc=0
    [ -z "${MUTANTS_ONLY:-}" ] || [[ " $MUTANTS_ONLY " == *" $room "* ]] || continue
    say "mutants of $room"
    crate_of "${rooms[@]:0:i+1}"
    mkdir -p "$work/out/$room"
    # shellcheck disable=SC2086 # several arguments
    (cd "$work/$room" && cargo mutants --in-place --cargo-arg=--lib --file "src/$room/**" --timeout "$timeout_s" \
        --output "$work/out/$room" ${MUTANTS_ARGS:-}) || rc=$?
    # 2: some were noticed by no test; 3: some were found by the time limit. Anything else is no result.
    case $rc in 0 | 2 | 3) ;; *) failed+=("$room") ;; esac
done
[ ${#failed[@]} = 0 ] || die "no result for: ${failed[*]}"
echo "Every change that no test noticed: $work/out/ROOM/mutants.out/missed.txt"
