"""docs/scaling.md quotes what benchmarks/scaling_arithmetic.py prints, and it is right."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(ROOT / "benchmarks" / "scaling_arithmetic.py"))


@pytest.fixture(scope="module")
def networks(script):
    return {name: script["network"](name) for name in ("resnet50", "vgg_d")}


@pytest.fixture(scope="module")
def report(script, networks):
    return script["report"](list(networks.values()))


def test_the_page_quotes_what_the_script_prints(report):
    for part in report:
        assert f"\n{part}\n" in PAGE
    # And no row that it doesn't: a table of results begins with a network or a count.
    printed = "\n".join(report).splitlines()
    rows = [line for line in PAGE.splitlines() if re.match(r"\| (ResNet|VGG|\d)", line)]
    assert len(rows) > 30
    assert [row for row in rows if row not in printed] == []


def test_what_is_counted_is_what_the_papers_networks_have(networks, report):
    resnet, vgg = networks["resnet50"], networks["vgg_d"]
    assert resnet.gradient_bytes() == 4 * 25_557_032
    assert vgg.gradient_bytes() == 4 * 138_357_544
    # 1 + 16 blocks of 3 + 4 projections; 64, then per stage blocks x (c + c + 4 c) + 4 c.
    assert len(resnet.norm_channels) == 53
    stages = ((3, 64), (4, 128), (6, 256), (3, 512))
    channels = 64 + sum(blocks * 6 * c + 4 * c for blocks, c in stages)
    assert sum(resnet.norm_channels) == channels == 26_560
    assert vgg.norm_channels == ()
    assert "25,557,032" in report[0]
    assert f"{4 * 4 * 26_560:,} B" in report[3]


def test_the_example_is_its_own_arithmetic(report):
    """Every line's left side, computed from what is printed, gives its right side."""
    text = re.sub(r"\n\s+\+", " +", report[1])
    for line in text.splitlines():
        formula, result = re.split(r"\s{2,}", line, maxsplit=1)[1].rsplit(" = ", 1)
        formula = formula.replace(",", "").replace(" x ", " * ").replace("/s)", ")")
        if "max(" in line:
            formula = re.sub(r"max\((\S+) (\S+)\)", r"max(\1, \2)", formula)
        for unit, factor in (("GB/s", "e9"), ("us", "e-6"), (" B", "")):
            formula = re.sub(rf"(?<=\d) ?{unit}", factor, formula)
        value = eval(formula, {"max": max})
        if result.endswith("%"):
            assert round(100 * value) == int(result[:-1]), line
        else:
            assert f"{1e3 * value:.2f} ms" == result, line


def test_a_ring_moves_what_a_ring_must(script):
    """Simulated: n parts travel around the ring, a sum first and a copy then."""
    for n in (2, 5, 8):
        held = [{part: 1 for part in range(n)} for _ in range(n)]  # addends of each part
        sent = 0
        for move in range(2 * (n - 1)):
            for device in range(n):
                part = (device - move) % n
                target = held[(device + 1) % n]
                adding = move < n - 1
                target[part] = (target[part] if adding else 0) + held[device][part]
                sent += device == 0
        assert all(count == n for parts in held for count in parts.values())
        free = script["Cluster"](network=1.0, inside=1.0, start=0.0, hop=(0.0, 0.0))
        assert script["ring"](n, n, free) == pytest.approx(sent)  # one unit a part
        counted = script["Cluster"](network=1.0, start=0.0, hop=(1.0, 0.0))
        assert script["ring"](0, n, counted) == 2 * (n - 1)


def test_limits(script, networks):
    """No network can beat the slowest link; no step is shorter than its compute."""
    for cluster in (script["INFINIBAND"], script["ETHERNET"]):
        for n in (8, 64, 512):
            for form in (script["ring"], script["two_levels"]):
                across = 0 if n == 8 else 2 * (1 - 8 / n) * 1e9 / 8 / cluster.network
                assert form(1e9, n, cluster) > max(across, 2 * 7 / 8 * 1e9 / cluster.inside)
            one = script["step"](networks["resnet50"], n, 2048, cluster)
            overlapped, local = (
                one.efficiency(overlap=True, global_norm=norm) for norm in (True, False)
            )
            assert 0 < one.efficiency(overlap=False) < overlapped < local <= 1
