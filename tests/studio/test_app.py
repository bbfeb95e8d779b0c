"""The server of the page, asked as the page asks it."""

import gzip
import io
import json
import threading
import time
import wave

import pytest
from starlette.testclient import TestClient

from tests.notes.sequences import make_sequence
from tests.studio.conftest import ADDRESS, wait
from tfmusic.errors import UserError
from tfmusic.notes.reading import read_bytes
from tfmusic.notes.writing import to_midi_bytes
from tfmusic.serving.catalogue import CARD
from tfmusic.studio import app as app_module
from tfmusic.studio.app import Studio
from tfmusic.studio.jobs import MOST_WAITING
from tfmusic.studio.pieces import to_page
from tfmusic.studio.shelf import Shelf

BYTES = {"content-type": "application/octet-stream"}


def four_parts(num_bars=4):
    """Half notes of four voices, 120 qpm: a bar lasts two seconds."""
    chords = [(72, 64, 60, 48), (71, 65, 59, 50)]
    return make_sequence(
        *(
            (pitch, 80, float(i), i + 1.0, voice)
            for i in range(2 * num_bars)
            for voice, pitch in enumerate(chords[i % 2])
        )
    )


def upload(client, sequence, name="mine.mid"):
    response = client.post(
        f"/api/pieces?name={name}", content=to_midi_bytes(sequence), headers=BYTES
    )
    assert response.status_code == 201, response.text
    return response.json()


def refused(response, status, words):
    error = response.json()["error"]
    assert response.status_code == status, error
    assert words in error
    assert "\n" not in error


def test_page_needs_nothing_from_elsewhere(client):
    page = client.get("/")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for path in app_module.STATIC.rglob("*"):
        if path.suffix in (".html", ".css", ".js") and path.parent.name != "vendor":
            text = path.read_text(encoding="utf-8")
            assert "https://" not in text
            assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")


def test_models_are_shown_with_their_controls(client):
    models = {model["name"]: model for model in client.get("/api/models").json()}
    assert {"chorales", "folk"} <= set(models)
    controls = {c["name"]: c for c in models["folk"]["controls"]}
    assert controls["temperature"]["default"] == 1
    assert [0, "any"] in controls["tag"]["choices"]
    assert [5, "jig"] in controls["tag"]["choices"]
    assert [13, "Cm"] in controls["key_number"]["choices"]
    controls = {c["name"]: c for c in models["chorales"]["controls"]}
    # A slider has places that a musician can meet; the number takes all.
    assert (controls["top_k"]["top"], controls["top_k"]["maximum"]) == (100, 1e6)
    assert controls["pickup_quarters"]["step"] == 0.25
    assert models["chorales"]["licence"] != "unknown"
    assert models["folk"]["can"]["infill"]


def test_generated_pieces_are_there_to_see_and_to_save(client):
    order = {"model": "chorales", "bars": 4, "num_outputs": 2, "seed": 3}
    started = client.post("/api/jobs", json=order)
    assert started.status_code == 202
    job = wait(client, started.json())
    assert job["state"] == "done", job
    first, second = job["pieces"]
    assert first["notes"] != second["notes"]
    assert first["bars"][0]["number"] == 1
    names = [track["name"] for track in first["tracks"]]
    assert sorted(names) == ["Alto", "Bass", "Soprano", "Tenor"]
    again = wait(client, client.post("/api/jobs", json=order).json())
    assert again["pieces"][0]["notes"] == first["notes"]
    midi = client.get(f"/api/pieces/{first['id']}.mid")
    assert midi.headers["content-type"] == "audio/midi"
    read = read_bytes(midi.content, "x.mid")
    assert sorted(n.pitch for n in read.notes) == sorted(n[0] for n in first["notes"])


