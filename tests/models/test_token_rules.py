import collections
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.contracts import make_sequence
from tests.models import contracts
from tests.models.conftest import make_case
from tfmusic.generation import repetition
from tfmusic.generation.grammar import Grammar
from tfmusic.models import make_model
from tfmusic.notes import wire
from tfmusic.representations import make_representation
from tfmusic.representations.vocabulary import END, START

CHORDS = {"C4.E4": 9, "C4.E4.G4": 5, "E4.G4": 4, "C3.C4": 3}
KINDS = {
    "bar_events": {
        "name": "bar_events",
        "num_velocity_bins": 0,
        "tempos": False,
        "programs": False,
        "lowest_pitch": 60,
        "highest_pitch": 63,
    },
    "performance": {"name": "performance_events", "max_shift_steps": 12},
    "performance_plain": {
        "name": "performance_events",
        "num_velocity_bins": 0,
        "lowest_pitch": 60,
        "highest_pitch": 63,
        "max_shift_steps": 3,
    },
    "performance_fine": {
        "name": "performance_events",
        "num_velocity_bins": 100,
        "lowest_pitch": 60,
        "highest_pitch": 64,
    },
    "note_chord": {
        "name": "note_chord_tokens",
        "lowest_pitch": 48,
        "highest_pitch": 72,
        "max_duration_steps": 6,
        "max_shift_steps": 3,
    },
    "note_chord_reference": {"name": "note_chord_tokens", "mode": "reference"},
    "chord_frames": {"name": "chord_frames"},
    "chord_frames_untrimmed": {"name": "chord_frames", "trim_silence": False},
}


def counts(config) -> dict[str, int]:
    if config["name"] == "chord_frames":
        return {"60.64": 9, "60.64.67": 5, "60": 3, "48.60": 2}
    if config.get("mode") == "reference":
        return {"0.4": 5, "0.4.7": 4}
    return CHORDS


@pytest.fixture(scope="module", params=KINDS)
def untrained(request):
    """A representation, and what a model that knows nothing of it makes."""
    config = KINDS[request.param]
    representation = make_representation(config).fit_counts(counts(config))
    keras.utils.set_random_seed(2)
    settings = {"name": "token_lstm", "embedding_size": 8, "units": (8,)}
    model = make_model(representation, settings)
    model.build_model()
    # Or a piece would seldom end, which takes that all keys are up.
    names = representation.vocabulary.tokens
    bias = np.array([8.0 * name.startswith("off") for name in names])
    bias[END] = 6.0
    model.output_layer.bias.assign(bias)
    rows = {}
    for name, min_steps in (("endless", 120.0), ("ended", 0.0)):
        made = contracts.call_endpoint(
            model,
            "generate",
            num_outputs=64,
            num_steps=120,
            seed=1,
            temperature=2.0,
            min_steps=min_steps,
        )
        rows[name] = [
            tokens[:length]
            for tokens, length in zip(made["tokens"], made["num_steps"], strict=True)
        ]
    return representation, rows


def test_whatever_comes_out_needs_no_correction(untrained):
    representation, rows = untrained
    assert {len(row) for row in rows["endless"]} == {120}
    for row in rows["endless"]:
        check_uncorrected(representation, row)


def test_pieces_end_only_where_music_may(untrained):
    representation, rows = untrained
    ended = [row for row in rows["ended"] if 0 < len(row) < 120]
    assert len(ended) > 3
    for row in ended:
        decoded = play(representation, row)
        encoded = representation.encode(decoded)["tokens"]
        assert comparable(representation, encoded) == comparable(representation, row)


def play(representation, tokens):
    """The music of tokens; in a key that is not known where there is one."""
    zeros = dict.fromkeys(representation.feature_specs, np.zeros(len(tokens), int))
    return representation.decode({**zeros, "tokens": tokens})


def comparable(representation, tokens) -> list:
    """Tokens, or notes where there is more than one way to write them."""
    names = representation.vocabulary.tokens_of(tokens)
    if representation.name == "bar_events":
        # What is generated lacks what is said in advance; a pitch that is struck again
        # cuts the note before; a short first bar is read as an upbeat.
        bars = [i for i, name in enumerate(names) if name.startswith("bar")]
        second = [*bars, len(names)][1]
        return [name for name in names[second:] if not name.startswith("duration")]
    if representation.name == "performance_events":
        # Keys that go up together do so in any order.
        runs = itertools.groupby(names, lambda name: name.startswith("off"))
        return [n for is_off, run in runs for n in (sorted(run) if is_off else run)]
    if representation.name == "note_chord_tokens" and representation.mode == "notes":
        # Chords of one length at one time may be spelled as one.
        return sorted(asked_notes(names))
    return names


