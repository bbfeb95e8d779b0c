import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np
import pytest

from tests.models import contracts
from tfmusic.models import AutoregressiveModel, make_model
from tfmusic.representations import make_representation
from tfmusic.representations.phrases import SPECS as PLAN_SPECS

SIZES = (20, 26, 31)
REST_ID, SPELLED_ID = 3, 4


@dataclasses.dataclass
class Case:
    """A small model and pieces that it can learn by heart."""

    model: AutoregressiveModel
    pieces: list[contracts.Piece]


def token_pieces() -> list[contracts.Piece]:
    # A scale of twelve tokens, up and up again; tokens 0 to 3 are not notes.
    return [{"tokens": (np.arange(n) % 12 + 4).astype(np.int32)} for n in SIZES]


def events():
    return make_representation(
        {
            "name": "performance_events",
            "num_velocity_bins": 0,
            "lowest_pitch": 60,
            "highest_pitch": 71,
            "max_shift_steps": 4,
        }
    )


def event_pieces() -> list[contracts.Piece]:
    """A scale each of whose keys goes up when the next one goes down."""
    names = list(events().vocabulary.tokens)
    scale = []
    for i in range(12):
        scale += [f"off{60 + (i - 1) % 12}", f"on{60 + i}", "shift4"]
    tokens = [names.index(name) for name in scale]
    return [{"tokens": np.resize(tokens[1:], n).astype(np.int32)} for n in SIZES]


def styled_events():
    settings = events().to_config() | {"name": "styled_performance_events"}
    return make_representation(settings | {"tags": ("bach", "satie")})


def styled_pieces() -> list[contracts.Piece]:
    """The same events, of one composer each."""
    return [
        piece
        | {
            "plan_tag": np.full(len(piece["tokens"]), number, np.int32),
            "plan_density": np.full(len(piece["tokens"]), 3, np.int32),
        }
        for number, piece in enumerate(event_pieces())
    ]


def bar_tunes():
    settings = {"num_velocity_bins": 0, "tempos": False, "programs": False}
    return make_representation({"name": "bar_events", **settings})


def bar_pieces() -> list[contracts.Piece]:
    """A scale in C major in bars of three quarters, of which little is said before."""
    names = list(bar_tunes().vocabulary.tokens)
    text = "tag0 density0 bar3/4 duration12 n60 position12 n62 position24 n64"
    bar = "bar3/4 n60 position12 n62 position24 n64"
    tokens = [names.index(name) for name in f"{text} {bar} {bar} {bar} {bar}".split()]
    return [
        {
            "tokens": np.array(tokens[:n], np.int32),
            "plan_key": np.ones(n, np.int32),
            "bars_left": np.zeros(n, np.int32),
        }
        for n in SIZES
    ]


