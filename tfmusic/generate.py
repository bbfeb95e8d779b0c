"""Makes new music with a model: MIDI files, pictures, audio, scores.

--model=chorales takes a model that comes with tfmusic (`tfmusic models` lists them),
--model_dir=DIR one that `tfmusic export` wrote. Every control of the model is a flag
too, such as --temperature=0.9 or --top_k=20; `tfmusic show MODEL` lists them with their
meaning.
"""

import sys
from typing import Any

from absl import flags

from tfmusic import command_line
from tfmusic.compat import import_tensorflow
from tfmusic.errors import UserError
from tfmusic.serving.catalogue import find_model

_MODEL = flags.DEFINE_string(
    "model", None, "Name of a model that comes with tfmusic, or what export wrote."
)
_MODEL_DIR = flags.DEFINE_string(
    "model_dir", None, "Folder that tfmusic export wrote, instead of --model."
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "Folder for the music: piece_1.mid and so on.", required=True
)
_NUM_OUTPUTS = flags.DEFINE_integer("num_outputs", 4, "How many pieces to make.")
_BEST_OF = flags.DEFINE_integer(
    "best_of",
    1,
    "Make so many times as many pieces and keep those with the fewest faults: parallel "
    "fifths and octaves, and ends that do not come home.",
)
_NUM_STEPS = flags.DEFINE_integer(
    "num_steps",
    None,
    "Longest length of the new music in steps of the model (frames or tokens); 256 "
    "unless --bars or --seconds is given.",
)
_BARS = flags.DEFINE_float("bars", None, "Its longest length in bars, instead.")
_SECONDS = flags.DEFINE_float("seconds", None, "Its longest length, instead.")
_QPM = flags.DEFINE_float(
    "qpm", None, "Tempo, quarter notes a minute; a primer has its own."
)
_KEY = flags.DEFINE_string(
    "key",
    None,
    "Key, such as G, Bb or F#m, of models that leave it open (tfmusic show says); with "
    "--primer, the key that the primer is in.",
)
_METRE = flags.DEFINE_string("metre", None, "Metre, such as 3/4; a primer has its own.")
_PROGRAM = flags.DEFINE_integer(
    "program",
    None,
    "Sound, 0 to 127 of General MIDI: 0 piano, 40 violin; a primer has its own.",
)
_SEED = flags.DEFINE_integer("seed", 0, "The same seed gives the same music.")
_PRIMER = flags.DEFINE_string(
    "primer",
    None,
    "MIDI, MusicXML or ABC file to continue; random: a part of a random piece of "
    "--data_dir, from a random bar line on, as --seed says.",
)
_PRIMER_STEPS = flags.DEFINE_integer(
    "primer_steps", None, "Take so many steps (frames or tokens) of the primer alone."
)
_PRIMER_BARS = flags.DEFINE_float("primer_bars", None, "Take so many bars, instead.")
_PRIMER_SECONDS = flags.DEFINE_float("primer_seconds", None, "Or so many seconds.")
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Dataset that tfmusic build wrote, for --primer=random."
)
_SPLIT = flags.DEFINE_enum(
    "split", "test", ["train", "validation", "test"], "Part of it that is drawn from."
)
_INCLUDE_PRIMER = flags.DEFINE_bool(
    "include_primer", True, "Write the primer at the beginning of each piece."
)
_INFILL = flags.DEFINE_string(
    "infill",
    None,
    "Bars of the primer to write anew, such as bars:5-8; an upbeat is bar 0.",
)
_KEEP = flags.DEFINE_list(
    "keep",
    None,
    "Voices of the primer that stay, such as soprano,bass; the others are written "
    "anew, in the bars of --infill or everywhere.",
)
_BEAM_WIDTH = flags.DEFINE_integer(
    "beam_width",
    0,
    "Search for the likeliest music with so many beams and write them all, best first; "
    "with --temperature each beam draws its tokens; 0: sample.",
)
_INTERPOLATE_SEEDS = flags.DEFINE_list(
    "interpolate_seeds",
    None,
    "Two seeds, such as 1,2: --num_outputs pieces from the one to the other.",
)
_PICTURES = flags.DEFINE_bool("pictures", True, "Draw a picture of each piece.")
_AUDIO = flags.DEFINE_bool("audio", False, "Write each piece as audio (WAV).")
_SOUNDFONT = flags.DEFINE_string(
    "soundfont",
    None,
    "SoundFont (.sf2) that plays the audio instead of the one that is installed.",
)
_SCORES = flags.DEFINE_bool("scores", False, "Write each piece as a score (MusicXML).")
_COMPARE_WITH = flags.DEFINE_string(
    "compare_with",
    None,
    "Real music beside the new pieces in pictures and statistics: a dataset (its test "
    "pieces; passages copied from its training pieces are counted), or a folder, "
    "bach_chorales, KIND:PATH as tfmusic build takes it.",
)
_RANDOM = "random"  # instead of a primer's file
_FEW_PIECES = 32  # at a time; with more, the operations of a step are work for threads


