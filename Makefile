# Two commands: `make demo` shows the main job, `make test` proves it. Both set up what they need.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
TRAIN  := .venv-train
TOY    := build/face-model-smoke
PEERS  := dcmtk dicom3tools orthanc orthanc-dicomweb dcm2niix libgdcm-tools strace systemd
SLOW   ?= not slow
KILLS  ?= 200
TORCH  ?=

# What bench-face-peers measures on, where it is at hand; heads drawn by code need nothing.
HEADS     ?=
LANDMARKS ?=
BRAINS    ?=
LABELS    ?=
FACE      := .venv-face
FACE_DONE := $(FACE)/.installed$(if $(LABELS),-torch)

.DEFAULT_GOAL := help
.PHONY: help setup peers demo test test-slow test-torch check bench bench-face bench-headers bench-face-peers \
  bench-engine bench-receive bench-send bench-soak torture face-model-smoke clean

help:            ## list the targets
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 20

setup: $(VENV)/.installed    ## a virtual environment with everything in it

$(VENV)/.installed: EXTRA := check
$(TRAIN)/.installed: EXTRA := train,check
$(TRAIN)/.installed: MORE := $(TORCH)
$(VENV)/.installed $(TRAIN)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "deid-node needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || sh tools/install_debian.sh python3-venv
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --quiet --disable-pip-version-check --editable '.[$(EXTRA)]' $(MORE)
	@touch $@

peers:           ## the real DICOM programs that some tests talk to (Debian, as root)
	@sh tools/install_debian.sh $(PEERS)

demo: setup      ## draw a head, send it to the node over DICOM, see it arrive without its face
	$(BIN)/python tools/demo.py

test: setup peers    ## all tests but the slow ones
	$(BIN)/pytest -m '$(SLOW)' --numprocesses 3 --dist loadfile --no-loadscope-reorder

test-slow: setup peers   ## the slow tests too
	$(BIN)/pytest

test-torch: $(TRAIN)/.installed  ## the tests that need torch: exact mode, training (TORCH=torch==2.13.0)
	$(TRAIN)/bin/pytest -m 'torch and ($(SLOW))'

check: setup     ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup     ## CPU-seconds and memory of each stage
	$(BIN)/python bench/stages.py

bench-face: setup    ## CPU-seconds and memory of finding the face, on one thread and on two
	$(BIN)/python bench/face.py

bench-headers: setup peers   ## header de-identification beside its peers: speed and what is left
	$(BIN)/python bench/headers.py

bench-send: setup peers      ## C-STORE to receivers as shipped: storescu, pynetdicom, ours
	$(BIN)/python bench/send.py

bench-engine: setup          ## kill -9, start, idle: the work engine beside the ledger's own loop
	$(BIN)/python bench/engine.py

$(FACE_DONE): pyproject.toml
	$(PYTHON) -m venv $(FACE)
	$(FACE)/bin/pip install --quiet --quiet --disable-pip-version-check \
	  '.$(if $(LABELS),[train])' 'simpleitk>=2.5' niimath==1.0.20261016 quickshear==1.2.0
	$(FACE)/bin/pip install --quiet --quiet --disable-pip-version-check --no-deps pydeface==2.1.0
	@touch $@

bench-receive: setup peers   ## receiving beside Orthanc, dcmtk and pynetdicom: rate, CPU, memory
	$(BIN)/python bench/receive.py

bench-soak: setup    ## 100,000 instances into a whole node: memory, files, threads; its rate while it works
	$(BIN)/python bench/soak.py

torture: setup   ## kill the node 200 times while series stream through it; count what is lost or leaks
	PYTHONPATH=tools $(BIN)/python -m tests.torture.campaign --kills $(KILLS)
	PYTHONPATH=tools $(BIN)/python -m tests.torture.restart

bench-face-peers: $(FACE_DONE)   ## the face model beside its peers (HEADS= LANDMARKS= BRAINS= LABELS=)
	data=$$(echo $(FACE)/lib/python3*/site-packages/pydeface/data) && \
	PYTHONPATH=.:tools $(FACE)/bin/python -m face_model.evaluate weights/default --drawn \
	  $(if $(HEADS),$(LANDMARKS) $(HEADS)) $(if $(BRAINS),--brains $(BRAINS)) \
	  $(if $(LABELS),--labels $(LABELS)) --peers $(FACE)/bin \
	  --template $$data/mean_reg2mean.nii.gz --facemask $$data/facemask.nii.gz

face-model-smoke: $(TRAIN)/.installed    ## retrain the face model as a toy: targets to a loaded folder
	rm -rf $(TOY)
	PYTHONPATH=tools $(TRAIN)/bin/python -m face_model.smoke $(TOY)

clean:           ## remove what the targets above made
	rm -rf $(VENV) $(TRAIN) $(FACE) demo build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
