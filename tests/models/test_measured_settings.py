"""Figures of docs/results belong to settings; with others, they are measured anew."""

import pytest

from tests.experiments import CONFIGS, list_variants, load_config
from tests.models.test_published_settings import config_of, fields, num_weights
from tfmusic.data.settings import DataSettings
from tfmusic.models import make_model
from tfmusic.representations import make_representation

# What the runs had that docs/results and docs/figures.md report, where no model that
# comes with tfmusic was made so (its card tells that, see tests/test_pretrained.py).
MEASURED = {
    "two_hands_lstm:": """
        representation.steps_per_quarter=4 representation.steps_per_second=0.0
        representation.qpm=95.0 representation.velocity=100
        representation.onsets=True data.min_steps=33 data.window_stride=64
        data.transpose_semitones=5 model.units=(256,256) model.dropout=0.3
        model.branch_units=120 model.key_units=100 model.count_units=10
        model.key_loss_coefficient=88.0 model.count_loss_coefficient=0.5
        model.key_weights='none' model.key_chains=True model.loss_steps='all'
        model.repeat_bonus=0.0 optimizer.weight_decay=1e-05 train.batch_size=64
        train.num_epochs=40 train.early_stopping_epochs=4""",
    "two_hands_chords:": """
        representation.steps_per_quarter=4 representation.steps_per_second=0.0
        representation.first_instrument_only=False representation.min_count=3
        representation.max_vocabulary=8192 representation.fit_semitones=0
        data.min_steps=32 data.window_steps=256 data.window_stride=128
        model.embedding_size=256 model.input_encoding='pitches' model.cell='lstm'
        model.units=(256,256) model.dropout=0.3 model.recurrent_dropout=0.0
        model.head='linear' model.tied_output=True model.loss_steps='all'
        model.learn_end=True model.carry_state=False train.batch_size=16
        train.num_epochs=40 train.early_stopping_epochs=4""",
    "skuldur_lstm:": """
        representation.mode='notes' representation.steps_per_quarter=4
        representation.steps_per_second=0.0 representation.qpm=100.0
        representation.max_duration_steps=32 representation.max_shift_steps=16
        representation.min_count=2 representation.max_vocabulary=2048
        representation.fit_semitones=0 data.min_steps=16 data.window_steps=192
        data.window_stride=96 data.transpose_semitones=5 model.embedding_size=256
        model.input_encoding='embedding' model.cell='lstm' model.units=(384,384)
        model.dropout=0.3 model.recurrent_dropout=0.0 model.head='linear'
        model.tied_output=False model.loss_steps='all' model.learn_end=True
        model.carry_state=False train.batch_size=64 train.num_epochs=40
        train.early_stopping_epochs=4""",
    "performance_lstm:": """
        representation.steps_per_quarter=0 representation.steps_per_second=100.0
        representation.max_shift_steps=100 representation.num_velocity_bins=32
        representation.apply_sustain=True representation.lowest_pitch=21
        representation.highest_pitch=108 data.min_steps=32 data.window_steps=512
        data.window_stride=512 data.transpose_semitones=3 data.stretch=0.05
        model.embedding_size=256 model.input_encoding='embedding'
        model.keys_down=True model.cell='lstm' model.units=(384,384)
        model.dropout=0.2 model.recurrent_dropout=0.0 model.head='linear'
        model.tied_output=False model.loss_steps='all' model.learn_end=True
        model.carry_state=False train.batch_size=16 train.num_epochs=40
        train.early_stopping_epochs=4""",
    "bar_lstm:": """
        representation.steps_per_quarter=12 representation.note_steps=1
        representation.num_velocity_bins=32 representation.tempos=True
        representation.programs=True representation.lowest_pitch=0
        representation.highest_pitch=127 data.min_steps=32 data.window_steps=384
        data.window_stride=384 data.transpose_semitones=5 model.embedding_size=256
        model.input_encoding='embedding' model.cell='lstm' model.units=(384,384)
        model.dropout=0.3 model.recurrent_dropout=0.0 model.head='linear'
        model.tied_output=False model.pitch_context=True model.lookback=True
        model.loss_steps='all' model.learn_end=True model.temperature=1.0
        model.min_p=0.02 model.cadence=0.0 model.carry_state=False
        train.batch_size=32 train.num_epochs=40 train.early_stopping_epochs=4""",
    "bar_transformer:folk": """
        representation.steps_per_quarter=12 representation.note_steps=1
        representation.num_velocity_bins=0 representation.tempos=False
        representation.programs=False representation.lowest_pitch=36
        representation.highest_pitch=100 data.min_steps=32 data.window_steps=512
        data.window_stride=512 data.transpose_semitones=5 model.embedding_size=192
        model.input_encoding='embedding' model.num_layers=4 model.num_heads=6
        model.hidden_size=192 model.feed_forward_size=768 model.context_steps=512
        model.dropout=0.1 model.head='linear' model.tied_output=True
        model.loss_steps='all' model.learn_end=True model.temperature=1.0
        model.min_p=0.02 model.cadence=5.0 optimizer.learning_rate=0.0015
        optimizer.warmup_steps=200 train.batch_size=16 train.num_epochs=4
        train.early_stopping_epochs=4 train.steps_per_epoch=250""",
    "roll_lstm:": """
        representation.steps_per_quarter=1 representation.steps_per_second=0.0
        representation.qpm=120.0 representation.velocity=80
        representation.onsets=False representation.metre=False data.window_steps=160
        model.units=(256,) model.dropout=0.3 model.branch_units=0
        model.key_units=128 model.count_units=0 model.key_loss_coefficient=88.0
        model.count_loss_coefficient=0.0 model.key_weights='none'
        model.key_chains=False model.loss_steps='all' optimizer.learning_rate=0.003
        optimizer.warmup_steps=20 train.batch_size=16 train.num_epochs=100
        train.min_steps_per_epoch=0 train.early_stopping_epochs=15""",
    "next_frame_lstm:": """
        representation.steps_per_quarter=4 representation.steps_per_second=0.0
        representation.qpm=100.0 representation.velocity=80
        representation.first_instrument_only=False data.min_steps=33
        data.window_stride=64 data.transpose_semitones=5 model.units=(256,256)
        model.dropout=0.2 model.head_units=256 model.head_dropout=0.2
        model.key_chains=True model.loss='nats' model.loss_steps='all'
        model.teacher_forcing=1.0 model.teacher_forcing_end=1.0 train.num_epochs=40
        train.early_stopping_epochs=4""",
    "frame_seq2seq:": """
        representation.steps_per_quarter=4 representation.steps_per_second=0.0
        representation.qpm=100.0 representation.velocity=80
        representation.first_instrument_only=False data.min_steps=65
        data.window_steps=256 data.window_stride=128 data.transpose_semitones=5
        model.units=(256,256) model.dropout=0.2 model.segment_steps=64
        model.head_units=256 model.head_dropout=0.2 model.key_chains=True
        model.loss='nats' model.teacher_forcing=1.0 model.teacher_forcing_end=0.9
        model.teacher_forcing_steps=4000 model.feedback_temperature=1.0
        train.batch_size=16 train.num_epochs=40 train.early_stopping_epochs=4""",
    "biaxial_lstm:": """
        representation.steps_per_quarter=4 representation.qpm=120.0
        representation.velocity=80 representation.lowest_pitch=21
        representation.highest_pitch=108 representation.play_only=False
        data.min_steps=33 data.window_stride=64 model.time_units=(128,128)
        model.note_units=(64,) model.dropout=0.3 model.position=True
        model.pitch_class=True model.beat='metre' model.key_loss_coefficient=88.0
        optimizer.learning_rate=0.003 train.batch_size=8 train.num_epochs=20
        train.early_stopping_epochs=4""",
    "biaxial_lstm:johnson2017": """
        representation.steps_per_quarter=1 representation.qpm=120.0
        representation.velocity=80 representation.lowest_pitch=21
        representation.highest_pitch=108 representation.play_only=True
        data.min_steps=1 data.window_stride=32 data.window_steps=32
        model.time_units=(200,200) model.note_units=(100,100) model.dropout=0.5
        model.position=True model.pitch_class=False model.beat='none'
        model.key_loss_coefficient=88.0 optimizer.learning_rate=0.008
        optimizer.schedule='exponential' optimizer.warmup_steps=20
        optimizer.decay_rate=0.5 optimizer.decay_epochs=8 train.batch_size=8
        train.num_epochs=60 train.early_stopping_epochs=8
        train.min_steps_per_epoch=0""",
    "set_autoencoder:": """
        representation.steps_per_quarter=0 representation.steps_per_second=960.0
        representation.chunk_seconds=0.25 representation.max_events=15
        representation.pedal_bins=4 representation.split_pedals=True
        data.min_steps=64 data.window_steps=32 model.latent_size=75
        model.encoding='ponOHE' model.durations='logarithm'
        model.value_units=(256,256) model.key_units=(64,) model.size_units=(128,)
        model.event_units=(256,256) model.activation='relu' model.normalize=False
        model.residual=True model.keys_by_size=True model.normalize_keys=True
        model.learn_order=True model.size_output='classes'
        model.continuous_coefficient=10.0 model.size_coefficient=1.0
        model.latent_noise=0.0 optimizer.learning_rate=0.001
        optimizer.warmup_steps=200 train.batch_size=8 train.num_epochs=5
        train.steps_per_epoch=2000""",
    "latent_wgan:": """
        representation.latent_size=75 representation.with_events=False
        data.min_steps=64 data.window_steps=64 model.num_chunks=64
        model.generator='convolutional' model.noise_size=64
        model.generator_channels=(256,256,192,128,96) model.chunk_units=(256,256)
        model.local_noise=True model.bound=0.0
        model.critic_channels=(96,128,192,256,256) model.feature_size=256
        model.normalize='layer' model.normalize_critic='none' model.pool_all=True
        model.average_decay=0.999 model.unit_chunks=True
        model.moments_coefficient=0.3 model.critic_steps=3 model.critic_rate=2.0
        model.penalty_coefficient=10.0 model.matching='means'
        model.matching_coefficient=0.1 optimizer.learning_rate=0.0003
        optimizer.warmup_steps=0 optimizer.clip_norm=0.0 train.batch_size=36
        optimizer.options={'beta_1':0.5,'beta_2':0.9}
        train.num_epochs=8 train.steps_per_epoch=1000""",
}
# Variants that differ from another in one thing, and what that is.
DIFFERENCES = {
    "set_autoencoder:robust": ("", "model.latent_noise=0.4"),
    "set_autoencoder:latents20": ("", "model.latent_size=20"),
    "roll_lstm:eighths": (
        "",
        """representation.steps_per_quarter=2 train.num_epochs=60
        train.steps_per_epoch=100""",
    ),
    "biaxial_lstm:johnson2017_eighths": (
        "johnson2017",
        "representation.steps_per_quarter=2",
    ),
    "coconet:pitches": (
        "",
        "representation.highest_pitch=81 representation.onsets=False",
    ),
}
# Of each smoke variant, which takes a minute: steps, windows a step, steps of a window,
# and weights, where they do not depend on the music.
SMOKE = {
    "bar_lstm": (300, 32, 96, 382_753),
    "bar_transformer": (300, 32, 96, 124_792),
    "biaxial_lstm": (120, 8, 32, 35_842),
    "chord_lstm": (300, 32, 32, None),
    "coconet": (200, 16, 64, 51_260),
    "frame_seq2seq": (200, 8, 128, 250_768),
    "latent_wgan": (200, 32, 16, None),
    "next_frame_lstm": (200, 16, 64, 139_792),
    "performance_lstm": (200, 32, 64, 161_047),
    "performance_transformer": (200, 16, 128, 99_255),
    "roll_lstm": (120, 16, 160, 49_048),
    "set_autoencoder": (400, 8, 32, None),
    "skuldur_lstm": (200, 32, 64, None),
    "two_hands_chords": (300, 32, 64, None),
    "two_hands_lstm": (200, 32, 64, 266_818),
}


