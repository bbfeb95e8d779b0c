"""The order in which tokens of `BarEvents` may follow each other."""

import numpy as np

from tfmusic.representations.bar_lines import METRE_STEPS, METRES
from tfmusic.representations.bar_tokens import (
    BAR,
    CUT,
    DENSITY,
    DRUM,
    DRUMS,
    DURATION,
    ENDING,
    INSTRUMENT,
    KINDS,
    PIANO,
    PITCH,
    POSITION,
    RUNNING,
    TAG,
    TEMPO,
    UPBEAT,
    VALUES,
    VELOCITY,
    ids,
)
from tfmusic.representations.token_grammar import NOTHING, TokenGrammar
from tfmusic.representations.vocabulary import END


def bar_grammar(is_used: np.ndarray) -> TokenGrammar:
    """Bars of notes in order of place, instrument and pitch, each fully described.

    What is left to decoding: a pitch that is struck again while it sounds, and
    instruments out of their order after one that is not named again.

    Args:
        is_used: Bool [vocabulary size], the tokens that a representation has.
    """
    kinds, values = np.where(is_used, KINDS, NOTHING), VALUES
    kinds[END] = ENDING
    is_kind = {kind: kinds == kind for kind in range(ENDING + 1)}
    note = (INSTRUMENT, VELOCITY, DURATION, PITCH, DRUM)
    follows = {
        NOTHING: (TAG,),
        TAG: (DENSITY,),
        DENSITY: (UPBEAT, BAR),
        UPBEAT: (BAR,),
        BAR: (TEMPO, *note, POSITION, BAR),
        TEMPO: (*note, POSITION, BAR),
        POSITION: (*note, CUT),
        CUT: (BAR,),
        INSTRUMENT: (VELOCITY, DURATION, PITCH),
        VELOCITY: (DURATION, PITCH, DRUM),
        DURATION: (PITCH,),
        PITCH: (*note, POSITION, BAR, ENDING),
        DRUM: (VELOCITY, DRUM, POSITION, BAR, ENDING),
    }
    # Tiers: places in the bar; instruments, then drums; pitches.
    is_placed = is_kind[POSITION] | is_kind[UPBEAT]
    order = np.where(is_placed, values, 0)
    order += np.where(is_kind[INSTRUMENT] | is_kind[PITCH], values + 1, 0)
    order += np.where(is_kind[DRUM], DRUMS + 1 + values, 0)
    tiers = np.where(is_kind[PITCH], 2, is_kind[INSTRUMENT] | is_kind[DRUM])
    restarts = np.full(len(kinds), 3)
    for kind, tier in ((BAR, 0), (UPBEAT, 1), (POSITION, 1), (INSTRUMENT, 2)):
        restarts[is_kind[kind]] = tier
    sorts = (*RUNNING, TEMPO)
    levels = np.stack([is_kind[sort] for sort in sorts], axis=1)
    needs = {
        DURATION: (VELOCITY,),
        PITCH: (VELOCITY, DURATION, TEMPO),
        DRUM: (VELOCITY, TEMPO),
        **dict.fromkeys((INSTRUMENT, VELOCITY, POSITION), (TEMPO,)),
    }
    needs_level = np.zeros_like(levels)
    for kind, needed in needs.items():
        for sort in (sort for sort in needed if is_kind[sort].any()):
            needs_level[is_kind[kind], sorts.index(sort)] = True
    first_levels = np.zeros(len(sorts), int)
    if is_kind[INSTRUMENT].any():
        first_levels[0] = ids(INSTRUMENT)[PIANO]
    return TokenGrammar.of(
        kinds,
        follows,
        strict=True,
        order=order,
        tiers=tiers.astype(int),
        restarts=restarts,
        holds=is_kind[UPBEAT],
        limits=np.where(is_kind[BAR], METRE_STEPS[values % len(METRES)], 0),
        sets_level=levels,
        needs_level=needs_level,
        first_levels=first_levels,
    )
