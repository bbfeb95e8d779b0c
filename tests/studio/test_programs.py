"""What docs/studio.md shows to programs."""

import pathlib
import re

from tfmusic.notes.reading import read_file
from tfmusic.studio.app import Studio

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "studio.md"


def test_program_of_the_page_saves_two_chorales(serve, shelf, tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    address = serve(Studio(shelf)).rstrip("/")
    assert "http://127.0.0.1:8765" in code
    monkeypatch.chdir(tmp_path)
    exec(code.replace("http://127.0.0.1:8765", address), {})
    first, second = (read_file(f"{number}.mid") for number in (1, 2))
    assert len(first.notes) > 50
    assert [n.pitch for n in first.notes] != [n.pitch for n in second.notes]