def test_a_request_waits_for_a_job(client):
    order = {"model": "chorales", "bars": 2}
    job = client.post("/api/jobs", json=order).json()
    for _ in range(30):  # of two seconds each
        if job["state"] not in ("waiting", "running"):
            break
        job = client.get(f"/api/jobs/{job['id']}?wait=2").json()
    assert len(job["pieces"]) == 1
    for wrong in ("nan", "-1", "2.5", "soon", ""):
        answer = client.get(f"/api/jobs/{job['id']}?wait={wrong}")
        refused(answer, 400, "wait: expected 0 to 2 seconds")


def test_a_request_waits_no_longer_than_it_says(client, monkeypatch):
    begun, ends = threading.Event(), threading.Event()

    def slow(order, shelf, piece):
        begun.set()
        ends.wait(60)
        return []

    monkeypatch.setattr(app_module.making, "make", slow)
    job = client.post("/api/jobs", json={"model": "chorales", "bars": 2}).json()
    try:
        assert begun.wait(60)
        start = time.monotonic()
        job = client.get(f"/api/jobs/{job['id']}?wait=0.3").json()
        assert 0.3 <= time.monotonic() - start < 30
        assert job["state"] == "running"
    finally:
        ends.set()
    assert wait(client, job)["state"] == "done"


def test_likeliest_pieces_come_best_first(client):
    (model,) = [m for m in client.get("/api/models").json() if m["name"] == "chorales"]
    assert model["can"]["search"]
    assert "temperature" not in model["search_controls"]
    order = {"kind": "search", "model": "chorales", "bars": 2, "num_outputs": 2}
    order["controls"] = {"cadence": 2.0}
    job = wait(client, client.post("/api/jobs", json=order).json())
    assert job["state"] == "done", job
    first, second = job["pieces"]
    assert (first["title"], second["title"]) == (
        "chorales, likeliest, no. 1",
        "chorales, likeliest, no. 2",
    )
    nats = [float(piece["remark"].split()[1]) for piece in (first, second)]
    assert 0 > nats[0] >= nats[1]
    for wrong, words in (
        ({"seed": 1}, "setting of search: unknown 'seed'"),
        ({"controls": {"temperature": 2.0}}, "temperature: leave it out with a beam"),
    ):
        refused(client.post("/api/jobs", json=order | wrong), 400, words)


def test_file_is_continued(client):
    piece = upload(client, four_parts())
    order = {"kind": "continue", "model": "chorales", "bars": 2, "piece": piece["id"]}
    job = wait(client, client.post("/api/jobs", json=order).json())
    assert job["state"] == "done", job
    (longer,) = job["pieces"]
    assert longer["seconds"] > piece["seconds"]
    assert longer["notes"][: len(piece["notes"])] == piece["notes"]


@pytest.mark.slow
def test_marked_bars_are_written_anew_and_the_rest_stays(infill_client):
    client = infill_client
    (model,) = [m for m in client.get("/api/models").json() if m["name"] == "coconet"]
    assert model["can"]["infill"]
    assert model["voices"] == ["Soprano", "Alto", "Tenor", "Bass"]
    piece = upload(client, four_parts())
    order = {"kind": "infill", "model": "coconet", "piece": piece["id"]}
    order |= {"bars": [2, 3], "keep": ["Soprano"]}
    job = wait(client, client.post("/api/jobs", json=order).json())
    assert job["state"] == "done", job
    (new,) = job["pieces"]
    bars = {bar["number"]: bar for bar in piece["bars"]}
    begin, end = bars[2]["start"], bars[3]["end"]

    def outside(notes):
        return {tuple(n) for n in notes if not begin <= n[1] < end}

    assert outside(new["notes"]) == outside(piece["notes"])
    soprano = {tuple(n) for n in piece["notes"] if n[4] == 0}
    assert soprano <= {tuple(n) for n in new["notes"]}
    assert new["notes"] != piece["notes"]