def roll_pieces(num_hands: int, num_channels: int) -> list[contracts.Piece]:
    """A scale in one hand; in the other chords held for two steps, and repeated."""
    pieces = []
    for size in SIZES:
        roll = np.zeros([size, 2, 88, 2], bool)
        for t in range(size):
            roll[t, 0, 40 + t % 12] = True
            roll[t, 1, [12, 19 + t // 2 % 2], 0] = True
            roll[t, 1, [12, 19 + t // 2 % 2], 1] = t % 2 == 0
        roll = roll if num_hands == 2 else roll.any(axis=1)
        pieces.append({"roll": roll[..., :num_channels]})
    return pieces


def sustain_pieces() -> list[contracts.Piece]:
    """The one-handed pieces as starts and sustains."""
    return [
        {"roll": np.stack([roll[..., 1], roll[..., 0] & ~roll[..., 1]], axis=-1)}
        for roll in (piece["roll"] for piece in roll_pieces(1, 2))
    ]


def play_pieces() -> list[contracts.Piece]:
    """A scale over notes that are held for two steps, in bars of 4/4."""
    pieces = []
    for size in SIZES:
        step = np.arange(size)
        roll = np.zeros([size, 14, 2], bool)
        roll[step, 5 + step % 8] = True
        roll[step, step // 2 % 2 * 3, 0] = True
        roll[step[::2], step[::2] // 2 % 2 * 3, 1] = True
        bars = {"bar_position": step % 16, "bar_length": np.full(size, 16)}
        bars = {name: array.astype(np.int32) for name, array in bars.items()}
        pieces.append({"roll": roll, **bars})
    return pieces


def chords(**settings):
    names = {str(60 + i): 1 for i in range(12)}
    return make_representation({"name": "chord_frames", **settings}).fit_counts(names)


def metre_pieces() -> list[contracts.Piece]:
    """Three notes of each bar of 3/4, told apart by their place alone."""
    pieces = []
    for size in SIZES:
        step = np.arange(size, dtype=np.int32) + 2
        bars = {"bar_position": step % 6, "bar_length": np.full(size, 6, np.int32)}
        tokens = 4 + step // 3 % 2 + 3 * (step % 6 == 0)
        pieces.append({"tokens": tokens.astype(np.int32), **bars})
    return pieces


def chord_pieces() -> list[contracts.Piece]:
    """The notes of each bar of 3/4, struck twice and held once; one is spelled."""
    pieces = []
    for piece in metre_pieces():
        tokens = piece["tokens"] + 1  # after the rest comes what is spelled
        size = len(tokens)
        keys = np.zeros([size, 128, 2], bool)
        keys[np.arange(size), 60 + tokens - 5, 0] = True
        keys[:, 40, 0] = True
        keys[:, :, 1] = keys[:, :, 0] & (np.arange(size)[:, None] % 3 != 1)
        tokens[7] = SPELLED_ID
        keys[7, [33, 70], 0] = True
        plan = {name: np.zeros(size, np.int32) for name in PLAN_SPECS}
        plan["plan_key"] = np.full(size, 8, np.int32)
        piece = {"tokens": tokens, "keys": keys, **piece, **plan}
        pieces.append({**piece, "tokens": tokens})
    return pieces


def chords_with_keys():
    names = {f"40.{60 + i}": 1 for i in range(12)}
    return make_representation(
        {"name": "chord_frames", "keys": True, "metre": True, "plan": True}
    ).fit_counts(names)


def downbeat_pieces(num_hands: int) -> list[contracts.Piece]:
    """Notes struck at every step, and a low one where a bar begins.

    The pieces have bars of different lengths and begin with upbeats.
    """
    pieces = []
    for size, length, pickup in zip(SIZES, (6, 5, 4), (2, 0, 3), strict=True):
        position = (np.arange(size) - pickup) % length
        struck = np.zeros([size, 2, 88], bool)
        struck[:, 0, 45] = True
        struck[:, 1, 20] = position == 0
        bars = {"bar_position": position, "bar_length": np.full(size, length)}
        bars = {name: array.astype(np.int32) for name, array in bars.items()}
        if num_hands == 2:
            roll = np.stack([struck, struck], axis=-1)
        else:
            starts = struck.any(axis=1)
            roll = np.stack([starts, np.zeros_like(starts)], axis=-1)
        pieces.append({"roll": roll, **bars})
    return pieces


CASES = {
    "chords": (
        chords_with_keys,
        {
            "name": "chord_lstm",
            "input_encoding": "pitches",
            "embedding_size": 24,
            "units": (32, 24),
            "tied_output": True,
        },
        chord_pieces,
    ),
    "chords_lookback": (
        chords_with_keys,
        {
            "name": "chord_lstm",
            "embedding_size": 16,
            "units": (24,),
            "tied_output": False,
            "lookback": True,
        },
        chord_pieces,
    ),
    "tokens": (
        chords,
        {"name": "token_lstm", "embedding_size": 16, "units": (32, 24), "dropout": 0.1},
        token_pieces,
    ),
    "tokens_metre": (
        lambda: chords(metre=True),
        {"name": "token_lstm", "embedding_size": 16, "units": (32,), "dropout": 0.1},
        metre_pieces,
    ),
    "tokens_style": (
        styled_events,
        {"name": "token_lstm", "embedding_size": 16, "units": (24,), "dropout": 0.1},
        styled_pieces,
    ),
    "tokens_bars": (
        bar_tunes,
        {
            "name": "token_lstm",
            "embedding_size": 16,
            "units": (32,),
            "dropout": 0.1,
            "pitch_context": True,
            "lookback": True,
        },
        bar_pieces,
    ),
    "tokens_tied_gru": (
        chords,
        {
            "name": "token_lstm",
            "input_encoding": "pitches",
            "embedding_size": 24,
            "units": (24,),
            "cell": "gru",
            "tied_output": True,
        },
        token_pieces,
    ),
    "tokens_keys_down": (
        events,
        {
            "name": "token_lstm",
            "embedding_size": 16,
            "units": (24,),
            "keys_down": True,
            "pitch_context": True,
        },
        event_pieces,
    ),
    "tokens_transformer": (
        events,
        {
            "name": "token_transformer",
            "embedding_size": 16,
            "keys_down": True,
            "num_layers": 2,
            "num_heads": 2,
            "hidden_size": 16,
            "feed_forward_size": 24,
            "context_steps": 12,
            "tied_output": True,
        },
        event_pieces,
    ),
    "tokens_reference": (
        chords,
        {
            "name": "token_lstm",
            "units": (32, 32),
            "input_encoding": "index",
            "recurrent_dropout": 0.3,
            "head": "skuldur",
            "loss_steps": "last",
            "learn_end": False,
        },
        token_pieces,
    ),
    "two_hands": (
        lambda: make_representation({"name": "two_hands_roll"}),
        {
            "name": "roll_lstm",
            "units": (48,),
            "dropout": 0.0,
            "branch_units": 24,
            "key_chains": True,
        },
        lambda: roll_pieces(2, 2),
    ),
    "two_hands_metre": (
        lambda: make_representation({"name": "two_hands_roll", "metre": True}),
        {"name": "roll_lstm", "units": (16,), "branch_units": 0, "key_chains": True},
        lambda: downbeat_pieces(2),
    ),
    "one_hand_reference": (
        lambda: make_representation({"name": "binary_roll", "onsets": False}),
        {
            "name": "roll_lstm",
            "units": (32,),
            "branch_units": 0,
            "key_weights": "positive",
            "loss_steps": "last",
        },
        lambda: roll_pieces(1, 1),
    ),
    "next_frame": (
        lambda: make_representation({"name": "start_sustain"}),
        {
            "name": "next_frame_lstm",
            "units": (48,),
            "head_units": 48,
            "dropout": 0.0,
            "head_dropout": 0.0,
            "key_chains": True,
        },
        sustain_pieces,
    ),
    "next_frame_metre": (
        lambda: make_representation({"name": "start_sustain", "metre": True}),
        {
            "name": "next_frame_lstm",
            "units": (48,),
            "head_units": 48,
            "dropout": 0.0,
            "head_dropout": 0.0,
        },
        lambda: downbeat_pieces(1),
    ),
    "next_frame_reference": (
        lambda: make_representation({"name": "start_sustain"}),
        {
            "name": "next_frame_lstm",
            "units": (24,),
            "head_units": 16,
            "loss": "single",
            "loss_steps": "last",
        },
        sustain_pieces,
    ),
    "seq2seq": (
        lambda: make_representation({"name": "start_sustain"}),
        {
            "name": "frame_seq2seq",
            "units": (48,),
            "head_units": 48,
            "dropout": 0.0,
            "head_dropout": 0.0,
            "segment_steps": 8,
        },
        sustain_pieces,
    ),
    "seq2seq_reference": (
        lambda: make_representation({"name": "start_sustain"}),
        {
            "name": "frame_seq2seq",
            "units": (16, 16),
            "head_units": 16,
            "segment_steps": 5,
            "loss": "focal",
            "teacher_forcing": 0.5,
            "teacher_forcing_end": 0.0,
            "teacher_forcing_steps": 100,
            "feedback_temperature": 0.0,
        },
        sustain_pieces,
    ),
    "seq2seq_metre": (
        lambda: make_representation({"name": "start_sustain", "metre": True}),
        {
            "name": "frame_seq2seq",
            "units": (16,),
            "head_units": 16,
            "segment_steps": 4,
            "teacher_forcing_end": 0.5,
            "teacher_forcing_steps": 10,
        },
        lambda: downbeat_pieces(1),
    ),
    "biaxial": (
        lambda: make_representation(
            {"name": "play_articulate", "lowest_pitch": 60, "highest_pitch": 73}
        ),
        {
            "name": "biaxial_lstm",
            "time_units": (32,),
            "note_units": (24, 16),
            "dropout": 0.0,
        },
        play_pieces,
    ),
    "biaxial_play_only": (
        lambda: make_representation(
            {
                "name": "play_articulate",
                "lowest_pitch": 60,
                "highest_pitch": 73,
                "play_only": True,
            }
        ),
        {
            "name": "biaxial_lstm",
            "time_units": (12, 10),
            "note_units": (8,),
            "pitch_class": False,
            "beat": "none",
        },
        lambda: [{**piece, "roll": piece["roll"][..., :1]} for piece in play_pieces()],
    ),
}
# One of each family learns its pieces; training is most of these tests' time.
TRAINED = {
    "tokens": 100,
    "tokens_bars": 250,
    "two_hands": 250,
    "next_frame_metre": 250,
    "seq2seq": 250,
    "biaxial": 150,
}


def make_case(name: str) -> Case:
    representation, config, pieces = CASES[name]
    keras.utils.set_random_seed(1)
    model = make_model(representation(), config)
    model.build_model()
    return Case(model, pieces())


@pytest.fixture(scope="session", params=CASES)
def case(request) -> Case:
    return make_case(request.param)


@pytest.fixture(scope="session")
def trained_case() -> Callable[[str], Case]:
    @functools.cache
    def train(name: str) -> Case:
        case = make_case(name)
        batch = contracts.whole_pieces(case.model, case.pieces)
        before, after = contracts.train(case.model, batch, TRAINED[name])
        assert after < 0.2 * before
        return case

    return train


@pytest.fixture(scope="session")
def all_trained(trained_case) -> dict[str, Case]:
    return {name: trained_case(name) for name in TRAINED}


@pytest.fixture(scope="session", params=TRAINED)
def trained(request, trained_case) -> Case:
    return trained_case(request.param)
