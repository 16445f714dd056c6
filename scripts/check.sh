#!/usr/bin/env bash
# Everything that judges the tree without running it: format, lints, dependencies, docs, shell scripts, unit files.
# Usage: check.sh   (LIMIT_S=600)
source "$(dirname "$0")/lib.sh"
need_cargo
LIMIT_S=${LIMIT_S:-600}

step "format" cargo fmt --all --check
step "lints" cargo clippy --locked --all-targets --features crashpoints,sim -- -D warnings
# What ships is built without the crash points: it must be clean as well.
step "lints, as shipped" cargo clippy --locked --lib --bins -- -D warnings
# A package of its own, run by `make fuzz`: here only whether it still fits the library.
if have c++; then
    step "fuzz targets" cargo check --locked --manifest-path fuzz/Cargo.toml --target-dir target --bins --quiet
else
    skipped "fuzz targets" "libFuzzer needs a C++ compiler"
fi
step "rustdoc" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items --quiet

if have cargo-deny; then
    step "dependencies: bans, licences, sources" cargo deny --locked check --hide-inclusion-graph bans licenses sources
    if timeout 8 git ls-remote --exit-code https://github.com/rustsec/advisory-db HEAD >/dev/null 2>&1; then
        step "dependencies: advisories" cargo deny --locked check --hide-inclusion-graph advisories
    else
        skipped "dependencies: advisories" "the RustSec database cannot be reached"
    fi
else
    skipped "dependencies" "cargo-deny is not installed"
fi

shell_files=(scripts/*.sh .ci/run)
if have shellcheck; then
    step "shell scripts" shellcheck -x --source-path=SCRIPTDIR "${shell_files[@]}"
else
    skipped "shell scripts" "shellcheck is not installed"
fi

if [ ${#FAILED_STEPS[@]} != 0 ]; then
    warn ""
    printf 'FAILED: %s\n' "${FAILED_STEPS[@]}" >&2
    exit 1
fi
