"""``cnn-jax import-weights``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from cnn_jax.cli.options import Count, Directory
from cnn_jax.errors import UserError

Architecture = Annotated[
    Positional[str | None], arg(metavar="SOURCE/ARCHITECTURE", help_behavior_hint="")
]
Given = Annotated[Positional[Path | None], arg(metavar="FILE", help_behavior_hint="")]


@dataclass(frozen=True)
class ImportWeights:
    """Turn another library's weights into a file of ours; without arguments, list them.

    Reads torchvision's .pth, .safetensors and Keras' .h5 without either library. Every
    array is checked; nothing in the file is executed.

    Example: cnn-jax import-weights torchvision/vgg16 vgg16.pth
    """

    architecture: Architecture = None
    """E.g. torchvision/resnet50 or keras/vgg16."""
    file: Given = None
    """The weights."""
    classes: Count = None
    """Refuse a file with another number of classes."""
    out: Directory = None
    """New .safetensors file; SOURCE-ARCHITECTURE.safetensors by default."""
    json: bool = False
    """Write JSON for programs."""

    def __call__(self) -> int:
        """Convert the file, or list what can be converted."""
        if self.architecture is None:
            return self._list()
        if self.file is None:
            raise UserError(f"say which file holds the weights of {self.architecture}")
        return self._convert(self.architecture, self.file)

    def _convert(self, architecture: str, file: Path) -> int:
        import jax

        from cnn_jax.cli.output import print_json, print_line
        from cnn_jax.weights.load import load_weights
        from cnn_jax.weights.network_file import About, write_network

        out = self.out or Path(architecture.replace("/", "-") + ".safetensors")
        if out.suffix != ".safetensors":
            raise UserError(f"{out}: the file to write ends in .safetensors")
        if out.exists():
            raise UserError(f"{out} is there already; choose another with --out")
        loaded = load_weights(architecture, file, num_classes=self.classes)
        write_network(out, *loaded, About(origin=architecture))
        parameters = sum(leaf.size for leaf in jax.tree.leaves(loaded.variables["params"]))
        told = {
            "file": str(out),
            "architecture": architecture,
            "classes": loaded.model.num_classes,
            "parameters": parameters,
        }
        if self.json:
            print_json(told)
        else:
            print_line(
                f"{architecture}, {parameters:,} parameters, {told['classes']} classes "
                f"-> {out}"
            )
        return 0

    def _list(self) -> int:
        from cnn_jax.cli.output import print_json, print_table
        from cnn_jax.weights.sources import declared_sources

        rows: list[dict[str, Any]] = [
            {
                "name": name,
                "resize": source.resize_side,
                "crop": source.crop_side,
                "interpolation": source.interpolation,
                "source": source.source,
            }
            for name, source in declared_sources().items()
        ]
        if self.json:
            print_json(rows)
        else:
            print_table(
                ("SOURCE/ARCHITECTURE", "resize", "crop", "interpolation"),
                [tuple(row.values())[:4] for row in rows],
            )
        return 0
