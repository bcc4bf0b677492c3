"""What is decoded ahead is what is asked for, and what is wrong with it is told."""

import os
import pickle
import sys
import threading
import time
from functools import partial

import numpy as np
import pytest

from cnn_jax.data import streaming
from cnn_jax.data.dataset import Pictures
from cnn_jax.data.order import batch_positions
from cnn_jax.data.streaming import Batches, Undecodable, open_stream
from cnn_jax.data.streaming_order import (
    PADDING,
    InTurn,
    OneAfterTheOther,
    TrainingSteps,
    Wanted,
)
from cnn_jax.errors import UserError

SHAPE = (3, 4, 1)


def image(position, bad=()):
    if position in bad:
        raise OSError(f"record {position} is cut short")
    return np.full(SHAPE, position, np.uint8)


def pictures(count, bad=()):
    names = tuple(f"cat/{number}.jpg" for number in range(count))
    return Pictures(partial(image, bad=bad), np.arange(count, dtype=np.int32) * 3, names)


def steps(first=0, count=6):
    return TrainingSteps(
        seed=5, first=first, steps=count, batch_size=8, pieces=2, examples=20
    )


def batches(wanted, count=20, bad=(), shard=(0, 1)):
    splits = {name: pictures(count, bad) for name in ("train", "test")}
    return Batches(splits=splits, shape=SHAPE, wanted=wanted, shard=shard)


def taken(source, workers=0):
    with open_stream(source, workers, lambda decoded: decoded) as stream:
        return [stream.take() for _ in range(len(source))]


def test_the_order_is_that_of_the_steps_wherever_it_begins():
    for step, wanted in enumerate(steps()):
        expected = batch_positions(5, step, 8, 20).reshape(2, 4)
        assert wanted.split == "train"
        assert (wanted.positions == expected).all()
    for late, early in zip(steps(4, 2), list(steps())[4:], strict=True):
        assert (late.positions == early.positions).all()


@pytest.mark.parametrize(("examples", "size"), [(20, 8), (16, 8), (1, 8), (7, 1)])
def test_in_turn_every_example_comes_once(examples, size):
    all_of_them = InTurn(split="test", examples=examples, size=size)
    positions = np.concatenate([w.positions for w in all_of_them])
    assert len(positions) % size == 0
    assert positions[positions != PADDING].tolist() == list(range(examples))
    assert (positions[examples:] == PADDING).all()


def test_several_sequences_stand_end_to_end():
    parts = (steps(), InTurn(split="test", examples=5, size=2), steps(6, 0), steps(6, 1))
    chain = OneAfterTheOther(parts)
    assert len(chain) == 6 + 3 + 0 + 1
    apart = [wanted for part in parts for wanted in part]
    for index, wanted in enumerate(apart):
        assert chain[index].split == wanted.split
        assert (chain[index].positions == wanted.positions).all()
    with pytest.raises(IndexError):
        chain[len(chain)]


def test_shards_are_equal_parts_of_the_rows_and_together_all():
    wanted = Wanted("train", np.arange(24).reshape(2, 12))
    parts = [wanted.shard(index, 3).positions for index in range(3)]
    assert [part.shape for part in parts] == [(2, 4)] * 3
    assert (np.concatenate(parts, axis=1) == wanted.positions).all()
    assert (parts[1][0] == [4, 5, 6, 7]).all()
    source = batches(steps(), shard=(1, 2))
    assert (source[0].labels == batches(steps())[0].labels[:, 2:]).all()


def test_a_stream_gives_every_batch_in_order():
    source = batches(
        OneAfterTheOther((steps(3), InTurn(split="test", examples=20, size=8)))
    )
    found = taken(source)
    for wanted, batch in zip(source.wanted, found, strict=True):
        there = wanted.positions != PADDING
        assert (batch.present == there).all()
        assert batch.images.shape == (*wanted.positions.shape, *SHAPE)
        expected = np.where(there, wanted.positions, 0)
        assert (batch.images == expected[..., None, None, None]).all()
        assert (batch.labels == 3 * expected).all()
        assert batch.labels.dtype == np.int32


def test_it_is_ahead_but_not_far():
    asked = []

    def arrange(decoded):
        for number, batch in enumerate(decoded):
            asked.append(number)
            yield batch

    with open_stream(batches(steps(0, 40)), 0, arrange) as stream:
        deadline = time.monotonic() + 30
        while len(asked) < streaming.AHEAD + 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        assert len(asked) == streaming.AHEAD + 1
        assert not stream.late()
        stream.take()
    assert "stream" not in {thread.name for thread in threading.enumerate()}


def test_after_the_last_one_there_is_no_more():
    with open_stream(batches(steps(0, 1)), 0, lambda decoded: decoded) as stream:
        stream.take()
        for _ in range(2):
            with pytest.raises(RuntimeError, match="no more batches"):
                stream.take()


def test_a_record_that_does_not_decode_is_named_in_its_turn():
    source = batches(InTurn(split="test", examples=20, size=8), bad=(11,))
    with open_stream(source, 0, lambda decoded: decoded) as stream:
        stream.take()
        with pytest.raises(UserError, match=r"^cat/11\.jpg: OSError: record 11 is cut"):
            stream.take()


def test_an_image_of_another_size_is_refused():
    source = batches(steps())
    wrong = Batches(splits=source.splits, shape=(3, 3, 1), wanted=source.wanted)
    with (
        open_stream(wrong, 0, lambda decoded: decoded) as stream,
        pytest.raises(UserError, match=r"cat/\d+.jpg: its image is \(3, 4, 1\), not"),
    ):
        stream.take()


def test_what_goes_to_a_worker_and_comes_back_can_be_pickled():
    bare = batches(steps(), bad=(7,)).without_names()
    assert bare.splits["train"].names == ()
    again = pickle.loads(pickle.dumps(bare))
    assert len(again) == 6
    error = pickle.loads(pickle.dumps(Undecodable("train", 7, "why")))
    assert str(batches(steps()).told(error)) == "cat/7.jpg: why"


def test_without_grain_there_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "grain", None)
    with (
        pytest.raises(UserError, match="needs the package grain") as refused,
        open_stream(batches(steps()), 0, lambda decoded: decoded),
    ):
        pass
    assert "\n" not in str(refused.value)


def test_too_little_shared_memory_is_refused_before_a_worker_dies_of_it(monkeypatch):
    def small(place):
        return os.statvfs_result((4096, 4096, 1, 1, 0, 0, 0, 0, 0, 255))

    monkeypatch.setattr(os, "statvfs", small)
    with (
        pytest.raises(UserError, match=r"--workers 90 needs .*shared memory.*--workers 0"),
        open_stream(batches(InTurn(split="test", examples=20, size=20)), 90, iter),
    ):
        pass
