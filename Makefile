# make demo   new chorales at once, by the model that comes with tfmusic, in demo/now/;
#             then the whole chain: records, training, export and music, in demo/
# make test   the fast tests;  make test-all adds the slow ones;  make test-newest runs
#             the fast ones on the newest TensorFlow and Python, without tensorflow-io
# make attack damaged files, wrong calls, requests, kills and more, for half an hour
#             (MINUTES=inf: all of them, hours), with a table of how each ended
# make docs   the pages of docs/ and of the Python API as a site, site/index.html
# make listen SOURCE=music   trains each family for an hour (MINUTES=60) on a folder or
#             set of music; in listen/ four pieces of each, with pictures and statistics
#             beside held-out music, and a table of all; FAMILIES=... names some
# They first create .venv from the exact versions in requirements/; Python and make are
# all they need. `make demo` installs requirements/run.lock, tests add test.lock.

# The first Python of a supported version; PYTHON=/path/to/python overrides it.
PYTHON ?= $(shell for p in python3.11 python3.12 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' \
	2>/dev/null && echo $$p && break; done)
NEWEST_PYTHON ?= $(shell for p in python3.13 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' \
	2>/dev/null && echo $$p && break; done)
RUN = .venv/bin/python
DEMO = configs/chord_lstm.py:bach_chorales

.PHONY: attack demo docs listen test test-all test-newest lint format lock clean
.DELETE_ON_ERROR:

# Each step finds what an earlier call has completed and goes on from there.
demo: .venv/compiled
	$(RUN) -m tfmusic generate --model=chorales --output_dir=demo/now \
		--num_outputs=4 --pickup_quarters=1 --seed=1 --audio
	$(RUN) -m pipelines.build_tfrecords --config=$(DEMO) --source=bach_chorales \
		--output_dir=demo/data
	$(RUN) -m tfmusic.train --config=$(DEMO) --data_dir=demo/data --workdir=demo/run \
		--config.train.num_epochs=10  # half of what the shipped model had
	$(RUN) -m tfmusic.export --workdir=demo/run --export_dir=demo/model
	$(RUN) -m tfmusic.generate --model_dir=demo/model --output_dir=demo \
		--num_outputs=4 --bars=16 --pickup_quarters=1 --seed=1 \
		--audio --compare_with=demo/data

docs: .venv-docs/complete
	.venv-docs/bin/zensical build --clean --strict

MINUTES ?= 60
FAMILIES ?=
listen: .venv/compiled
	@test -n "$(SOURCE)" || { echo "error: expected SOURCE=, a folder of music or \
	another source of pipelines.build_tfrecords" >&2; exit 2; }
	$(RUN) -m benchmarks.families --source="$(SOURCE)" --output_dir=listen \
		--minutes=$(MINUTES) $(FAMILIES:%=--family=%)

# Two processes, each with whole files of tests, which share what takes long to make.
PYTEST = -m pytest --numprocesses=2 --dist=loadfile
test: .venv/tested .venv/compiled
	$(RUN) $(PYTEST)

test-all: .venv/tested .venv/compiled
	$(RUN) $(PYTEST) -m "slow or not slow"

test-newest: .venv-newest/compiled
	.venv-newest/bin/python $(PYTEST)

attack: MINUTES = 30
attack: .venv/tested
	$(RUN) -m tests.attack --minutes=$(MINUTES)

lint: .venv/tested
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .

format: .venv/tested
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

# The locks hold all that is needed and leave out what requirements only ask for (see
# requirements/overrides.txt), so pip is not to look for more.
INSTALL = -m pip install --quiet --disable-pip-version-check --no-deps -r

# The marker is written last, so an interrupted installation is begun again.
.venv/complete: requirements/run.lock
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or 3.12 is needed, and none \
	was found; install one or name it: make PYTHON=/path/to/python" >&2; exit 2; }
	$(PYTHON) -m venv --clear .venv
	$(RUN) $(INSTALL) requirements/run.lock
	touch $@

# LSTM layers train faster by it; all works without it, so without a C++ compiler too.
%/compiled: %/complete $(wildcard tfmusic/networks/csrc/*)
	-$(@D)/bin/python setup.py --quiet build_ext --inplace
	touch $@

.venv/tested: .venv/complete requirements/test.lock
	$(RUN) $(INSTALL) requirements/test.lock
	touch $@

.venv-newest/complete: requirements/newest.lock
	@test -n "$(NEWEST_PYTHON)" || { echo "error: Python 3.13 is needed, and was not \
	found; install it or name it: make test-newest NEWEST_PYTHON=/path" >&2; exit 2; }
	$(NEWEST_PYTHON) -m venv --clear .venv-newest
	.venv-newest/bin/python $(INSTALL) requirements/newest.lock
	touch $@

.venv-docs/complete: requirements/docs.lock
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or 3.12 is needed, and none \
	was found; install one or name it: make docs PYTHON=/path/to/python" >&2; exit 2; }
	$(PYTHON) -m venv --clear .venv-docs
	.venv-docs/bin/python $(INSTALL) requirements/docs.lock
	touch $@

COMPILE = $(RUN) -m uv pip compile --upgrade --universal --no-header --no-annotate \
	--override requirements/overrides.txt --extra pipelines --extra studio \
	setup.py requirements/additions.in
lock: .venv/complete
	$(RUN) -m pip install --quiet uv
	$(COMPILE) --python-version 3.11 --constraint requirements/constraints.txt \
		--override requirements/run_overrides.txt \
		--output-file requirements/run.lock
	$(COMPILE) --python-version 3.11 --constraint requirements/constraints.txt \
		--constraint requirements/run.lock --extra s3 --extra dev \
		--output-file requirements/test.lock
	$(COMPILE) --python-version 3.13 --extra dev \
		--output-file requirements/newest.lock
	$(RUN) -m uv pip compile --upgrade --universal --no-header --no-annotate \
		--python-version 3.11 requirements/docs.in --output-file requirements/docs.lock

clean:
	rm -rf .venv .venv-newest .venv-docs demo site
