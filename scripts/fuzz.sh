#!/usr/bin/env bash
# `make fuzz`: runs every target of fuzz/ for a bounded time, from the seeds in fuzz/corpus/<target>, with the pinned stable
# toolchain: libFuzzer needs coverage counters only, and those are plain LLVM flags.
#   FUZZ_SECONDS=60   per target      FUZZ_ONLY="a b"   some targets
source "$(dirname "$0")/lib.sh"
need_cargo
[ -f fuzz/Cargo.toml ] || die "there is no fuzz/Cargo.toml"
have c++ || as_root_install g++ || die "libFuzzer is compiled from source: install a C++ compiler (Debian: apt-get install g++)"

seconds=${FUZZ_SECONDS:-60}
triple=$(rustc -vV | sed -n 's/^host: //p')
# With --target given, build scripts and procedural macros stay without the counters (they would not link).
flags="--cfg fuzzing -Cdebug-assertions -Coverflow-checks -Ccodegen-units=1 -Cpasses=sancov-module"
for counter in level=4 inline-8bit-counters pc-table trace-compares; do
    flags+=" -Cllvm-args=-sanitizer-coverage-$counter"
done

say "building the fuzz targets"
RUSTFLAGS=$flags CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_PANIC=abort \
    cargo build --manifest-path fuzz/Cargo.toml --target-dir fuzz/target --target "$triple" --release --bins

# A libFuzzer run that finds something ends with another status than 0 and leaves the input.
run_target() {
    local target=$1 dirs=("fuzz/corpus-run/$1")
    mkdir -p "fuzz/corpus-run/$target" "fuzz/artifacts/$target"
    [ -d "fuzz/corpus/$target" ] && dirs+=("fuzz/corpus/$target")
    "fuzz/target/$triple/release/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 \
        -print_final_stats=1 -artifact_prefix="fuzz/artifacts/$target/" "${dirs[@]}" >"fuzz/artifacts/$target.log" 2>&1
}

passed=0 failed=0
for source in fuzz/fuzz_targets/*.rs; do
    target=$(basename "$source" .rs)
    [ -z "${FUZZ_ONLY:-}" ] || [[ " $FUZZ_ONLY " == *" $target "* ]] || continue
    if run_target "$target"; then
        passed=$((passed + 1))
        echo "$target: ok, $(sed -n 's/^stat::number_of_executed_units: *//p' "fuzz/artifacts/$target.log") inputs in $seconds s"
    else
        failed=$((failed + 1))
        warn "$target: FAILED. The input that did it (give its path to the target to repeat), and the end of its log:"
        ls "fuzz/artifacts/$target" >&2
        tail -n 20 "fuzz/artifacts/$target.log" >&2
    fi
done
echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $((passed + failed)) -gt 0 ]
