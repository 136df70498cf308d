# lesion-dynamics: `make help` lists the targets. Needs git, make and Python 3.11 to 3.13 with venv.
PYTHON ?= python3
TEST_PROCESSES ?= auto
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export DVC_NO_ANALYTICS := 1
# The stages of dvc.yaml call `python`: the one of .venv.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONWARNINGS ?= ignore

.DEFAULT_GOAL := help
.PHONY: help setup data study baseline test test-baseline test-browser test-kill test-outage test-disk test-server test-data test-reproduce \
  test-release lint docs bench-statistics bench-check bench-preprocessing bench-training bench-inference bench-lesions \
  bench-longitudinal bench-cohort bench-baseline null-simulation phantom-coverage ui clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 22

setup: $(READY) ## prepare .venv with the tested versions

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "Python 3.11 to 3.13 is needed; give one with: make $(or $(MAKECMDGOALS),setup) PYTHON=python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $(READY)

data: $(READY) ## generate the embedded cohort (a phantom) into data/
	@$(BIN)/python -m lesion_dynamics.phantom --out data
	@$(BIN)/python -m lesion_dynamics.records.pinned_data

study: data ## the main job: train, infer, analyze on the embedded cohort
	@$(BIN)/dvc repro --single-item train infer analyze
	@cat results/study/study.txt
	@echo 'Pictures: results/study/*.png   Tables: results/study/*.tsv   Runs: make ui'

OPEN_MS_DATA ?= $(if $(wildcard ../shared/open_ms_data),../shared/open_ms_data,build/open_ms_data)
SHAPES := $(OPEN_MS_DATA)/cross_sectional/MNI

# Sums have another order with other threads, and on a GPU: always two, so that the bytes are the same.
baseline: $(READY) $(SHAPES) ## train the shipped baseline anew, from drawn scans alone (four and a half hours; resumes)
	@$(BIN)/python -m lesion_dynamics.phantom --variant baseline --out build/baseline
	CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=2 OPEN_MS_DATA=$(OPEN_MS_DATA) $(BIN)/python train.py experiment=baseline_first
	CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=2 OPEN_MS_DATA=$(OPEN_MS_DATA) $(BIN)/python train.py experiment=baseline

# Lesion masks of real patients (CC-BY) as shapes: about 30 small files of a public repository.
build/open_ms_data/cross_sectional/MNI:
	rm -rf build/open_ms_data build/open_ms_data.partial
	git clone --quiet --depth 1 --filter=blob:none --sparse \
	  https://github.com/muschellij2/open_ms_data build/open_ms_data.partial
	git -C build/open_ms_data.partial sparse-checkout set --no-cone \
	  '/cross_sectional/MNI/*/GOLD_STANDARD*' '/cross_sectional/LICENSE*'
	mv build/open_ms_data.partial build/open_ms_data

test: $(READY) ## check style and types, run the tests
	$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

lint: $(READY) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench-statistics: $(READY) ## time the statistics, ratios against statsmodels and scipy
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench_statistics.py

bench-training: $(READY) ## time the loader and the training step, ratios against a torchio loop
	$(BIN)/python benchmarks/bench_training.py

bench-inference: $(READY) ## time one scan to its mask, ratios against nnU-Net's predictor and MONAI's sliding window
	$(BIN)/python benchmarks/bench_inference.py
	$(BIN)/python benchmarks/bench_inference.py --without-amx

bench-lesions: $(READY) data ## lesions followed and mapped from true masks of the phantom, against its truth
	$(BIN)/python benchmarks/lesion_tracking.py --results benchmarks/results/lesion_tracking.json
	$(BIN)/python benchmarks/lesion_maps.py data build/lesion_maps --results benchmarks/results/lesion_maps.json

bench-longitudinal: $(READY) ## noise and true change where sessions inform each other (needs make study)
	$(BIN)/python benchmarks/longitudinal_mode.py --model-version lesion-segmenter/1 --tracking tracking

bench-cohort: $(READY) ## a cohort against its scans one by one: time, memory, second run (needs make study)
	$(BIN)/python benchmarks/bench_cohort.py --warm runs/preprocessing_cache

