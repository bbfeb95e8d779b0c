"""The blind listening test: what listeners get, and how answers are scored."""

import base64
import io
import json
import re
import wave

import pytest

from tests.contracts import make_sequence
from tfmusic.errors import UserError
from tfmusic.evaluation.listening import score, write_test


def pieces(name, number, start=0.0):
    found = []
    for i in range(number):
        notes = [(60 + i, 80, start + k, start + k + 1) for k in range(60)]
        piece = make_sequence(notes)
        piece.filename = f"{name}_{i}.mid"
        found.append(piece)
    return found


@pytest.fixture
def folder(tmp_path):
    write_test(str(tmp_path), pieces("real", 20), pieces("made", 30), seed=1)
    return tmp_path


def key_of(folder):
    return json.loads((folder / "key.json").read_text(encoding="utf-8"))


def answer(folder, name, choices):
    path = folder / name
    content = {"test": key_of(folder)["test"], "answers": choices}
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def test_page_holds_the_music_and_not_what_it_is(folder):
    page = (folder / "listening_test.html").read_text(encoding="utf-8")
    sounds = re.findall(r"data:audio/wav;base64,([\w+/=]+)", page)
    assert len(sounds) == 24
    for sound in sounds:
        with wave.open(io.BytesIO(base64.b64decode(sound))) as file:
            seconds = file.getnframes() / file.getframerate()
        assert seconds == pytest.approx(12.0)
    assert "real_" not in page
    assert "made_" not in page
    assert "<script src" not in page
    assert "$" not in re.sub(r"base64,[\w+/=]+", "", page)


def test_each_pair_has_one_of_each_and_no_piece_comes_twice(folder):
    pairs = key_of(folder)["pairs"]
    assert len(pairs) == 12
    for pair in pairs:
        real = "AB".index(pair["real"])
        assert pair["files"][real].startswith("real")
        assert pair["files"][1 - real].startswith("made")
    assert {pair["real"] for pair in pairs} == {"A", "B"}
    files = [name for pair in pairs for name in pair["files"]]
    assert len(set(files)) == 24


def test_seed_decides_the_test(folder, tmp_path_factory):
    keys = []
    for seed in (1, 2):
        other = tmp_path_factory.mktemp("other")
        write_test(str(other), pieces("real", 20), pieces("made", 30), seed=seed)
        keys.append(key_of(other)["pairs"])
    assert keys[0] == key_of(folder)["pairs"] != keys[1]


def test_the_key_of_another_test_is_not_replaced(folder):
    key = key_of(folder)
    music = pieces("real", 20), pieces("made", 30)
    write_test(str(folder), *music, seed=1)  # the same once more
    with pytest.raises(UserError, match="key.json: is the key of another test"):
        write_test(str(folder), *music, seed=2)
    assert key_of(folder) == key


def test_silence_at_the_beginning_is_skipped(tmp_path):
    write_test(str(tmp_path), pieces("real", 1, start=40.0), pieces("made", 1))
    page = (tmp_path / "listening_test.html").read_text(encoding="utf-8")
    for sound in re.findall(r"data:audio/wav;base64,([\w+/=]+)", page):
        with wave.open(io.BytesIO(base64.b64decode(sound))) as file:
            assert any(file.readframes(4000))


def test_answers_are_counted_with_an_interval(folder):
    right = {str(i): pair["real"] for i, pair in enumerate(key_of(folder)["pairs"], 1)}
    wrong = {number: "BA"["AB".index(letter)] for number, letter in right.items()}
    some = {number: right[number] for number in ("1", "2", "3")}
    found = score(
        str(folder / "key.json"),
        [answer(folder, "one.json", right), answer(folder, "two.json", some)],
    )
    assert (found.num_answers, found.num_right) == (15, 15)
    # Clopper-Pearson: the 15th root of 0.025.
    assert found.low == pytest.approx(0.025 ** (1 / 15))
    assert found.high == 1
    assert found.p_value == pytest.approx(2**-15)
    both = [answer(folder, "one.json", right), answer(folder, "two.json", wrong)]
    found = score(str(folder / "key.json"), both)
    assert (found.num_answers, found.num_right) == (24, 12)
    assert found.low + found.high == pytest.approx(1)
    assert "12 of 24 pairs: 50 % [29, 71]" in str(found)


def test_what_are_no_answers_is_refused(folder, tmp_path):
    key = str(folder / "key.json")
    with pytest.raises(UserError, match="expected JSON of a listening test"):
        score(key, [str(folder / "nothing.json")])
    with pytest.raises(UserError, match="with test and answers"):
        score(key, [key])
    with pytest.raises(UserError, match="at least one answer"):
        score(key, [answer(folder, "none.json", {})])
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"test": "abc", "answers": {"1": "A"}}))
    with pytest.raises(UserError, match="found some to abc"):
        score(key, [str(other)])
    with pytest.raises(UserError, match="--generated: expected pieces with notes"):
        write_test(str(tmp_path), pieces("real", 1), [make_sequence([])])
