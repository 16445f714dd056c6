# Every target is a script in scripts/, which says what it does and which variables it takes.
.DEFAULT_GOAL := help
.PHONY: help build run test check test-machine fuzz mutants soak bench docs install uninstall clean

# Taken as typed: without this, make would expand a `$` inside the user's command line.
override TASK := $(value TASK)
export TASK STATE_DIR PREFIX DESTDIR

help: ## this list
	@echo "auto-claude: runs AI coding agents, or any command, unattended. First: make run"
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F'\t' '{ printf "  make %-14s %s\n", $$1, $$2 }'

build: ## the release binaries, in target/release
	@scripts/build.sh

run: ## build, then supervise one real task to its end (TASK='shell line', STATE_DIR=DIR)
	@scripts/build.sh
	@scripts/run.sh

test: ## install what the tests need, check the tree, run all tests (at most 20 minutes)
	@scripts/test.sh

check: ## format, lints, dependencies, docs and shell scripts only
	@scripts/check.sh

test-machine: ## the tests that need a booted systemd, QEMU, or a long time
	@scripts/test-machine.sh

fuzz: ## every fuzz target for FUZZ_SECONDS=60
	@scripts/fuzz.sh

mutants: ## change the pure rooms bit by bit: which changes does no test notice? (hours; MUTANTS_ONLY="task holds")
	@scripts/mutants.sh

soak: ## hours of faults (SOAK_SECONDS=3600)
	@scripts/soak.sh

bench: ## measure beside a posix_spawn loop; writes docs/performance.md (ONLY="throughput idle")
	@scripts/bench.sh

docs: ## write the generated documents anew
	@scripts/docs.sh

install: ## install what `make build` built (PREFIX=/usr/local DESTDIR=)
	@scripts/install.sh install

uninstall: ## remove it; state and configuration stay
	@scripts/install.sh uninstall

clean: ## remove what was built and the demonstration's state (installed tools stay)
	@[ ! -d target ] || find target -mindepth 1 -maxdepth 1 ! -name tools -exec rm -rf {} +
	@rm -rf fuzz/target fuzz/artifacts fuzz/corpus-run
