import io
import re

from cnn_jax.training.progress import Live, Plain, duration, make_progress

ROW = {
    "step": 10,
    "epoch": 1.0,
    "train_loss": 0.5,
    "validation_error": 0.125,
    "images_per_second": 1000.0,
}


def test_plain_lines_say_where_the_run_is(monkeypatch):
    monkeypatch.setattr("cnn_jax.training.progress.LINE_EVERY_SECONDS", 0.0)
    stream = io.StringIO()
    display = Plain(stream, runs=2)
    display.start("full seed 0", 20, 5)
    display.epoch(ROW)
    display.finish("test error 3.00%")
    first, second, third = stream.getvalue().splitlines()
    assert first == "full seed 0: resumed_at_step 5 of 20"
    assert re.fullmatch(
        r"full seed 0: epoch 1\.0, loss 0\.500, validation error 12\.50%, 1,000 images/s, "
        r"\S+ left",
        second,
    )
    assert third == "full seed 0: test error 3.00%"
    assert "\x1b" not in stream.getvalue()


def test_plain_lines_are_few():
    stream = io.StringIO()
    display = Plain(stream)
    display.start("run", 1000, 0)
    for step in range(1000):
        display.step(step, 0.0, 1.0, 1.0)
    assert stream.getvalue() == ""


def test_the_live_bar_leaves_the_results_on_the_screen():
    stream = io.StringIO()
    display = Live(stream)
    display.start("run", 20, 0)
    display.epoch(ROW)
    display.finish("test error 3.00%")
    display.close()
    assert "run: test error 3.00%" in stream.getvalue()


def test_output_that_is_no_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert type(make_progress("auto")) is Plain


def test_durations_read_like_a_clock():
    assert [duration(s) for s in (0, 61.4, 3600, float("nan"))] == [
        "0:00",
        "1:01",
        "1:00:00",
        "?",
    ]


def test_what_is_waited_for_data_is_shown_where_there_is_a_stream(monkeypatch):
    monkeypatch.setattr("cnn_jax.training.progress.LINE_EVERY_SECONDS", 0.0)
    stream = io.StringIO()
    display = Plain(stream)
    display.start("run", 20, 0)
    display.epoch(ROW | {"waiting_fraction": 0.25})
    display.step(11, 1.1, 0.5, 900.0)
    with_stream, without = stream.getvalue().splitlines()
    assert "1,000 images/s, 25% waiting for data," in with_stream
    assert "waiting" not in without
