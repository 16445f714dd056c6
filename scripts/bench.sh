#!/usr/bin/env bash
# `make bench`: measures the release binaries beside a posix_spawn loop and, where they are installed, tsp, pueue and huey,
# and writes the table in docs/performance.md.
#   ONLY="throughput idle"   some sections only (then the table is printed and not written)
#   BENCH_RUNS=5             runs per figure      BENCH_MILLION=1   1,000,000 pending tasks as well
#   BENCH_DIR=DIR            where state directories go: on the disk to be measured, short enough for a socket's path
source "$(dirname "$0")/lib.sh"
need_cargo
have tsp || as_root_install task-spooler || skipped "tsp beside" "task-spooler is not installed"
have pueue || skipped "pueue beside" "not installed (cargo install --locked pueue takes minutes)"
python3 -c 'import huey' 2>/dev/null || skipped "huey beside" "not installed (pip install huey)"

read -r -a sections <<<"${ONLY:-}"
write=()
[ ${#sections[@]} != 0 ] || write=(--write docs/performance.md)
release_cargo bench --bench numbers -- "${write[@]}" "${sections[@]}"
