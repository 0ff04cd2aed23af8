# Two commands for newcomers: `make demo` and `make test`. Both create .venv on first use.

PYTHON ?= python3
TORCH ?= torch==2.13.0  # `make test TORCH=` leaves PyTorch out; its tests then skip
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: help demo test lint bench exactness clean

help:
	@echo "make demo    run both examples; the pictures are in out/ (under 4 minutes)"
	@echo "make test    run all tests (under 10 minutes)"
	@echo "make lint    check the style"
	@echo "make bench   time the engine against its peers"
	@echo "make exactness  measure gradients against the peers' and 90 digits; writes docs/exactness.md"
	@echo "make clean   remove .venv, out and caches"

.venv/created:
	$(PYTHON) -m venv .venv
	touch $@

.venv/demo: .venv/created setup.cfg pyproject.toml
	$(PIP) --editable ".[examples]"
	touch $@

.venv/test: .venv/created setup.cfg pyproject.toml
	$(PIP) --editable ".[examples,io,peers,scipy,test]" $(TORCH)
	touch $@

demo: .venv/demo
	$(BIN)/python examples/classify_regions.py --out out/classify_regions
	$(BIN)/python examples/segment_images.py --out out/segment_images
	@echo "The pictures are in out/classify_regions and out/segment_images:"
	@ls out/classify_regions/*.png out/segment_images/*.png

test: .venv/test lint
	$(ONE_THREAD) $(BIN)/python -m pytest --quiet --numprocesses 2

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: .venv/test
	$(ONE_THREAD) $(BIN)/python benchmarks/engine.py

exactness: .venv/test
	$(ONE_THREAD) $(BIN)/python benchmarks/exactness.py

clean:
	rm -rf .venv out .pytest_cache .ruff_cache
