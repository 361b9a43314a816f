# Build Swarm. Two commands matter: `make demo` runs the main job, `make test` passes the tests. Each does all of its
# set-up on a fresh Debian 12 with git, build-essential, curl, a Rust toolchain, and root.

.PHONY: demo test dist man gentoo package-check docs chaos bench bench-binhost bench-queue bench-fleet bench-dashboard screenshots setup build lint sqlx sqlx-check fmt help
.DEFAULT_GOAL := help

CARGO ?= cargo

help:   ## Say what there is.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 16

demo: setup build   ## Build a world set on two drones and install them on a workstation.
	tests/demo

test: setup lint build sqlx-check   ## Everything: lints, unit tests, end-to-end tests on real Portage.
	tests/gentoo-box/selftest
	tests/with-services $(CARGO) test --workspace --no-fail-fast -- --test-threads=4

SEEDS ?= 100
FIRST ?= 0
JOBS ?= 4

chaos: setup   ## Whole swarms under faults: SEEDS=100 of them from FIRST=0, JOBS=4 at a time.
	$(CARGO) build --release --workspace
	target/release/chaos --first $(FIRST) --jobs $(JOBS) $(SEEDS)

# Standard output is the report; what the preparations say goes to standard error.
bench:   ## Measure, JSON lines on standard output; `make bench-NAME` for one: roots, resolve, rebuild, overhead.
	@$(MAKE) --no-print-directory setup >&2
	@$(CARGO) build --release --workspace
	@tests/with-services --durable $(CARGO) bench --quiet --package swarm-tests --bench swarm -- $(ONLY)

# The same of the binhost alone, beside Portage's own tools and nginx; one of its benches with BENCH=NAME.
bench-binhost:   ## Measure the binhost, JSON lines.
	@$(MAKE) --no-print-directory setup >&2
	@$(CARGO) build --release --workspace
	@$(CARGO) bench --quiet --package swarm-tests --bench binhost -- $(BENCH)

# The same of the queue: the scheduler, the claim path, large fleets; one of its benches with BENCH=NAME.
bench-queue:   ## Measure the queue, JSON lines.
	@$(MAKE) --no-print-directory setup >&2
	@$(CARGO) build --release --workspace
	@tests/with-services --durable $(CARGO) bench --quiet --package swarm-tests --bench queue -- $(BENCH)

# The same of deploying to ten machines.
bench-fleet:   ## Measure deploying to ten machines, JSON lines.
	@$(MAKE) --no-print-directory setup >&2
	@$(CARGO) build --release --workspace
	@tests/with-services $(CARGO) bench --quiet --package swarm-tests --bench fleet

# The same of the dashboard; one of its benches with BENCH=NAME.
bench-dashboard:   ## Measure the dashboard, JSON lines.
	@$(MAKE) --no-print-directory setup >&2
	@$(CARGO) build --release --workspace
	@tests/with-services --durable $(CARGO) bench --quiet --package swarm-tests --bench dashboard -- $(or $(BENCH),pages viewers)

screenshots:   ## The dashboard's main pages as pictures in docs/screenshots.
	@$(MAKE) --no-print-directory bench-dashboard BENCH=screenshots >&2

bench-%:
	@$(MAKE) --no-print-directory bench ONLY=$*

setup:   ## Install what the tests and the demo need; idempotent.
	tests/setup-host
	tests/gentoo-box/setup

TARGET ?= x86_64-unknown-linux-gnu
COMMIT ?= $(shell git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null)
PROGRAMS = build-orchestrator build-binhost build-drone swarm
CARGO_HOME ?= $(HOME)/.cargo

# Nothing of where it is built comes in, so that equal sources give equal bytes in any directory and for any user.
dist: export RUSTFLAGS = -C target-feature=+crt-static \
	--remap-path-prefix=$(CURDIR)=/build-swarm --remap-path-prefix=$(CARGO_HOME)=/cargo
dist: export CFLAGS = -ffile-prefix-map=$(CARGO_HOME)=/cargo
dist: export BUILD_SWARM_COMMIT = $(COMMIT)
dist:   ## Static programs with their checksums, in dist/: for TARGET=x86_64-unknown-linux-musl where that is installed.
	$(CARGO) build --locked --profile dist --target $(TARGET) $(PROGRAMS:%=--package %) \
		--package swarm-protocol --features swarm-protocol/rust-resolver
	mkdir -p dist
	cd $${CARGO_TARGET_DIR:-target}/$(TARGET)/dist && cp $(PROGRAMS) $(CURDIR)/dist/
	cd dist && sha256sum $(PROGRAMS) >SHA256SUMS

# What a package installs beside the programs.
man:   ## Manual pages and completions of `swarm`, in dist/man1 and dist/completions.
	mkdir -p dist/completions
	$(CARGO) build --package swarm
	set -e; swarm=$${CARGO_TARGET_DIR:-target}/debug/swarm; rm -rf dist/man1; $$swarm man dist/man1; \
	for shell in bash zsh fish; do $$swarm completions $$shell >dist/completions/swarm.$$shell; done

gentoo:   ## Gentoo's package of this version, in dist/gentoo/: source archives, and a repository with their ebuild.
	version=$$(packaging/gentoo-archives dist/gentoo) && packaging/gentoo-repository dist/gentoo "$$version"

package-check: setup   ## Install the live ebuild and a release's with real Portage, and remove them.
	tests/packaging/emerge

build:   ## Build all binaries.
	$(CARGO) build --workspace

lint:   ## Format, clippy (warnings are errors), bans, licences, sources, shell scripts, service files.
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) deny check bans licenses sources
	shellcheck -x tests/with-services tests/setup-host tests/demo tests/check-queries tests/check-units .ci/run
	shellcheck -x packaging/gentoo-archives packaging/gentoo-repository tests/packaging/emerge tests/packaging/scan tests/packaging/tree
	tests/check-units
	tests/packaging/scan
	cd tests/gentoo-box && shellcheck -x setup box selftest update-manifests lib/machine lib/init

sqlx:   ## Renew .sqlx/ from the migrations and the queries.
	tests/with-services tests/check-queries --renew

sqlx-check:   ## Check that .sqlx/ is what the migrations and the queries give.
	tests/with-services tests/check-queries

docs:   ## Renew docs/API.md from the API.
	UPDATE_DOCS=1 $(CARGO) test --quiet --package build-orchestrator --lib api::document

fmt:   ## Format.
	$(CARGO) fmt --all
