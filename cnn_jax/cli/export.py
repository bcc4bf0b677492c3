"""``cnn-jax export``."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from cnn_jax.cli.sources import Checkpoint
from cnn_jax.errors import UserError

if TYPE_CHECKING:
    from cnn_jax.cli.sources import Source

Place = Annotated[Positional[Path], arg(metavar="RUN_OR_WEIGHTS")]
Target = Annotated[Positional[Path], arg(metavar="FILE")]
Model = Annotated[str | None, arg(metavar="SOURCE/ARCHITECTURE", help_behavior_hint="")]

KINDS = {
    ".safetensors": "our own file: network, weights and preprocessing; reads back bitwise",
    ".pth": "a state_dict for torchvision, with --architecture",
    ".stablehlo": "a compiled-anywhere function from uint8 images to class scores",
}


@dataclass(frozen=True)
class Export:
    """Write a network to a file; the extension says which kind.

    .safetensors holds all that cnn-jax evaluate, predict and scan need. .pth is a
    state_dict that torchvision loads with strict=True. .stablehlo is a function for any
    batch size on CPU, GPU and TPU, preprocessing inside; JAX reads it for months only.

    Example: cnn-jax export runs/lenet5_mnist/mnist-seed0 lenet5.safetensors
    """

    network: Place
    """Directory of a run, or file of weights (with --model)."""
    file: Target
    """New file: .safetensors, .pth or .stablehlo."""
    model: Model = None
    """What a file of weights holds, e.g. torchvision/vgg16; an exported run says itself."""
    architecture: Model = None
    """For .pth: which of torchvision's networks it is, e.g. torchvision/vgg16."""
    checkpoint: Checkpoint = "last"
    """Of a run: the last one, or the one with the smallest validation error."""
    json: bool = False
    """Write JSON for programs."""

    def __call__(self) -> int:
        """Load the network and write the file."""
        from cnn_jax.cli.output import print_json, print_line
        from cnn_jax.cli.sources import load_source

        kind = self.file.suffix.lower()
        if kind not in KINDS:
            listed = ", ".join(f"{end} ({what})" for end, what in KINDS.items())
            raise UserError(f"{self.file}: the extension says what to write: {listed}")
        if (kind == ".pth") != (self.architecture is not None):
            raise UserError(
                ".pth needs --architecture torchvision/NAME, and nothing else takes it"
            )
        if self.file.exists():
            raise UserError(f"{self.file} is there already; nothing was changed")
        source = load_source(self.network, self.model, self.checkpoint)
        self._write(kind, source)
        size = self.file.stat().st_size
        if self.json:
            print_json({"file": str(self.file), "bytes": size, "network": source.label})
        else:
            print_line(f"{source.label} -> {self.file} ({size:,} bytes)")
        return 0

    def _write(self, kind: str, source: "Source") -> None:
        network = source.network
        if kind == ".safetensors":
            from cnn_jax.weights.load import OWN
            from cnn_jax.weights.network_file import About, write_network

            origin = source.weights if source.weights != OWN else None
            about = About(source.classes or (), source.image_size, origin)
            write_network(self.file, *network, about)
        elif kind == ".stablehlo":
            from cnn_jax.weights.stablehlo import export_stablehlo

            export_stablehlo(*network, self.file)
        else:
            from cnn_jax.weights.export import export_weights

            assert self.architecture is not None
            export_weights(self.architecture, self.file, network.model, network.variables)
