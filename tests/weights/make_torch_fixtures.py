"""Write the files that ``test_torch_files.py`` reads. Needs torch; no test runs it.

    pip install torch==2.13.0
    python tests/weights/make_torch_fixtures.py

All values are whole numbers in their order, so that the test can say them again.
"""

from collections import OrderedDict
from pathlib import Path

import torch

FIXTURES = Path(__file__).parent / "fixtures" / "torch"
SIGNED = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8")


class Small(torch.nn.Module):
    """A convolution, batch normalisation with its 0-d counter, a dense layer."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 2, 3)
        self.norm = torch.nn.BatchNorm2d(2)
        self.fc = torch.nn.Linear(4, 3)


def every_type():
    """Return one tensor of each type that is read, and the shapes that are special."""
    whole = torch.arange(-3, 9)
    tensors = OrderedDict((name, whole.to(getattr(torch, name))) for name in SIGNED)
    for name in ("uint8", "uint16", "uint32", "uint64"):
        tensors[name] = torch.arange(12).to(getattr(torch, name))
    tensors["bool"] = whole > 2
    tensors["scalar"] = torch.tensor(7)
    tensors["empty"] = torch.zeros(0, 3)
    tensors["nothing"] = torch.zeros(2, 0, dtype=torch.int64)
    return tensors


def views():
    """Return tensors that share one storage, none of them contiguous from its start."""
    base = torch.arange(24.0).reshape(4, 6)
    return OrderedDict(
        base=base,
        transposed=base.T,
        row=base[2],
        column=base[:, 3],
        every_second=base[::2, 1::3],
        last=base[3, 5],
        kernel=torch.arange(36.0).reshape(2, 2, 3, 3).to(memory_format=torch.channels_last),
    )


def main():
    """Write all files."""
    FIXTURES.mkdir(parents=True, exist_ok=True)
    model = Small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    sum(p.square().sum() for p in model.parameters()).backward()
    optimizer.step()
    plain = model.state_dict()
    for number, tensor in enumerate(plain.values()):
        tensor.copy_(torch.arange(tensor.numel()).reshape(tensor.shape) + 100 * number)
    parameters = OrderedDict(model.named_parameters())
    parameters["fc.bias"].note = "an attribute"  # for _rebuild_parameter_with_state
    checkpoint = {
        "epoch": 3,
        "best": 71.5,
        "arch": "small",
        "state_dict": plain,
        "optimizer": optimizer.state_dict(),
        "done": False,
        "nothing": None,
    }
    contents = {
        "small": plain,
        "parameters": parameters,
        "checkpoint": checkpoint,
        "types": every_type(),
        "views": views(),
    }
    for name, content in contents.items():
        torch.save(content, FIXTURES / f"{name}_zip.pth")
        torch.save(
            content, FIXTURES / f"{name}_legacy.pth", _use_new_zipfile_serialization=False
        )
    torch.save(plain, FIXTURES / "small_protocol_4.pth", pickle_protocol=4)
    torch.save(model, FIXTURES / "module.pth")
    torch.jit.script(torch.nn.ReLU()).save(FIXTURES / "program.pth")


if __name__ == "__main__":
    main()