def main() -> None:
    """Generates as the flags say."""
    if bool(_MODEL.value) == bool(_MODEL_DIR.value):
        raise UserError(
            "expected --model=NAME (tfmusic models lists the names) or --model_dir=DIR"
        )
    _check_sizes()
    _check_primer()
    path = find_model(_MODEL.value) if _MODEL.value else _MODEL_DIR.value
    from tfmusic.serving.gallery import check_folder, write_gallery
    from tfmusic.serving.player import Player

    num_pieces = _BEAM_WIDTH.value or _NUM_OUTPUTS.value * _BEST_OF.value
    player = Player(path, num_threads=0 if num_pieces > _FEW_PIECES else 1)
    player.announce = command_line.say_meanwhile
    _check_controls(player)
    real = _real_music()
    check_folder(_OUTPUT_DIR.value)
    _check_outputs(player)
    pieces, how, remarks = _make(player)
    account = write_gallery(
        _OUTPUT_DIR.value,
        pieces,
        f"{_MODEL.value or player.card['name']} ({player.card['checkpoint']}), {how}",
        remarks=remarks,
        **real,
        pictures=_PICTURES.value,
        audio=_AUDIO.value,
        scores=_SCORES.value,
        soundfont=_SOUNDFONT.value,
        in_seconds=not player.representation.steps_per_quarter,
        num_given=player.num_given,
        voices="phrases" in player.controls,
    )
    sys.stdout.write(account + "\n")


def _real_music() -> dict[str, Any]:
    """What `write_gallery` takes of the music to compare with."""
    if not _COMPARE_WITH.value:
        return {}
    import_tensorflow()
    from tfmusic.pipelines.references import read_references

    found = read_references(_COMPARE_WITH.value)
    return {
        "references": found.held_out,
        "training": found.training,
        "as_written": found.as_written,
    }


def _check_sizes() -> None:
    """Tells, before the model is loaded, that too few or too many pieces are wanted."""
    from tfmusic.serving.requests import SIZES, check_numbers

    number, times = _NUM_OUTPUTS.value, _BEST_OF.value
    check_numbers(SIZES, num_outputs=number, best_of=times)
    if number * times > SIZES[1]:
        raise UserError(
            f"best_of: expected at most {SIZES[1] // number} with "
            f"num_outputs={number}, got {times}"
        )


def _check_primer() -> None:
    """Tells, before the model is loaded, what does not go together."""
    is_random = _PRIMER.value == _RANDOM
    if is_random and not _DATA_DIR.value:
        raise UserError("--primer=random: give the dataset with --data_dir=DIR")
    for flag in (_DATA_DIR, _SPLIT):
        if flag.present and not is_random:
            raise UserError(f"--{flag.name}: give --primer=random too, or leave it out")
    for flag in (_PRIMER_STEPS, _PRIMER_BARS, _PRIMER_SECONDS):
        if flag.present and not _PRIMER.value:
            raise UserError(
                f"--{flag.name}: give the music with --primer=FILE, or --primer=random"
            )


def _check_controls(player) -> None:
    """Tells, before any music is made, which flag is neither ours nor the model's."""
    from tfmusic.serving.requests import unknown_control

    known = dict(player.controls)
    for kind in ("search_controls", "infill_controls"):
        known |= player.card.get(kind) or {}
    for name in command_line.extra_flags():
        if name not in known:
            others = command_line.flag_names()
            raise UserError(unknown_control(player.card, name, others=others))


def _check_outputs(player) -> None:
    """Tells, before any music is made, what cannot be written of it."""
    from tfmusic.notes.synthesis import find_soundfont

    if _SOUNDFONT.present and not _AUDIO.value:
        raise UserError("--soundfont: give --audio too, to have the music played")
    find_soundfont(_SOUNDFONT.value)
    if _SCORES.value and not player.representation.steps_per_quarter:
        raise UserError(
            f"--scores: leave it out: {player.card['name']} makes music in seconds, "
            "without a beat to write measures by"
        )