def asked_notes(names) -> list[tuple[str, int, int]]:
    """The notes that chords, lengths and shifts ask for, one by one."""
    time, notes = 0, []
    for name, after in zip(names, [*names[1:], "s0"], strict=True):
        if name[0] == "s":
            time += int(name[1:])
        elif name[0] != "d":
            assert after[0] == "d" or after == "s0"
            if after[0] == "d":
                notes += [(p, time, time + int(after[1:])) for p in name.split(".")]
    return notes


def check_uncorrected(representation, row) -> None:
    names = representation.vocabulary.tokens_of(row)
    decoded = play(representation, row)
    if representation.name == "bar_events":
        last = max(i for i, name in enumerate(names) if name[:2] in ("n6", "n7"))
        encoded = representation.encode(decoded)["tokens"]
        expected = comparable(representation, row[: last + 1])
        assert comparable(representation, encoded) == expected
        return
    if representation.name == "note_chord_tokens" and representation.mode == "notes":
        # A chord that is cut off from its length has that of the one before.
        last = representation.token_pitches()[row[-1]].sum()
        columns = wire.columns(decoded, "notes", "start_time", "end_time")
        lengths = np.rint((columns["end_time"] - columns["start_time"]) * 8).astype(int)
        asked = [end - start for _, start, end in asked_notes(names)]
        extra = collections.Counter(lengths.tolist()) - collections.Counter(asked)
        assert len(lengths) == len(asked) + last
        assert extra.total() == last
        return
    encoded = representation.encode(decoded)["tokens"]
    # What is cut off in the middle of a step, or silent at the end, is not encoded.
    size = len(row)
    if representation.name == "performance_events":
        while not names[size - 1].startswith("shift"):
            size -= 1
        while names[size - 1].startswith("shift"):
            size -= 1
    while names[size - 1] == "rest":
        size -= 1
    encoded = comparable(representation, encoded)
    assert encoded[:size] == comparable(representation, row[:size])


def test_nothing_that_occurs_in_music_is_forbidden(untrained):
    representation, rows = untrained
    tables = representation.token_grammar()
    if tables is None:
        return
    music = [play(representation, row) for row in rows["endless"][:3]]
    check_allowed(representation, music)


def test_nothing_that_occurs_in_a_band_is_forbidden():
    tune = [(60 + i % 3, 40 + i, i / 2, i / 2 + 1) for i in range(20)]
    chords = [(pitch, 80, i, i + 2) for i in range(1, 9) for pitch in (48, 52, 55)]
    beat = [(36 + i % 2 * 6, 90, i / 4, (i + 1) / 4) for i in range(40)]
    sequence = make_sequence(chords, tune, beat, time_signature=(3, 4))
    sequence.tempos.add(time=3, qpm=60)
    for note in sequence.notes:
        note.is_drum = note.instrument == 2
        note.program = (40, 0, 0)[note.instrument]
    check_allowed(make_representation({"name": "bar_events"}), [sequence])


def check_allowed(representation, music) -> None:
    """Pieces, encoded, and their ends are what the grammar allows."""
    grammar = Grammar(representation.token_grammar())
    pieces = [representation.encode(piece)["tokens"] for piece in music]
    start = grammar.after(grammar.initial_state(1), tf.constant([START]))

    @tf.function(reduce_retracing=True)
    def forbidden(tokens):
        def body(i, state, result):
            token = tokens[i]
            allowed = grammar.allowed(state)[0, token]
            result = tf.where(tf.logical_or(allowed, result >= 0), result, i)
            return i + 1, grammar.after(state, token[tf.newaxis]), result

        num_tokens = tf.shape(tokens)[0]
        loop = (0, start, -1)
        return tf.while_loop(lambda i, *_: i < num_tokens, body, loop)[-1]

    for tokens in pieces:
        place = int(forbidden(tf.constant([*tokens, END])))
        names = representation.vocabulary.tokens_of(tokens)
        assert place < 0, names[max(place - 8, 0) : place + 1]


def test_keys_that_are_down_are_known_at_once_and_step_by_step(untrained):
    representation, rows = untrained
    tables = representation.token_grammar()
    if tables is None or not tables.ends.any():
        return
    grammar = Grammar(tables)
    tokens = tf.constant(rows["endless"][:8])
    together = grammar.sounding_after_each(tokens).numpy()
    state = grammar.initial_state(8)
    for i in range(tokens.shape[1]):
        state = grammar.after(state, tokens[:, i])
        np.testing.assert_array_equal(grammar.sounding(state), together[:, i])
    assert together.any()


