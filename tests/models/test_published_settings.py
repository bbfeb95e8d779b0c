"""The `:reference` variants have the numbers that their sources give."""

import ast
import re

import numpy as np
import pytest
import tensorflow as tf

from tests.experiments import list_variants, load_config
from tfmusic.config import list_configs
from tfmusic.data.settings import DataSettings
from tfmusic.data.windows import Windows
from tfmusic.models import make_model
from tfmusic.models.set_layers import Perceptron
from tfmusic.representations import make_representation
from tfmusic.training.optimizers import make_optimizer

# What stands in each source, by variant: fields of the config and their values.
PUBLISHED = {
    "two_hands_lstm:reference": """
        representation.steps_per_quarter=4 representation.qpm=95.0
        data.window_steps=32 data.window_stride=1 data.transpose_semitones=3
        data.transpose_down_semitones=2 model.max_key_weight=10000.0
        model.units=(150,150) model.dropout=0.5 model.branch_units=120
        model.key_units=100 model.count_units=10 model.key_loss_coefficient=1.2
        model.count_loss_coefficient=1.0 model.loss_steps='last'
        optimizer.name='adam' optimizer.learning_rate=0.001
        optimizer.weight_decay=1e-05 train.batch_size=100 train.num_epochs=4""",
    "two_hands_lstm:one_hand_reference": """
        representation.qpm=100.0 data.window_steps=32 model.units=(128,128)
        data.transpose_semitones=1 data.transpose_down_semitones=-1
        optimizer.weight_decay=1e-05
        model.dropout=0.4 model.branch_units=0 model.key_units=100
        model.count_units=10 optimizer.learning_rate=0.001 train.batch_size=100
        train.num_epochs=5""",
    "biaxial_lstm:reference": """
        representation.steps_per_quarter=4 representation.lowest_pitch=24
        representation.highest_pitch=101 data.min_steps=128 data.window_steps=128
        data.draw_measures=True data.window_stride=16
        model.time_units=(300,300) model.note_units=(100,50)
        model.dropout=0.5 model.beat='binary' model.key_loss_coefficient=0.5
        optimizer.name='adam'
        optimizer.learning_rate=0.001 optimizer.clip_value=1.0 optimizer.clip_norm=0.0
        train.batch_size=5 train.num_epochs=100 train.steps_per_epoch=500""",
    "skuldur_lstm:reference": """
        representation.mode='reference' representation.min_count=1
        representation.max_vocabulary=0 data.window_steps=100 data.window_stride=1
        model.units=(512,512,512) model.input_encoding='index' model.dropout=0.0
        model.recurrent_dropout=0.3 model.head='skuldur' model.loss_steps='last'
        optimizer.name='rmsprop' optimizer.learning_rate=0.001 train.batch_size=128
        train.num_epochs=200""",
    "skuldur_lstm:reference_text": """
        model.units=(512,512,512) model.dropout=0.3 model.recurrent_dropout=0.0
        model.head='dense' optimizer.name='rmsprop' data.window_steps=100
        optimizer.learning_rate=0.001 train.batch_size=128""",
    "next_frame_lstm:reference": """
        representation.steps_per_quarter=12 data.window_steps=160
        data.min_steps=160 data.window_stride=16 model.units=(512,512)
        model.dropout=0.2 model.head_units=256 model.head_dropout=0.5
        model.loss='single' model.loss_steps='last' optimizer.name='adam'
        optimizer.learning_rate=0.0001 train.batch_size=50 train.num_epochs=100""",
    "frame_seq2seq:reference_experiment3": """
        model.segment_steps=160 model.units=(512,512) model.dropout=0.2
        model.loss='single' model.teacher_forcing=1.0 model.teacher_forcing_end=1.0
        data.window_steps=320 representation.steps_per_quarter=4
        optimizer.learning_rate=0.0001 train.batch_size=50 train.num_epochs=100""",
    "frame_seq2seq:reference": """
        representation.steps_per_quarter=4 model.segment_steps=128
        model.units=(512,512) model.dropout=0.2 model.head_units=256
        model.head_dropout=0.5 model.loss='focal' model.alpha=0.7 model.gamma=2.0
        model.teacher_forcing=0.5 model.teacher_forcing_end=0.0
        model.feedback_temperature=0.0 data.window_stride=1 optimizer.name='adam'
        data.window_steps=256 model.teacher_forcing_steps=30000
        train.steps_per_epoch=600
        optimizer.learning_rate=0.0001 train.batch_size=16 train.num_epochs=50""",
    "set_autoencoder:reference": """
        representation.chunk_seconds=0.25 representation.max_events=15
        representation.pedal_bins=4 model.latent_size=20 model.encoding='pon'
        model.event_units=(13,) model.value_units=(13,) model.key_units=(17,)
        model.size_units=(10,) model.activation='mish' model.normalize=True
        model.size_coefficient=0.001
        model.continuous_coefficient=1.0 optimizer.name='adam'
        optimizer.learning_rate=0.0001 train.num_epochs=75""",
    "latent_wgan:reference": """
        representation.latent_size=20 model.num_chunks=64 model.noise_size=50
        model.bound=4.0
        data.window_stride=1
        model.generator_channels=(640,320,160,80,40) model.feature_size=1280
        model.critic_channels=(40,80,160,320,640) model.critic_rate=1.0
        model.normalize='instance' model.normalize_critic='instance'
        model.critic_steps=5 model.penalty_coefficient=0.1
        model.matching_coefficient=0.1 model.matching='pairs'
        optimizer.learning_rate=0.0001 train.num_epochs=50""",
    "chord_lstm:reference": """
        representation.steps_per_second=2.0 representation.decode_steps_per_second=8.0
        representation.first_instrument_only=True representation.min_count=1
        data.window_steps=100 model.embedding_size=512 model.units=(512,512)
        model.dropout=0.0 model.tied_output=True model.temperature=0.9
        model.min_p=0.0 optimizer.name='adam' optimizer.learning_rate=0.002
        optimizer.weight_decay=0.0005 train.batch_size=256 train.num_epochs=50""",
    # Oore et al., 2018, and the network that Magenta published.
    "performance_lstm:reference": """
        representation.steps_per_second=100.0 representation.max_shift_steps=100
        representation.num_velocity_bins=32 representation.lowest_pitch=0
        representation.highest_pitch=127 data.window_steps=512
        data.transpose_semitones=3 data.stretch=0.05 model.embedding_size=512
        model.keys_down=False model.units=(512,512,512) model.dropout=0.0
        optimizer.name='adam' optimizer.learning_rate=0.001 optimizer.clip_norm=3.0
        train.batch_size=64""",
    "chord_lstm:reference_gru": """
        model.cell='gru' model.units=(512,512) optimizer.learning_rate=0.002
        optimizer.weight_decay=0.0005""",
}
# What later systems or this project added, and a source is without unless it says so.
ADDED = """
    optimizer.clip_norm=0.0 optimizer.clip_value=0.0 optimizer.weight_decay=0.0
    optimizer.warmup_steps=0 data.transpose_semitones=0
    representation.max_vocabulary=0 data.key='original' data.stretch=0.0
    data.velocity_shift=0 data.draw_measures=False representation.metre=False
    representation.plan=False
    representation.keys=False representation.onsets=False model.key_chains=False
    model.carry_state=False model.learn_end=False model.keys_by_size=False
    model.normalize_keys=False model.residual=False model.learn_order=False
    model.latent_noise=0.0 model.average_decay=0.0 model.moments_coefficient=0.0
    model.joint=False model.local_noise=False model.pool_all=False
    model.unit_chunks=False"""
