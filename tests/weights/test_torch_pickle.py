"""Pickles that want to run something, or are damaged: one line, and nothing is run."""

import builtins
import importlib
import os
import pickle
import struct
import subprocess
import sys

import pytest

from tests.weights.torch_archive import (
    MACHINE,
    MAGIC,
    ORDERED_DICT,
    REBUILD,
    VERSION,
    numbers,
    refusal,
    state_dict,
    tensor,
    text,
    zipped,
)


class Exploit:
    """What a pickle runs when Python opens it."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def places(pickled):
    """Every place of a file where a pickle is read."""
    yield zipped(pickled)
    yield pickled
    yield MAGIC + pickled
    yield MAGIC + VERSION + pickled
    yield MAGIC + VERSION + MACHINE + pickled
    yield MAGIC + VERSION + MACHINE + b"\x80\x02}." + pickled


@pytest.mark.parametrize("protocol", [2, 4])
def test_an_exploit_is_named_and_not_executed(tmp_path, protocol):
    sentinel = tmp_path / "sentinel"
    command = f"touch {sentinel}"
    exploits = {
        "posix.system": Exploit(os.system, command),
        "Popen": Exploit(subprocess.Popen, ["touch", str(sentinel)]),
        "exec": Exploit(exec, f"open({str(sentinel)!r}, 'w')"),
        "eval": Exploit(eval, f"open({str(sentinel)!r}, 'w')"),
        "open": Exploit(open, str(sentinel), "w"),
        "import_module": Exploit(importlib.import_module, "this"),
        "getattr": Exploit(builtins.getattr, "x", "upper"),
    }
    for name, exploit in exploits.items():
        for value in (exploit, {"state_dict": exploit}, ("storage", exploit)):
            for content in places(pickle.dumps(value, protocol)):
                message = refusal(tmp_path, content)
                assert name in message
                assert "refused, and nothing was executed" in message
    assert not sentinel.exists()
    pickle.loads(pickle.dumps(exploits["posix.system"], protocol))
    assert sentinel.exists()  # so it was a real one


@pytest.mark.parametrize("protocol", [0, 1])
def test_an_exploit_in_text_is_refused_too(tmp_path, protocol):
    sentinel = tmp_path / "sentinel"
    pickled = pickle.dumps(Exploit(os.system, f"touch {sentinel}"), protocol)
    assert "a pickle that asks for posix.system" in refusal(tmp_path, pickled)
    for content in (zipped(pickled), MAGIC + VERSION + MACHINE + pickled):
        assert "posix.system" in refusal(tmp_path, content)
    old = b"(S'touch " + str(sentinel).encode() + b"'\nios\nsystem\n."
    refusal(tmp_path, old)
    refusal(tmp_path, zipped(old))
    assert "asks for os.system" in refusal(tmp_path, zipped(b"\x80\x02(ios\nsystem\n."))
    assert not sentinel.exists()


@pytest.mark.parametrize(
    "name",
    [
        "torch.load",
        "torch.hub.load",
        "torch.FloatTensor",
        "torch._utils._rebuild_qtensor",
        "torch.nn.parameter.Parameter",
        "torch.serialization._get_layout",
        "torch.storage.FloatStorage",
        "numpy.core.multiarray._reconstruct",
        "collections.OrderedDict.update",
        "collections.Counter",
        "collections.abc.OrderedDict",
        "_codecs.encode",
        "copyreg._reconstructor",
        "argparse.Namespace",
    ],
)
def test_only_a_handful_of_names_is_known(tmp_path, name):
    module, _, attribute = name.rpartition(".")
    by_line = f"c{module}\n{attribute}\n".encode()
    from_stack = text(module) + text(attribute) + b"\x93"
    dotted = text(module.split(".")[0]) + text(name.partition(".")[2]) + b"\x93"
    before = set(sys.modules)
    for asked in (by_line, from_stack, dotted):
        assert f"asks for {name}," in refusal(
            tmp_path, zipped(b"\x80\x02" + asked + b")R.")
        )
    assert set(sys.modules) == before


def test_a_name_is_shown_in_one_short_line(tmp_path):
    asked = text("os\n\x1b[31m" + "x" * 999) + text("sys\ntem") + b"\x93"
    assert r"os\n\x1b[31mxxx" in refusal(tmp_path, zipped(b"\x80\x02" + asked + b"."))


@pytest.mark.parametrize(
    "code",
    [
        b"o",  # OBJ
        b"\x81",  # NEWOBJ
        b"\x92",  # NEWOBJ_EX
        b"\x82\x01",  # EXT1: a name from copyreg's registry
        b"\x83\x01\x00",
        b"\x84\x01\x00\x00\x00",
        b"Pname\n",  # PERSID
        b"\x8b\x01\x00\x00\x00\x01",  # LONG4
        b"\x8d" + struct.pack("<Q", 1 << 62),  # BINUNICODE8
        b"\x8e" + struct.pack("<Q", 1 << 62),
        b"\x96" + struct.pack("<Q", 1 << 40),  # BYTEARRAY8
        b"\x97",  # NEXT_BUFFER
        b"I1\n",
        b"S'a'\n",
        b"Va\n",
        b"g0\n",
        b"p0\n",
        b"0",
        b"2",
        b"\x8f",
    ],
)
def test_other_instructions_are_not_known(tmp_path, code):
    message = refusal(tmp_path, zipped(b"\x80\x02}(" + code + b"."))
    assert f"instruction {code[:1]!r} at byte 4" in message


@pytest.mark.parametrize(
    "damaged",
    [
        b".",
        b"0.",
        b"N",
        b"}a.",
        b"]Na",
        b"Nt.",
        b"(N.",
        b"N(\x85.",  # reaches below the mark
        b"h\x00.",
        b"}NNs.",  # the key None
        b"](Nu.",
        b"N(Ne.",
        b"}(Nu.",
        b"NNR.",
        b"}}R.",
        b"NNb.",
        b"]}b.",
        tensor() + b"}b.",  # __setstate__ of a tensor
        ORDERED_DICT + b"NR.",
        ORDERED_DICT + b"](Ne\x85R.",
        ORDERED_DICT + b"K\x01\x85R.",
        ORDERED_DICT + b"]]\x86R.",
        ORDERED_DICT + b"}b.",  # state of the class itself
        b"ctorch\nSize\n](Ne\x85R.",
        b"ctorch\nFloatStorage\n)R.",
        b"ctorch\nfloat32\n)R.",
        REBUILD + b")R.",
        b"ctorch._utils\n_rebuild_parameter\nN\x85R.",
        b"X\xff\xff\xff\xffabc.",
        b"X\x01\0\0\0\xff.",
        b"B\xff\xff\xff\xffabc.",
        b"\x8a\xff.",
        b"\x95" + b"\xff" * 8 + b".",
        b"ctorch\nSize",
        b"NN\x93.",
    ],
)
def test_damaged_pickles_are_refused(tmp_path, damaged):
    for content in (zipped(b"\x80\x02" + damaged), MAGIC + b"\x80\x02" + damaged):
        refusal(tmp_path, content)


@pytest.mark.parametrize(
    "identity",
    [
        text("0"),
        b")",
        b"N",
        b"}",
        numbers([1, 2, 3, 4, 5]),
        b"(" + text("module") + b"NNNNt",
        b"(" + text("storage") + b"NNNNt",
        b"(" + text("storage") + b"ctorch\nfloat32\n" + text("0") + b"NK\x06t",
        b"(" + text("storage") + b"ctorch\nFloatStorage\nK\0NK\x06t",
        b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + b"NNt",
        b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + b"N\x88t",
        b"("
        + text("storage")
        + b"ctorch\nFloatStorage\n"
        + text("0")
        + b"NJ\xff\xff\xff\xfft",
        b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + b"NK\x06(NNNtt",
    ],
)
def test_other_persistent_identities_are_refused(tmp_path, identity):
    refusal(tmp_path, zipped(state_dict(w=identity + b"Q")))
