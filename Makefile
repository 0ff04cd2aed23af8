# Two commands for newcomers: `make demo` and `make test`. Both create .venv on first use.

PYTHON ?= python3
TORCH ?= torch==2.13.0  # `make test TORCH=` leaves PyTorch out; its tests then skip
CHAINER ?= chainer==7.8.1  # `make test CHAINER=` leaves Chainer out
BIN := .venv/bin
# Python compiles a module when it is first imported: to compile all of PyTorch's and JAX's doubles the time to install.
INSTALL := -m pip install --quiet --disable-pip-version-check --no-compile
PIP := $(BIN)/python $(INSTALL)
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

# Chainer's last release is built with pkg_resources, which setuptools 81 dropped: it is built outside of pip's isolation.
BUILD_CHAINER = "setuptools<81" wheel && $(1) $(INSTALL) --no-build-isolation $(CHAINER)

.PHONY: help demo test test-chainer test-paths lint bench bench-quick exactness clean

help:
	@echo "make demo    run both examples; the pictures are in out/ (under 4 minutes)"
	@echo "make test    run all tests (about a quarter of an hour on two cores)"
	@echo "make test-chainer  run Chainer's tests with Chainer as it was published, on NumPy 1.26 (part of make test)"
	@echo "make test-paths  run the tests of the computations on each of NumPy's fast paths (part of make test)"
	@echo "make lint    check the style"
	@echo "make bench   time everything against its peers; writes benchmarks/RESULTS.md (about two hours)"
	@echo "make bench-quick  fail if arrmb has become slower relative to a peer (under a minute)"
	@echo "make exactness  measure gradients against the peers' and 90 digits; writes docs/exactness.md"
	@echo "make clean   remove .venv, out and caches"

.venv/created:
	$(PYTHON) -m venv .venv
	touch $@

.venv/demo: .venv/created setup.cfg pyproject.toml
	$(PIP) --editable ".[examples]"
	touch $@

.venv/test: .venv/created setup.cfg pyproject.toml
ifneq ($(strip $(CHAINER)),)
	$(PIP) $(call BUILD_CHAINER,$(BIN)/python)
endif
	$(PIP) --editable ".[examples,io,peers,scipy,test]" h5py $(TORCH)
	touch $@

# Chainer as it was published, in an environment of its own: NumPy 1.26, Python 3.11 or 3.10.
.venv-chainer/test: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv-chainer
	.venv-chainer/bin/python $(INSTALL) "numpy<2" $(call BUILD_CHAINER,.venv-chainer/bin/python)
	.venv-chainer/bin/python $(INSTALL) "numpy<2" --editable ".[examples]" h5py pytest
	-.venv-chainer/bin/python $(INSTALL) mpich mpi4py  # for ChainerMN; its test skips without
	touch $@

demo: .venv/demo
	$(BIN)/python examples/classify_regions.py --out out/classify_regions
	$(BIN)/python examples/segment_images.py --out out/segment_images
	@echo "The pictures are in out/classify_regions and out/segment_images:"
	@ls out/classify_regions/*.png out/segment_images/*.png

test: .venv/test lint test-chainer test-paths
	$(ONE_THREAD) $(BIN)/python -m pytest --quiet --numprocesses 2 --dist worksteal

# NumPy's fast paths: threads for every batch, however small; and none of them.
# Left out is what they have no bearing on, among it scalar functions, their divided differences, and TF32 (a GPU's).
COMPUTATIONS := tests/ops tests/linalg tests/layers \
	$(patsubst %,tests/test_%.py,batched exactness hessian higher_order registry sparse threads ties transforms) \
	$(patsubst %,--ignore tests/%.py,ops/test_scalar ops/test_divided linalg/test_tf32)

test-paths: .venv/test
	for paths in threads plain; do \
		$(ONE_THREAD) $(BIN)/python -m pytest --quiet --numprocesses 2 --dist worksteal --paths $$paths \
			-k "not torch and not strict and not cupy and not jax" $(COMPUTATIONS) || exit 1; \
	done

OLD_PYTHON := $(shell $(PYTHON) -c "import sys; print(int(sys.version_info < (3, 12)))")
ifeq ($(strip $(CHAINER)),)
test-chainer:
	@echo "without Chainer"
else ifeq ($(OLD_PYTHON),1)
test-chainer: .venv-chainer/test
	$(ONE_THREAD) .venv-chainer/bin/python -m pytest --quiet tests/plugins/test_chainer*.py tests/examples/test_chainer_o2p.py
else
test-chainer:
	@echo "Chainer as it was published needs Python 3.11 or earlier (PYTHON=python3.11): tested with the opt-in only"
endif

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: .venv/test
	$(ONE_THREAD) $(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/layers.py --write --seconds 0.1 --rounds 5

bench-quick: .venv/test
	$(BIN)/python benchmarks/layers.py --quick

exactness: .venv/test
	$(ONE_THREAD) $(BIN)/python benchmarks/exactness.py

clean:
	rm -rf .venv .venv-chainer out .pytest_cache .ruff_cache