bench-baseline: $(READY) ## the shipped baseline on the phantom (bias, rescans) and the open MS data (OPEN_MS_DATA), with pictures
	OPEN_MS_DATA=$(OPEN_MS_DATA) $(BIN)/python benchmarks/baseline_on_real.py build/baseline_on_real --results benchmarks/results/baseline_on_real.json
	$(BIN)/python benchmarks/baseline_on_phantom.py build/baseline_on_phantom --results benchmarks/results/baseline_on_phantom.json
	$(BIN)/python benchmarks/baseline_on_phantom.py build/baseline_on_other_phantom --seed 20261130 --results benchmarks/results/baseline_on_other_phantom.json

test-browser: $(READY) ## open the pages in chromium; screenshots in build/browser
	$(BIN)/python -m pytest tests/browser -m browser

test-kill: $(READY) ## kill trainings, inferences, workers and nodes; all must be as if undisturbed
	$(BIN)/python benchmarks/kill_training.py --kills 20 --results benchmarks/results/kill_training.json
	$(BIN)/python benchmarks/kill_training.py --kills 5 --devices 2 --results benchmarks/results/kill_training_two_processes.json
	$(BIN)/python benchmarks/kill_inference.py --kills 20 --results benchmarks/results/kill_inference.json
	$(BIN)/python benchmarks/kill_inference.py --kills 20 --executor ray --kinds worker --results benchmarks/results/kill_inference.json
	$(BIN)/python benchmarks/kill_node.py --results benchmarks/results/kill_node.json

test-baseline: $(READY) $(SHAPES) ## train the baseline's recipe in the small, twice and once killed; the same bytes
	OPEN_MS_DATA=$(OPEN_MS_DATA) $(BIN)/python benchmarks/baseline_twice.py --results benchmarks/results/baseline_twice.json

test-outage: $(READY) ## kill the MLflow server 10 times during a training; its record must be whole, its time within 5%
	$(BIN)/python benchmarks/kill_tracking_server.py --kills 10 --pairs 2 --results benchmarks/results/outage.json

test-disk: $(READY) ## fill the disk under trainings and an inference (needs root: a small tmpfs); nothing may be lost
	$(BIN)/python benchmarks/full_disk.py --results benchmarks/results/full_disk.json

test-server: $(READY) ## the loop against PostgreSQL, an S3 store and MLflow on loopback; writers, endings and promotions at once
	$(BIN)/python benchmarks/server_stack.py --results benchmarks/results/server_stack.json

test-data: $(READY) ## what DVC redoes for one changed participant; push and pull from a folder and from S3
	$(BIN)/python benchmarks/touch_participant.py --results benchmarks/results/touch_participant.json

test-reproduce: $(READY) ## a release made again from its lineage in a new clone; every byte must be the same
	$(BIN)/python benchmarks/reproduce_release.py --results benchmarks/results/reproduced_release.json

test-release: $(READY) ## three versions released one after the other; nothing may be done twice
	$(BIN)/python benchmarks/release_versions.py --results benchmarks/results/release_versions.json

docs: $(READY) ## build the documentation, build/site/index.html
	NO_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --strict --quiet

bench-check: $(READY) ## time the check of 10,000 participants by tables and headers
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench_check.py --participants 10000

bench-preprocessing: $(READY) ## time the preprocessing of a 1 mm session step by step, peak memory
	$(BIN)/python benchmarks/bench_preprocessing.py

null-simulation: $(READY) ## false-positive rates and coverage over 5,000 simulated cohorts (half an hour)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/null_simulation.py --cohorts 5000
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/error_correction.py --set choice --cohorts 1000 --minutes 60
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/error_correction.py --set proof --cohorts 1000 --intervals 80 --minutes 60

phantom-coverage: $(READY) ## every estimate against its truth, coverage of its interval, over cohorts of the phantom's course
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/phantom_coverage.py --cohorts 300 --minutes 60

ui: $(READY) ## open MLflow on the store of this folder
	@test -f tracking/mlflow.db || { echo "Nothing is recorded here yet: train first (make study, or python train.py)."; exit 2; }
	MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow ui --workers 1 \
	  --backend-store-uri sqlite:///$(CURDIR)/tracking/mlflow.db

clean: ## remove what was generated (not .venv, not runs, not tracking)
	rm -rf data results derivatives models
