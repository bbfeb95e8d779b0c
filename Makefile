# make demo   records, training, export and new chorales from Bach's, in demo/
# make test   the fast tests;  make test-all adds the slow ones
# make listen SOURCE=music   trains each family for an hour (MINUTES=60) on a folder or
#             set of music; in listen/ four pieces of each, with pictures and statistics
#             beside held-out music, and a table of all; FAMILIES=... names some
# They first create .venv from requirements.lock; Python and make are all they need.

# The first Python of a supported version; PYTHON=/path/to/python overrides it.
PYTHON ?= $(shell for p in python3.11 python3.12 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' \
	2>/dev/null && echo $$p && break; done)
RUN = .venv/bin/python
DEMO = configs/chord_lstm.py:bach_chorales

.PHONY: demo listen test test-all lint format lock clean
.DELETE_ON_ERROR:

# Each step finds what an earlier call has completed and goes on from there.
demo: .venv/complete
	$(RUN) -m pipelines.build_tfrecords --config=$(DEMO) --source=bach_chorales \
		--output_dir=demo/data
	$(RUN) -m tfmusic.train --config=$(DEMO) --data_dir=demo/data --workdir=demo/run
	$(RUN) -m tfmusic.export --workdir=demo/run --export_dir=demo/model
	$(RUN) -m tfmusic.generate --model_dir=demo/model --output_dir=demo \
		--num_outputs=4 --num_steps=128 --temperature=0.95 --seed=1 \
		--audio --compare_with=demo/data

MINUTES ?= 60
FAMILIES ?=
listen: .venv/complete
	@test -n "$(SOURCE)" || { echo "error: expected SOURCE=, a folder of music or \
	another source of pipelines.build_tfrecords" >&2; exit 2; }
	$(RUN) -m benchmarks.families --source="$(SOURCE)" --output_dir=listen \
		--minutes=$(MINUTES) $(FAMILIES:%=--family=%)

test: .venv/complete
	$(RUN) -m pytest

test-all: .venv/complete
	$(RUN) -m pytest -m "slow or not slow"

lint: .venv/complete
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .

format: .venv/complete
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

# The marker is written last, so an interrupted installation is begun again.
.venv/complete: requirements.lock
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or 3.12 is needed, and none \
	was found; install one or name it: make PYTHON=/path/to/python" >&2; exit 2; }
	$(PYTHON) -m venv --clear .venv
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(RUN) -m pip check
	touch $@

lock: .venv/complete
	$(RUN) -m pip install --quiet uv
	$(RUN) -m uv pip compile --universal --python-version 3.11 --no-header \
		--no-annotate --extra pipelines --extra dev --constraint lock.constraints \
		setup.py --output-file requirements.lock

clean:
	rm -rf .venv demo
