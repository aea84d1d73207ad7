# One place for what people and CI run. The first target that needs it makes .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt
DEMO := runs/demo
FORECAST := runs/demo-forecast
# the source code that comes with every Python
STDLIB = $(shell $(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')

.PHONY: help demo demo-forecast test check sanitize neon format bench docs clean

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed  ## train a small model of Python code, less than three minutes, and sample from it
	$(BIN)/loopwise train lm --config examples/stdlib.toml --data "$(STDLIB)/*.py" --out $(DEMO) --overwrite
	$(BIN)/loopwise export $(DEMO) $(DEMO).safetensors --overwrite
	$(BIN)/loopwise generate $(DEMO).safetensors --prompt "def " --length 300 --temperature 0.5 --seed 2
	@echo
	@echo "Try next:"
	@echo "  $(BIN)/loopwise generate $(DEMO).safetensors --prompt 'class ' --temperature 0.8"
	@echo "  $(BIN)/loopwise train lm --config examples/stdlib.toml --data '$(STDLIB)/*.py' --out runs/longer --set train.max_steps=8000 --set train.max_minutes=10"
	@echo "  $(BIN)/loopwise train lm --data YOUR_TEXT --out runs/mine"

demo-forecast: $(VENV)/.installed  ## forecast the temperature of the sea, in half a minute, beside simple forecasts
	@mkdir -p $(FORECAST)
	$(BIN)/loopwise data sea-temperature --out $(FORECAST)/all.csv
	@head -n 661 $(FORECAST)/all.csv > $(FORECAST)/before-2005.csv
	@{ head -n 1 $(FORECAST)/all.csv; tail -n 72 $(FORECAST)/all.csv; } > $(FORECAST)/from-2005.csv
	$(BIN)/loopwise train forecast --config examples/sea-temperature.toml --data $(FORECAST)/before-2005.csv --out $(FORECAST)/run --overwrite
	$(BIN)/loopwise evaluate $(FORECAST)/run $(FORECAST)/before-2005.csv --test $(FORECAST)/from-2005.csv --windows 6 --plot $(FORECAST)/test.png
	$(BIN)/loopwise forecast $(FORECAST)/run $(FORECAST)/all.csv --level 80,95 --out $(FORECAST)/forecast.csv --plot $(FORECAST)/forecast.png
	@echo
	@echo "Try next:"
	@echo "  $(BIN)/loopwise inspect $(FORECAST)/run --series $(FORECAST)/all.csv --out $(FORECAST)/inside.html"
	@echo "  $(BIN)/loopwise train forecast --data YOUR_TABLE.csv --horizon 12 --out runs/mine"

test: $(VENV)/.installed  ## run the tests, two at a time
	@$(BIN)/python -m pytest --numprocesses 2 --dist worksteal $(ARGS)

check: $(VENV)/.installed  ## lint, format, types, and who imports whom
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

sanitize: $(VENV)/.installed-native  ## test the engine on a build that watches its memory and arithmetic
	@.ci/sanitize $(ARGS)

neon: $(VENV)/.installed-native  ## test the kernels for ARM under an emulator
	@.ci/neon

format: $(VENV)/.installed  ## mend what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.installed-bench  ## time layers, streams and forecasters against other libraries
	@$(BIN)/python benchmarks/layers.py $(ARGS)
	@$(BIN)/python benchmarks/streaming.py $(ARGS)
	@$(BIN)/python benchmarks/forecasting.py $(ARGS)

docs: $(VENV)/.installed-docs  ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:  ## remove what the commands above made, but for runs/
	rm -rf $(VENV) site build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks examples -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.installed: pyproject.toml constraints.txt $(wildcard native/*)
	@$(PYTHON) -c 'import sys; sys.exit("loopwise needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@echo "installing loopwise and torch into $(VENV); the first time takes a few minutes ..."
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) --upgrade pip
	@$(INSTALL) --editable '.[all]' --group dev
	@touch $@

$(VENV)/.installed-native: $(VENV)/.installed
	@$(INSTALL) --group native
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed
	@$(INSTALL) --group bench
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	@$(INSTALL) --group docs
	@touch $@
