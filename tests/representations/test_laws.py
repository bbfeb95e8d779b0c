"""The laws of design: every kind, on hand-made and real pieces."""

import pytest

from tests.contracts import check_config, check_decodes_anything, check_laws
from tests.representations.conftest import CONFIGS, read_archive
from tfmusic.notes.reading import read_file
from tfmusic.representations import make_representation


def test_laws_hold_on_hand_made_pieces(representation, hand_made):
    for sequence in hand_made.values():
        check_laws(representation, sequence)


def test_laws_hold_on_chorales(unfitted, chorales):
    representation = unfitted.fit(chorales[::2])
    for sequence in chorales:
        check_laws(representation, sequence)


def test_laws_hold_on_piano_pieces(unfitted, piano_pieces):
    representation = unfitted.fit(piano_pieces[::2])
    for sequence in piano_pieces:
        check_laws(representation, sequence)


def test_laws_hold_on_performances_and_songs(unfitted, performances, songs):
    representation = unfitted.fit(performances)
    for sequence in performances + songs:
        check_laws(representation, sequence)


def test_any_arrays_decode_to_music(representation):
    check_decodes_anything(representation)


def test_configuration_survives_json(unfitted, representation):
    check_config(unfitted)
    check_config(representation)


def test_settings_hold_nothing_that_was_fitted(unfitted, representation):
    assert representation.settings() == unfitted.settings()


@pytest.mark.slow
@pytest.mark.parametrize("kind", CONFIGS)
def test_laws_hold_on_every_chorale(kind, chorale_paths):
    sequences = [read_file(path) for path in chorale_paths]
    representation = make_representation(CONFIGS[kind]).fit(sequences[::3])
    for sequence in sequences:
        check_laws(representation, sequence)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CONFIGS)
def test_laws_hold_on_every_piano_piece(kind, piano_paths):
    sequences = [read_file(path) for path in piano_paths]
    representation = make_representation(CONFIGS[kind]).fit(sequences[::3])
    for sequence in sequences:
        check_laws(representation, sequence)


@pytest.mark.slow
@pytest.mark.parametrize("archive", ["maestro-v3.0.0-midi.zip", "pop909-midi.zip"])
@pytest.mark.parametrize("kind", CONFIGS)
def test_laws_hold_on_many_performances_and_songs(kind, archive, shared_data):
    sequences = read_archive(shared_data / archive, 40)
    representation = make_representation(CONFIGS[kind]).fit(sequences[::3])
    for sequence in sequences:
        check_laws(representation, sequence)