def _make(player) -> tuple[list, str, list[str]]:
    """The pieces, how they were made, and what is to be said of each."""
    settings = dict(controls=command_line.extra_flags())
    if _INTERPOLATE_SEEDS.present:
        reason = "it leads from one new piece to another"
        others = (_BARS, _SECONDS, _QPM, _KEY, _METRE, _PROGRAM)
        others += (_SEED, _PRIMER, _BEAM_WIDTH, _BEST_OF)
        _refuse(_INTERPOLATE_SEEDS, reason, *others)
        settings["num_steps"] = 256 if _NUM_STEPS.value is None else _NUM_STEPS.value
        seeds = _seeds(_INTERPOLATE_SEEDS.value)
        pieces = player.interpolate(_NUM_OUTPUTS.value, seeds=seeds, **settings)
        return pieces, f"from seed {seeds[0]} to {seeds[1]}", []
    primer = _primer(player)
    if _INFILL.present or _KEEP.present:
        return _fill(player, primer, settings)
    settings |= dict(
        primer=primer,
        include_primer=_INCLUDE_PRIMER.value,
        num_steps=_NUM_STEPS.value,
        bars=_BARS.value,
        seconds=_SECONDS.value,
        qpm=_QPM.value,
        key=_KEY.value,
        metre=_METRE.value,
        program=_PROGRAM.value,
    )
    if _BEAM_WIDTH.value:
        _refuse(_BEAM_WIDTH, "it writes all beams", _NUM_OUTPUTS, _BEST_OF)
        is_drawn = "temperature" in settings["controls"]
        if not (is_drawn or _PRIMER.value == _RANDOM):
            reason = "without --temperature it leaves nothing to chance"
            _refuse(_BEAM_WIDTH, reason, _SEED)
        ranked = player.search(_BEAM_WIDTH.value, seed=_SEED.value, **settings)
        remarks = [f", log-likelihood {value:.2f} nats" for _, value in ranked]
        remarks[0] += " (the nearer to 0, the likelier)"
        how = f"beam search of width {_BEAM_WIDTH.value}"
        how += f", seed {_SEED.value}" if is_drawn else ""
        how += _of_primer(player, primer)
        return [piece for piece, _ in ranked], how, remarks
    number = _NUM_OUTPUTS.value * _BEST_OF.value
    pieces = player.generate(number, seed=_SEED.value, **settings)
    how = f"seed {_SEED.value}"
    if player.guarded_steps:
        guards = [name for name in player.controls if name.startswith("max_")]
        how += f"; {', '.join(guards)} changed {player.guarded_steps} steps"
    return _best(pieces), how + _of_best() + _of_primer(player, primer), []


def _fill(player, primer, settings) -> tuple[list, str, list[str]]:
    """What `_make` gives where the primer has a gap."""
    from tfmusic.serving.gaps import parse_bars

    flag = _INFILL if _INFILL.present else _KEEP
    if primer is None:
        raise UserError(f"--{flag.name}: give the music with --primer=FILE")
    reason = "the primer says how long the music is, and what is around its gap"
    _refuse(flag, reason, _BARS, _SECONDS, _NUM_STEPS, _QPM, _METRE, _PROGRAM)
    _refuse(flag, "it writes gaps by sampling", _BEAM_WIDTH, _INCLUDE_PRIMER)
    pieces = player.infill(
        primer,
        bars=parse_bars(_INFILL.value) if _INFILL.value else None,
        keep=_KEEP.value or (),
        num_outputs=_NUM_OUTPUTS.value * _BEST_OF.value,
        seed=_SEED.value,
        key=_KEY.value,
        **settings,
    )
    how = f"seed {_SEED.value}; {_INFILL.value or 'all bars'} written anew"
    if _KEEP.value:
        how += f", {', '.join(_KEEP.value)} kept"
    return _best(pieces), how + _of_best() + _of_primer(player, primer), []


def _primer(player):
    """What the music continues, if anything."""
    from tfmusic.notes.guarded import read_input

    lengths = {
        "steps": _PRIMER_STEPS.value,
        "bars": _PRIMER_BARS.value,
        "seconds": _PRIMER_SECONDS.value,
    }
    if _PRIMER.value == _RANDOM:
        import_tensorflow()
        from tfmusic.serving.random_primers import draw_primer

        return draw_primer(
            player.representation,
            _DATA_DIR.value,
            _SPLIT.value,
            _SEED.value,
            **lengths,
        )
    if not _PRIMER.value:
        return None
    return player.cut_primer(read_input(_PRIMER.value, "primer"), **lengths)


def _best(pieces: list) -> list:
    """As many as are wanted."""
    from tfmusic.evaluation.faults import keep_best

    return keep_best(pieces, _NUM_OUTPUTS.value) if _BEST_OF.value > 1 else pieces


def _of_best() -> str:
    number = _NUM_OUTPUTS.value * _BEST_OF.value
    return f"; those of {number} with the fewest faults" if _BEST_OF.value > 1 else ""


def _of_primer(player, primer) -> str:
    """Which primer was drawn and what was changed of it for the model, a line each."""
    remarks = list(player.remarks)
    if _PRIMER.value == _RANDOM:
        remarks.insert(0, primer.filename)
    return "".join(f"\n  the model's primer: {remark}" for remark in remarks)


def _refuse(flag: flags.FlagHolder, reason: str, *others: flags.FlagHolder) -> None:
    for other in others:
        if other.present:
            raise UserError(
                f"--{other.name}: leave it out with --{flag.name}: {reason}"
            )


def _seeds(texts: list[str]) -> tuple[int, int]:
    try:
        first, last = map(int, texts)
    except ValueError:
        raise UserError(
            "--interpolate_seeds: expected two whole numbers, as in 1,2, got "
            f"{','.join(texts)!r}"
        ) from None
    return first, last


if __name__ == "__main__":
    command_line.run(main, takes_extra_flags=True)
