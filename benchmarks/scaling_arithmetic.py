"""What data-parallel training costs on 8, 64 and 512 accelerators, on paper.

Run: python benchmarks/scaling_arithmetic.py
Prints the tables of docs/scaling.md. Nothing is measured: parameters, multiply-adds and
channels are counted on the networks of the zoo, all other numbers are the assumptions
below, each with its source.
"""

from dataclasses import dataclass

import jax

from cnn_jax import create_model, model_spec
from cnn_jax.layers.tracing import trace_variables

# NVIDIA A100 data sheet: dense bfloat16 on the tensor cores.
PEAK = 312e12  # FLOP/s
# ResNet-50: NVIDIA's DeepLearningExamples (PyTorch, ResNet-50 v1.5, one A100 80 GB, mixed
# precision) prints 2,470 images/s; times 6 x 4.09e9 that is 19 % of the peak. VGG-16: large
# convolutions and no normalisation; a guess.
NETWORKS = {"resnet50": ("ResNet-50", 0.20), "vgg_d": ("VGG-16", 0.40)}
FLOP_PER_MAC = 6  # a multiply and an add: forward, gradient in x, gradient in the weights

# JPEG: about the mean of ImageNet's training images. Decoding: one core, 500 x 375 pixels.
JPEG_BYTES = 110_000
PIXEL_BYTES = 224 * 224 * 3
DECODED_PER_CORE = {"Pillow": 412, "simplejpeg": 654}  # images/s


@dataclass(frozen=True)
class Cluster:
    """Nodes of eight A100 and what joins them.

    Latencies and the bandwidth inside a node are the constants of NCCL's own model
    (src/graph/tuning.cc): the ring with its "Simple" protocol for gradients, the tree with
    its "LL" protocol for a few kilobytes. Seconds, and bytes a second in one direction.
    """

    network: float  # between nodes, for each accelerator
    node: int = 8  # accelerators
    inside: float = 235e9  # a ring inside a node; the links (NVLink) have 300e9
    start: float = 8.4e-6  # before a ring
    hop: tuple[float, float] = (3.4e-6, 9.6e-6)  # a step inside a node, between nodes
    small_start: float = 4.4e-6  # before a tree
    small_hop: tuple[float, float] = (0.52e-6, 5.0e-6)
    small_slowdown: float = 1.8  # of the steps inside a node, if there are several nodes


INFINIBAND = Cluster(network=200e9 / 8)  # DGX A100: one 200 Gb/s port an accelerator
ETHERNET = Cluster(network=100e9 / 8 / 8)  # 100 Gb/s a node
# Accelerators: images in a global batch. 256: He et al. 2016, Simonyan and Zisserman 2015
# (eight get 32 each). 8,192: the largest without loss in Goyal et al. 2017, Figure 1.
BATCHES = {8: (256, 2048), 64: (256, 2048, 8192), 512: (2048, 8192)}


@dataclass(frozen=True)
class Network:
    """What of a network decides the cost of a step."""

    title: str
    parameters: int
    macs: int  # multiply-adds of one image's forward pass
    norm_channels: tuple[int, ...]  # of each batch normalisation
    utilisation: float  # assumed share of the peak

    def gradient_bytes(self, width: int = 4) -> int:
        """Return the bytes of all gradients, ``width`` bytes each."""
        return width * self.parameters

    def images_per_second(self) -> float:
        """Return what one accelerator trains."""
        return PEAK * self.utilisation / (FLOP_PER_MAC * self.macs)


def network(name: str) -> Network:
    """Return a network of the zoo, counted."""
    spec = model_spec(name)
    statistics = trace_variables(create_model(name)).get("batch_stats", {})
    means = jax.tree_util.tree_leaves_with_path(statistics)
    channels = tuple(a.size for path, a in means if "mean" in jax.tree_util.keystr(path))
    title, utilisation = NETWORKS[name]
    return Network(title, spec.parameters, spec.macs, channels, utilisation)


