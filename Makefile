# Set up, show, test. Everything lies in .venv and out; remove the two and nothing is left.

VENV := .venv
PY := $(VENV)/bin/python
OUT ?= out
INPUT ?=
TORCH := torch==2.13.0

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow lint docs train-smoke clean

help:
	@echo "make setup               .venv with everything the pipeline needs"
	@echo "make demo                run the whole pipeline on a rendered clip; results in $(OUT)/"
	@echo "make demo INPUT=my.mp4   the same with your video (any video file, image folder or rtsp:// URL)"
	@echo "make test                set up what the tests need, and run them"
	@echo "make test-slow           those marked slow, which it leaves out"
	@echo "make lint                ruff and pyright"
	@echo "make docs                the documentation as a site, in $(OUT)/docs"
	@echo "make train-smoke         train from scratch for some minutes, killed once on the way; on a CPU"
	@echo "make clean               remove .venv and $(OUT)"
	@echo "then: $(PY) run_pipeline.py --help"

setup: $(VENV)/.ready

demo: $(VENV)/.ready
	$(PY) run_pipeline.py run configs/demo.yaml -o "$(OUT)" $(if $(INPUT),-i "$(INPUT)")
	$(PY) run_pipeline.py contact-sheet "$(OUT)"

# Side by side, a process a core: first what only computes, then, a file at a time, what starts pipelines, servers and
# cameras. Tests marked slow, of what seldom changes, have a target of their own.
COMPUTING := tests/raftline tests/house tests/docs tests/benchmarks
RUNNING := tests/raftline/cli tests/raftline/video tests/raftline/web tests/docs/test_writing_a_stage.py
PYTEST := $(PY) -m pytest -q -n logical --maxprocesses 8

test: $(VENV)/.ready-test
	@status=0; \
	$(PYTEST) -m "not slow" $(COMPUTING) $(addprefix --ignore=,$(RUNNING)) || status=$$?; \
	$(PYTEST) -m "not slow" --dist loadfile tests $(addprefix --ignore=,$(COMPUTING)) || status=$$?; \
	$(PYTEST) -m "not slow" --dist loadfile $(RUNNING) || status=$$?; \
	echo "left out: the tests marked slow; run them with: make test-slow"; \
	exit $$status

test-slow: $(VENV)/.ready-test
	$(PYTEST) -m slow tests

lint: $(VENV)/.ready-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/pyright --pythonpath $(PY)

docs: $(VENV)/.ready-test
	$(PY) -m mkdocs build --strict --site-dir "$(OUT)/docs"

train-smoke: $(VENV)/.ready
	$(PY) -m raftline.training.smoke "$(OUT)/train/smoke"

clean:
	rm -rf $(VENV) "$(OUT)"

# torch comes first and alone: it is the largest, and what follows must fit it.
$(VENV)/.ready: pyproject.toml | $(VENV)/bin/pip
	$(PY) -m pip install --quiet $(TORCH)
	$(PY) -m pip install --quiet -e .
	@if command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; then \
	    echo "an NVIDIA GPU is there: installing CuPy for the CUDA kernels"; \
	    $(PY) -m pip install --quiet -e '.[gpu]'; \
	fi
	@touch $@

$(VENV)/.ready-test: $(VENV)/.ready
	$(PY) -m pip install --quiet -e '.[test]'
	@touch $@

# Debian's python3 comes without ensurepip unless python3-venv is installed; pip or virtualenv can stand in.
$(VENV)/bin/pip:
	@set -e; \
	for name in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python3.10; do \
	    if command -v $$name >/dev/null && $$name -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 15))' 2>/dev/null; \
	    then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "raftline needs Python 3.10 to 3.14; found: $$(python3 --version 2>&1 || echo none)."; \
	    echo "Install one, or name it: make setup PYTHON=/path/to/python3.11"; exit 2; \
	fi; \
	if $$python -c 'import ensurepip, venv' 2>/dev/null; then $$python -m venv $(VENV); \
	elif $$python -m pip --version >/dev/null 2>&1; then \
	    $$python -m venv --without-pip $(VENV) && $$python -m pip --python $(PY) install --quiet pip; \
	elif $$python -m virtualenv --version >/dev/null 2>&1; then $$python -m virtualenv --quiet $(VENV); \
	else \
	    echo "$$python cannot make a virtual environment: ensurepip, pip and virtualenv are all missing."; \
	    echo "On Debian and Ubuntu: sudo apt-get install python3-venv"; exit 2; \
	fi
