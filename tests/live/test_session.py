"""A session that hears and is heard by OSC, and by MIDI ports within the process."""

import contextlib
import os
import queue
import signal
import sys
import threading
import time

import mido
import pytest
from absl import logging

from tests.live import loop_backend
from tests.notes.sequences import make_sequence
from tfmusic.errors import UserError
from tfmusic.live import ports
from tfmusic.live.phrases import Metre
from tfmusic.live.session import Session, messages_of
from tfmusic.notes import NoteSequence

METRE = Metre(qpm=400)  # bars of 0.6 s
PHRASE = [(60, 80), (60, 0), (64, 90), (64, 0)]


def an_octave_higher(phrase, seed):
    """The phrase again, an octave higher, with the seed as the loudness."""
    answer = NoteSequence()
    answer.CopyFrom(phrase)
    for note in answer.notes:
        note.pitch += 12
        note.velocity = 100 + seed
    yield answer


@contextlib.contextmanager
def playing(send, *conditions):
    """Plays a phrase meanwhile, and again when a condition holds."""

    def play():
        for condition in (lambda: True, *conditions):
            while not condition():
                time.sleep(0.01)
            for number, (pitch, velocity) in enumerate(PHRASE):
                time.sleep(0.02 * (number % 2))  # as long as a key is held
                send(pitch, velocity)

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def taken(events):
    """What has come in, when the last of it is there."""
    found = []
    with contextlib.suppress(queue.Empty):
        while True:
            found.append(events.get(timeout=0.3))
    return found


@pytest.fixture
def osc():
    """Events of a session, an output to it, one from it, and what that sends."""
    events, replies = ports.Events(), ports.Events()
    with (
        ports.osc_input(0, events) as port,
        ports.osc_input(0, replies) as reply,
        contextlib.closing(ports.OscOutput(str(port))) as keyboard,
        contextlib.closing(ports.OscOutput(f"127.0.0.1:{reply}")) as output,
    ):
        yield events, keyboard, output, replies


@pytest.fixture
def midi(monkeypatch):
    monkeypatch.setattr(mido, "backend", mido.Backend("tests.live.loop_backend"))
    for name in ("open_input", "open_output", "get_input_names", "get_output_names"):
        monkeypatch.setattr(mido, name, getattr(mido.backend, name))
    loop_backend.sent.clear()


def test_phrases_are_answered_by_osc_one_after_another(osc, caplog):
    events, keyboard, output, replies = osc
    session = Session(an_octave_higher, METRE, 4, events, [output], seed=5)
    level = logging.get_verbosity()
    logging.set_verbosity(logging.INFO)
    begin = time.monotonic()
    with playing(keyboard.send, lambda: session.latencies and not session._sounding):
        session.run(num_answers=2)
    logging.set_verbosity(level)
    heard = taken(replies)
    assert [(e.pitch, e.velocity) for e in heard if e.velocity] == [
        (72, 105),
        (76, 105),
        (72, 106),
        (76, 106),
    ]
    assert sorted(e.pitch for e in heard if not e.velocity) == [72, 72, 76, 76]
    # Not before the phrase is over: its notes, and half a bar of silence.
    assert heard[0].at - begin > 0.04 + 0.3
    assert min(session.latencies) > 0
    line = f"the answer begins {session.latencies[1]:.2f} s after the end of the phrase"
    assert line in caplog.messages[-1]


def test_a_bar_is_made_while_the_one_before_it_is_played(osc):
    made = []

    def three_bars(phrase, seed):
        for pitch in (72, 74, 76):
            made.append(time.monotonic())
            yield make_sequence((pitch, 80, 0.0, 0.55))

    events, keyboard, output, replies = osc
    with playing(keyboard.send):
        Session(three_bars, METRE, 4, events, [output]).run(num_answers=1)
    struck = [event for event in taken(replies) if event.velocity]
    assert [event.pitch for event in struck] == [72, 74, 76]
    assert made[1] < struck[1].at - METRE.bar_seconds / 2
    # Bars follow one another in time.
    assert struck[2].at - struck[0].at == pytest.approx(1.2, abs=0.15)


def test_what_is_played_over_an_answer_is_not_heard(osc):
    heard = []

    def answer(phrase, seed):
        heard.append([note.pitch for note in phrase.notes])
        yield make_sequence((72, 80, 0.0, 1.0))

    events, keyboard, output, _ = osc
    session = Session(answer, METRE, 4, events, [output])

    def lower_over_it(pitch, velocity):
        keyboard.send(pitch - 12 * bool(session._sounding), velocity)

    over = [lambda: session._sounding, lambda: not session._sounding]
    with playing(lower_over_it, *over):
        session.run(num_answers=2)
    assert heard == [[60, 64], [60, 64]]