def ring(size: float, n: int, cluster: Cluster) -> float:
    """Return the seconds of an all-reduce over one ring through all accelerators.

    2 (n - 1) steps, each moving size / n: a reduce-scatter and an all-gather. Several
    rings share the links, so that all ports of a node are used.
    """
    nodes = max(1, n // cluster.node)
    bandwidth = cluster.inside
    if nodes > 1:
        bandwidth = min(bandwidth, cluster.node * cluster.network)
    between = 2 * (nodes - 1)
    inside = 2 * (n - 1) - between
    latency = cluster.start + inside * cluster.hop[0] + between * cluster.hop[1]
    return 2 * (n - 1) / n * size / bandwidth + latency


def two_levels(size: float, n: int, cluster: Cluster) -> float:
    """Return the seconds of an all-reduce inside the nodes and between them.

    A reduce-scatter inside each node, then eight rings at a time between the nodes, one
    for each eighth, then an all-gather inside each node.
    """
    node, nodes = cluster.node, max(1, n // cluster.node)
    seconds = cluster.start + 2 * (node - 1) * cluster.hop[0]
    seconds += 2 * (node - 1) / node * size / cluster.inside
    if nodes > 1:
        seconds += 2 * (nodes - 1) * cluster.hop[1]
        seconds += 2 * (nodes - 1) / nodes * (size / node) / cluster.network
    return seconds


def all_reduce(size: float, n: int, cluster: Cluster) -> float:
    """Return the seconds of the faster of the two."""
    return min(ring(size, n, cluster), two_levels(size, n, cluster))


def small_all_reduce(n: int, cluster: Cluster) -> float:
    """Return the seconds of an all-reduce of a few kilobytes: latency only, a tree."""
    nodes = max(1, n // cluster.node)
    slowdown = cluster.small_slowdown if nodes > 1 else 1.0
    inside = (cluster.node - 1) * cluster.small_hop[0] * slowdown
    between = (nodes.bit_length() - 1) * cluster.small_hop[1]
    return cluster.small_start + 2 * (inside + between)


@dataclass(frozen=True)
class Step:
    """One training step, in seconds."""

    compute: float  # forward and backward pass
    gradients: float  # their all-reduce
    norm: float  # all-reduces of batch normalisation over the global batch

    def efficiency(self, *, overlap: bool, global_norm: bool = True) -> float:
        """Return compute / step: the share of the time in which the accelerators compute.

        Args:
            overlap: the gradients' all-reduce runs beside the backward pass, two thirds
                of the compute, and only what is longer waits.
            global_norm: batch normalisation waits for all accelerators.
        """
        forward, backward = self.compute / 3, self.compute * 2 / 3
        waiting = max(backward, self.gradients) if overlap else backward + self.gradients
        return self.compute / (forward + waiting + self.norm * global_norm)


def step(net: Network, n: int, batch: int, cluster: Cluster) -> Step:
    """Return the step of ``batch`` images, shared by ``n`` accelerators."""
    return Step(
        compute=batch / n / net.images_per_second(),
        gradients=all_reduce(net.gradient_bytes(), n, cluster),
        norm=2 * len(net.norm_channels) * small_all_reduce(n, cluster),
    )


def table(header: str, rows: list[str]) -> str:
    """Return Markdown."""
    rule = "|" + "---|" * (header.count("|") - 1)
    return "\n".join([header, rule, *rows])


def counts(networks: list[Network]) -> str:
    """Return the table of what is counted."""
    return table(
        "| network | parameters | gradients, float32 | gradients, bfloat16 "
        "| multiply-adds an image | FLOP an image trained | images/s an accelerator |",
        [
            f"| {net.title} | {net.parameters:,} | {net.gradient_bytes():,} B "
            f"| {net.gradient_bytes(2):,} B | {net.macs:,} | {FLOP_PER_MAC * net.macs:,} "
            f"| {net.images_per_second():,.0f} |"
            for net in networks
        ],
    )


def all_reduces(networks: list[Network]) -> str:
    """Return the table of the gradients' all-reduce."""
    rows = []
    for net in networks:
        for n in BATCHES:
            times = [
                form(net.gradient_bytes(width), n, INFINIBAND)
                for width in (4, 2)
                for form in (ring, two_levels)
            ]
            times.append(all_reduce(net.gradient_bytes(), n, ETHERNET))
            columns = " | ".join(f"{1e3 * t:.2f}" for t in times)
            rows.append(f"| {net.title} | {n} | {columns} |")
    return table(
        "| network | accelerators | ring, ms | two levels, ms | ring, bfloat16 "
        "| two levels, bfloat16 | Ethernet, the faster of the two |",
        rows,
    )


def normalisations(net: Network) -> str:
    """Return the table of batch normalisation's all-reduces."""
    reduces, moments = 2 * len(net.norm_channels), 2 * 2 * sum(net.norm_channels)
    rows = [
        f"| {n} | {reduces} | {4 * moments:,} B | {1e6 * seconds:.1f} "
        f"| {1e3 * reduces * seconds:.2f} |"
        for n in BATCHES
        for seconds in [small_all_reduce(n, INFINIBAND)]
    ]
    return table(
        "| accelerators | all-reduces a step | bytes a step | µs each | ms a step |", rows
    )


def steps(networks: list[Network], cluster: Cluster) -> str:
    """Return the table of steps and efficiencies."""
    rows = []
    for net in networks:
        for n, batches in BATCHES.items():
            if cluster is ETHERNET and n == cluster.node:
                continue  # one node: nothing differs
            for batch in batches:
                one = step(net, n, batch, cluster)
                bound = one.efficiency(overlap=True)
                local = one.efficiency(overlap=True, global_norm=False)
                rate = n * net.images_per_second() * bound
                rows.append(
                    f"| {net.title} | {n} | {batch:,} | {batch // n} "
                    f"| {1e3 * one.compute:.2f} | {1e3 * one.gradients:.2f} "
                    f"| {1e3 * one.norm:.2f} | {one.efficiency(overlap=False):.0%} "
                    f"| {bound:.0%} | {local:.0%} | {rate:,.0f} |"
                )
    return table(
        "| network | accelerators | batch | an accelerator | compute, ms | gradients, ms "
        "| BN, ms | efficiency, no overlap | overlap | overlap, BN of its own "
        "| images/s, overlap |",
        rows,
    )


def inputs(networks: list[Network]) -> str:
    """Return the table of what the input must deliver, at full efficiency."""
    rows = []
    for net in networks:
        for n in (1, *BATCHES):
            rate = n * net.images_per_second()
            cores = " | ".join(f"{rate / r:,.0f}" for r in DECODED_PER_CORE.values())
            rows.append(
                f"| {net.title} | {n} | {rate:,.0f} | {rate * JPEG_BYTES / 1e9:,.2f} "
                f"| {rate * PIXEL_BYTES / 1e9:,.2f} | {cores} |"
            )
    decoders = " | ".join(f"cores, {name}" for name in DECODED_PER_CORE)
    return table(
        "| network | accelerators | images/s | JPEG read, GB/s | pixels to the "
        f"accelerators, GB/s | {decoders} |",
        rows,
    )


def worked_example(net: Network) -> str:
    """Return one row of each table, written out: 64 accelerators, a batch of 2,048."""
    size, one = net.gradient_bytes(), step(net, 64, 2048, INFINIBAND)
    compute, gradients, norm = (1e3 * t for t in (one.compute, one.gradients, one.norm))
    ms = [1e3 * form(size, 64, INFINIBAND) for form in (ring, two_levels)]
    shares = [one.efficiency(overlap=overlap) for overlap in (False, True)]
    return f"""\
compute     32 x 6 x {net.macs:,} / ({net.utilisation} x 312e12 /s) = {compute:.2f} ms
ring        2 x 63/64 x {size:,} B / 200 GB/s + 8.4 us + 112 x 3.4 us
            + 14 x 9.6 us = {ms[0]:.2f} ms
two levels  2 x 7/8 x {size:,} B / 235 GB/s + 2 x 7/8 x {size // 8:,} B / 25 GB/s
            + 8.4 us + 14 x 3.4 us + 14 x 9.6 us = {ms[1]:.2f} ms
BN          {2 * len(net.norm_channels)} x (4.4 us + 2 x (7 x 0.52 us x 1.8 + 3 x 5.0 us)) \
= {norm:.2f} ms
no overlap  {compute:.2f} / ({compute:.2f} + {gradients:.2f} + {norm:.2f}) = {shares[0]:.0%}
overlap     {compute:.2f} / ({compute / 3:.2f} + max({compute * 2 / 3:.2f}, \
{gradients:.2f}) + {norm:.2f}) = {shares[1]:.0%}"""


def report(networks: list[Network]) -> list[str]:
    """Return all that docs/scaling.md quotes, in its order."""
    return [
        counts(networks),
        worked_example(networks[0]),
        all_reduces(networks),
        normalisations(networks[0]),
        steps(networks, INFINIBAND),
        steps(networks, ETHERNET),
        inputs(networks),
    ]


if __name__ == "__main__":
    print("\n\n".join(report([network(name) for name in NETWORKS])))
