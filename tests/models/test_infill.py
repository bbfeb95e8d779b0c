"""Cells written anew given the others: exact where it counts, and nothing else."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models import contracts
from tfmusic.models import make_model
from tfmusic.models.infill_masks import block_noise, training_mask
from tfmusic.models.infill_notes import find_notes
from tfmusic.models.infill_rules import leads_home, parallels, wrong_pitches
from tfmusic.representations import make_representation

SMALL = {
    "name": "infill",
    "embedding_size": 8,
    "num_layers": 2,
    "hidden_size": 24,
    "dropout": 0.0,
}
ANY = np.array([0, 0])


def make_infill(settings=None, **representation):
    keras.utils.set_random_seed(1)
    kind = make_representation({"name": "voice_frames", **representation})
    model = make_model(kind, SMALL | (settings or {}))
    model.build_model()
    return model


def chorale(num_steps, shift=0):
    """Four voices in quarters; each chord follows from the place in the bar."""
    step = np.arange(num_steps)
    chords = np.array([[72, 67, 64, 48], [74, 67, 62, 55], [71, 67, 62, 43]]) + shift
    pitch = chords[step // 4 % 3].astype(np.int32)
    struck = np.repeat((step % 4 == 0)[:, np.newaxis], 4, axis=1)
    bars = {"bar_position": step % 12, "bar_length": np.full(num_steps, 12)}
    bars = {name: array.astype(np.int16) for name, array in bars.items()}
    return {"pitch": pitch, "struck": struck, **bars}


def batch_of(*pieces):
    return {name: np.stack([piece[name] for piece in pieces]) for name in pieces[0]}


def some_mask(num_steps, begin, end, voices):
    mask = np.zeros((1, num_steps, 4), bool)
    mask[:, begin:end, voices] = True
    return mask


@pytest.fixture(scope="module")
def model():
    return make_infill()


def example(model, piece, size, seed=ANY):
    window = contracts.cut_window(piece, -1, size)
    return model.example_fn(window, seed)


def test_it_learns_what_it_then_writes_in_a_gap():
    model, pieces = make_infill(), [chorale(24), chorale(36)]
    windows = [contracts.cut_window(piece, -1, 36) for piece in pieces for _ in "abcd"]
    seeds = tf.constant([[0, i] for i in range(len(windows))])
    rows = [model.example_fn(w, s) for w, s in zip(windows, seeds, strict=True)]
    batch = tf.nest.map_structure(lambda *parts: tf.stack(parts), *rows)
    before, after = contracts.train(model, batch, 150)
    assert after < 0.1 * before
    given = batch_of(pieces[0])
    mask = some_mask(24, 4, 8, [1, 2])
    spoilt = {**given, "pitch": np.where(mask, 50, given["pitch"])}
    made = contracts.call_endpoint(
        model, "infill", spoilt, mask=mask, seed=1, temperature=0.0, gibbs_steps=8
    )
    for name, array in given.items():
        np.testing.assert_array_equal(made[name], array)
    assert made["num_steps"] == [24]


def test_hidden_cells_are_not_read(model):
    inputs, _, _ = example(model, chorale(12), 12)
    inputs = {name: array[tf.newaxis] for name, array in inputs.items()}
    other = tf.where(inputs["hidden"], 7, inputs["cells"])
    assert np.any(other != inputs["cells"])
    expected = model(inputs)
    np.testing.assert_array_equal(model({**inputs, "cells": other}), expected)
    seen = tf.where(inputs["hidden"], inputs["cells"], 7)
    assert np.any(model({**inputs, "cells": seen}) != expected)


def test_weights_are_one_on_average_and_count_hidden_cells_alone(model):
    inputs, cells, weights = example(model, chorale(10), 14)
    assert cells.shape == weights.shape == [14, 4]
    np.testing.assert_array_equal(weights > 0, inputs["hidden"])
    np.testing.assert_allclose(np.mean(weights), 1.0, rtol=1e-6)
    assert not np.any(inputs["hidden"][10:])
    assert inputs["inside"].numpy().tolist() == [True] * 10 + [False] * 4
    assert inputs["from_begin"][0] == 0
    assert inputs["to_end"][9] == 0


def test_cells_are_rests_and_pitches_held_or_struck(model):
    piece = chorale(3)
    piece["pitch"][:, 0] = [36, 36, 0]
    piece["pitch"][2, 1] = 84  # not struck, but new
    _, cells, _ = example(model, piece, 3)
    num_keys = 84 - 36 + 1
    assert cells[:, 0].numpy().tolist() == [num_keys + 1, 1, 0]
    assert cells[2, 1] == 2 * num_keys


def test_a_note_that_a_window_cuts_is_held(model):
    window = contracts.cut_window(chorale(12), 4, 3)  # notes begin at step 4
    _, cells, _ = model.example_fn(window, ANY)
    assert np.all(cells <= 84 - 36 + 1)


def test_likelihoods_are_exact():
    # One step of two voices with three classes: all nine pieces there are.
    names = {"voice_names": ("Upper", "Lower"), "onsets": False}
    model = make_infill(None, lowest_pitch=60, highest_pitch=61, **names)
    pitches = list(itertools.product((0, 60, 61), repeat=4))
    pitch = np.reshape(pitches, [-1, 2, 2])
    bars = np.tile([0, 1], [len(pitch), 1])
    features = {"pitch": pitch, "bar_position": bars, "bar_length": bars * 0 + 4}
    scores = contracts.call_endpoint(
        model, "score", features, num_steps=[2] * len(pitch)
    )["log_likelihood"]
    np.testing.assert_allclose(np.exp(scores.sum(axis=1)).sum(), 1.0, rtol=1e-4)


def test_a_piece_scores_the_same_in_any_batch(model):
    contracts.check_batch_consistency(model, [chorale(9), chorale(12, shift=2)])


def test_all_but_the_gap_stays_and_seeds_decide_the_gap(model):
    given = batch_of(chorale(20), chorale(20, shift=1))
    given["pitch"][:, 3] = 20  # outside of the range
    mask = np.repeat(some_mask(20, 5, 15, [0, 3]), 2, axis=0)
    made = [
        contracts.call_endpoint(
            model, "infill", given, mask=mask, seed=seed, gibbs_steps=3
        )
        for seed in (1, 1, 2)
    ]
    for name in ("pitch", "struck"):
        np.testing.assert_array_equal(made[0][name], made[1][name])
        np.testing.assert_array_equal(made[0][name][~mask], given[name][~mask])
    assert np.any(made[0]["pitch"] != made[2]["pitch"])
    assert np.any(made[0]["pitch"][0][mask[0]] != made[0]["pitch"][1][mask[1]])


def test_new_pieces_have_the_metre_that_was_asked_for(model):
    made = contracts.call_endpoint(
        model,
        "generate",
        num_outputs=2,
        num_steps=7,
        seed=0,
        gibbs_steps=2,
        bar_quarters=1,
        pickup_quarters=0.5,
    )
    assert made["pitch"].shape == (2, 7, 4)
    assert made["bar_position"][0].tolist() == [2, 3, 0, 1, 2, 3, 0]
    assert made["bar_length"][1].tolist() == [4] * 7
    assert made["num_steps"].tolist() == [7, 7]


def test_a_continuation_is_what_comes_after_the_prompt(model):
    prompt = batch_of(chorale(10))
    made = contracts.call_endpoint(
        model, "continue", prompt, num_steps=4, seed=3, gibbs_steps=2
    )
    assert made["pitch"].shape == (1, 4, 4)
    assert made["bar_position"].tolist() == [[10, 11, 0, 1]]
    whole = {n: np.concatenate([prompt[n], made[n]], axis=1) for n in prompt}
    mask = some_mask(14, 10, 14, slice(None))
    again = contracts.call_endpoint(
        model, "infill", whole, mask=mask, seed=3, gibbs_steps=2
    )
    for name in prompt:
        np.testing.assert_array_equal(again[name], whole[name])


def test_each_pitch_of_each_voice_has_a_vector_of_its_own(model):
    number = model.num_classes + 1
    cells = np.repeat(np.minimum(np.arange(number), number - 2)[:, np.newaxis], 4, 1)
    step = tf.range(number)[tf.newaxis]
    inputs = {
        "cells": tf.constant(cells[np.newaxis], tf.int32),
        "hidden": tf.constant(
            np.repeat(np.arange(number) == number - 1, 4).reshape(1, -1, 4)
        ),
        "inside": step >= 0,
        "from_begin": step,
        "to_end": number - 1 - step,
        "bar_position": step % 12,
        "bar_length": step * 0 + 12,
    }
    for layer in (model.pitch_embedding, model.onset_embedding):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(model(inputs)))
        gradient = tape.gradient(loss, layer.embeddings.value)
        assert np.abs(tf.convert_to_tensor(gradient)).any(axis=1).all()


def test_loss_reaches_all_weights():
    model = make_infill({"dropout": 0.1})
    contracts.check_gradients(model, [chorale(30), chorale(24, shift=3)])


def test_training_hides_some_cells_of_the_piece_and_passages_too():
    inside = tf.range(32) < 20
    draw = tf.function(lambda seed: training_mask(inside, 4, seed))
    masks = np.stack([draw(tf.constant([5, i])) for i in range(200)])
    assert masks.any(axis=(1, 2)).all()
    assert not masks[:, 20:].any()
    sizes = masks.sum(axis=(1, 2))
    assert sizes.min() < 8
    assert sizes.max() > 70
    # Whole voices are known while others are hidden.
    part = masks[:, :20].any(axis=1)
    assert np.mean(part.any(axis=1) & ~part.all(axis=1)) > 0.2


def test_noise_is_the_same_within_a_block():
    noise = block_noise(2, 40, 3, tf.constant([1, 2])).numpy()
    assert noise.shape == (2, 40, 3)
    runs = set()
    for i in range(12):
        noise = block_noise(1, 64, 1, tf.constant([i, 2])).numpy()[0, :, 0]
        changes = np.flatnonzero(np.diff(noise))
        runs |= set(np.diff(changes).tolist())
    assert runs == {1, 2, 4, 8}


def forbidden(*steps):
    """Of each cell the pitches that would make parallels; 0 is a rest."""
    before, after = parallels(tf.constant([steps]), 40, 41)
    found = (before | after)[0]
    return [
        [(np.flatnonzero(keys) + 40).tolist() for keys in voices] for voices in found
    ]


def test_parallel_fifths_and_octaves_are_found_from_either_side():
    # C over F, a fifth, and the lower voice goes up to G: D and its octaves follow.
    assert forbidden([60, 53], [62, 55])[1] == [[62, 74], [55, 67, 79]]
    # The same from the second step: C, where the lower voice had F.
    assert forbidden([60, 53], [62, 55])[0] == [[48, 60], [41, 53]]
    assert forbidden([60, 48], [62, 50])[1] == [[62, 74], [50, 62, 74]]


def test_fourths_held_notes_rests_and_contrary_motion_are_no_parallels():
    assert forbidden([60, 55], [62, 57]) == [[[], []], [[], []]]
    assert forbidden([60, 53], [60, 53]) == [[[], []], [[], []]]
    assert forbidden([60, 53], [0, 55])[0] == [[], []]
    assert forbidden([60, 0], [62, 55])[1] == [[], []]
    # Down to 43, a fifth below 50, while the upper voice goes up.
    assert 43 not in forbidden([60, 53], [62, 55])[1][1]


def wrong(steps, whole_notes=False):
    """As `forbidden`, by a rule that hears eighths too; four steps are a quarter."""
    kind = make_representation(
        {"name": "voice_frames", "voice_names": ("Upper", "Lower")}
    )
    pitch = tf.constant([steps])
    notes = find_notes(pitch, None) if whole_notes else None
    found = wrong_pitches(pitch, kind, notes)[0].numpy()
    return [[(np.flatnonzero(keys) + 36).tolist() for keys in step] for step in found]


def test_parallels_are_heard_over_a_sixteenth_between_two_eighths():
    # From eighth to eighth 60 53 goes to 62 55, one voice after the other.
    steps = [[60, 53], [62, 53], [62, 55], [62, 55]]
    assert 62 in wrong(steps)[2][0] and 55 in wrong(steps)[2][1]
    assert 60 in wrong(steps)[0][0] and 53 in wrong(steps)[0][1]
    # A whole note, too; the steps within it have nothing against it.
    held = wrong(steps, whole_notes=True)
    assert 62 in held[2][0] and 55 in held[2][1] and held[3] == [[], []]
    # From one sixteenth off the beat to the next nothing is heard.
    assert wrong([[60, 50], [60, 53], [60, 50], [62, 55]])[3] == [[], []]


def test_home_is_the_tonic_in_the_bass_at_the_end():
    scale = [60, 62, 64, 65, 67, 69, 71, 72, 67, 64, 60, 60]
    for shift in (0, 5):
        pitch = tf.constant([[[note + shift, 0] for note in scale]])
        kind = make_representation(
            {"name": "voice_frames", "voice_names": ("Upper", "Lower")}
        )
        home = leads_home(pitch, kind)[0].numpy()
        assert not home[:-1].any() and not home[-1, 0].any()
        tonics = np.flatnonzero(home[-1, 1]) + 36
        assert tonics.tolist() == list(range(36 + shift, 85, 12))
    assert not leads_home(tf.zeros_like(pitch), kind).numpy().any()


def test_pieces_end_on_their_tonic_where_that_is_wanted(model):
    given = batch_of(*[chorale(24)] * 8)
    given["pitch"][:, :, 0] = [60, 64, 67, 72, 71, 67, 65, 62] * 3  # C major
    given["pitch"][:, :, 1:3] = [[64, 60]] * 24
    mask = np.repeat(some_mask(24, 16, 24, [3]), 8, axis=0)
    ends = [
        contracts.call_endpoint(
            model, "infill", given, mask=mask, seed=2, gibbs_steps=8, cadence=strength
        )["pitch"][:, -1, 3]
        % 12
        for strength in (0.0, 50.0)
    ]
    assert (ends[1] == 0).all() and (ends[0] == 0).sum() < 4


def test_what_stood_in_the_gap_changes_nothing(model):
    given = batch_of(*[chorale(16)] * 64)
    mask = np.repeat(some_mask(16, 4, 12, [1, 2, 3]), 64, axis=0)
    other = {name: array.copy() for name, array in given.items()}
    other["pitch"][:, 4:12, 1:] = other["pitch"][:, 4:12, :1] - 12  # octaves
    made = [
        contracts.call_endpoint(
            model, "infill", g, mask=mask, seed=3, gibbs_steps=1, avoid_parallels=50.0
        )["pitch"]
        for g in (given, other)
    ]
    np.testing.assert_array_equal(*made)


def test_parallels_can_be_avoided(model):
    given = batch_of(*[chorale(32)] * 16)
    mask = np.repeat(some_mask(32, 0, 32, [1, 2, 3]), 16, axis=0)
    counts = []
    for strength in (0.0, 50.0):
        made = contracts.call_endpoint(
            model,
            "infill",
            given,
            mask=mask,
            seed=4,
            gibbs_steps=16,
            avoid_parallels=strength,
        )["pitch"]
        before, after = parallels(tf.constant(made), 36, 49)
        found = (before | after).numpy()
        cells = np.take_along_axis(found, np.maximum(made - 36, 0)[..., None], axis=3)
        counts.append(int(np.sum(cells[..., 0] & (made > 0))))
    assert counts[0] > 9 and counts[1] < counts[0] / 3
