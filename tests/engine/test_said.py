"""One of several processes says what all of them have to say."""

from vertebra.engine.said import FOLDER, is_first_to_say


def test_a_process_alone_says_all(monkeypatch):
    monkeypatch.delenv(FOLDER, raising=False)
    assert [is_first_to_say("no room") for _ in range(2)] == [True, True]


def test_a_group_says_a_sentence_once(monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    asked = ["no room", "no room", "a\udcff.jpg is no image", "no room", "a\udcff.jpg is no image"]
    assert [is_first_to_say(each) for each in asked] == [True, False, True, False, False]


def test_a_sentence_is_said_where_nobody_can_tell(monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER, str(tmp_path / "missing"))
    assert [is_first_to_say("no room") for _ in range(2)] == [True, True]
