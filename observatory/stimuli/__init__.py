"""What the model is shown."""

from __future__ import annotations

from observatory.stimuli.battery import Battery as Battery
from observatory.stimuli.battery import Domain as Domain
from observatory.stimuli.battery import Family as Family
from observatory.stimuli.battery import Item as Item
from observatory.stimuli.battery import Pair as Pair
from observatory.stimuli.battery import Task as Task
from observatory.stimuli.battery import load_battery as load_battery
from observatory.stimuli.tokens import encode as encode
from observatory.stimuli.tokens import encode_answers as encode_answers