# Learned by heart on purpose, and exported as the source does: at the end.
BY_HEART = (
    "two_hands_lstm:reference",
    "two_hands_lstm:one_hand_reference",
    "skuldur_lstm:reference",
    "skuldur_lstm:reference_text",
    "next_frame_lstm:reference",
    "frame_seq2seq:reference",
    "frame_seq2seq:reference_experiment3",
    "chord_lstm:reference",
    "chord_lstm:reference_gru",
)


def config_of(name):
    return load_config(*name.split(":"))


def fields(text):
    """Section, name and value of each field of a config in a text."""
    for section, name, value in re.findall(r"(\w+)\.(\w+)=(\S+)", text):
        yield section, name, ast.literal_eval(value)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_reference_has_the_published_settings(name):
    config = config_of(name)
    for section, field, expected in fields(PUBLISHED[name]):
        found = config[section][field]
        assert (field, type(found), found) == (field, type(expected), expected)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_reference_has_nothing_that_its_source_is_without(name):
    config = config_of(name)
    published = {field for _, field, _ in fields(PUBLISHED[name])}
    for section, field, expected in fields(ADDED):
        if field in config[section] and field not in published:
            assert (field, config[section][field]) == (field, expected)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_reference_keeps_one_learning_rate_to_its_end(name):
    config = config_of(name)
    schedule = make_optimizer(config.optimizer, 7, config.train.num_epochs).schedule
    end = 7 * config.train.num_epochs
    rates = [float(schedule(step)) for step in (0, 1, end // 2, end - 1)]
    assert rates == pytest.approx([config.optimizer.learning_rate] * 4)
    assert config.train.early_stopping_epochs == 0


@pytest.mark.parametrize("name", PUBLISHED)
def test_an_epoch_of_a_reference_is_one_pass_unless_its_source_counts_steps(name):
    train = config_of(name).train
    assert train.steps_per_epoch or not train.min_steps_per_epoch


@pytest.mark.parametrize("variant", list_variants("frame_seq2seq"))
def test_pieces_that_reach_the_second_segment_are_kept(variant):
    config = load_config("frame_seq2seq", variant)
    assert config.data.min_steps == config.model.segment_steps + 1


def test_what_is_learned_by_heart_exports_its_latest_weights():
    latest = {
        f"{name}:{variant}"
        for name in list_configs()
        for variant in list_variants(name)
        if load_config(name, variant).train.export_checkpoint == "latest"
    }
    assert latest == set(BY_HEART)


@pytest.mark.parametrize(
    ("name", "windows", "steps"),
    # Batches of chunks and of the critic: windows times what each of them holds.
    [("set_autoencoder", 5, 20), ("latent_wgan", 50, 64)],
)
def test_batches_of_chunks_are_the_published_ones(name, windows, steps):
    config = load_config(name, "reference")
    assert (config.train.batch_size, config.data.window_steps) == (windows, steps)


def test_the_critic_takes_the_published_number_of_steps_in_an_epoch():
    config = load_config("latent_wgan", "reference")
    windows = Windows(DataSettings.from_config(config.data), include_end=False)
    lengths = np.array([64, 100, 1063])
    # A window from every chunk on that has 63 after it, ten of them in a batch.
    assert windows.count_shuffled(lengths).tolist() == [1, 37, 1000]
    assert config.train.batch_size / config.model.critic_steps == 10


def semitones_of(name):
    representation = make_representation(load_config(*name.split(":")).representation)
    (variation,) = DataSettings.from_config(config_of(name).data).variations(
        representation
    )
    # Each variant says where middle C goes.
    return sorted(int(row[39]) - 39 for row in variation.table)


@pytest.mark.parametrize(
    ("name", "semitones"),
    [
        ("two_hands_lstm:reference", [-2, -1, 0, 1, 2, 3]),
        ("two_hands_lstm:one_hand_reference", [-1, 0, 1]),
        ("two_hands_lstm:", list(range(-5, 6))),
    ],
)
def test_windows_are_moved_by_the_published_semitones(name, semitones):
    assert semitones_of(name) == semitones


def with_vocabulary(config, names):
    representation = make_representation(config.representation)
    return representation.fit_counts(dict.fromkeys(names, 1))


def num_weights(model, trainable_only=True):
    model.build_model()
    weights = model.trainable_weights if trainable_only else model.weights
    return sum(int(np.prod(weight.shape)) for weight in weights)


def lstm(inputs, units):
    return 4 * units * (inputs + units + 1)


def test_the_chord_network_has_the_published_layers():
    config = config_of("chord_lstm:reference")
    # 425 chords and the rest, as the source's eight files have; three special tokens.
    kind = with_vocabulary(
        config, [f"{40 + i // 40}.{60 + i % 40}" for i in range(425)]
    )
    model = make_model(kind, config.model)
    vocabulary = 3 + 426
    # Tied: the embedding counts once.
    expected = vocabulary * 512 + 2 * lstm(512, 512) + vocabulary
    assert num_weights(model) == expected
    gru = make_model(kind, config_of("chord_lstm:reference_gru").model)
    # Three gates of four, and Keras' second bias.
    assert num_weights(gru) == (
        vocabulary * 513 + 2 * (3 * 512 * (512 + 512 + 1) + 3 * 512)
    )


@pytest.mark.parametrize(
    ("variant", "head"),
    [
        ("reference", 2 * 512 + 513 * 256 + 2 * 256),  # two batch normalisations
        ("reference_text", 513 * 256),
    ],
)
def test_the_note_name_network_has_the_published_layers(variant, head):
    config = load_config("skuldur_lstm", variant)
    kind = with_vocabulary(config, ["0.4.7", "2.5.9"])
    model = make_model(kind, config.model)
    size = len(kind.vocabulary)
    layers = lstm(1, 512) + 2 * lstm(512, 512)
    assert num_weights(model) == layers + head + 257 * size


def test_the_head_of_the_note_name_text_is_linear():
    config = load_config("skuldur_lstm", "reference_text")
    model = make_model(with_vocabulary(config, ["0.4.7"]), config.model)
    dense, dropout = model.head
    assert dense.units == 256
    assert dense.activation.__name__ == "linear"
    assert dropout.rate == 0.3
    assert [layer.rate for layer in model.network.dropouts] == [0.3, 0.3]


def test_the_next_frame_network_has_the_published_layers():
    config = config_of("next_frame_lstm:reference")
    model = make_model(make_representation(config.representation), config.model)
    layers = lstm(176, 512) + lstm(512, 512) + 513 * 256 + 257 * 176
    assert num_weights(model) == layers


def test_the_smallest_roll_network_has_the_published_layers():
    config = config_of("roll_lstm:reference")
    model = make_model(make_representation(config.representation), config.model)
    assert num_weights(model) == lstm(88, 36) + 37 * 88
    assert config.optimizer.name == "rmsprop"


def test_layers_are_normalised_with_the_published_epsilon():
    perceptron = Perceptron((3,), 2, "mish", normalize=True)
    # Deviations of 0.001 and of the epsilon's root weigh about the same.
    values = np.float32([[1e-3, -1e-3, 0.0]])
    perceptron(tf.constant(values))
    (norm,) = perceptron.norms
    variance = values.var()
    np.testing.assert_allclose(
        norm(values), values / np.sqrt(variance + 1e-5), rtol=1e-4
    )


def test_three_hundred_chords_of_the_reference_last_37_seconds_and_a_half():
    config = config_of("chord_lstm:reference")
    kind = with_vocabulary(config, ["60", "62"])
    tokens = np.resize([4, 5], 300).astype(np.int32)
    assert kind.decode({"tokens": tokens}).total_time == pytest.approx(37.5)


@pytest.mark.parametrize(
    ("name", "controls"),
    [
        (
            "two_hands_lstm:reference",
            {"repeat_bonus": 1.0, "repeat_rate_right": 0.25, "repeat_rate_left": 0.1},
        ),
        (
            "two_hands_lstm:one_hand_reference",
            {"repeat_bonus": 1.0, "repeat_rate": 0.25},
        ),
        ("two_hands_lstm:", {"repeat_bonus": 0.0}),
        ("chord_lstm:reference", {"temperature": 0.9, "min_p": 0.0}),
    ],
)
def test_generation_begins_with_the_published_controls(name, controls):
    config = config_of(name)
    kind = make_representation(config.representation)
    if kind.name == "chord_frames":
        kind = with_vocabulary(config, ["60"])
    model = make_model(kind, config.model)
    found = {control.name: control.default for control in model.CONTROLS}
    assert controls.items() <= found.items()
