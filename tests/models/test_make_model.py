"""Which model goes with which representation, and what is said of the others."""

import pytest

from tests.latents import make_latents
from tfmusic.errors import UserError
from tfmusic.models import MODELS, make_model
from tfmusic.representations import REPRESENTATIONS, make_representation

TOKENS = {
    "bar_events",
    "chord_frames",
    "note_chord_tokens",
    "performance_events",
    "styled_performance_events",
    "two_hands_chords",
}
ROLLS = {"binary_roll", "start_sustain", "two_hands_roll"}
TAKEN = {
    "biaxial_lstm": {"play_articulate"},
    "chord_lstm": {"chord_frames"},
    "chord_transformer": {"chord_frames"},
    "frame_seq2seq": ROLLS,
    "infill": {"voice_frames"},
    "latent_wgan": {"latents"},
    "next_frame_lstm": ROLLS,
    "roll_lstm": ROLLS,
    "set_autoencoder": {"event_chunks"},
    "token_lstm": TOKENS,
    "token_transformer": TOKENS,
}


def make_kind(name, **settings):
    if name == "latents":
        return make_latents()[0]
    kind = make_representation({"name": name, **settings})
    return kind.fit_counts({"60": 1, "64": 1}) if kind.fitted_fields else kind


def test_each_model_is_listed():
    assert MODELS.keys() == TAKEN.keys()
    assert set.union(*TAKEN.values()) == REPRESENTATIONS.keys()


@pytest.mark.parametrize("kind", REPRESENTATIONS)
@pytest.mark.parametrize("name", TAKEN)
def test_model_takes_its_representations_and_refuses_others_in_one_line(name, kind):
    has_keys = kind == "chord_frames" and name.startswith("chord")
    representation = make_kind(kind, **({"keys": True} if has_keys else {}))
    if kind in TAKEN[name]:
        assert make_model(representation, {"name": name}).representation.name == kind
        return
    with pytest.raises(UserError) as caught:
        make_model(representation, {"name": name})
    message = str(caught.value)
    assert message.startswith(f"model {name} does not take the representation {kind}: ")
    assert "\n" not in message
    assert all(expected in message for expected in TAKEN[name])
    fitting = [other for other, kinds in TAKEN.items() if kind in kinds]
    assert message.endswith(f"{kind} goes with {' or '.join(sorted(fitting))}")


def test_misspelt_model_and_setting_are_told():
    chords = make_kind("chord_frames")
    with pytest.raises(UserError, match="model.name: unknown 'token_lsmt' .did you"):
        make_model(chords, {"name": "token_lsmt"})
    with pytest.raises(UserError, match="config.model: unknown 'hiden_size' .did you"):
        make_model(chords, {"name": "token_transformer", "hiden_size": 8})
    with pytest.raises(UserError, match="carry_state: expected a recurrent network"):
        make_model(chords, {"name": "token_transformer", "carry_state": True})
