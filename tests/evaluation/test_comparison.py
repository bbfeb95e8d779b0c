import json

import numpy as np

from tests.contracts import make_sequence
from tests.evaluation.conftest import make_random_piece
from tfmusic.evaluation.comparison import AS_WRITTEN, compare
from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import TempoMap
from tfmusic.notes.transforms import crop, transpose


def test_report_flags_a_copy_beside_what_held_out_music_shares(chorales, tmp_path):
    chorales[3].filename = "third.mid"
    comparison = compare(
        generated=[transpose(chorales[3], 1)],
        held_out=chorales[40:42],
        training=chorales[:20],
    )
    (copy,) = comparison.groups["generated"]
    assert copy.copied.copied_share == 1
    assert copy.copied_from == "third.mid"
    assert all(p.copied.copied_share < 0.5 for p in comparison.groups["held-out"])
    comparison.write(tmp_path / "out")
    table = (tmp_path / "out" / "statistics.md").read_text(encoding="utf-8")
    assert "copied" in table
    assert table == comparison.table()
    result = json.loads((tmp_path / "out" / "statistics.json").read_text())
    assert result["held-out"]["summary"]["notes"]["num_pieces"] == 2
    assert result["generated"]["pieces"][0]["statistics"]["num_notes"] == len(
        chorales[3].notes
    )
    assert result["nearness"]["rows"] == {}
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "statistics.json",
        "statistics.md",
    ]


def test_report_needs_no_training_music_and_survives_silence():
    comparison = compare([NoteSequence()], [make_random_piece(1)])
    assert "copied" not in comparison.table()
    assert "nan" not in comparison.table()
    json.loads(comparison.to_json())


def test_chorales_are_near_chorales_and_noise_is_not(chorales):
    noise = [make_random_piece(seed) for seed in range(8)]
    near = compare(chorales[:8], chorales[20:36])
    far = compare(noise, chorales[20:36])
    assert near.mean_overlap.mean > 0.75 > 0.6 > far.mean_overlap.mean
    assert near.mean_overlap.low <= near.mean_overlap.mean <= near.mean_overlap.high
    for name, row in near.nearness.items():
        assert 0 <= row.overlap_low <= row.overlap_high <= 1, name
        assert row.divergence_low >= 0, name
    label = "3 or more voices move on the beat, %"
    assert near.nearness[label].overlap > 0.7
    assert label not in far.nearness  # it is not in four voices
    assert "mean overlap of all" in far.table()
    written = json.loads(near.to_json())["nearness"]
    assert written["mean_overlap"]["mean"] == near.mean_overlap.mean
    assert "mean note length, quarters" in written["rows"]
    assert not any("pitch, " in name for name in written["rows"])


def test_pieces_as_they_were_written_are_the_reference(chorales):
    comparison = compare(
        chorales[:4], chorales[4:8], chorales[12:15], as_written=chorales[8:12]
    )
    assert list(comparison.groups) == ["generated", "held-out", AS_WRITTEN]
    table = comparison.table()
    assert f"that of {AS_WRITTEN} music" in table
    assert table.splitlines()[0].count("|") == 7
    # They are not searched for passages of encoded music.
    assert comparison.groups[AS_WRITTEN][0].copied is None
    (row,) = [line for line in table.splitlines() if "passage, notes or chords" in line]
    assert row.split("|")[4].strip() == "-"


def test_outputs_that_share_passages_show(chorales):
    alike = [transpose(chorales[0], number) for number in range(4)]
    comparison = compare(alike, chorales[20:24])
    label = (
        "in passages of 8 or more notes or chords that another piece of the set has, %"
    )
    for piece in comparison.groups["generated"]:
        assert piece.sections()["Copies"][label] == 100
    for piece in comparison.groups["held-out"]:
        assert piece.sections()["Copies"][label] < 30
    assert comparison.variety < 0.1
    assert "Variety: two pieces of the first set differ 0.0" in comparison.table()


def test_music_without_a_beat_has_rows_in_seconds_alone():
    random = np.random.default_rng(0)

    def performance():
        starts = np.sort(random.uniform(0, 60, 300))
        pitches = random.integers(40, 80, 300)
        return make_sequence(
            [
                (int(p), 80, s, s + 0.4)
                for p, s in zip(pitches, starts.tolist(), strict=True)
            ]
        )

    pieces = [performance() for _ in range(4)]
    found = compare(pieces, pieces)
    table = found.table()
    assert "quarter" not in table
    assert "Metre" not in table
    assert "mean note length, seconds" in table
    assert "notes per second" in table
    assert "windows of 16 seconds in the home key, %" in table
    assert "Metre" in compare(pieces, pieces, has_beat=True).table()


def test_longer_music_is_cut_to_what_is_generated(chorales):
    whole = compare(chorales[:4], chorales[1:5])
    assert "ends on the tonic" in whole.table()
    short = [
        crop(piece, 0.0, TempoMap.of(piece).to_seconds(16)) for piece in chorales[:2]
    ]
    cut = compare(short, chorales[1:4], as_written=chorales[4:7])
    for pieces in cut.groups.values():
        for piece in pieces:
            assert piece.description.statistics.length_quarters <= 16.001
    assert "ends on" not in cut.table()
    assert "on the beat" in cut.table()
