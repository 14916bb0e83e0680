# make demo [IMAGE=photo.jpg]   sound from a picture, in demo/
# make test                     the test suite (set NETSOUNDS_TEST_DATA for the tests on real photographs)
# make soak WEIGHTS=w.pth       the long forms of the tests, and docs/reliability.md (an hour)
# make docs                     the documentation as a site, in site/
# make image [ENGINE=podman] [BUILD="--build-arg ..."]    the container image, and its size
# make check                    linter and type checker
# make bench WEIGHTS=w.pth PICTURE=photo.jpg    every benchmark, and benchmarks/RESULTS.md (over an hour)
# Everything goes into .venv; PYTHON chooses the interpreter (3.11 or later).

PYTHON ?= python3
ENGINE ?= docker
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: install demo test soak image check bench docs clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: install
	$(BIN)/netsounds-stream demo $(if $(IMAGE),--image '$(IMAGE)')

test: install
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

soak: install
	@test -n '$(WEIGHTS)' || { echo 'make soak needs WEIGHTS=FILE'; exit 1; }
	$(BIN)/python -m tests.soak --weights '$(WEIGHTS)'

image:
	$(ENGINE) build --tag netsounds-stream $(BUILD) .
	@$(ENGINE) image inspect --format '{{.Size}}' netsounds-stream | awk '{ printf "%.0f MB", $$1 / 1e6 }'
	@$(ENGINE) save netsounds-stream | gzip | wc -c | awk '{ printf ", %.0f MB compressed\n", $$1 / 1e6 }'

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: install
	@test -n '$(WEIGHTS)' || { echo 'make bench needs WEIGHTS=FILE, and takes PICTURE=FILE'; exit 1; }
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,bench]'
	$(BIN)/python benchmarks/run_all.py --check --weights '$(WEIGHTS)' $(if $(PICTURE),--picture '$(PICTURE)')

# mkdocs-material's notice is of what comes after mkdocs 1, to which the constraints hold this
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

clean:
	rm -rf $(VENV) demo site
