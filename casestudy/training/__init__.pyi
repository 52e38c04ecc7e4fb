from .heads import frozen_features as frozen_features
from .heads import train_head as train_head
from .phases import (
    Machine as Machine,
)
from .phases import (
    TrainingRun as TrainingRun,
)
from .phases import (
    machine as machine,
)
from .phases import (
    remove_checkpoints as remove_checkpoints,
)
from .phases import (
    train as train,
)
from .stages import set_trainable as set_trainable
