import dataclasses

from tests.notes.test_beats import song
from tfmusic.notes.reading import Limits
from tfmusic.notes.writing import to_midi_bytes
from tfmusic.pipelines.conversion import Converter
from tfmusic.pipelines.elements import Drop, Recipe, Task
from tfmusic.pipelines.filters import Filters
from tfmusic.pipelines.parsing import parse_pieces

RECIPE = Recipe(
    number=0,
    representation={"name": "binary_roll"},
    preparation={"key": "original", "min_steps": 1},
    counts=False,
)


def test_tune_that_cannot_be_read_is_dropped_alone():
    tunes = ["CDEF|", "how now, brown cow", "[CE]GzE|"]
    book = "\n".join(f"X:1\nL:1/4\nK:C\n{tune}\n" for tune in tunes)
    convert = Converter((RECIPE,), Limits(), Filters())
    found = convert(Task(book.encode(), "book.abc", parse_pieces, {}))
    assert [piece.name for piece in found] == ["book.abc#1", "book.abc#2", "book.abc#3"]
    assert [piece.encoded[0].num_notes for piece in (found[0], found[2])] == [4, 4]
    assert isinstance(found[1], Drop)
    assert (found[1].stage, found[1].reason) == ("read", "bad_abc")


def test_records_say_what_the_reader_made_of_repeats_and_left_out():
    tune = b"X:1\nT:Tune\nL:1/4\nK:C\n{c}CDEF:|\n"
    for play_repeats, num_notes, said in (
        (True, 8, "played"),
        (False, 4, "as written"),
    ):
        convert = Converter((RECIPE,), Limits(), Filters(), play_repeats=play_repeats)
        (piece,) = convert(Task(tune, "a.abc", parse_pieces, {}))
        assert piece.encoded[0].num_notes == num_notes
        assert piece.metadata == {
            "title": "Tune",
            "repeats": said,
            "left_out": "1 grace notes",
        }


def test_music_beside_its_beat_is_moved_onto_it_where_beats_are_counted():
    def converted(offset, representation):
        recipe = dataclasses.replace(RECIPE, representation=representation)
        data = to_midi_bytes(song(offset))
        (piece,) = Converter((recipe,), Limits(), Filters())(
            Task(data, "song.mid", parse_pieces, {})
        )
        return piece.encoded[0].arrays, piece.repairs

    moved = {"pieces beside the beat of their file, moved onto it": 1}
    in_quarters = RECIPE.representation
    assert converted(0.35, in_quarters) == (converted(0.0, in_quarters)[0], moved)
    in_seconds = {"name": "performance_events"}
    arrays, repairs = converted(0.35, in_seconds)
    assert arrays != converted(0.0, in_seconds)[0]
    assert repairs == {}
