"""Lays out generated pieces to hear, see and compare."""

import os
import pathlib
from collections.abc import Sequence

from tfmusic.errors import UserError
from tfmusic.files import write_file, writing
from tfmusic.notes import NoteSequence, Pieces
from tfmusic.notes.measures import bars_in_words
from tfmusic.notes.synthesis import find_soundfont, player_name
from tfmusic.notes.writing import (
    check_local,
    write_midi,
    write_musicxml,
    write_wav,
)

_MOST_ROWS = 8  # of a picture; a title says how much is shown of longer pieces


def write_gallery(
    output_dir: str,
    pieces: Sequence[NoteSequence],
    description: str,
    remarks: Sequence[str] = (),
    references: Sequence[NoteSequence] = (),
    training: Sequence[NoteSequence] = (),
    as_written: Sequence[NoteSequence] = (),
    pictures: bool = True,
    audio: bool = False,
    scores: bool = False,
    soundfont: str | None = None,
    in_seconds: bool = False,
    num_given: int = 0,
    voices: bool = False,
) -> str:
    """Writes `piece_1.mid`, `piece_2.mid`, ... and what helps to judge them.

    Args:
        output_dir: Made if need be; files of the same names are replaced.
        pieces: The generated music.
        description: One line that says where it comes from.
        remarks: What else is to be said of each piece.
        references: Held-out music: each picture shows one beside a piece, and
            `statistics.md` compares the two sets.
        training: What the model learned from: adds how much of it the pieces copy.
        as_written: The held-out pieces before they were encoded.
        pictures: Whether to draw a piano roll of each piece.
        audio: Whether to write each piece as a WAV file.
        scores: Whether to write a MusicXML score of each piece.
        soundfont: Plays the audio; None: the one that is installed, if any.
        in_seconds: Whether pictures show seconds, for music without a beat, rather
            than bars.
        num_given: How many of each piece's first notes the model was given.
        voices: Whether music that a choir can sing is written in its voices, where one
            instrument plays it.

    Returns:
        The account that `contents.txt` holds: a line for each file, which of earlier
        pieces were replaced and which are still there, then the table.

    Raises:
        UserError: See `check_folder` and `find_soundfont`.
    """
    # Only who wants voices and pictures waits for what finds and draws them.
    if voices:
        from tfmusic.evaluation.voices import in_voices
    if pictures:
        from tfmusic.evaluation.pictures import draw_piano_rolls
    check_folder(output_dir)
    soundfont = find_soundfont(soundfont) if audio else None
    with writing(output_dir):
        os.makedirs(output_dir, exist_ok=True)
    lines = [description, ""]
    earlier = {file.name for file in pathlib.Path(output_dir).glob("piece_*.*")}
    replaced = []

    def path(name: str, meaning: str) -> str:
        if name in earlier:
            earlier.remove(name)
            replaced.append(name)
        lines.append(f"{name}  {meaning}")
        return os.path.join(output_dir, name)

    written = [in_voices(piece) if voices else piece for piece in pieces]
    for i, piece in enumerate(written):
        number = i + 1
        length = f"{piece.total_time:.0f} s"
        if not in_seconds and piece.notes:
            length = f"{bars_in_words(piece)}, {length}"
        write_midi(
            piece,
            path(
                f"piece_{number}.mid",
                f"generated piece {number}: {len(piece.notes)} notes, {length}"
                + "".join(remarks[i : i + 1]),
            ),
        )
        if audio:
            meaning = f"piece {number}, played by {player_name(soundfont)}"
            write_wav(piece, path(f"piece_{number}.wav", meaning), soundfont)
        if scores:
            name = f"piece_{number}.musicxml"
            try:
                write_musicxml(piece, os.path.join(output_dir, name))
            except UserError as error:  # the other pieces may well have theirs
                lines.append(f"no score of piece {number}: {error}")
            else:
                path(name, f"piece {number} as a score")
        if pictures:
            panels = [(f"generated piece {number}", piece)]
            meaning = f"piano roll of piece {number}"
            if num_given:
                meaning += ", what was given in grey"
            if references:
                reference = references[i % len(references)]
                panels.append((f"held out: {reference.filename}", reference))
                meaning += f", below it {reference.filename}, held-out music"
            picture = path(f"piece_{number}.png", meaning)
            draw_piano_rolls(
                picture,
                panels,
                in_seconds=in_seconds,
                max_rows=1 if references else _MOST_ROWS,
                num_given=num_given,
            )
    if replaced:
        lines.append(f"of an earlier call, replaced: {', '.join(sorted(replaced))}")
    if earlier:
        names = ", ".join(sorted(earlier))
        lines.append(f"of an earlier call, still here: {names}")
    if references:
        from tfmusic.evaluation.comparison import compare

        has_beat = False if in_seconds else None
        comparison = compare(pieces, references, training, as_written, has_beat)
        comparison.write(output_dir)
        path("statistics.md", f"the pieces beside {len(references)} held-out pieces")
        path("statistics.json", "the same, with every piece by itself")
        lines += ["", comparison.table()]
    account = "\n".join(lines)
    write_file(os.path.join(output_dir, "contents.txt"), account + "\n")
    return account


def check_folder(output_dir: str) -> None:
    """Tells, before any music is made, where none can be written.

    Raises:
        UserError: It is in a bucket, or a file.
    """
    if os.path.isfile(check_local(output_dir)):
        raise UserError(f"{output_dir}: expected a directory for music, found a file")


def read_pieces(data_dir: str, split: str) -> Pieces:
    """A split's pieces as the representation keeps them, for fair comparison.

    Raises:
        UserError: `data_dir` is no complete dataset.
    """
    from tfmusic.data.dataset import Dataset

    dataset = Dataset.open(data_dir)
    representation = dataset.representation
    pieces = Pieces()
    for record in dataset.pieces(split).as_numpy_iterator():
        features = {name: record[name] for name in representation.feature_specs}
        piece = representation.decode(features)
        piece.filename = record["id"].decode()
        pieces.append(piece)
    return pieces
