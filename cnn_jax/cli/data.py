"""``cnn-jax data``: prepare, download and show."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg, subcommand

from cnn_jax.cli.data_show import Show
from cnn_jax.cli.options import Directory, Name, Progress

Source = Annotated[Path, arg(name="from", metavar="DIR", help_behavior_hint="")]
Address = Annotated[str | None, arg(metavar="URL", help_behavior_hint="")]
Word = Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")]


@dataclass(frozen=True)
class Prepare:
    """Write a dataset of original files as ArrayRecord, for --dataset tfds:NAME.

    mnist, fashion_mnist, cifar10, cifar100, svhn_cropped, imagenet2012 or image-folder, in
    the layout of TFDS, without TensorFlow. Interrupted, the same command goes on.

    Example: cnn-jax data prepare mnist --from path/to/mnist
    """

    name: Name
    """Which dataset the files are of."""
    source: Source
    """Directory or archive with the original files."""
    out: Directory = None
    """TFDS' directory; $TFDS_DATA_DIR or ~/tensorflow_datasets by default."""
    called: Word = None
    """Name of an image-folder's dataset; that of the folder by default."""
    anew: bool = False
    """Begin anew instead of going on where an earlier call stopped."""
    progress: Progress = "auto"
    """auto is live on a terminal, plain lines elsewhere."""
    json: bool = False
    """Write JSON for programs."""

    def __call__(self) -> int:
        """Write the dataset, and say how it is used."""
        from cnn_jax.cli.output import print_json, print_line
        from cnn_jax.cli.work_display import WorkDisplay
        from cnn_jax.data.prepare import prepare

        with WorkDisplay(self.progress, of="examples") as display:
            prepared = prepare(
                self.name,
                self.source,
                self.out,
                progress=display,
                resume=not self.anew,
                called=self.called,
            )
        if self.json:
            print_json(
                {
                    "dataset": prepared.dataset,
                    "directory": str(prepared.directory),
                    "data_dir": str(prepared.data_dir),
                    "examples": prepared.examples,
                }
            )
            return 0
        counts = ", ".join(f"{n:,} {split}" for split, n in prepared.examples.items())
        print_line(f"{prepared.dataset}: {counts}")
        print_line(f"written: {prepared.directory}")
        print_line(f"use: --dataset {prepared.dataset} --data-dir {prepared.data_dir}")
        return 0


@dataclass(frozen=True)
class Download:
    """Fetch the original files of a dataset and check their SHA-256.

    mnist, fashion_mnist, cifar10, cifar100 or svhn_cropped; nothing else of cnn-jax uses
    the network. Interrupted, the same command goes on. Proxies are those of http_proxy and
    https_proxy.

    Example: cnn-jax data download cifar10 --out path/to/cifar10
    """

    name: Name
    """Which dataset."""
    out: Directory = None
    """Directory for the files; data/NAME by default."""
    mirror: Address = None
    """Address of a folder that holds the same files."""
    progress: Progress = "auto"
    """auto is live on a terminal, plain lines elsewhere."""
    json: bool = False
    """Write JSON for programs."""

    def __call__(self) -> int:
        """Fetch the files, and say how they are used."""
        from cnn_jax.cli.output import print_json, print_line
        from cnn_jax.cli.work_display import WorkDisplay
        from cnn_jax.data.download import download

        out = self.out or Path("data") / self.name
        with WorkDisplay(self.progress, of="bytes") as display:
            done = download(self.name, out, mirror=self.mirror, progress=display)
        if self.json:
            print_json(
                {
                    "dataset": self.name,
                    "directory": str(done.directory),
                    "files": [str(path) for path in done.files],
                    "fetched_bytes": done.fetched,
                }
            )
            return 0
        how = f"{done.fetched:,} bytes fetched" if done.fetched else "already there"
        print_line(f"{self.name}: {len(done.files)} files, SHA-256 as published, {how}")
        print_line(f"use: --dataset {self.name} --data-dir {done.directory}")
        return 0


Action = (
    Annotated[Prepare, subcommand("prepare")]
    | Annotated[Download, subcommand("download")]
    | Annotated[Show, subcommand("show")]
)


@dataclass(frozen=True)
class Data:
    """Fetch, prepare or look at a dataset.

    Example: cnn-jax data show mnist --data-dir path/to/mnist
    """

    action: Annotated[Action, arg(name="")]

    def __call__(self) -> int:
        """Do what was asked for."""
        return self.action()
