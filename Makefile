# SPDX-License-Identifier: GPL-2.0
# The front door. `make help` lists what it opens.

MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
JOBS ?= $(shell nproc)

# The one cache folder, outside the checkout.
export REXT4_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/rext4

# A prepared kernel tree with CONFIG_RUST=y. Without it the tree of the stock Debian kernel is made in the cache.
KDIR ?=
# Subjects for `make test`; none means all.
TESTS ?=
# The kernel of `make test-debug`: debug or kcsan.
KERNEL ?= debug

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Prepare toolchain, kernel tree and guest in the cache (the others do it by themselves)
	@tools/setup/all

.PHONY: modules
modules: ## Build rext4.ko (KDIR=... for another prepared kernel tree)
	@tools/setup/build-module "$(KDIR)" "$(JOBS)"

.PHONY: run
run: modules ## Boot, mount, write, trace, unmount, check: see it work
	@tools/demo

.PHONY: test
test: modules ## Run all tests (TESTS="smoke host" for some); ends in `N passed, N failed`
	@tools/tests/run $(TESTS)

.PHONY: crashsim
crashsim: ## Every crash state of small workloads, on the host (CRASHSIM="--seconds 600", "--part 3/10", "--replay ID"; else hours)
	@tools/crashsim/run $(CRASHSIM)

.PHONY: test-debug
test-debug: modules ## The tests with a guest on a kernel with KASAN, lockdep and the like (KERNEL=kcsan for KCSAN; the first run builds it)
	@tools/tests/run --kernel $(KERNEL) $(TESTS)

.PHONY: fuzz
fuzz: ## Fuzz the parsers and mounts of damaged images, address sanitizer on (TIME=600 seconds for all; TARGETS="mount")
	@tools/fuzz/run "$(or $(TIME),600)" $(TARGETS)

.PHONY: fuzz-minimise
fuzz-minimise: ## Put a minimal set of what the fuzzers found into the committed corpora
	@tools/fuzz/run minimise

.PHONY: coverage
coverage: ## The lines of format and core that the corpora and tests of hostile disks reach, per file
	@tools/fuzz/coverage

.PHONY: soak
soak: modules ## Guests killed under load, again and again (TIME=3600 seconds); tells kills, bytes verified, losses
	@REXT4_SOAK=$(or $(TIME),3600) tools/tests/run crash

.PHONY: bench-io
bench-io: modules ## Count bios, KiB and flushes per operation, beside the C driver
	@tools/bench/io

.PHONY: bench-instructions
bench-instructions: modules ## Count instructions per operation, beside the C driver
	@tools/bench/instructions

.PHONY: guest
guest: modules ## A shell in the guest, with rext4 loaded
	@tools/guest

.PHONY: install
install: ## Install rext4.ko for the running kernel (needs KDIR=... of that kernel)
	@tools/setup/install-module "$(KDIR)"

.PHONY: fmt
fmt: ## Format the Rust and C sources
	@tools/check/format --write

.PHONY: lint
lint: modules ## Layer rule, unsafe's one room, sizes, formatting, clippy
	@tools/check/all

.PHONY: doc
doc: ## Build the pages of the code in tools/target/doc
	@cd tools && RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" setup/cargo doc --no-deps --workspace --document-private-items

.PHONY: clean
clean: ## Remove what was built in the checkout
	@tools/setup/clean

.PHONY: distclean
distclean: clean ## Remove the cache folder as well
	@tools/setup/clean --cache