def test_key_is_let_go_before_it_is_pressed_again():
    piece = make_sequence(
        (60, 80, 0.0, 0.5), (60, 70, 0.0, 1.5), (60, 90, 1.0, 2.0), (62, 80, 1.0, 1.0)
    )
    assert messages_of(piece) == [
        (0.0, 70, 60, False),
        (1.0, 0, 60, False),
        (1.0, 80, 62, False),
        (1.0, 90, 60, False),
        (1.02, 0, 62, False),
        (2.0, 0, 60, False),
    ]


def test_what_is_no_note_is_not_heard(osc):
    events, keyboard, _, _ = osc
    for values in (["x", 1], [60], [200, 3], [float("nan"), 1], [60, -1]):
        keyboard._client.send_message(ports.ADDRESS, values)
    keyboard._client.send_message("/other", [60, 80])
    keyboard.send(61, 7)
    assert [(event.pitch, event.velocity) for event in taken(events)] == [(61, 7)]


def test_ctrl_c_lets_all_notes_go(osc):
    def long(phrase, seed):
        yield make_sequence((72, 80, 0.0, 60.0), (76, 80, 0.0, 60.0))

    events, keyboard, output, replies = osc
    session = Session(long, METRE, 4, events, [output])

    def interrupt():
        found = {replies.get(timeout=20).pitch, replies.get(timeout=20).pitch}
        assert found == {72, 76}
        os.kill(os.getpid(), signal.SIGINT)

    with playing(keyboard.send), pytest.raises(KeyboardInterrupt):
        threading.Thread(target=interrupt).start()
        session.run()
    assert [(event.pitch, event.velocity) for event in taken(replies)] == [
        (72, 0),
        (76, 0),
    ]


def test_phrase_that_the_model_cannot_read_is_not_the_end(osc, caplog):
    def refuse_first(phrase, seed):
        if not caplog.messages:
            raise UserError("it is too high")
        yield from an_octave_higher(phrase, seed)

    events, keyboard, output, replies = osc
    session = Session(refuse_first, METRE, 4, events, [output])
    with playing(keyboard.send, lambda: caplog.messages):
        session.run(num_answers=1)
    assert caplog.messages[0] == "no answer: it is too high"
    assert taken(replies)


def test_phrase_is_answered_on_midi_ports(midi):
    events = ports.Events()
    with (
        ports.midi_input("piano", events),
        contextlib.closing(ports.MidiOutput("Synth 21:0")) as output,
    ):
        source = loop_backend.inputs["Piano 20:0"]

        def send(pitch, velocity):
            # A keyboard lets go in either way, and drums are not for the model.
            kind = "note_on" if velocity or pitch == 60 else "note_off"
            source.callback(mido.Message(kind, note=pitch, velocity=velocity))
            source.callback(mido.Message("note_on", note=36, channel=9))
            source.callback(mido.Message("control_change", control=64, value=127))

        with playing(send):
            Session(an_octave_higher, METRE, 4, events, [output]).run(num_answers=1)
    first = [message for message in loop_backend.sent if message.type == "note_on"]
    assert [(message.note, message.channel) for message in first] == [(72, 0), (76, 0)]
    assert [m.note for m in loop_backend.sent if m.type == "note_off"] == [72, 76]
    last = loop_backend.sent[-2:]
    assert [(m.control, m.channel) for m in last] == [(123, 0), (123, 9)]


def test_port_that_is_not_there_is_answered_with_those_that_are(midi):
    with pytest.raises(UserError, match="--output=synth: .*; 2 of .*'Synth 21:0', "):
        ports.MidiOutput("synth")
    with (
        pytest.raises(UserError, match="--input=Organ: .*none of .*: 'Piano 20:0'$"),
        ports.midi_input("Organ", ports.Events()),
    ):
        pass
    found = "inputs: 'Piano 20:0'; outputs: 'Piano 20:0', 'Synth 21:0', 'Synth 22:0'"
    assert ports.describe_ports() == found


@pytest.mark.parametrize("reply", ["foo", "70000", "nowhere:0", ":"])
def test_osc_reply_that_is_no_port_is_a_users_error(reply):
    with pytest.raises(UserError, match="expected PORT or HOST:PORT"):
        ports.OscOutput(reply)


def test_osc_port_that_is_taken_is_a_users_error():
    with (
        ports.osc_input(0, ports.Events()) as port,
        pytest.raises(UserError, match=f"--osc_port={port}: cannot be bound"),
        ports.osc_input(port, ports.Events()),
    ):
        pass


def test_packages_that_are_missing_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pythonosc", None)
    monkeypatch.setitem(sys.modules, "pythonosc.udp_client", None)
    with pytest.raises(UserError, match=r'pip install "tfmusic\[live\]"'):
        ports.OscOutput("9001")