@pytest.mark.parametrize("name", MEASURED)
def test_measured_variants_have_the_settings_of_their_figures(name):
    config = config_of(name).to_dict()
    for section, field, expected in fields(MEASURED[name]):
        assert (field, config[section][field]) == (field, expected)


@pytest.mark.parametrize("name", DIFFERENCES)
def test_variants_differ_from_what_they_are_compared_with_in_one_thing(name):
    family, _ = name.split(":")
    base, differences = DIFFERENCES[name]
    expected = load_config(family, base)
    for section, field, value in fields(differences):
        expected[section][field] = value
    assert config_of(name).to_dict() == expected.to_dict()


@pytest.mark.parametrize("name", CONFIGS)
def test_a_smoke_run_is_no_longer_than_the_minute_that_was_timed(name):
    config = load_config(name, "smoke")
    train = config.train
    steps, windows, window_steps, weights = SMOKE[name]
    assert train.num_epochs * train.steps_per_epoch == steps
    assert (train.batch_size, config.data.window_steps) == (windows, window_steps)
    if weights:
        model = make_model(make_representation(config.representation), config.model)
        assert num_weights(model) == weights


@pytest.mark.parametrize("name", CONFIGS)
def test_windows_leave_nothing_out(name):
    for variant in list_variants(name):
        data = DataSettings.from_config(load_config(name, variant).data)
        assert data.window_stride <= data.window_steps


