"""What was rejected is kept whole, in a file that does not grow without end."""

import json
import os
from pathlib import Path

import pytest

from tallywatt import Rejected, deadletters
from tallywatt.deadletters import FILE, DeadLetters


def letter(name: str) -> Rejected:
    return Rejected({"id": name}, "model", "too_long", "no")


def test_letters_of_several_writers_lie_in_one_file(tmp_path: Path) -> None:
    DeadLetters(tmp_path, None).keep([letter("a"), letter("b")])
    DeadLetters(tmp_path, None).keep([letter("c")])
    found = [json.loads(line) for line in (tmp_path / FILE).read_text().splitlines()]
    assert [one["event"]["id"] for one in found] == ["a", "b", "c"]
    assert found[0] == {"event": {"id": "a"}, "field": "model", "reason": "too_long", "message": "no"}


def test_a_file_that_has_grown_too_large_is_put_by_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadletters, "LARGEST_FILE", 200)
    letters = DeadLetters(tmp_path, None)
    for number in range(20):
        letters.keep([letter(str(number))])
    old, new = (tmp_path / f"{FILE}.1").read_text(), (tmp_path / FILE).read_text()
    kept = [json.loads(line)["event"]["id"] for line in (old + new).splitlines()]
    assert kept == [str(number) for number in range(20 - len(kept), 20)]
    assert len(old) < 400


def test_a_full_disk_keeps_the_file_whole_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    letters, write = DeadLetters(tmp_path, None), os.write
    letters.keep([letter("a")])
    with monkeypatch.context() as patch:
        patch.setattr(deadletters.os, "write", lambda opened, data: write(opened, data[:5]))
        with pytest.raises(OSError, match="no space left"):
            letters.keep([letter("b")])
    letters.keep([letter("b")])
    assert len([json.loads(line) for line in (tmp_path / FILE).read_text().splitlines()]) == 2
