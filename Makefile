# make demo [IMAGE=photo.jpg] [WEIGHTS=w.pth]    sound from a picture, in demo/
# make install                  what that needs, and no more
# make test [COV=1]             the test suite (set NETSOUNDS_TEST_DATA for the tests on real photographs); COV=1 says
#                               which part of the package's lines it runs
# make soak WEIGHTS=w.pth       the long forms of the tests, and docs/reliability.md (an hour)
# make docs                     the documentation as a site, in site/
# make image [ENGINE=podman] [BUILD="--build-arg ..."]    the container image, and its size
# make check                    linter and type checker
# make release                  sdist and wheel in dist/, each installed into a new environment and tried there
# make bench WEIGHTS=w.pth PICTURE=photo.jpg    every benchmark, and benchmarks/RESULTS.md (over an hour)
# Everything goes into .venv, by install.py: what runs for `make demo`, what tests need for the others.
# PYTHON=python3.12 chooses the interpreter (3.11 or later), GPU=1 torch with CUDA in place of its CPU build, and
# TORCH_INDEX=URL another index for torch.

PYTHON ?= python3
ENGINE ?= docker
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
RUNTIME := $(VENV)/.installed$(if $(GPU),-gpu)
DEV := $(VENV)/.installed-dev
INSTALL := $(PYTHON) install.py $(if $(GPU),--gpu) $(if $(TORCH_INDEX),--torch-index '$(TORCH_INDEX)')

.PHONY: install demo test soak image check lint types release bench docs clean

install: $(RUNTIME)

$(RUNTIME): pyproject.toml constraints.txt
	@$(INSTALL)
	@touch $@

$(DEV): $(RUNTIME)
	@$(INSTALL) --extra dev
	@touch $@

demo: $(RUNTIME)
	$(BIN)/netsounds-stream demo $(if $(IMAGE),--image '$(IMAGE)') $(if $(WEIGHTS),--weights '$(WEIGHTS)')

test: $(DEV)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(if $(COV),--cov=netsounds_stream --cov-report=)
ifdef COV
	@total=$$($(BIN)/coverage report --format=total) && \
		echo "$$total % of netsounds_stream's lines ran in the tests' own processes"
endif

soak: $(DEV)
	@test -n '$(WEIGHTS)' || { echo 'make soak needs WEIGHTS=FILE'; exit 1; }
	$(BIN)/python -m tests.soak --weights '$(WEIGHTS)'

image:
	$(ENGINE) build --tag netsounds-stream $(BUILD) .
	@$(ENGINE) image inspect --format '{{.Size}}' netsounds-stream | awk '{ printf "%.0f MB", $$1 / 1e6 }'
	@$(ENGINE) save netsounds-stream | gzip | wc -c | awk '{ printf ", %.0f MB compressed\n", $$1 / 1e6 }'

check: lint types

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV)
	$(BIN)/mypy

release: $(DEV)
	$(BIN)/python release.py

bench: $(DEV)
	@test -n '$(WEIGHTS)' || { echo 'make bench needs WEIGHTS=FILE, and takes PICTURE=FILE'; exit 1; }
	@$(INSTALL) --extra dev --extra bench
	$(BIN)/python benchmarks/run_all.py --check --weights '$(WEIGHTS)' $(if $(PICTURE),--picture '$(PICTURE)')

# mkdocs-material's notice is of what comes after mkdocs 1, to which the constraints hold this
docs: $(DEV)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

clean:
	rm -rf $(VENV) demo dist site
