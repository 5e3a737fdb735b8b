"""The line on a terminal: what it says, that it fits and moves, and that printed text stays whole above it."""

import io
import sys
import time

import pytest

from resjax import terminal
from resjax.terminal import Activity, activity, clock, duration, leave_line, status_line, status_text, track


class FakeTerminal(io.StringIO):
    """A stream that says that it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def screen(written: str) -> list[str]:
    """The lines that a terminal shows after this text; each carriage return writes over the line.

    >>> screen("abc\\rx\\nd")
    ['xbc', 'd']
    """
    lines = []
    for line in written.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


def wait_for_writing(stream: io.StringIO, sign: str = "\r", times: int = 2) -> None:
    """Returns when this sign was written so many times from now on."""
    wanted, end = stream.getvalue().count(sign) + times, time.monotonic() + 20
    while stream.getvalue().count(sign) < wanted:
        assert time.monotonic() < end, "the line stands still"
        time.sleep(0.002)


def on_terminal(monkeypatch) -> FakeTerminal:
    """A terminal that is both stdout and stderr, with a line that is written anew all the time."""
    both = FakeTerminal()
    monkeypatch.setattr(sys, "stdout", both)
    monkeypatch.setattr(sys, "stderr", both)
    monkeypatch.setattr(terminal, "REFRESH_SECONDS", 0.005)
    monkeypatch.delenv("TERM", raising=False)
    return both


def test_durations_in_words_and_as_a_clock():
    assert [duration(each) for each in (8, 89, 170, 7800)] == ["8 s", "89 s", "3 min", "2 h 10 min"]
    assert [clock(each) for each in (7.9, 67, 3723)] == ["0:07", "1:07", "1:02:03"]


@pytest.mark.parametrize("columns", [20, 40, 60, 79, 119, 200])
def test_the_line_fits_its_columns_grows_with_them_and_begins_with_the_time_left(columns):
    training = Activity("training", 12, "preact_resnet34_stochastic_depth seed 3 (5 of 12), epoch 2 of 5")
    training.advance(3)
    training.expect(200)
    text, wider = (status_text([training], 61.0, width) for width in (columns, columns + 41))
    assert len(text) <= columns and len(wider) >= len(text) and text.startswith("3 min left | 1:01"[:columns])
    # It changes every second.
    assert text != status_text([training], 62.0, columns)
    assert ("25 %" in text) is (columns >= 100)


def test_how_long_it_takes_is_what_was_measured_or_what_the_parts_so_far_suggest(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    whole, part = Activity("five splits", 5), Activity("training")
    assert part.seconds_left(None) == (None, False) and whole.seconds_left(None) == (None, False)
    part.expect(30, roughly=True)
    now[0] = 110.0
    # The first split takes 10 s and 20 more; four of 30 s follow.
    assert part.seconds_left(None) == (20, True) and whole.seconds_left(20) == (20 + 4 * 30, False)
    whole.advance(2)
    # 10 s for two, and then 20 for the third: 10 s each for the two that follow.
    assert whole.seconds_left(None) == (15, False) and whole.seconds_left(20) == (20 + 2 * 10, False)
    # An estimate that was too short is not held on to.
    now[0] = 131.0
    assert part.seconds_left(None) == (None, False)


def test_a_line_moves_while_the_main_thread_is_busy_and_printed_text_stays_whole(monkeypatch):
    shown = on_terminal(monkeypatch)
    with status_line():
        with activity("training", 4, "resnet34 seed 0") as training:
            training.advance()
            wait_for_writing(shown)
            print("a table", end="")
            time.sleep(0.05)
            # The line waits until the text ends.
            assert screen(shown.getvalue())[-1] == "a table"
            print(" in two parts")
            wait_for_writing(shown)
            assert "0:00 | training: resnet34 seed 0 |" in screen(shown.getvalue())[-1]
        wait_for_writing(shown)
        assert "working" in screen(shown.getvalue())[-1]
    assert screen(shown.getvalue()) == ["a table in two parts", ""]
    assert terminal.REFRESH_SECONDS < 3 and not isinstance(sys.stdout, terminal._Above)


def test_the_line_has_no_colours_with_or_without_no_color(monkeypatch):
    shown = on_terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    with status_line(), activity("reading", 3):
        wait_for_writing(shown)
    assert "reading" in shown.getvalue() and "\x1b" not in shown.getvalue()


def test_nothing_is_written_after_the_end(monkeypatch):
    shown = on_terminal(monkeypatch)
    with status_line():
        wait_for_writing(shown)
        line = terminal._line
    assert line is not None and screen(shown.getvalue()) == [""]
    # As the thread does that was about to write.
    line.refresh()
    assert screen(shown.getvalue()) == [""]


def test_a_line_that_is_left_stays_above_what_follows(monkeypatch):
    shown = on_terminal(monkeypatch)
    with status_line(), activity("trained 2 of 2 replicas", 2) as its:
        its.advance(2)
        leave_line()
        print("the answer")
    above, answer, last = screen(shown.getvalue())
    assert "trained 2 of 2 replicas" in above and "100 %" in above and (answer, last) == ("the answer", "")


@pytest.mark.parametrize("is_dumb", [False, True])
def test_without_a_terminal_there_are_plain_lines_after_silence(is_dumb, monkeypatch):
    errors = FakeTerminal() if is_dumb else io.StringIO()
    monkeypatch.setattr(sys, "stderr", errors)
    monkeypatch.setenv("TERM", "dumb" if is_dumb else "xterm")
    monkeypatch.setattr(terminal, "REFRESH_SECONDS", 0.005)
    with status_line(), activity("hashing pictures", 2):
        time.sleep(0.03)
        assert errors.getvalue() == ""
        monkeypatch.setattr(terminal, "QUIET_SECONDS", 0.02)
        wait_for_writing(errors, "\n", 1)
        said = errors.getvalue()
    assert said.startswith("  0:") and said.endswith("hashing pictures | 0 %\n") and "\r" not in said


def test_what_is_done_is_counted_and_nothing_is_shown_outside_of_a_program(monkeypatch):
    shown = on_terminal(monkeypatch)
    assert list(track([1, 2, 3], "counting")) == [1, 2, 3] and shown.getvalue() == ""
    with status_line(), status_line():
        for number in track(iter("ab"), "counting", 2):
            wait_for_writing(shown)
            assert f"{50 * (number == 'b')} %" in screen(shown.getvalue())[-1]
    assert screen(shown.getvalue()) == [""]


def test_a_terminal_that_is_gone_ends_nothing(monkeypatch):
    gone = FakeTerminal()
    monkeypatch.setattr(sys, "stderr", gone)
    monkeypatch.setattr(terminal, "REFRESH_SECONDS", 0.005)
    with status_line():
        wait_for_writing(gone)
        gone.close()
        time.sleep(0.02)
