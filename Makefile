# make demo   environment, install, export, certify, verify and report on real images
# make test   environment, install, the tests; make test-all: those that are marked slow or nightly too
# make audit  the full audit of noise and procedures; make nightly: test batteries on the random words
#
# On a machine without a GPU, save the download:
#   make demo TORCH_INDEX=<index of PyTorch's CPU builds, as pytorch.org names it>

PYTHON ?= python3
VENV ?= .venv
TORCH ?= 2.13.0
TORCH_INDEX ?=
BIN := $(VENV)/bin
DEMO := demo
SIGMAS := 0.25 0.5 1.0
N := 10000

# PyTorch's default build for Linux brings the CUDA libraries; an index with CPU builds does not.
NEED_GB := $(if $(TORCH_INDEX),3,10)
SIZE := $(if $(TORCH_INDEX),under 1 GB,several GB unless your package index offers a CPU build)

NATIVE := CMakeLists.txt pyproject.toml constraints.txt \
  $(wildcard kernels/*.cmake kernels/src/* kernels/include/purecert/*)

.PHONY: demo test test-slow test-nightly test-all audit nightly lint check-machine clean

demo: $(VENV)/installed
	$(BIN)/engine-export demo -o $(DEMO)/plan --precision fp32 $(SIGMAS:%=--sigma %) --force
	set -e; for sigma in $(SIGMAS); do \
	  $(BIN)/engine-certify --plan $(DEMO)/plan --data 'digits:test[:100]' --sigma $$sigma \
	    --n0 100 --n $(N) --out $(DEMO)/run-$$sigma --force; \
	  $(BIN)/engine-verify $(DEMO)/run-$$sigma; \
	done
	$(BIN)/engine-report $(SIGMAS:%=$(DEMO)/run-%) --out $(DEMO)/report --force

# One thread each: two processes whose threads wait for each other on two cores take many times as long.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

# CI runs `make test MARKS='not nightly'`, which is test and test-slow at once: what both need is made once.
MARKS := not slow
test: $(VENV)/installed
	$(PYTEST) -m '$(MARKS)'

test-slow: $(VENV)/installed
	$(PYTEST) -m 'slow and not nightly'

test-nightly: $(VENV)/installed
	$(PYTEST) -m nightly

test-all: $(VENV)/installed
	$(PYTEST)

# What the tests sample, in full, with the reports that are committed: noise, planted faults, procedures.
AUDIT := benchmarks/results/audit
audit: $(VENV)/installed
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python benchmarks/audit_noise.py $(AUDIT)/noise.json
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python benchmarks/audit_procedures.py $(AUDIT)/procedures.json

# Public test batteries on the words under the noise; one that is not on PATH is skipped with the reason.
nightly: $(VENV)/installed
	PYTHONPATH=tests $(BIN)/python benchmarks/word_batteries.py $(AUDIT)/words.json

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

$(VENV)/installed: $(NATIVE) | check-machine
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet torch==$(TORCH) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[cpu,export,import,report,dev]'
	touch $@

check-machine:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "expected Python 3.11 or newer, found $$($(PYTHON) --version); set PYTHON=" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, os, sysconfig, sys; \
	  sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' 2>/dev/null || \
	  { echo "expected Python's headers and venv (Debian: python3-dev and python3-venv), found them missing" >&2; exit 2; }
	@command -v g++ >/dev/null && command -v cmake >/dev/null || \
	  { echo "expected g++ and cmake; install them with your system's package manager" >&2; exit 2; }
	@test -e $(VENV)/installed || \
	  echo "Installing into $(VENV): the download is $(SIZE), the disk must have $(NEED_GB) GB free." >&2
	@test -e $(VENV)/installed || \
	  { free=$$(df -Pk . | awk 'NR == 2 {print int($$4 / 1048576)}'); test "$$free" -ge $(NEED_GB) || \
	  { echo "expected $(NEED_GB) GB of free disk, found $$free GB; free some, or set TORCH_INDEX=" >&2; exit 2; }; }

clean:
	rm -rf build $(DEMO) $(VENV)