def test_downloads_are_what_they_say(client):
    piece = upload(client, four_parts(1))
    score = client.get(f"/api/pieces/{piece['id']}.musicxml")
    assert len(read_bytes(score.content, "x.musicxml").notes) == 8
    sound = client.get(f"/api/pieces/{piece['id']}.wav")
    with wave.open(io.BytesIO(sound.content)) as file:
        assert file.getnframes() > 2 * file.getframerate()
    assert "mine.wav" in sound.headers["content-disposition"]
    refused(client.get(f"/api/pieces/{piece['id']}.exe"), 404, "got .exe")


def test_what_would_take_minutes_to_write_or_score_is_refused(client):
    long = make_sequence(*((60, 80, i * 130.0, i * 130.0 + 1) for i in range(11)))
    many = make_sequence(*((60, 80, i / 10, i / 10 + 0.1) for i in range(10_001)))
    for sequence, words in ((long, "at most 20 minutes"), (many, "at most 10,000")):
        piece = upload(client, sequence)["id"]
        refused(client.get(f"/api/pieces/{piece}.musicxml"), 400, words)
        order = {"model": "chorales", "piece": piece}
        refused(client.post("/api/likelihood", json=order), 400, words)
        assert client.get(f"/api/pieces/{piece}.mid").status_code == 200


def test_no_more_bars_are_laid_out_than_a_page_shows():
    strange = make_sequence((60, 80, 0.0, 1.0), (60, 80, 1000.0, 1001.0))
    strange.time_signatures.add(numerator=1, denominator=64)
    strange.tempos.add(qpm=500_000)  # 133 million bars
    begin = time.monotonic()
    assert len(to_page(strange, has_beat=True)["bars"]) == 5000
    for ending in ("musicxml", "likelihood"):
        with pytest.raises(UserError, match=f"{ending}: expected at most 5,000 bars"):
            app_module._check_length(ending, strange, "make it shorter")
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("path", ["/api/pieces?name=a.mid", "/api/pieces/{id}"])
def test_others_are_answered_while_a_piece_is_kept(monkeypatch, path):
    """Long files take seconds to be laid out in bars."""
    studio = Studio(None, [four_parts(1)])
    (piece,) = studio._first
    threads = []
    keep = studio._keep

    def noting(*args, **kwargs):
        threads.append(threading.current_thread().name)
        return keep(*args, **kwargs)

    monkeypatch.setattr(studio, "_keep", noting)
    with TestClient(studio.app(), base_url=ADDRESS) as client:
        if "{id}" in path:
            body = {"json": {"notes": piece["notes"]}}
        else:
            body = {"content": to_midi_bytes(four_parts(1)), "headers": BYTES}
        assert client.post(path.format(id=piece["id"]), **body).status_code == 201
    assert threads[0].startswith("AnyIO worker thread")


@pytest.mark.parametrize(
    "card",
    [b"{}", b"[]", b"{", b"\xff\x00\xfe", b"[" * 100_000, None],
)
def test_damaged_card_is_told_in_one_line_that_names_the_folder(tmp_path, card):
    file = tmp_path / "mine" / "1" / CARD
    file.parent.mkdir(parents=True)
    if card is None:  # of the right form, but of no model
        kind = {"name": "nothing"}
        whole = {"name": "x", "representation": kind, "controls": {}, "endpoints": {}}
        card = json.dumps(whole).encode()
    file.write_bytes(card)
    with pytest.raises(UserError) as error:
        Shelf([str(tmp_path / "mine")])
    assert str(tmp_path / "mine") in str(error.value)
    assert "\n" not in str(error.value)


