# SPDX-License-Identifier: GPL-2.0
# The front door. `make help` lists what it opens.

MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
JOBS ?= $(shell nproc)

# The one cache folder, outside the checkout.
export REXT4_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/rext4

# KDIR: a prepared kernel tree with CONFIG_RUST=y. Without it, `tools/setup/all` makes one of the stock Debian kernel.
KDIR ?=

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.DEFAULT_GOAL := help

.PHONY: modules
modules: ## Build rext4.ko (KDIR=... for another prepared kernel tree)
	@tools/setup/build-module "$(KDIR)" "$(JOBS)"
