"""A blind listening test: a page with pairs of real and generated music, and its score.

The page holds the music itself and needs no server. It does not know which of a pair is
real: `key.json` beside it does, and is not for listeners.
"""

import base64
import dataclasses
import hashlib
import html
import json
import os
import string
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest

from tfmusic.errors import UserError
from tfmusic.files import read_bytes, write_file
from tfmusic.notes import NoteSequence
from tfmusic.notes.synthesis import synthesize, to_wav_bytes
from tfmusic.notes.transforms import crop

PAGE, KEY = "listening_test.html", "key.json"
_SAMPLE_RATE = 16_000
_LETTERS = "AB"


def write_test(
    output_dir: str,
    real: Sequence[NoteSequence],
    generated: Sequence[NoteSequence],
    num_pairs: int = 12,
    seconds: float = 12.0,
    seed: int = 0,
) -> int:
    """Writes `listening_test.html` and `key.json`.

    A pair is the beginning of a real piece and that of a generated one, both played by
    one synthesizer, equally loud. Which pieces, in which order, the seed decides.

    Args:
        output_dir: Made if need be.
        real: Music that people wrote. What has gone through the model's representation
            differs from generated music in nothing else.
        generated: Music that a model made.
        num_pairs: How many pairs; fewer where there are fewer pieces, each used once.
        seconds: How much of a piece is heard, from its first note on.
        seed: Decides what the listener hears.

    Returns:
        The number of pairs.

    Raises:
        UserError: One side has no music, or the directory holds another test.
    """
    sides = {"real": _playable(real), "generated": _playable(generated)}
    for name, pieces in sides.items():
        if not pieces:
            raise UserError(f"--{name}: expected pieces with notes, found none")
    random = np.random.default_rng(seed)
    num_pairs = min(num_pairs, *map(len, sides.values()))
    chosen = {
        name: random.permutation(len(pieces))[:num_pairs]
        for name, pieces in sides.items()
    }
    pairs, key = [], []
    for number in range(num_pairs):
        names = [str(name) for name in random.permutation(list(sides))]
        pieces = [sides[name][chosen[name][number]] for name in names]
        pairs.append([_audio(piece, seconds) for piece in pieces])
        files = [piece.filename for piece in pieces]
        key.append({"real": _LETTERS[names.index("real")], "files": files})
    digest = hashlib.sha256("".join(map("".join, pairs)).encode()).hexdigest()[:16]
    content = json.dumps({"test": digest, "seed": seed, "pairs": key}, indent=1) + "\n"
    path = os.path.join(output_dir, KEY)
    if os.path.exists(path) and read_bytes(path) != content.encode():
        raise UserError(
            f"{path}: is the key of another test, without which its answers say "
            "nothing; choose another --output_dir, or remove it"
        )
    os.makedirs(output_dir, exist_ok=True)
    write_file(os.path.join(output_dir, PAGE), _page(pairs, digest))
    write_file(path, content)
    return num_pairs


@dataclasses.dataclass(frozen=True)
class ListeningResult:
    """What listeners made of a test.

    Attributes:
        num_answers: Pairs that were judged, of all listeners together.
        num_right: Of these, how often the real piece was found.
        low: Lower end of the 95 % interval of the fraction (Clopper and Pearson 1934).
        high: Its upper end.
        p_value: How probable so many right answers, or more, are by guessing.
    """

    num_answers: int
    num_right: int
    low: float
    high: float
    p_value: float

    def __str__(self) -> str:
        percent = 100 * self.num_right / self.num_answers
        return (
            f"the real piece was found in {self.num_right} of {self.num_answers} "
            f"pairs: {percent:.0f} % [{100 * self.low:.0f}, {100 * self.high:.0f}]; "
            f"guessing finds 50 %, and as many or more with probability "
            f"{self.p_value:.2g}"
        )


