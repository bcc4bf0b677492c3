import json

from cnn_jax.training.writers import JsonLines, TensorBoard, read_rows


def lines(path):
    return path.read_text().splitlines()


def test_rows_after_the_checkpoint_and_half_a_line_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste')
    log = JsonLines(path, up_to_step=2)
    log.write({"step": 3, "loss": 0.5})
    log.close()
    assert [json.loads(line)["step"] for line in lines(path)] == [1, 2, 3]
    assert read_rows(path)[-1] == {"step": 3, "loss": 0.5}


def test_a_value_that_is_not_finite_is_valid_json_all_the_same(tmp_path):
    log = JsonLines(tmp_path / "metrics.jsonl", up_to_step=0)
    log.write({"step": 1, "loss": float("nan"), "rate": float("inf")})
    log.close()
    assert json.loads(lines(tmp_path / "metrics.jsonl")[0]) == {
        "step": 1,
        "loss": None,
        "rate": None,
    }


def test_tensorboard_files_hold_the_rows_once_after_a_resume(tmp_path):
    first = TensorBoard(tmp_path / "tb", rows=[])
    first.write({"step": 1, "train_loss": 2.0})
    first.write({"step": 2, "train_loss": 1.0})
    first.close()
    second = TensorBoard(tmp_path / "tb", rows=[{"step": 1, "train_loss": 2.0}])
    second.write({"step": 2, "train_loss": 1.5})
    second.close()
    assert list(scalars(tmp_path / "tb")) == [
        (1, "train_loss", 2.0),
        (2, "train_loss", 1.5),
    ]


def scalars(directory):
    """Read event files by the format's definition: length, its CRC, data, its CRC."""
    from tensorboardX.proto.event_pb2 import Event

    for path in directory.iterdir():
        content = path.read_bytes()
        while content:
            length = int.from_bytes(content[:8], "little")
            event = Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]
            for value in event.summary.value:
                yield event.step, value.tag, value.simple_value
