import json

import pytest

from tests.contracts import make_sequence
from tests.pipelines.conftest import make_piece
from tfmusic.data.dataset_info import DatasetInfo
from tfmusic.errors import DropError, UserError
from tfmusic.notes.writing import to_midi_bytes
from tfmusic.pipelines.building import write_datasets
from tfmusic.pipelines.filters import Filters

NOTES = [(60, 80, 0, 1), (64, 80, 1, 2), (40, 80, 0, 4), (36, 80, 0, 0.5)]


@pytest.fixture
def band():
    """A flute, a bass that lasts longest, and a drum."""
    sequence = make_sequence(NOTES, qpm=60)
    for note, (instrument, program) in zip(
        sequence.notes, [(0, 73), (0, 73), (1, 33), (9, 0)], strict=True
    ):
        note.instrument, note.program = instrument, program
    sequence.notes[3].is_drum = True
    for instrument, name in ((0, "Flute solo"), (1, "Bass"), (9, "Kit")):
        sequence.instrument_infos.add(instrument=instrument, name=name)
    sequence.control_changes.add(instrument=1, control_number=64, control_value=90)
    return sequence


def pitches(sequence):
    return [note.pitch for note in sequence.notes]


def refusal(sequence, metadata=(), **settings):
    with pytest.raises(DropError) as caught:
        Filters(**settings).apply(sequence, dict(metadata))
    return caught.value


def test_everything_is_kept_by_default(band):
    assert Filters().apply(band, {}) is band


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"drums": "drop"}, [60, 64, 40]),
        ({"programs": ("73",)}, [60, 64, 36]),
        ({"programs": ("32-39", "80")}, [40, 36]),
        ({"programs": ("73",), "drums": "drop"}, [60, 64]),
        ({"instruments": ("flute", "KIT")}, [60, 64, 36]),
    ],
)
def test_instruments_are_chosen(band, settings, expected):
    before = band.SerializeToString()
    chosen = Filters(**settings).apply(band, {})
    assert pitches(chosen) == expected
    present = {note.instrument for note in chosen.notes}
    assert {info.instrument for info in chosen.instrument_infos} == present
    assert len(chosen.control_changes) == (1 in present)
    assert chosen.total_time == max(note.end_time for note in chosen.notes)
    assert band.SerializeToString() == before


def test_parts_of_a_score_are_chosen_by_name(band):
    for note in band.notes:
        note.instrument, note.part = 0, int(note.pitch == 60)
    del band.instrument_infos[:]
    band.part_infos.add(part=1, name="Soprano")
    assert pitches(Filters(instruments=("sopr",)).apply(band, {})) == [60]


@pytest.mark.parametrize(
    ("settings", "reason", "detail"),
    [
        ({"programs": ("5-6",)}, "other_programs", "found programs [33, 73]"),
        ({"instruments": ("oboe",)}, "other_instruments", "Bass, Flute solo, Kit"),
        ({"min_seconds": 5}, "under_min_seconds", "at least 5 s, found 4"),
        ({"max_seconds": 3}, "over_max_seconds", "at most 3 s, found 4"),
        ({"metres": ("3/4",)}, "other_metre", "expected 3/4, found 4/4"),
        ({"composers": ("Bach",)}, "other_composer", "found no composer"),
    ],
)
def test_refusal_names_what_was_found(band, settings, reason, detail):
    error = refusal(band, **settings)
    assert error.reason == reason
    assert detail in error.detail


def test_length_is_measured_after_instruments_are_chosen(band):
    chosen = {"programs": ("73",), "drums": "drop"}
    assert refusal(band, min_seconds=3, **chosen).measured == 2


def test_composer_is_found_by_part_of_the_name(band):
    bach = {"composer": "Johann Sebastian BACH"}
    assert Filters(composers=("Grieg", "bach")).apply(band, bach) is band
    assert refusal(band, bach, composers=("Bacharach",)).reason == "other_composer"


