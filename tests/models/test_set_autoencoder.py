"""Sets of events to vectors and back."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.experiments import load_config
from tests.models.contracts import call_endpoint, cut_window, make_batch
from tfmusic.errors import UserError
from tfmusic.models import make_model
from tfmusic.models.set_autoencoder import AutoencoderSettings
from tfmusic.models.set_layers import noise_like
from tfmusic.representations import make_representation
from tfmusic.representations.event_vectors import ENCODINGS

MAX_EVENTS = 4
CHUNKS = {
    "name": "event_chunks",
    "chunk_seconds": 0.25,
    "duration_lognormal": (1.126, 84.32),
}
SMALL = {
    "name": "set_autoencoder",
    "latent_size": 24,
    "value_units": (32,),
    "key_units": (16,),
    "size_units": (16,),
    "event_units": (48, 48),
}


def make_autoencoder(max_events=MAX_EVENTS, **settings):
    keras.utils.set_random_seed(1)
    representation = make_representation({**CHUNKS, "max_events": max_events})
    model = make_model(representation, {**SMALL, **settings})
    model.build_model()
    return model


def test_what_decodes_events_is_not_normalized():
    model = make_autoencoder(normalize=True)
    layers = model.values, model.sizes, model.events
    assert [len(layer.norms) for layer in layers] == [1, 1, 0]


def random_sets(num_sets, max_events, seed=0, num_ids=91):
    """Sets of all sizes in turn, zeros where there is no event."""
    random = np.random.default_rng(seed)
    events = np.stack(
        [
            random.integers(0, num_ids, (num_sets, max_events)),
            random.integers(0, 240, (num_sets, max_events)),
            random.integers(10, 2000, (num_sets, max_events)),
            random.integers(1, 128, (num_sets, max_events)),
        ],
        axis=-1,
    )
    num_events = np.arange(num_sets) % (max_events + 1)
    events *= (np.arange(max_events) < num_events[:, None])[..., None]
    return events.astype(np.int32), num_events.astype(np.int32)


def learn(model, events, num_events, num_steps, learning_rate=1e-2):
    """Loss before and after some steps on the same sets."""
    model.compile_for_training(keras.optimizers.Adam(learning_rate))
    x = {"events": events[None], "num_events": num_events[None]}
    x = {name: tf.constant(array) for name, array in x.items()}
    weight = tf.ones(x["num_events"].shape)
    step = tf.function(lambda: model.train_step((x, {}, weight)))
    losses = [float(step()["loss"])]
    model.reset_metrics()
    for _ in range(num_steps):
        step()
    model.reset_metrics()
    return losses[0], float(step()["loss"])


def as_set(events, num_events):
    return sorted(map(tuple, events[:num_events].tolist()))


def shuffled(events, num_events, seed=1):
    random = np.random.default_rng(seed)
    events = events.copy()
    for chunk, count in zip(events, num_events, strict=True):
        chunk[:count] = random.permutation(chunk[:count])
    return events


@pytest.fixture(scope="module")
def trained():
    """A model that knows a few sets, of every size, by heart."""
    model = make_autoencoder()
    sets = random_sets(10, MAX_EVENTS)
    before, after = learn(model, *sets, 600)
    assert after < 0.1 * before
    return model, *sets


def test_parts_of_the_loss_are_metrics(trained):
    model, events, num_events = trained
    x = {
        "events": tf.constant(events[None]),
        "num_events": tf.constant(num_events[None]),
    }
    model.reset_metrics()
    logs = model.test_step((x, {}, tf.ones(x["num_events"].shape)))
    found = {name: float(value) for name, value in logs.items()}
    assert all(found[f"{name}_loss"] > 0 for name in ("which", "continuous", "size"))
    assert 0 < found["key_accuracy"] <= 1


def test_order_of_events_means_nothing(trained):
    model, events, num_events = trained
    other = shuffled(events, num_events)
    assert np.any(other != events)
    codes = model.encode(events, num_events)
    assert np.abs(codes - model.encode(other, num_events)).max() < 1e-5
    assert np.ptp(codes, axis=0).max() > 0.1


@pytest.mark.parametrize("encoding", ["ponOHE", "OHE"])
def test_moments_sum_up_what_sets_are_decoded_to(encoding):
    model = make_autoencoder(encoding=encoding)
    # Sure of every event, so that probabilities are 0 or 1.
    kernel = model.events.linear.kernel
    kernel.assign(1e4 * kernel)
    latents = tf.random.stateless_normal([30, 24], [0, 0])
    events, num_events = model.decode(latents)
    moments = tf.reshape(model.moments(latents), [30, -1, 4]).numpy()
    np.testing.assert_allclose(moments[:, 0, 0], num_events, atol=1e-4)
    assert len(set(num_events.numpy())) > 2
    used = np.arange(MAX_EVENTS) < num_events.numpy()[:, None]
    for pedal in range(3):
        is_it = used & (events[..., 0].numpy() == 88 + pedal)
        part = 1 + (88 if encoding == "OHE" else 1) + pedal
        np.testing.assert_allclose(moments[:, part, 0], is_it.sum(axis=1), atol=0.05)
    if encoding == "ponOHE":
        ids = events[..., 0].numpy()
        keys = np.where(used & (ids < 88), ids % 12, 12)
        notes = (keys[..., None] == np.arange(12)).sum(axis=1)
        # What is said above the highest key comes back as that.
        rows = ~np.any(ids == 87, axis=1)
        np.testing.assert_allclose(moments[rows, -12:, 0], notes[rows], atol=0.05)


def test_moments_have_gradients():
    model = make_autoencoder()
    latents = tf.random.stateless_normal([8, 24], [0, 1])
    with tf.GradientTape() as tape:
        tape.watch(latents)
        moments = model.moments(latents)
    gradients = tf.convert_to_tensor(tape.gradient(moments, latents)).numpy()
    is_empty = moments[:, 0].numpy() == 0
    np.testing.assert_array_equal(np.all(gradients == 0, axis=1), is_empty)


def test_what_stands_beyond_the_number_of_events_means_nothing(trained):
    model, events, num_events = trained
    junk = events.copy()
    junk[np.arange(MAX_EVENTS) >= num_events[:, None]] = (17, 100, 500, 90)
    np.testing.assert_array_equal(
        model.encode(events, num_events), model.encode(junk, num_events)
    )


def test_sets_of_all_sizes_come_back_full_ones_too(trained):
    model, events, num_events = trained
    made, counts = (t.numpy() for t in model.decode(model.encode(events, num_events)))
    np.testing.assert_array_equal(counts, num_events)
    assert set(counts) == set(range(MAX_EVENTS + 1))
    assert not made[np.arange(MAX_EVENTS) >= counts[:, None]].any()
    for true, found, count in zip(events, made, counts, strict=True):
        order = [np.lexsort(rows[:count].T[::-1]) for rows in (true, found)]
        true, found = true[:count][order[0]], found[:count][order[1]]
        np.testing.assert_array_equal(true[:, 0], found[:, 0])  # pitches and pedals
        assert np.all(np.abs(true[:, 1] - found[:, 1]) <= 48)  # 50 ms
        assert np.all(np.abs(true[:, 3] - found[:, 3]) <= 20)


def test_a_number_for_the_size_reaches_a_full_set():
    """The reference system rounds it to one below, so full sets never come back."""
    model = make_autoencoder(size_output="number", keys_by_size=False)
    sets = random_sets(10, MAX_EVENTS)
    learn(model, *sets, 300)
    _, counts = model.decode(model.encode(*sets))
    np.testing.assert_array_equal(counts, sets[1])


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_loss_of_every_encoding_reaches_all_weights(encoding):
    model = make_autoencoder(encoding=encoding)
    events, num_events = random_sets(10, MAX_EVENTS)
    x = {"events": events[None], "num_events": num_events[None]}
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y_pred=model(x))
    variables = [variable.value for variable in model.trainable_variables]
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, variables), strict=True
    ):
        assert gradient is not None, variable.path
        gradient = tf.convert_to_tensor(gradient)
        assert np.all(np.isfinite(gradient)) and np.any(gradient != 0), variable.path


def test_noise_of_training_is_as_wide_as_the_latents_are():
    random = np.random.default_rng(0)
    latents = random.normal([0.0, 5.0], [1.0, 0.1], [4000, 2]).astype(np.float32)
    seeds = tf.constant([[0, 1], [0, 2]])
    noise = noise_like(tf.constant(latents), seeds, 2000).numpy()
    np.testing.assert_allclose(noise.std(axis=0), [1.0, 0.1], rtol=0.05)
    np.testing.assert_allclose(noise.mean(axis=0), [0.0, 0.0], atol=0.05)
    assert abs(np.corrcoef(noise[:2000, 0], noise[2000:, 0])[0, 1]) < 0.1


def test_noise_disturbs_training_alone():
    calm, disturbed = make_autoencoder(), make_autoencoder(latent_noise=0.5)
    disturbed.set_weights(calm.get_weights())
    events, num_events = random_sets(8, MAX_EVENTS)
    chunks = {"events": events[None], "num_events": num_events[None]}
    chunks["seed"] = tf.constant([[0, 1]])
    for training in (False, True):
        losses = [m(chunks, training=training)["which"] for m in (calm, disturbed)]
        assert np.array_equal(*losses) is not training


def test_losses_do_not_depend_on_batching(trained):
    model, events, num_events = trained
    data = {"events": events[:, None], "num_events": num_events[:, None]}
    weight = (np.arange(10) < 8).astype(np.float32)[:, None]
    results = []
    for size in (1, 3, 10):
        batches = tf.data.Dataset.from_tensor_slices((data, {}, weight)).batch(size)
        results.append(model.evaluate(batches, verbose=0, return_dict=True))
    assert set(results[0]) >= {"loss", "key_accuracy", "size_loss"}
    for other in results[1:]:
        for name, value in results[0].items():
            np.testing.assert_allclose(value, other[name], rtol=1e-4, err_msg=name)


def test_windows_count_the_chunks_of_the_piece_alone():
    model = make_autoencoder()
    events, num_events = random_sets(7, MAX_EVENTS)
    window = cut_window({"events": events, "num_events": num_events}, -1, 9)
    x, _, weight = make_batch(model, [window])
    np.testing.assert_array_equal(x["num_events"][0, :7], num_events)
    np.testing.assert_array_equal(weight[0], np.arange(9) < 7)


def test_endpoints_are_one_another_in_a_row(trained):
    model, events, num_events = trained
    piece = {"events": events[None], "num_events": num_events[None]}
    latents = call_endpoint(model, "encode", piece)["latents"]
    assert latents.shape == (1, 10, 24)
    decoded = call_endpoint(model, "decode", latents=latents)
    whole = call_endpoint(model, "reconstruct", piece)
    for name in piece:
        np.testing.assert_array_equal(decoded[name], whole[name])
        assert whole[name].shape == piece[name].shape


def test_any_latents_are_music(trained):
    model, *_ = trained
    noise = np.random.default_rng(0).normal(0, 10, (1, 50, 24)).astype(np.float32)
    chunks = call_endpoint(model, "decode", latents=noise)
    sequence = model.representation.decode({n: a[0] for n, a in chunks.items()})
    assert sequence.notes


def test_the_reference_has_the_published_number_of_weights():
    config = load_config("set_autoencoder", "reference")
    representation = make_representation(
        {**config.representation, "duration_lognormal": (1.1, 80.0)}
    )
    model = make_model(representation, config.model)
    model.build_model()
    assert model.count_params() == 2374


def test_half_precision_gives_whole_latents():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = make_autoencoder()
        events, num_events = random_sets(5, MAX_EVENTS)
        assert model.encode(events, num_events).dtype == tf.float32
        outputs = model({"events": events[None], "num_events": num_events[None]})
        assert {tensor.dtype for tensor in outputs.values()} == {tf.float32}
    finally:
        keras.config.set_dtype_policy("float32")


def test_settings_saved_when_matching_could_be_chosen_still_load():
    read = AutoencoderSettings.from_config
    assert read({"latent_size": 7, "matching": "order"}) == read({"latent_size": 7})
    with pytest.raises(UserError, match="unknown 'matching'"):
        read({"matching": "assignment"})


def test_wrong_settings_are_told():
    for setting, message in {
        "encoding": "model.encoding: unknown 'x'.* ponOHE",
        "durations": "model.durations: unknown 'x'.* logarithm, share",
        "size_output": "model.size_output: unknown 'x'.* classes, number",
    }.items():
        with pytest.raises(UserError, match=message):
            make_autoencoder(**{setting: "x"})
    with pytest.raises(UserError, match="model.activation: .*reluu"):
        make_autoencoder(activation="reluu")
    with pytest.raises(
        UserError, match="model.latent_size: expected at least 1, got 0"
    ):
        make_autoencoder(latent_size=0)
    rolls = make_representation({"name": "binary_roll"})
    with pytest.raises(UserError, match="expected event_chunks; binary_roll goes"):
        make_model(rolls, SMALL)
