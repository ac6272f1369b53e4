# SPDX-License-Identifier: Apache-2.0
# The front door. Every target does its own set-up; `make` alone says what there is.

NAME ?= kamaji
TIME ?= 60
BUILD := build
KAMAJI := $(BUILD)/src/cmd/kamaji
PATH := $(PATH):/usr/local/go/bin:/usr/sbin:/sbin
export PATH

.DEFAULT_GOAL := help
.PHONY: help up down status test build lint format fuzz components setup clean proof-%

help: ## this list
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile
	@tools/proof --list

up: ## a real admin cluster and one tenant on this machine (NAME=...)
	@tools/up --name $(NAME)

down: ## take it away again, leaving nothing (NAME=...)
	@tools/setup run
	@tools/build $(BUILD)
	@$(KAMAJI) local down --name $(NAME)

status: ## what runs
	@$(KAMAJI) local status --name $(NAME)

test: ## everything CI proves: lints, units with sanitizers, fuzz replay, end-to-end
	@tools/setup test
	@tools/run-tests

build: ## the program, in build/
	@tools/setup build
	@tools/build $(BUILD)

lint: ## layers, size, banned functions, text, format, shell
	@tools/setup test
	@tools/lint

format: ## clang-format over the whole tree
	@git ls-files '*.c' '*.h' | xargs -r clang-format-19 -i

fuzz: ## every fuzz target for TIME seconds
	@tools/setup test
	@tools/fuzz --seconds $(TIME)

components: ## fetch or build the upstream programs
	@tools/setup run
	@tools/build $(BUILD)
	@tools/components $(KAMAJI)

setup: ## install what building, running and testing need (root), or say what is missing
	@tools/setup test

clean: ## remove build folders
	@rm -rf build build-*

proof-%: ## a slower proof by name
	@tools/setup test
	@tools/proof $*
