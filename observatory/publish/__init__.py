"""Places where runs are looked at: Weights & Biases and TensorBoard."""

from observatory.publish.tensorboard_recorder import TensorBoardRecorder as TensorBoardRecorder
from observatory.publish.wandb_recorder import WandbRecorder as WandbRecorder
