"""The endpoint `generate_rows`: in one call, what several calls of `generate` give."""

import numpy as np
import pytest

from tests.models.conftest import CASES, make_case
from tests.models.contracts import call_endpoint

CASES_OF_TOKENS = [
    pytest.param(name, marks=[] if name == "chords" else pytest.mark.slow)
    for name in CASES
    if name == "chords" or name.startswith("tokens")
]


@pytest.mark.parametrize("name", CASES_OF_TOKENS)
def test_rows_of_other_seeds_are_what_they_are_alone(name):
    model = make_case(name).model
    # The end may come at any step; guards and repetition are at work.
    given = {"num_steps": 40, "min_steps": 0, "max_repeats": 2, "no_repeat_ngram": 3}
    if name == "chords":
        given["phrases"] = 0  # a plan would not let them end so early
    found = call_endpoint(
        model, "generate_rows", seed=[4, 9, 9, -1], place=[0, 0, 2, 1], **given
    )
    alone = {
        seed: call_endpoint(model, "generate", seed=seed, num_outputs=3, **given)
        for seed in (4, 9, -1)
    }
    for row, (seed, place) in enumerate([(4, 0), (9, 0), (9, 2), (-1, 1)]):
        for key, values in found.items():
            np.testing.assert_array_equal(values[row], alone[seed][key][place], key)
    if name == "chords":  # pieces end while others go on
        assert len(set(found["num_steps"])) > 1
