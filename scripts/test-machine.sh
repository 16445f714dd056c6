#!/usr/bin/env bash
# `make test-machine`: the tests that need a machine of their own kind (a booted systemd, QEMU, long crash matrices): those
# marked `#[ignore = "machine: …"]`. They run one after the other and stop at the first failure.
#   MACHINE_LIMIT_S=3600   time in all; what is cut off is said and is no failure
source "$(dirname "$0")/lib.sh"
need_cargo
: >"$SKIPS_FILE"
scripts/install-tools.sh machine
have cargo-nextest || die "make test-machine needs cargo-nextest $NEXTEST_VERSION (see above why it could not be installed)"

limit=${MACHINE_LIMIT_S:-3600}
junit=target/nextest/machine/junit.xml
rm -f "$junit"
rc=0
say "machine tier (limit $limit s)"
timeout --foreground --kill-after=60 "$limit" \
    cargo nextest run --locked --features crashpoints,sim --profile machine --run-ignored only --no-tests=pass || rc=$?
# The first failure ends the run with 100, so a run that reached its limit has had none.
if [ $rc = 124 ] || [ $rc = 137 ]; then
    skipped "the rest of the machine tier" "its $limit s were over"
    rc=0
fi
scripts/skips.sh "$junit" >>"$SKIPS_FILE"
show_skips
echo "$(junit_passed "$junit") passed, $(junit_failed "$junit") failed"
exit $rc
