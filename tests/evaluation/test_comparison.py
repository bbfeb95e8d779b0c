import json

from tests.evaluation.conftest import make_random_piece
from tfmusic.evaluation.comparison import compare
from tfmusic.notes import NoteSequence
from tfmusic.notes.transforms import transpose


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
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "statistics.json",
        "statistics.md",
    ]


def test_report_needs_no_training_music_and_survives_silence():
    comparison = compare([NoteSequence()], [make_random_piece(1)])
    assert "copied" not in comparison.table()
    assert "nan" not in comparison.table()
    json.loads(comparison.to_json())