def test_edited_piece_is_kept_beside_the_one_before(client):
    piece = upload(client, four_parts(1))
    notes = [*piece["notes"][1:], [84, 1.0, 1.5, 90, 0]]
    path = f"/api/pieces/{piece['id']}"
    new = client.post(path, json={"notes": notes}).json()
    assert [84, 1.0, 1.5, 90, 0] in new["notes"]
    assert len(new["notes"]) == len(piece["notes"])
    assert client.get(path).json()["notes"] == piece["notes"]
    for bad in ([], [[60, 1, 1, 80, 0]], [[60, 0, 1, 80, 9]], [["60", 0, 1, 80, 0]]):
        refused(client.post(path, json={"notes": bad}), 400, "notes: expected")
    huge = [[60, 0, 10**400, 80, 0]]
    refused(client.post(path, json={"notes": huge}), 400, "notes: expected")


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e999", r'"\ud800"'])
def test_values_that_no_answer_could_hold_are_refused(client, value):
    text = f'{{"model": "chorales", "bars": 2, "piece": {value}}}'
    headers = {"content-type": "application/json"}
    refused(client.post("/api/jobs", content=text, headers=headers), 400, "JSON")


@pytest.mark.parametrize(
    ("order", "status", "words"),
    [
        ({"model": "nothing"}, 404, "there is no 'nothing'"),
        ({"model": "folk", "controls": {"temperature": 99}}, 400, "0 to 10"),
        ({"model": "folk", "controls": {"temprature": 1}}, 400, "did you mean"),
        ({"model": "folk", "controls": {"temperature": "1"}}, 400, "a number"),
        ({"model": "folk", "controls": {"temperature": 10**400}}, 400, "a number"),
        ({"model": "folk", "seconds": 10**400}, 400, "seconds: expected 1 to"),
        ({"model": "folk", "num_outputs": 1000}, 400, "num_outputs: expected 1 to 8"),
        ({"model": "folk", "num_steps": 10**9}, 400, "num_steps: expected 1 to"),
        ({"model": "folk", "bars": 0}, 400, "bars: expected 1 to"),
        ({"model": "folk", "seed": 1.5}, 400, "seed: expected a number"),
        ({"model": "folk", "bar": 4}, 400, "unknown 'bar'"),
        ({"model": "folk", "key": "H"}, 400, "key: expected such as G, Bb"),
        ({"model": "folk", "metre": "3-4"}, 400, "metre: expected such as 4/4"),
        ({"model": "folk", "controls": {"meter": "3/4"}}, 400, "mean 'metre'"),
        ({"model": "folk", "controls": {"tag": "jigg"}}, 400, "mean 'jig'"),
        ({"model": "folk", "kind": "continue"}, 400, "expected a piece"),
        ({"model": "folk", "kind": "continue", "piece": "x"}, 404, "not there"),
        ([], 400, "expected an object"),
    ],
)
def test_mistaken_request_is_refused_before_anything_is_made(
    client, order, status, words
):
    refused(client.post("/api/jobs", json=order), status, words)


@pytest.mark.parametrize("place", ["settings", "controls"])
def test_key_and_metre_are_taken_as_text(client, place):
    asked = {"key": "G major", "metre": "3/4"}
    order = {"model": "folk", "bars": 4, "controls": {"tag": "waltz"}}
    if place == "settings":
        order |= asked
    else:
        order["controls"] |= asked
    job = wait(client, client.post("/api/jobs", json=order).json())
    (piece,) = job["pieces"]
    assert {bar["metre"] for bar in piece["bars"]} == {"3/4"}
    assert piece["summary"].endswith("notes, 4 bars")
    made_with = piece["order"]
    assert (made_with["key"], made_with["metre"]) == ("G major", "3/4")
    assert made_with["controls"] == {"tag": 16.0}


def test_what_a_model_cannot_is_said_by_the_job(client):
    piece = upload(client, four_parts())
    for model, bars, answer in (
        ("folk", [1, 1], "writes one voice"),
        ("harmony", [1, 99], "infill: expected bars from 1"),
    ):
        order = {"kind": "infill", "model": model, "piece": piece["id"], "bars": bars}
        job = wait(client, client.post("/api/jobs", json=order).json())
        assert (job["state"], job["status"]) == ("failed", 400)
        assert answer in job["error"]


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (b"MThd\0\0\0\6broken", "a.mid", ""),
        (b"", "a.mid", "empty"),
        (b"hello", "a.txt", "expected one of"),
        (gzip.compress(bytes(40 * 2**20)), "bomb.mid.gz", "too_large"),
        (to_midi_bytes(make_sequence()), "silent.mid", "no_notes"),
    ],
)
def test_file_that_cannot_be_read_is_refused_in_one_line(client, data, name, words):
    response = client.post(f"/api/pieces?name={name}", content=data, headers=BYTES)
    refused(response, 422, words)


