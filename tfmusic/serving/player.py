"""Turns an exported model into music; knows its arrays' meaning, not its network."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfmusic.checks import mapping, whole_number
from tfmusic.errors import UserError, choose
from tfmusic.files import (
    check_model_path,
    exists,
    is_directory,
    list_directory,
    prepare_path,
)
from tfmusic.notes import NoteSequence, Pieces
from tfmusic.representations import make_representation
from tfmusic.serving.beginnings import cut_primer
from tfmusic.serving.catalogue import CARD, find_model, is_packed, read_card
from tfmusic.serving.endpoints import load_endpoints
from tfmusic.serving.inputs import as_array, check_limits, check_music
from tfmusic.serving.pace import expected_seconds
from tfmusic.serving.packed import as_directory
from tfmusic.serving.primers import read_primer
from tfmusic.serving.requests import (
    Request,
    default_of,
    encode,
    read_music,
    request_infill,
    request_interpolation,
    request_music,
    request_search,
    tell_unmatched,
)
from tfmusic.stored import reading

_LONG_SECONDS = 3.0
_WORDS, _REMEDY = "a SavedModel beside its card", "copy or export the model again"


class Player:
    """An exported model that plays.

    Attributes:
        path: The directory of the version that is loaded, or the model's one file.
        card: What `export_model` wrote about the model: name, versions, checkpoint,
            config, representation, controls, endpoints, data and scores.
        representation: How the model's arrays encode music.
        guarded_steps: In how many steps of all pieces of the last `generate` a guard
            against standing still changed what was drawn.
        unmatched_steps: In how many steps of all pieces of the last `infill` no chord
            that the model knows has what is given.
        num_given: How many notes, the first ones of each piece, the last `generate`,
            `search` or `infill` took from the primer as they are.
        announce: Told in a line, before music is made that takes some seconds, how
            much it is and about how long it takes; None: nobody is.
        remarks: What the last `generate`, `search` or `infill` changed of the primer
            for the model, in words.
    """

    def __init__(self, model: str, num_threads: int = 1):
        """Loads an export.

        Args:
            model: The name of a model that comes with tfmusic; or an export directory,
                of which the newest version is taken, or one numbered version in it,
                perhaps in a bucket; or an export in one file.
            num_threads: How many share an operation, at most 127; 0: one for each
                core. One is the fastest for up to some dozens of pieces at a time, as
                the operations of a step are small (`python -m benchmarks.generation`).
                In a process that uses TensorFlow, and on a graphics card, TensorFlow's
                own settings hold.

        Raises:
            UserError: There is no such model, or it is damaged.
        """
        whole_number("num_threads", num_threads, 0, 127)
        found = find_model(model)
        with as_directory(found) as folder:
            path = newest_version(folder)
            self.path = found if is_packed(found) else path
            self.card = read_card(os.path.join(path, CARD))
            with reading(self.path, _WORDS, _REMEDY):
                self._endpoints = load_endpoints(path, num_threads)
                self._check_endpoints()
            with reading(os.path.join(self.path, CARD), "a model's card", _REMEDY):
                self.representation = make_representation(self.card["representation"])
        self.guarded_steps = self.unmatched_steps = self.num_given = 0
        self.remarks: tuple[str, ...] = ()
        self.announce: Callable[[str], None] | None = None

    def _check_endpoints(self) -> None:
        """Refuses a model that cannot do what its card says; `reading` tells why."""
        for name, endpoint in self.card["endpoints"].items():
            found = self._endpoints.inputs(name)
            if found.keys() != endpoint["inputs"].keys():
                raise ValueError(f"endpoint {name} takes {', '.join(found)}")
            for key, spec in endpoint["inputs"].items():
                if found[key] != (spec["dtype"], spec["shape"]):
                    raise ValueError(f"{key} of endpoint {name} is {found[key]}")

    def __repr__(self):
        can = [name for name in self.card["endpoints"] if name != "serving_default"]
        return f"<Player of {self.card['name']} in {self.path}: {', '.join(can)}>"

    @property
    def controls(self) -> dict[str, dict[str, Any]]:
        """Each control that generation takes: its default, bounds and meaning."""
        return self.card["controls"]

    def generate(
        self,
        num_outputs: int = 1,
        num_steps: int | None = None,
        seed: int = 0,
        primer: NoteSequence | None = None,
        include_primer: bool = True,
        controls: Mapping[str, float] | None = None,
        **setting: Any,
    ) -> Pieces:
        """Makes new music, all pieces at once.

        Args:
            num_outputs: How many pieces.
            num_steps: Their length at most, in steps of the representation (frames or
                tokens), without the primer; 256 unless `bars` or `seconds` is given.
            seed: The same seed on the same machine gives the same music.
            primer: A beginning to continue; None starts as the training pieces do.
                The music goes on in its key, tempo, metre and instruments; `remarks`
                says what was changed for the model.
            include_primer: Whether the pieces begin with the primer's notes, as they
                are.
            controls: Values for `controls` that are not to have their defaults, as
                numbers or, where they have some, names: `{"tag": "jig"}`.
            **setting: `bars=16`, `seconds=30`, `qpm=90`, `key="G major"`,
                `metre="3/4"` and `program=40`; see `tfmusic.serving.setting.Setting`.

        Returns:
            The pieces; without a primer or a setting in the model's own tempo.

        Raises:
            UserError: A control that the model does not know or that is out of its
                bounds, a number below 1 or too large, a primer that cannot be
                encoded, or a setting that is not open.
        """
        request = request_music(
            self.card,
            self.representation,
            num_outputs=num_outputs,
            num_steps=num_steps,
            seed=seed,
            primer=primer,
            controls=controls,
            **setting,
        )
        outputs = self._answer(request, num_outputs)
        self.guarded_steps = _total(outputs, "guarded_steps")
        self.remarks = request.primer.remarks if request.primer else ()
        self.num_given = request.num_given if include_primer else 0
        return read_music(self.representation, request, outputs, include_primer)

    def cut_primer(
        self,
        piece: NoteSequence,
        steps: int | None = None,
        bars: float | None = None,
        seconds: float | None = None,
    ) -> NoteSequence:
        """The first part of a piece, as a primer; all of it where that is shorter.

        Args:
            piece: The music.
            steps: Length in steps of the representation (frames or tokens). Where
                those vary in length, the part has at most so many, and ends where a
                note begins.
            bars: Length in bars instead; an upbeat is none, and the last bar is
                shorter by it.
            seconds: Length in seconds instead.

        Raises:
            UserError: More than one length is given, or one that is not above 0.
        """
        return cut_primer(self.representation, piece, steps, bars, seconds)

    def infill(
        self,
        piece: NoteSequence,
        bars: tuple[int, int] | None = None,
        keep: Sequence[str] | str = (),
        num_outputs: int = 1,
        seed: int = 0,
        controls: Mapping[str, float] | None = None,
        key: str | None = None,
    ) -> Pieces:
        """Writes bars or voices of a piece anew; all else comes back as it is.

        Args:
            piece: The music. A melody alone is the voice, or the hand, that is kept.
            bars: The first and the last bar to write, counted from 1, an upbeat being
                bar 0; None: all.
            keep: Names of voices or hands that stay, such as ("soprano", "bass"); the
                card's `keep` has those that there are. Without `bars` the others are
                written anew from beginning to end.
            num_outputs: How many versions.
            seed: The same seed on the same machine gives the same music.
            controls: As for `generate`, and the card's `infill_controls`.
            key: Which key the piece is in, such as "G" or "F#m", if the model takes
                one; None: as its notes say, of which a melody has few.

        Raises:
            UserError: The model cannot, there are no such bars or voices, or as for
                `generate`.
        """
        request = request_infill(
            self.card,
            self.representation,
            piece,
            bars=bars,
            keep=keep,
            num_outputs=num_outputs,
            seed=seed,
            controls=controls,
            key=key,
        )
        outputs = self._answer(request, num_outputs)
        self.guarded_steps = _total(outputs, "guarded_steps")
        self.unmatched_steps = _total(outputs, "unmatched_steps")
        self.num_given = request.num_given
        self.remarks = (*request.primer.remarks, *tell_unmatched(outputs))
        return read_music(self.representation, request, outputs)

    def interpolate(
        self,
        num_outputs: int = 5,
        num_steps: int = 256,
        seeds: tuple[int, int] = (0, 1),
        controls: Mapping[str, float] | None = None,
    ) -> Pieces:
        """Makes the pieces on the way from one to another.

        Args:
            num_outputs: How many, the two at the ends included.
            num_steps: As for `generate`.
            seeds: Those of the ends, which are what `generate` makes first of each.
            controls: As for `generate`.

        Raises:
            UserError: The family cannot, or as for `generate`.
        """
        request = request_interpolation(
            self.card, num_outputs, num_steps, seeds, controls
        )
        outputs = self._answer(request, num_outputs)
        return read_music(self.representation, request, outputs)

    def search(
        self,
        beam_width: int = 10,
        num_steps: int | None = None,
        primer: NoteSequence | None = None,
        include_primer: bool = True,
        controls: Mapping[str, float] | None = None,
        seed: int = 0,
        **setting: Any,
    ) -> list[tuple[NoteSequence, float]]:
        """Makes the music that the model holds most likely, by beam search.

        Args:
            beam_width: How many beams; fewer pieces are found where fewer are possible.
            num_steps: As for `generate`.
            primer: As for `generate`.
            include_primer: As for `generate`.
            controls: Values for the card's `search_controls` that are not to have their
                defaults. With a `temperature` above 0 each beam draws its tokens.
            seed: Decides what is drawn.
            **setting: As for `generate`.

        Returns:
            The pieces, best first, each with the log-likelihood, in nats, of what
            follows the primer.

        Raises:
            UserError: The family has no beam search, or as for `generate`.
        """
        request = request_search(
            self.card,
            self.representation,
            beam_width=beam_width,
            num_steps=num_steps,
            seed=seed,
            primer=primer,
            controls=controls,
            **setting,
        )
        outputs = self._answer(request, beam_width)
        self.remarks = request.primer.remarks if request.primer else ()
        self.num_given = request.num_given if include_primer else 0
        beams = {name: array[0] for name, array in outputs.items()}
        pieces = read_music(self.representation, request, beams, include_primer)
        ranked = zip(pieces, beams["log_likelihood"].tolist(), strict=True)
        return [(piece, value) for piece, value in ranked if value > -math.inf]

    def score(self, sequence: NoteSequence) -> np.ndarray:
        """How likely the model finds a piece.

        Args:
            sequence: The piece; for a model that knows one key alone it is moved there,
                and onto its beat where its file has another.

        Returns:
            float32 `[step]`: the natural logarithm of the probability of each step of
            the representation, after all steps before it.

        Raises:
            UserError: It cannot be encoded, or the model has no likelihood.
        """
        choose(f"endpoint of {self.card['name']}", "score", self.card["endpoints"])
        check_music("sequence", sequence)
        features = read_primer(self.card, self.representation, sequence).prompt
        inputs = {name: array[np.newaxis] for name, array in features.items()}
        inputs["num_steps"] = np.array([len(array) for array in features.values()][:1])
        return self.call("score", inputs)["log_likelihood"][0]

    def reconstruct(self, sequence: NoteSequence) -> NoteSequence:
        """What an autoencoder makes of a piece: encoded, and decoded again.

        Raises:
            UserError: It cannot be encoded, or the model is no autoencoder.
        """
        endpoint = "reconstruct"
        choose(f"endpoint of {self.card['name']}", endpoint, self.card["endpoints"])
        check_music("sequence", sequence)
        features = encode(self.representation, sequence)
        inputs = {name: array[np.newaxis] for name, array in features.items()}
        outputs = self.call(endpoint, inputs)
        return self.representation.decode({n: a[0] for n, a in outputs.items()})

    def _answer(self, request: Request, num_pieces: int) -> dict[str, np.ndarray]:
        """Calls the endpoint; says before how long that may take, if it is wanted."""
        if self.announce:
            seconds = expected_seconds(self.call, request.endpoint, request.inputs)
            if seconds and seconds > _LONG_SECONDS:
                steps = request.inputs.get("num_steps")
                length = f" of at most {int(steps):,d} steps" if steps else ""
                pieces = f"{num_pieces:,d} piece{'s' if num_pieces > 1 else ''}"
                time = f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
                self.announce(f"making {pieces}{length}; that takes about {time}")
        return self.call(request.endpoint, request.inputs)

    def call(
        self, endpoint: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Calls an endpoint with the inputs that the card describes.

        Args:
            endpoint: Its name.
            inputs: A value for each of its inputs; those with a default in the card
                may be left out.

        Returns:
            Its outputs by name.

        Raises:
            UserError: There is no such endpoint or input, or one cannot be.
        """
        choose(f"endpoint of {self.card['name']}", endpoint, self.card["endpoints"])
        specs = self.card["endpoints"][endpoint]["inputs"]
        for name in mapping("inputs", inputs):
            choose(f"input of {endpoint}", name, specs)
        defaults = {n: default_of(s) for n, s in specs.items() if "default" in s}
        inputs = {**defaults, **inputs}
        if missing := [name for name in specs if name not in inputs]:
            raise UserError(f"{endpoint}: expected its input {missing[0]}, got none")
        arrays = {name: as_array(name, inputs[name], specs[name]) for name in specs}
        check_limits(self.card, endpoint, arrays)
        with reading(self.path, _WORDS, _REMEDY):
            self._endpoints.load(endpoint)
        return self._endpoints.call(endpoint, arrays)


def _total(outputs: Mapping[str, np.ndarray], name: str) -> int:
    """Of a count of each piece that an endpoint may give."""
    return int(outputs[name].sum()) if name in outputs else 0


def versions(export_dir: str) -> list[int]:
    """The complete numbered versions in an export directory, in rising order."""
    if not is_directory(export_dir):
        return []
    names = list_directory(export_dir)
    return sorted(
        int(name)
        for name in names
        if name.isdigit() and exists(os.path.join(export_dir, name, CARD))
    )


def newest_version(model_dir: str) -> str:
    """The directory of the newest version in `model_dir`, or itself if it is one.

    Raises:
        UserError: It is neither.
    """
    prepare_path(model_dir)
    check_model_path(model_dir)
    if exists(os.path.join(model_dir, CARD)):
        return model_dir
    found = versions(model_dir)
    if not found:
        raise UserError(
            f"{model_dir}: expected a directory that tfmusic export wrote, found no "
            "exported model in it; write one with tfmusic export"
        )
    return os.path.join(model_dir, str(found[-1]))
