#!/usr/bin/env bash
# `make soak`: hours of faults. Runs the tests named `soak_…`, marked `#[ignore = "soak: …"]`.
#   SOAK_SECONDS=3600   how long each soak test goes on      SOAK_SEED=…   to repeat a run
source "$(dirname "$0")/lib.sh"
need_cargo
: >"$SKIPS_FILE"
scripts/install-tools.sh test
have cargo-nextest || die "make soak needs cargo-nextest $NEXTEST_VERSION (see above why it could not be installed)"
export SOAK_SECONDS=${SOAK_SECONDS:-3600}
say "soak: $SOAK_SECONDS s per test${SOAK_SEED:+, seed $SOAK_SEED}"
exec cargo nextest run --locked --features crashpoints,sim --profile soak --run-ignored only --no-tests=pass --no-capture