def test_file_that_takes_minutes_to_read_is_given_up(monkeypatch):
    studio = Studio(None)
    monkeypatch.setattr(studio._sandbox, "_seconds", 0.5)
    data = b"X:1\nK:C\n" + b"abc " * 1_000_000
    with TestClient(studio.app(), base_url=ADDRESS) as client:
        response = client.post("/api/pieces?name=a.abc", content=data, headers=BYTES)
        refused(response, 422, "timeout")


def test_too_large_a_file_is_refused(client):
    data = bytes(app_module.MOST_BYTES + 1)
    response = client.post("/api/pieces?name=a.mid", content=data, headers=BYTES)
    refused(response, 413, "at most 10 MB")


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/js/..%2f..%2f..%2fapp.py",
        "/api/pieces/..%2f..%2fapp.py",
        "/nothing",
    ],
)
def test_paths_lead_nowhere_else(client, path):
    assert client.get(path).status_code == 404


def test_cancelled_job_is_forgotten_whether_it_runs_or_waits(client):
    order = {"model": "chorales", "bars": 4}
    jobs = [client.post("/api/jobs", json=order).json() for _ in range(3)]
    while client.get(f"/api/jobs/{jobs[0]['id']}").json()["state"] == "waiting":
        pass
    for job in jobs[:2]:
        answer = client.delete(f"/api/jobs/{job['id']}").json()
        assert answer["state"] == "cancelled"
    assert wait(client, jobs[2])["state"] == "done"
    for job in jobs[:2]:
        answer = client.get(f"/api/jobs/{job['id']}").json()
        assert answer["state"] == "cancelled"
        assert "pieces" not in answer


def test_more_requests_than_can_wait_are_refused(shelf):
    studio, done = Studio(shelf), threading.Event()
    client = TestClient(studio.app(), base_url=ADDRESS)
    for _ in range(MOST_WAITING):
        studio._jobs.add(done.wait)
    order = {"model": "chorales", "bars": 2}
    refused(client.post("/api/jobs", json=order), 429, "wait already")
    done.set()
    studio.close(waits=True)


def test_page_that_only_plays_has_no_models():
    client = TestClient(Studio(None, [four_parts(1)]).app(), base_url=ADDRESS)
    assert client.get("/api/models").json() == []
    (piece,) = client.get("/api/pieces").json()
    assert len(piece["notes"]) == 8
    refused(client.post("/api/jobs", json={"model": "folk"}), 404, "only plays")


def test_likelihood_of_each_note(client):
    piece = upload(client, four_parts())
    order = {"model": "chorales", "piece": piece["id"]}
    job = wait(client, client.post("/api/likelihood", json=order).json())
    assert job["state"] == "done", job
    assert len(job["values"]) == len(piece["notes"])
    assert all(value <= 0 for value in job["values"])
    # Notes of one chord are one step of the model.
    assert len(set(job["values"][:4])) == 1


def test_likelihood_of_notes_that_take_several_tokens(client):
    tune = make_sequence(
        *((pitch, 80, i / 2, i / 2 + 0.5) for i, pitch in enumerate([62, 64, 66, 67])),
        (96, 80, 2.0, 2.5),
    )
    piece = upload(client, tune)
    order = {"model": "folk", "piece": piece["id"]}
    job = wait(client, client.post("/api/likelihood", json=order).json())
    assert job["state"] == "done", job
    assert len(job["values"]) == 5
    # No tune of the model's leaps like that.
    assert job["values"][4] < min(job["values"][1:4]) - 3
