"""The controls that models of tokens have."""

from typing import TYPE_CHECKING

from tfmusic.generation.controls import (
    GUIDANCE,
    MAX_HELD_EVENTS,
    MAX_REPEATS,
    MIN_P,
    MIN_STEPS,
    NO_REPEAT_NGRAM,
    REPETITION_PENALTY,
    REPETITION_WINDOW,
    SAMPLING,
    SEARCH,
    TEMPERATURE,
    Control,
)

if TYPE_CHECKING:
    from tfmusic.models.tokens import TokenModel

Controls = tuple[Control, ...]


def controls_of(
    model: "TokenModel", is_ever_silent: bool, tells_ends: bool
) -> tuple[Controls, Controls]:
    """Those of sampling and those of the searches, with the settings' defaults.

    Args:
        model: Its other parts are made already.
        is_ever_silent: Whether there are tokens of silence.
        tells_ends: Whether there are tokens that end what sounds.
    """
    settings = model.settings
    common = (
        *model.places.controls,
        *([GUIDANCE.with_default(settings.guidance)] if model.hears_plan else []),
        *model.conditions.controls,
        NO_REPEAT_NGRAM,
        MAX_REPEATS,
        *([model.conditions.max_silence] if is_ever_silent else []),
        *([MAX_HELD_EVENTS] if tells_ends else []),
        *([MIN_STEPS] if model.learn_end else []),
    )
    sampling = (
        TEMPERATURE.with_default(settings.temperature),
        *SAMPLING[1:-1],
        MIN_P.with_default(settings.min_p),
        *(REPETITION_PENALTY, REPETITION_WINDOW, *common),
    )
    return sampling, (*SEARCH, *common)
