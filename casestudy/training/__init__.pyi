from .clock import Clock as Clock
from .devices import Devices as Devices
from .heads import frozen_features as frozen_features, train_head as train_head
from .machine import Machine as Machine
from .phases import TrainingRun as TrainingRun, remove_checkpoints as remove_checkpoints, train as train
from .schedules import next_rate as next_rate
from .stages import set_trainable as set_trainable
