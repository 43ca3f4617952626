"""Every way to learn that a recipe can hold."""

from typing import TypeAlias

from vertebra.methods.arch_net import ArchNetDistillSpec
from vertebra.methods.byol import BYOLSpec
from vertebra.methods.co_training import CoTrainingSpec
from vertebra.methods.cosub import CosubSpec
from vertebra.methods.distill import DistillSpec
from vertebra.methods.fixmatch import FixMatchSpec
from vertebra.methods.mixskd import MixSKDSpec
from vertebra.methods.noisy_student import NoisyStudentSpec
from vertebra.methods.simclr import SimCLRSpec
from vertebra.methods.supervised import SupervisedSpec

MethodSpec: TypeAlias = (
    SupervisedSpec
    | ArchNetDistillSpec
    | BYOLSpec
    | CoTrainingSpec
    | CosubSpec
    | DistillSpec
    | FixMatchSpec
    | MixSKDSpec
    | NoisyStudentSpec
    | SimCLRSpec
)
