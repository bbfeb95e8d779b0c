import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models import contracts
from tests.models.conftest import chords, make_case
from tfmusic.errors import UserError
from tfmusic.models import make_model
from tfmusic.representations import make_representation
from tfmusic.representations.vocabulary import END, PAD, START


def score(model, tokens, num_steps=None) -> dict[str, np.ndarray]:
    lengths = [len(row) for row in tokens] if num_steps is None else num_steps
    return contracts.call_endpoint(
        model, "score", {"tokens": np.array(tokens)}, num_steps=lengths
    )


@pytest.mark.parametrize("name", ["tokens", "tokens_reference"])
def test_probabilities_of_possible_tokens_sum_to_one(name):
    model = make_case(name).model
    size = model.vocabulary_size
    endings = [[7, 5, last] for last in range(3, size)]
    p = np.exp(score(model, endings)["log_likelihood"][:, 2]).sum()
    if model.learns_end:
        p += np.exp(score(model, [[7, 5]])["end_log_likelihood"][0])
    np.testing.assert_allclose(p, 1.0, rtol=1e-4)


def test_windows_begin_with_the_start_and_finish_with_the_end():
    model = make_case("tokens").model
    piece = {"tokens": np.array([4, 5, 6], np.int32)}
    window = contracts.cut_window(piece, -1, 6)
    x, y, weight = model.example_fn(window, tf.constant([0, 0]))
    np.testing.assert_array_equal(x, [START, 4, 5, 6, END, PAD])
    np.testing.assert_array_equal(y, [4, 5, 6, END, PAD, PAD])
    np.testing.assert_array_equal(weight, [1, 1, 1, 1, 0, 0])


def test_without_an_end_nothing_after_the_last_token_counts():
    model = make_case("tokens_reference").model
    piece = {"tokens": np.array([4, 5, 6], np.int32)}
    window = contracts.cut_window(piece, -1, 6)
    _, y, weight = model.example_fn(window, tf.constant([0, 0]))
    np.testing.assert_array_equal(y, [4, 5, 6, PAD, PAD, PAD])
    np.testing.assert_array_equal(weight, [1, 1, 1, 0, 0, 0])


@pytest.mark.parametrize("name", ["tokens", "tokens_reference"])
def test_only_tokens_of_music_are_generated(name):
    made = contracts.call_endpoint(
        make_case(name).model,
        "generate",
        num_outputs=20,
        num_steps=40,
        seed=0,
        temperature=5.0,
    )
    inside = np.arange(40) < made["num_steps"][:, np.newaxis]
    assert np.all(made["tokens"][inside] > END)
    assert np.all(made["tokens"][~inside] == PAD)


@pytest.fixture(scope="module")
def ending():
    """A model that has learnt that pieces are four tokens long."""
    keras.utils.set_random_seed(0)
    model = make_model(
        chords(),
        {"name": "token_lstm", "embedding_size": 8, "units": (16,), "dropout": 0.0},
    )
    model.build_model()
    pieces = [{"tokens": np.array([5, 6, 7, 8], np.int32)}] * 2
    contracts.train(model, contracts.whole_pieces(model, pieces), 100, 3e-2)
    return model


def test_pieces_end_where_they_should(ending):
    made = contracts.call_endpoint(
        ending,
        "generate",
        num_outputs=2,
        num_steps=9,
        seed=0,
        temperature=0.0,
        min_steps=0.0,
    )
    np.testing.assert_array_equal(made["num_steps"], [4, 4])
    np.testing.assert_array_equal(made["tokens"][0], [5, 6, 7, 8, 0, 0, 0, 0, 0])


@pytest.fixture(scope="module")
def hasty():
    """A model that would end every piece at once, and never rests."""
    keras.utils.set_random_seed(0)
    model = make_model(
        chords(), {"name": "token_lstm", "embedding_size": 8, "units": (8,)}
    )
    model.build_model()
    bias = np.where(model.representation.silent_tokens(), -30.0, 0.0)
    bias[END] = 30.0
    model.output_layer.bias.assign(bias)
    return model


@pytest.mark.parametrize("least", [1, 5, 9])
def test_no_piece_ends_before_its_least_length(hasty, least):
    settings = dict(num_steps=9, min_steps=float(least))
    made = contracts.call_endpoint(hasty, "generate", num_outputs=2, seed=0, **settings)
    np.testing.assert_array_equal(made["num_steps"], [least, least])
    assert np.all(made["tokens"][:, :least] > END)
    prompt = {"tokens": np.array([[5, 6, 7], [8, 7, 6]], np.int32)}
    made = contracts.call_endpoint(hasty, "continue", prompt, seed=0, **settings)
    np.testing.assert_array_equal(made["num_steps"], [least, least])  # new ones
    beams = contracts.call_endpoint(
        hasty, "search", beam_width=2, length_power=0.0, **settings
    )
    assert beams["num_steps"][0, 0] == least


def test_the_end_is_scored_by_itself(ending):
    whole, half = score(ending, [[5, 6, 7, 8], [5, 6, 0, 0]], [4, 2])[
        "end_log_likelihood"
    ]
    assert whole > -0.5
    assert half < -2.0


