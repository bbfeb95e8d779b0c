"""Music as arrays and back: one reversible encoding per module, numpy only."""

from collections.abc import Mapping
from typing import Any

from tfmusic.errors import UserError, choose
from tfmusic.representations.bar_events import BarEvents
from tfmusic.representations.base import (
    EncodeError,
    Features,
    FeatureSpec,
    Representation,
)
from tfmusic.representations.binary_roll import BinaryRoll
from tfmusic.representations.chord_frames import ChordFrames
from tfmusic.representations.event_chunks import EventChunks
from tfmusic.representations.latents import Latents
from tfmusic.representations.note_chord_tokens import NoteChordTokens
from tfmusic.representations.performance_events import PerformanceEvents
from tfmusic.representations.play_articulate import PlayArticulate
from tfmusic.representations.start_sustain import StartSustain
from tfmusic.representations.styled_performance_events import (
    StyledPerformanceEvents,
)
from tfmusic.representations.two_hands_chords import TwoHandsChords
from tfmusic.representations.two_hands_roll import TwoHandsRoll
from tfmusic.representations.voice_frames import VoiceFrames

__all__ = [
    "REPRESENTATIONS",
    "EncodeError",
    "EventChunks",
    "FeatureSpec",
    "Features",
    "Latents",
    "Representation",
    "make_representation",
]

REPRESENTATIONS: dict[str, type[Representation]] = {
    kind.name: kind
    for kind in (
        BarEvents,
        BinaryRoll,
        ChordFrames,
        EventChunks,
        Latents,
        NoteChordTokens,
        PerformanceEvents,
        PlayArticulate,
        StartSustain,
        StyledPerformanceEvents,
        TwoHandsChords,
        TwoHandsRoll,
        VoiceFrames,
    )
}


def make_representation(config: Mapping[str, Any]) -> Representation:
    """The representation that a configuration describes.

    Args:
        config: "name", one of `REPRESENTATIONS`, and settings of that kind; those
            that are absent have their defaults. What `to_config` gives is one.

    Raises:
        UserError: An unknown name or setting, or an impossible value.
    """
    config = dict(config)
    if "name" not in config:
        raise UserError(
            "a representation's configuration needs a 'name'; it can be "
            f"{', '.join(sorted(REPRESENTATIONS))}"
        )
    name = choose("representation", config["name"], REPRESENTATIONS)
    return REPRESENTATIONS[name].from_config(config)
