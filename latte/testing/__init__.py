"""Contract tests and fixtures for plugin authors; needs pytest, which latte itself does not need.

In a plugin's test file, subclass the contract of the component's kind; pytest runs its tests:

    from latte.testing import DescriberContract

    class TestEcho(DescriberContract):
        component = "echo"
        options = {"loud": True}
"""

from latte.testing.augmentation import ImageAugmentationContract
from latte.testing.backbone import BackboneContract
from latte.testing.component import ComponentContract
from latte.testing.dataset import DatasetContract
from latte.testing.describer import DescriberContract
from latte.testing.description import DescriptionTypeContract
from latte.testing.encoder import EncoderContract
from latte.testing.fixtures import StubClip, StubEncoder
from latte.testing.gate import GateContract
from latte.testing.guard import GuardContract
from latte.testing.labeler import PseudoLabelerContract
from latte.testing.loss import LossContract
from latte.testing.model import ModelContract
from latte.testing.prototypes import PrototypeAggregatorContract
from latte.testing.reporter import ReporterContract
from latte.testing.tiny_runs import RunContract, TinyRuns
from latte.testing.trainable import TrainableContract

__all__ = [
    "BackboneContract",
    "ComponentContract",
    "DatasetContract",
    "DescriberContract",
    "DescriptionTypeContract",
    "EncoderContract",
    "GateContract",
    "GuardContract",
    "ImageAugmentationContract",
    "LossContract",
    "ModelContract",
    "PrototypeAggregatorContract",
    "PseudoLabelerContract",
    "ReporterContract",
    "RunContract",
    "StubClip",
    "StubEncoder",
    "TinyRuns",
    "TrainableContract",
]