def test_a_window_may_teach_and_validate_its_last_step_alone():
    model = make_case("tokens_reference").model
    model.compile_for_training(keras.optimizers.Adam())
    x, y, weight = contracts.whole_pieces(model, make_case("tokens").pieces)
    logits = model(x)
    other = tf.where(tf.range(tf.shape(y)[1]) < 19, 4, y)
    losses = [
        float(model.compute_loss(x, targets, logits, weight, training=training))
        for training in (True, False)
        for targets in (y, other)
    ]
    # Steps before the shortest piece's last do not matter.
    assert losses[0] == losses[1] == losses[2] == losses[3]
    model.loss_steps = "all"
    assert float(model.compute_loss(x, other, logits, weight)) != losses[0]


def test_loss_and_metrics_are_the_scores_of_the_steps_that_count():
    case = make_case("tokens")
    model = case.model
    model.compile_for_training(keras.optimizers.Adam())
    x, y, weight = contracts.whole_pieces(model, case.pieces)
    assert np.any(weight == 0.0)  # where the shorter piece has ended
    logits = np.asarray(model(x), np.float64)
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    y, weight = y.numpy(), weight.numpy()
    nats = -np.take_along_axis(log_p, y[..., np.newaxis], axis=-1)[..., 0]
    hits = logits.argmax(axis=-1) == y
    model.reset_metrics()
    for data in ((x[:1], y[:1], weight[:1]), (x[1:], y[1:], weight[1:])):
        logs = model.test_step(data)
    mean = (nats * weight).sum() / weight.sum()
    expected = {
        "loss": (nats * weight).mean(),  # over all steps, weighted or not
        "nats_per_step": mean,
        "perplexity": np.exp(mean),
        "accuracy": (hits * weight).sum() / weight.sum(),
    }
    assert list(logs) == list(expected)
    np.testing.assert_allclose([*logs.values()], [*expected.values()], rtol=1e-4)


def test_the_published_chord_network_has_its_size():
    # One table for embedding and output, two recurrent layers, the output's bias.
    representation = make_representation({"name": "chord_frames"}).fit_counts(
        {f"{low}.{high}": 1 for low in range(40, 60) for high in range(61, 90)}
    )
    config = {"name": "token_lstm", "embedding_size": 512, "units": (512, 512)}
    model = make_model(representation, {**config, "tied_output": True})
    model.build_model()
    size = len(representation.vocabulary)
    layers = 2 * 4 * (512 * (512 + 512) + 512)
    assert model.count_params() == size * 512 + layers + size


def test_tying_needs_equal_sizes():
    config = {"name": "token_lstm", "embedding_size": 8, "units": (16,)}
    with pytest.raises(
        UserError, match="tied_output.*as embedding_size, 8; got .embedding. and 16"
    ):
        make_model(chords(), {**config, "tied_output": True})


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("name", "token_lsmt", "model.name: .*did you mean 'token_lstm'"),
        ("unitz", (8,), "unknown 'unitz' .did you mean 'units'"),
        ("head", "skuldr", "model.head: .*did you mean 'skuldur'"),
        ("input_encoding", "indx", "did you mean 'index'"),
        ("loss_steps", "lst", "did you mean 'last'"),
        ("keys_down", True, "expected tokens that end what sounds, got chord_frames"),
    ],
)
def test_settings_that_cannot_be_are_named(setting, value, message):
    with pytest.raises(UserError, match=message):
        make_model(chords(), {"name": "token_lstm", setting: value})


def carrying(cell):
    """A model whose training begins where the batch before ended; two rows."""
    keras.utils.set_random_seed(0)
    settings = dict(embedding_size=8, units=(6, 5), cell=cell, dropout=0.0)
    model = make_model(
        chords(), {"name": "token_lstm", "carry_state": True, **settings}
    )
    model.build_model()
    model.carry_state_of(2)
    return model


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_windows_in_a_row_give_what_the_whole_piece_does(cell):
    model = carrying(cell)
    tokens = np.random.RandomState(0).randint(3, 9, [2, 12])
    tokens[:, 0] = START
    tokens[1, 8] = START  # the second row begins another piece
    whole = model(tokens).numpy()
    other = model(tokens[1:, 8:]).numpy()[0]
    for _ in range(2):  # the second time from what the first one left
        parts = np.split(tokens, 3, axis=1)
        parts = [model(part, training=True).whole() for part in parts]
        made = np.concatenate(parts, axis=1)
        np.testing.assert_allclose(made[0], whole[0], atol=1e-5)
        np.testing.assert_allclose(made[1, :8], whole[1, :8], atol=1e-5)
        np.testing.assert_allclose(made[1, 8:], other, atol=1e-5)
    # Evaluation knows nothing of it, and leaves it alone.
    before = [value.numpy() for value in model.carried.variables]
    np.testing.assert_array_equal(model(tokens).numpy(), whole)
    for value, old in zip(model.carried.variables, before, strict=True):
        np.testing.assert_array_equal(value.numpy(), old)
        assert np.any(old)


def test_carried_state_is_no_weight_to_train():
    model = carrying("lstm")
    carried = model.carried.variables
    assert len(carried) == 4
    assert [id(v) for v in model.variables[-4:]] == [id(v) for v in carried]
    assert not {id(v) for v in carried} & {id(v) for v in model.trainable_variables}
