"""Every kind of model that is one network."""

from typing import TypeAlias

from vertebra.models.arch_net import ArchNetSpec
from vertebra.models.bit import BiTSpec
from vertebra.models.convnext import ConvNeXtSpec
from vertebra.models.convnext_rung import ConvNeXtRungSpec
from vertebra.models.g_ghost_regnet import GGhostRegNetSpec
from vertebra.models.g_ghost_resnet import GGhostResNetSpec
from vertebra.models.ghost_resnet import GhostResNetSpec
from vertebra.models.ghostnet import GhostNetSpec
from vertebra.models.levit import LeViTSpec
from vertebra.models.resnet import ResNetSpec
from vertebra.models.resnet3d import ResNet3dSpec
from vertebra.models.timm import TimmSpec

NetworkSpec: TypeAlias = (
    ArchNetSpec
    | BiTSpec
    | ConvNeXtRungSpec
    | ConvNeXtSpec
    | GGhostRegNetSpec
    | GGhostResNetSpec
    | GhostNetSpec
    | GhostResNetSpec
    | LeViTSpec
    | ResNet3dSpec
    | ResNetSpec
    | TimmSpec
)
