# The commands of this project; everything is installed under .venv, nothing else of the system is changed
# (but `make test`, which as root installs the system packages that the tests use).
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
STAMP := $(VENV)/.requirements.lock
GO_ENV := GOFLAGS=-mod=mod GOPROXY=off GOTOOLCHAIN=local GOEXPERIMENT=nojsonv2 CGO_ENABLED=0 GOCACHE=$${GOCACHE:-$(CURDIR)/probes/.gocache}
GO := $(GO_ENV) $(CURDIR)/$(VENV)/bin/go
GOFMT = $$($(VENV)/bin/python -c 'import pathlib, go; print(pathlib.Path(go.__file__).parent / "bin" / "gofmt")')
TEST_PACKAGES := openssh-server openssh-client sudo redis-server chromium dropbear-bin busybox-static iproute2 qemu-user-static e2fsprogs libcap2-bin xfsprogs xz-utils opendoas

# Without compiled modules each of the many processes of a start, and of the tests, compiles all of this project's.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help venv up scan test packages lint go-test fuzz py-test lock bench clean

help:
	@echo 'make venv    install the locked packages into .venv and build the probe for this machine'
	@echo 'make up      start everything: console at http://$(HOST):$(PORT) (HOST=, PORT=, ARGS=--no-scan)'
	@echo 'make scan    scan this machine once, without a server (TARGET=root@host ARGS="--identity KEY")'
	@echo 'make test    every check and test'
	@echo 'make fuzz    fuzz targets of the probe (FUZZTIME=30s for each, FUZZ=pattern of names)'
	@echo 'make bench   benchmarks'
	@echo 'make lock    renew requirements.lock (needs uv)'
	@echo 'make clean   remove .venv, builds and caches; data directories stay'

venv: $(STAMP)
	@$(VENV)/bin/python -m probes.build build host

# Renewed only when the lock changed: its copy is the stamp.
$(STAMP): requirements.lock
	@if ! [ -x $(VENV)/bin/python ] || ! $(VENV)/bin/python -c '' 2>/dev/null; then \
		$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
			{ echo 'Python 3.11 or newer is needed: install it, or name it with make PYTHON=/path/to/python3'; exit 1; }; \
		$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
			{ echo 'Python here cannot make virtual environments: run `apt-get install python3-venv` (Debian, Ubuntu) first'; exit 1; }; \
		$(PYTHON) -m venv --clear $(VENV); \
	fi
	@echo 'Installing packages into $(VENV) ...'
	@$(PIP) install --quiet --require-hashes --no-deps --only-binary :all: -r requirements.lock
	@cp requirements.lock $(STAMP)

up: venv
	@exec $(VENV)/bin/python manage.py up --host $(HOST) --port $(PORT) $(ARGS)

scan: venv
	@exec $(VENV)/bin/python manage.py scan $(or $(TARGET),local) $(ARGS)

# Installing takes one thread each, and so does most of lint: Go's tests run beside it.
test:
	@$(MAKE) --no-print-directory -j 2 packages venv
	@$(MAKE) --no-print-directory -j 2 --output-sync=target lint go-test
	$(VENV)/bin/python -m probes.fuzz --blind 300ms
	@$(MAKE) --no-print-directory py-test

# Only those missing, and only as root; without them the tests that need them say so and fail.
packages:
	@missing=''; \
	if command -v dpkg-query >/dev/null; then \
		for package in $(TEST_PACKAGES); do \
			dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || missing="$$missing $$package"; \
		done; \
	fi; \
	if [ -n "$$missing" ]; then \
		if [ "$$(id -u)" != 0 ]; then echo "these packages are missing, tests that use them will fail:$$missing"; exit 0; fi; \
		echo "Installing$$missing ..."; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

lint: venv
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	@unformatted="$$($(GOFMT) -l probes/cmd probes/internal)"; if [ -n "$$unformatted" ]; then echo "gofmt: $$unformatted"; exit 1; fi
	cd probes && $(GO) vet -trimpath ./...
	$(VENV)/bin/python manage.py makemigrations --check --dry-run
	$(VENV)/bin/python -m probes.build check
	$(VENV)/bin/python manage.py rules check

# -trimpath as in the probe's own build: what the standard library compiles to is then kept for both. lint has vetted.
go-test: venv
	cd probes && $(GO) test -trimpath -vet=off ./...

fuzz: venv
	$(VENV)/bin/python -m probes.fuzz $(or $(FUZZTIME),300ms) $(FUZZ)

# Three files at a time on two processors, as many tests wait, each process with servers of its own.
# What fails beside others is asked once more by itself, and both outcomes are told: up to three, more is no accident.
WAITING := tests/faults/ tests/e2e/ tests/embedded/ tests/fleet/
PYTEST := $(VENV)/bin/python -m pytest
FAILED := .pytest_cache/v/cache/lastfailed

py-test: venv
	@rm -f $(FAILED)
	$(PYTEST) -q -n 3 --dist loadfile --no-loadscope-reorder $(WAITING) $(filter-out $(WAITING),$(wildcard tests/*/)) || { \
		status=$$?; \
		[ $$status = 1 ] && [ "$$(grep -c '": true' $(FAILED))" -le 3 ] || exit $$status; \
		echo 'Asked once more, one at a time:'; \
		$(PYTEST) -v --last-failed --last-failed-no-failures=none tests; }

lock:
	@command -v uv >/dev/null || { echo 'uv is needed to renew the lock'; exit 1; }
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--no-header -o requirements.lock

bench: venv
	@if [ -d tests/bench ]; then exec $(VENV)/bin/python -m tests.bench; else echo 'no benchmarks here yet'; fi

clean:
	rm -rf $(VENV) probes/build probes/.gocache staticfiles .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache tests/.artifacts
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
