"""The entry point `observatory train`: Lightning's command line over the model and the data modules here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from jsonargparse.typing import PositiveInt
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback

from observatory.train.data import SequenceData
from observatory.train.module import GPTNeoX


class KeepConfig(SaveConfigCallback):
    """Leaves the whole configuration in the run folder; a later run's stands beside an earlier one's."""

    def save_config(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        text = self.parser.dump(self.config, skip_none=False)
        number = 1
        while (path := folder / ("config.yaml" if number == 1 else f"config-{number}.yaml")).exists():
            if path.read_text() == text:
                return
            number += 1
        path.write_text(text)


class TrainCLI(LightningCLI):
    """`fit` is the only command: held-out behaviour is what the callbacks measure."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.link_arguments("data.vocab_size", "model.vocab_size", apply_on="instantiate")
        parser.add_argument(
            "--threads",
            type=PositiveInt | None,
            default=None,
            help="CPU threads of one operation; torch's own choice if not given. More gain little for a model "
            "as small as the demo's, and lose much where the cores are busy.",
        )

    def before_instantiate_classes(self) -> None:
        if (threads := self._get(self.config, "threads")) is not None:
            torch.set_num_threads(threads)

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        return {"fit": LightningCLI.subcommands()["fit"]}

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        # Lightning's own warns when arguments are passed on by another command, as here.
        self.config = parser.parse_args(cast("list[str] | None", args))


def main(args: Sequence[str] | None = None, **settings: Any) -> TrainCLI:
    """Run `fit --config FILE.yaml ...`; the settings are LightningCLI's, e.g. `run=False` to only build."""
    return TrainCLI(
        GPTNeoX,
        SequenceData,
        subclass_mode_data=True,
        save_config_callback=KeepConfig,
        save_config_kwargs={"save_to_log_dir": False},
        seed_everything_default=0,
        parser_kwargs={"prog": "observatory train"},
        args=None if args is None else list(args),
        **settings,
    )
