"""Watch specialised regions appear inside a language model while it trains."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from observatory.callbacks.monitor import SpecializationMonitor as SpecializationMonitor
    from observatory.callbacks.transformers import TransformersMonitor as TransformersMonitor
    from observatory.measure.lesion import Replacement as Replacement
    from observatory.measure.lesion import lesion as lesion
    from observatory.monitor import Monitor as Monitor
    from observatory.observation import Gap as Gap
    from observatory.observation import Instrument as Instrument
    from observatory.observation import Observation as Observation
    from observatory.observation import Recorder as Recorder
    from observatory.observation import Variable as Variable
    from observatory.observe import Observatory as Observatory
    from observatory.publish.tensorboard_recorder import TensorBoardRecorder as TensorBoardRecorder
    from observatory.publish.wandb_recorder import WandbRecorder as WandbRecorder
    from observatory.record.logbook import Logbook as Logbook
    from observatory.record.logbook import open_logbook as open_logbook
    from observatory.review.judge.emergence import emergence as emergence
    from observatory.stimuli.battery import load_battery as load_battery

_HOMES = {
    "SpecializationMonitor": "observatory.callbacks.monitor",
    "TransformersMonitor": "observatory.callbacks.transformers",
    "Replacement": "observatory.measure.lesion",
    "lesion": "observatory.measure.lesion",
    "Monitor": "observatory.monitor",
    "Gap": "observatory.observation",
    "Instrument": "observatory.observation",
    "Observation": "observatory.observation",
    "Recorder": "observatory.observation",
    "Variable": "observatory.observation",
    "Observatory": "observatory.observe",
    "TensorBoardRecorder": "observatory.publish.tensorboard_recorder",
    "WandbRecorder": "observatory.publish.wandb_recorder",
    "Logbook": "observatory.record.logbook",
    "open_logbook": "observatory.record.logbook",
    "emergence": "observatory.review.judge.emergence",
    "load_battery": "observatory.stimuli.battery",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Loads what is asked for when it is asked for: torch takes seconds, and a command may not need it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'observatory' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)
