from leadline.search.printing import print_front


def front_of(plain, ended):
    study = plain(direction=["minimize", "maximize"])
    for values in ended:
        study.tell(study.ask(), values)
    return study


def test_a_front_of_one_speaks_of_one(plain, capsys):
    print_front(front_of(plain, [(1.0, 2.0), (2.0, 1.0)]))
    assert (
        "No trial is better than this one in one objective without being worse in another:" in capsys.readouterr().out
    )


def test_on_a_terminal_the_line_above_a_front_breaks_between_words(plain, capsys, monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    print_front(front_of(plain, [(1.0, 1.0), (2.0, 2.0)]))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.rstrip() for line in lines[1:3]] == [
        "No trial is better than one of these 2 in one objective without being worse in",
        "another:",
    ]