def test_only_metres_that_sound_count(band):
    band.time_signatures.add(time=0, numerator=6, denominator=8)
    band.time_signatures.add(time=0, numerator=3, denominator=4)  # the last one counts
    band.time_signatures.add(time=4, numerator=5, denominator=4)  # after the last note
    assert Filters(metres=("3/4",)).apply(band, {}) is band
    band.time_signatures.add(time=2, numerator=2, denominator=4)
    assert "found 2/4, 3/4" in refusal(band, metres=("3/4",)).detail
    assert Filters(metres=("3/4", "2/4")).apply(band, {}) is band


def test_music_before_the_first_metre_is_in_four_quarters(band):
    band.time_signatures.add(time=1.5, numerator=3, denominator=8)
    assert "found 3/8, 4/4" in refusal(band, metres=("3/8",)).detail
    assert Filters(metres=("4/4", "3/8")).apply(band, {}) is band
    for note in band.notes:  # now it is silent there
        note.start_time, note.end_time = note.start_time + 1.5, note.end_time + 1.5
    assert Filters(metres=("3/8",)).apply(band, {}) is band


def test_an_upbeat_is_in_the_metre_that_follows(band):
    band.time_signatures.add(time=1, numerator=3, denominator=4)
    assert Filters(metres=("3/4",)).apply(band, {}) is band
    assert "found 3/4" in refusal(band, metres=("4/4",)).detail


def test_only_drums_are_dropped(band):
    del band.notes[:3]
    assert refusal(band, drums="drop").reason == "only_drums"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metres": ("3",)}, "--metre: expected such as 3/4, not '3'"),
        ({"metres": ("4/3",)}, "--metre: expected such as 3/4, not '4/3'"),
        ({"programs": ("7-0",)}, "--programs: .* not '7-0'"),
        ({"programs": ("200",)}, "--programs"),
        ({"programs": ("piano",)}, "--programs"),
        ({"min_seconds": 9, "max_seconds": 3}, "--max_seconds: expected at least"),
        ({"drums": "loud"}, "--drums: unknown 'loud'"),
    ],
)
def test_impossible_filters_are_users_errors(settings, message):
    with pytest.raises(UserError, match=message):
        Filters(**settings)


def test_job_counts_what_filters_dropped_and_remembers_them(config, tmp_path, caplog):
    (tmp_path / "music").mkdir()
    for i in range(10):
        piece = make_piece(i, num_notes=16 if i < 6 else 40)
        (tmp_path / "music" / f"{i}.mid").write_bytes(to_midi_bytes(piece))

    def write(configs, overwrite=False, **settings):
        write_datasets(
            configs,
            str(tmp_path / "music"),
            str(tmp_path / "data"),
            num_workers=1,
            overwrite=overwrite,
            filters=Filters(**settings),
        )

    # A vocabulary is fitted in a pass of its own: nothing is counted twice.
    write([config + ":tokens"], max_seconds=5)
    info = DatasetInfo.load(str(tmp_path / "data"))
    assert sum(split["num_pieces"] for split in info.splits.values()) == 6
    assert info.dropped == {"over_max_seconds": 4}
    assert info.filters["max_seconds"] == 5
    lines = (tmp_path / "data" / "dropped.jsonl").read_text().splitlines()
    drops = [json.loads(line) for line in lines]
    assert [drop["name"] for drop in drops] == ["6.mid", "7.mid", "8.mid", "9.mid"]
    assert {(d["stage"], d["measured"], d["kept_by"]) for d in drops} == {
        ("filter", 10.0, "--max_seconds")
    }
    with pytest.raises(UserError, match="max_seconds was 5, is now 6"):
        write([config + ":tokens"], max_seconds=6)
    with pytest.raises(UserError, match="10 other_metre \\(see --metre\\)"):
        write([config + ":tokens"], metres=("3/4",), overwrite=True)
