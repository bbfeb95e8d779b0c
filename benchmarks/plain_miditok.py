"""MIDI files into MidiTok's tokens, on symusic; needs these alone.

    PYTHON -m benchmarks.plain_miditok FILE ...

Prints the CPU seconds of one process: read, tokenized, and the numbers as bytes.
"""

import pathlib
import sys
import time
import warnings

import numpy as np
from miditok import MIDILike, TokenizerConfig
from symusic import Score


def main() -> None:
    """Goes through all files twice and prints the seconds of the second time."""
    warnings.simplefilter("ignore")
    contents = [pathlib.Path(path).read_bytes() for path in sys.argv[1:]]
    # Events of performances: note-on, note-off, time, 32 velocities.
    config = TokenizerConfig(num_velocities=32, use_programs=False)
    tokenizer = MIDILike(config)
    for _ in range(2):
        begin = time.process_time()
        for content in contents:
            tracks = tokenizer(Score.from_midi(content))
            for track in tracks if isinstance(tracks, list) else [tracks]:
                np.array(track.ids, np.uint16).tobytes()
        seconds = time.process_time() - begin
    print(seconds)  # noqa: T201


if __name__ == "__main__":
    main()
