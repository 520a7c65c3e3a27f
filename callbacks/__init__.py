"""Callbacks for a running training loop; imported as observatory.callbacks."""

from observatory.callbacks.checkpoints import PythiaCheckpoints as PythiaCheckpoints
from observatory.callbacks.monitor import SpecializationMonitor as SpecializationMonitor
from observatory.callbacks.transformers import TransformersMonitor as TransformersMonitor