def score(key_path: str, answer_paths: Sequence[str]) -> ListeningResult:
    """Scores answers that listeners saved from a page.

    Args:
        key_path: The page's `key.json`.
        answer_paths: A file for each listener.

    Raises:
        UserError: A file is none of these, is of another test, or there are no answers.
    """
    key = _read(key_path, ("test", "pairs"))
    right = []
    for path in answer_paths:
        answers = _read(path, ("test", "answers"))
        if answers["test"] != key["test"]:
            raise UserError(
                f"{path}: expected answers to the test {key['test']} of {key_path}, "
                f"found some to {answers['test']}"
            )
        for number, pair in enumerate(key["pairs"], 1):
            answer = answers["answers"].get(str(number))
            if answer is not None:
                right.append(answer == pair["real"])
    if not right:
        raise UserError("--answers: expected at least one answer, found none")
    num_right = sum(right)
    interval = binomtest(num_right, len(right), 0.5).proportion_ci(0.95)
    guessing = binomtest(num_right, len(right), 0.5, alternative="greater")
    return ListeningResult(
        len(right), num_right, interval.low, interval.high, float(guessing.pvalue)
    )


def _playable(pieces: Sequence[NoteSequence]) -> list[NoteSequence]:
    return [
        piece for piece in pieces if any(n.end_time > n.start_time for n in piece.notes)
    ]


def _audio(piece: NoteSequence, seconds: float) -> str:
    """The beginning of a piece as a data URI."""
    start = max(min(note.start_time for note in piece.notes), 0.0)
    samples = synthesize(crop(piece, start, start + seconds), _SAMPLE_RATE)
    samples = samples[: int(seconds * _SAMPLE_RATE)]
    volume = np.sqrt(np.mean(np.square(samples)))
    samples = np.clip(samples * (0.1 / max(volume, 1e-6)), -1, 1)
    data = base64.b64encode(to_wav_bytes(samples, _SAMPLE_RATE)).decode()
    return f"data:audio/wav;base64,{data}"


def _page(pairs: Sequence[Sequence[str]], digest: str) -> str:
    sections = []
    for number, sounds in enumerate(pairs, 1):
        players = "".join(
            f'<p>{letter} <audio controls preload="none" src="{html.escape(sound)}">'
            f'</audio> <label><input type="radio" name="{number}" value="{letter}"> '
            "was written by a person</label></p>"
            for letter, sound in zip(_LETTERS, sounds, strict=True)
        )
        sections.append(f"<fieldset><legend>Pair {number}</legend>{players}</fieldset>")
    return _TEMPLATE.substitute(
        digest=digest, num_pairs=len(pairs), pairs="\n".join(sections)
    )


def _read(path: str, names: Sequence[str]) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: expected JSON of a listening test: {error}") from None
    if not isinstance(content, dict) or not set(names) <= content.keys():
        raise UserError(
            f"{path}: expected JSON of a listening test with {' and '.join(names)}"
        )
    return content


_TEMPLATE = string.Template("""\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Listening test</title>
<style>
body { font: 1.1em sans-serif; max-width: 44em; margin: 2em auto; padding: 0 1em; }
fieldset { margin: 1em 0; }
audio { vertical-align: middle; }
</style>
<h1>Which was written by a person?</h1>
<p>Of each pair one piece was written by a person and one by a program. Listen to both,
as often as you like, and choose. Your answers stay in this browser until you save
them.</p>
$pairs
<p><button id="save">Save my answers</button> <span id="count"></span></p>
<script>
const test = "$digest", numPairs = $num_pairs;
let answers = {};
try { answers = JSON.parse(localStorage.getItem(test)) || {}; } catch (error) {}
function show() {
  document.getElementById("count").textContent =
    Object.keys(answers).length + " of " + numPairs + " pairs are answered";
}
for (const input of document.querySelectorAll("input")) {
  input.checked = answers[input.name] === input.value;
  input.addEventListener("change", () => {
    answers[input.name] = input.value;
    try { localStorage.setItem(test, JSON.stringify(answers)); } catch (error) {}
    show();
  });
}
document.getElementById("save").addEventListener("click", () => {
  const text = JSON.stringify({test: test, answers: answers}, null, 1);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type: "application/json"}));
  link.download = "answers.json";
  link.click();
});
show();
</script>
</html>
""")