def test_keys_that_are_down_for_too_long_go_up():
    representation = make_representation(KINDS["performance"])
    settings = {"name": "token_lstm", "embedding_size": 8, "units": (8,)}
    model = make_model(representation, settings)
    model.build_model()
    names = representation.vocabulary.tokens
    model.output_layer.bias.assign([-9.0 * name.startswith("off") for name in names])
    longest = {}
    for max_held in (0.0, 100.0):
        made = contracts.call_endpoint(
            model, "generate", num_outputs=8, num_steps=400, seed=1, max_held=max_held
        )
        notes = play(representation, made["tokens"][0]).notes
        longest[max_held] = max(note.end_time - note.start_time for note in notes)
        assert np.all((made["guarded_steps"] > 0) == (max_held > 0))
        for tokens in made["tokens"]:
            check_uncorrected(representation, tokens)
    assert longest[0.0] > 2.0
    # A key goes up at the first shift's end beyond the limit.
    assert longest[100.0] <= 1.0 + 0.12


def history(*rows) -> tf.Tensor:
    return repetition.history_of(tf.constant(rows))


def test_a_history_keeps_the_newest_tokens():
    grown = repetition.empty_history(1)
    tokens = tf.range(3, 3 + repetition.HISTORY + 5)
    for token in tokens:
        grown = repetition.remember(grown, token[tf.newaxis])
    np.testing.assert_array_equal(grown[0], tokens[5:])
    np.testing.assert_array_equal(grown, repetition.history_of(tokens[tf.newaxis]))


@pytest.mark.parametrize(
    ("size", "blocked"),
    [
        (0, [set(), set()]),
        (1, [{4, 5, 6}, {7, 8}]),
        (2, [{5, 6}, {8}]),
        (3, [{5}, {8}]),
        (4, [set(), {8}]),
        (5, [set(), set()]),
        (256, [set(), set()]),
    ],
)
def test_passages_that_came_before_are_blocked(size, blocked):
    # Passages that end as these rows do: 4 5, 4 6; 6 4 5; 7 8, 8 7 8, 7 8 7 8.
    rows = history([6, 4, 5, 4, 6, 4], [5, 7, 8, 7, 8, 7])
    rows = tf.where(rows == 5, [[5], [0]], rows)
    logits = repetition.block_ngrams(tf.zeros([2, 10]), rows, tf.constant(float(size)))
    assert [set(np.flatnonzero(row)) for row in logits.numpy()] == blocked


def test_tokens_that_came_lately_lose_odds():
    rows = history([4, 5, 5, 6], [7, 7, 7, 7])
    logits = tf.ones([2, 9])
    made = repetition.penalize(logits, rows, tf.constant(2.0), tf.constant(3.0))
    lost = np.log(2.0) * np.array([[0, 0, 0, 0, 0, 1, 1, 0, 0], np.eye(9)[7]])
    np.testing.assert_allclose(made, 1.0 - lost, rtol=1e-6)
    same = repetition.penalize(logits, rows, tf.constant(1.0), tf.constant(3.0))
    np.testing.assert_array_equal(same, logits)


def passages(tokens, size) -> list:
    return [tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)]


def test_no_passage_comes_twice_where_that_is_asked_for():
    # Greedy and untrained, passages come again.
    model = make_case("tokens").model
    settings = dict(num_outputs=2, num_steps=60, seed=0, temperature=0.0)
    settings.update(max_repeats=0.0, min_steps=1e6, max_silence=0.0)
    free = contracts.call_endpoint(model, "generate", **settings)["tokens"][0]
    assert len(set(passages(free, 3))) < 50
    made = contracts.call_endpoint(model, "generate", no_repeat_ngram=3.0, **settings)
    assert len(set(passages(made["tokens"][0], 3))) == 58
    assert not made["guarded_steps"].any()


def test_a_passage_of_the_prompt_does_not_come_again():
    model = make_case("tokens").model
    settings = dict(num_steps=30, seed=0, temperature=0.0, no_repeat_ngram=2.0)
    prompt = {"tokens": np.array([[4, 5, 6, 4, 7, 5]], np.int32)}
    made = contracts.call_endpoint(model, "continue", prompt, min_steps=1e6, **settings)
    whole = np.concatenate([prompt["tokens"], made["tokens"]], axis=1)[0]
    assert len(set(passages(whole, 2))) == 35


def test_a_penalty_makes_more_tokens_come():
    model = make_case("tokens").model
    settings = dict(num_outputs=1, num_steps=60, seed=0, temperature=0.0, min_steps=1e6)
    few = contracts.call_endpoint(model, "generate", **settings)
    many = contracts.call_endpoint(
        model, "generate", repetition_penalty=3.0, **settings
    )
    assert len(set(many["tokens"][0])) > len(set(few["tokens"][0]))