@pytest.mark.parametrize("name", ["bar_transformer", "performance_transformer"])
def test_attention_reaches_over_a_whole_window(name):
    for variant in list_variants(name):
        config = load_config(name, variant)
        assert config.model.context_steps == config.data.window_steps


def test_both_transformers_have_the_network_that_the_table_of_families_names():
    performances = load_config("performance_transformer", "").model
    assert (performances.num_layers, performances.hidden_size) == (4, 256)
    assert performances.context_steps == 512
    bars = load_config("bar_transformer", "").model
    network = ("embedding_size", "num_heads", "num_layers", "hidden_size")
    for field in (*network, "feed_forward_size", "context_steps", "dropout"):
        assert (field, bars[field]) == (field, performances[field])
    assert performances.feed_forward_size == 4 * performances.hidden_size
    assert performances.hidden_size // performances.num_heads == 32


@pytest.mark.parametrize("variant", list_variants("latent_wgan"))
def test_latents_are_of_the_chunks_that_an_autoencoder_reads(variant):
    latents = load_config("latent_wgan", variant)
    encoder = "reference" if variant == "reference" else "robust"
    chunks = load_config("set_autoencoder", encoder)
    assert latents.representation.chunks == chunks.representation
    assert latents.representation.latent_size == chunks.model.latent_size
    assert latents.model.num_chunks == latents.data.window_steps
    needs_events = variant in ("joint", "augmented")  # what they learn from
    assert latents.representation.with_events is needs_events
    assert latents.model.joint is (variant == "joint")


def test_the_focal_variant_has_the_loss_of_the_experiment_that_it_names():
    experiment4 = load_config("frame_seq2seq", "reference").model
    focal = load_config("next_frame_lstm", "focal").model
    assert (focal.loss, experiment4.loss) == ("focal", "focal")
    assert (focal.alpha, focal.gamma) == (experiment4.alpha, experiment4.gamma)


def test_both_published_experiments_of_segments_see_as_many_windows():
    windows = {
        train.steps_per_epoch * train.batch_size
        for train in (
            load_config("frame_seq2seq", variant).train
            for variant in ("reference", "reference_experiment3")
        )
    }
    assert len(windows) == 1
