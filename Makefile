# What people and CI call. `make demo` and `make test` set up everything they need.
PYTHON ?= python3.11
VENV   ?= .venv
SEED   ?= 0
# Where pip finds a CPU build of torch when it does not see one by itself.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

BIN     := $(VENV)/bin
READY   := $(VENV)/.ready
PROJECT := pyproject.toml locks/cpu.txt locks/dev.txt

.PHONY: install demo test unit integration e2e check fmt lint types imports docs lock wheel clean
.DEFAULT_GOAL := check

install: $(READY)            ## a virtual environment with everything, at the locked versions

# --no-deps: the lock is complete, and leaves out torchvision, torchaudio and torchcodec, whose
# CUDA builds break transformers beside a CPU torch.
$(READY): $(PROJECT)
	$(PYTHON) -m venv $(VENV)
	@echo "installing 200 packages at their locked versions; this takes minutes"
	$(BIN)/pip install --quiet --no-deps -r locks/cpu.txt -r locks/dev.txt \
	    || $(BIN)/pip install --quiet --no-deps --extra-index-url $(TORCH_INDEX) -r locks/cpu.txt -r locks/dev.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: install                ## train the toy model; SEED=n for another one
	$(BIN)/openrs up recipes/toy.toml --set seed=$(SEED)

.PHONY: smollm2-demo
smollm2-demo: install        ## train SmolLM2-135M on word problems, measured before and after; SEED=n
	PYTHONPATH=. $(BIN)/python -m benchmarks.smollm2 --seed $(SEED)

# Side by side, the tests of a file in one process, because they may share what one of them started;
# and what takes long first.
WORKERS ?= 2
PYTEST  := $(BIN)/pytest --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder

test: install                ## everything, without network use
	$(PYTEST) tests/e2e tests/integration tests/unit

unit: install
	$(PYTEST) tests/unit

integration: install
	$(PYTEST) tests/integration

e2e: install
	$(PYTEST) tests/e2e

# What torch and oneDNN may use of the machine; the last one: all of it.
.PHONY: arithmetic
CPUS := "ATEN_CPU_CAPABILITY=default" "ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2" ""
arithmetic: install          ## what depends on floating point, as other CPUs and one or two threads compute it
	@for cpu in $(CPUS); do for threads in 1 2; do \
	    echo "$${cpu:-all that this machine has}, OMP_NUM_THREADS=$$threads"; \
	    env $$cpu OMP_NUM_THREADS=$$threads $(PYTEST) --numprocesses=$$((2 / threads)) -m arithmetic -q || exit 1; \
	done; done

check: lint types imports docs-current unit   ## what every commit passes

fmt: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell services openrs_core tests docs README.md CONTRIBUTING.md CHANGELOG.md

types: install
	$(BIN)/mypy

imports: install
	$(BIN)/lint-imports

docs: install                ## write docs/cli.md from the commands themselves
	$(BIN)/python docs/make_cli.py > docs/cli.md

.PHONY: docs-current
docs-current: install
	$(BIN)/python docs/make_cli.py | diff -u docs/cli.md - || (echo "docs/cli.md is old: make docs"; exit 1)

.PHONY: smollm2 bench-weights bench-publish bench-scorer bench-heap bench-intervals bench-evaluation
smollm2: install             ## fetch and convert SmolLM2-135M, for benchmarks and some tests
	PYTHONPATH=. $(BIN)/python -m tests.smollm2

bench-weights: smollm2       ## what moving weights costs; about 15 minutes
	PYTHONPATH=. OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench_weights.py

bench-publish: smollm2       ## does publishing slow a step down?
	PYTHONPATH=. OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench_publish.py

bench-scorer: install        ## what the scorer's loop costs beside its verifiers
	PYTHONPATH=. $(BIN)/python benchmarks/bench_scorer.py

bench-heap: install          ## does the learner's memory grow because something is never freed?
	PYTHONPATH=. OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench_heap.py

bench-evaluation: install    ## what evaluating costs while training goes on; DRIFTING=a checkout of an older openrs
	PYTHONPATH=. $(BIN)/python benchmarks/bench_evaluation.py $(if $(DRIFTING),--drifting $(DRIFTING))

bench-intervals: install     ## how often do an evaluation's intervals hold the true value?
	PYTHONPATH=. OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench_intervals.py

.PHONY: bench-contamination
bench-contamination: install ## which copies of benchmark problems are found, and what is lost for it?
	PYTHONPATH=. $(BIN)/python -m benchmarks.bench_contamination

.PHONY: bench-seeds
bench-seeds: install         ## does `openrs compare` see a difference between two seeds of one model?
	PYTHONPATH=. $(BIN)/python benchmarks/bench_seeds.py

.PHONY: study
NAME ?= all
study: install               ## what a choice of learning does: NAME=staleness, stabilisers, shapes, experiments or all
	PYTHONPATH=. $(BIN)/python -m benchmarks.studies $(NAME)

.PHONY: chaos
chaos: install               ## kill anything, at any time, then audit; SEED=n; about 9 minutes
	PYTHONPATH=. $(BIN)/python -m tests.chaos --seed $(SEED)

.PHONY: soak
MINUTES ?= 45
soak: install                ## does anything grow that should not?
	PYTHONPATH=. $(BIN)/python -m tests.chaos.soak --minutes $(MINUTES)

.PHONY: pictures
pictures: install            ## the terminal pictures of docs/first-run.md; needs tmux
	$(BIN)/python docs/make_pictures.py

.PHONY: reward-pictures
reward-pictures: install     ## the pictures of docs/rewards.md
	$(BIN)/python docs/make_rewards.py

.PHONY: evaluation-tables
evaluation-tables: install   ## the tables and the picture of docs/evaluation.md
	$(BIN)/python docs/make_evaluation.py

lock: install                ## resolve anew and rewrite locks/
	$(BIN)/python locks/refresh.py

wheel: install
	$(BIN)/python -m build --no-isolation --wheel

clean:
	rm -rf $(VENV) dist runs
