"""The flags that several subcommands share: same name, same meaning."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

Name = Annotated[Positional[str], arg(metavar="NAME")]
Dataset = Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")]
DataDir = Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")]
Directory = Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")]
Count = Annotated[int | None, arg(metavar="N", help_behavior_hint="")]
Epochs = Annotated[float | None, arg(metavar="N", help_behavior_hint="")]
Names = Annotated[str | None, arg(metavar="A,B", help_behavior_hint="")]
Progress = Literal["auto", "live", "plain", "none"]
