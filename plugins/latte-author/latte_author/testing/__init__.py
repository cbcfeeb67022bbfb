"""Contract tests and fixtures for plugin authors; needs pytest, which latte itself does not need.

In a plugin's test file, subclass the contract of the component's kind; pytest runs its tests:

    from latte_author.testing import DescriberContract

    class TestEcho(DescriberContract):
        component = "echo"
        options = {"loud": True}
"""

from latte_author.testing.augmentation import ImageAugmentationContract
from latte_author.testing.backbone import BackboneContract
from latte_author.testing.component import ComponentContract
from latte_author.testing.dataset import DatasetContract
from latte_author.testing.describer import DescriberContract
from latte_author.testing.description import DescriptionTypeContract
from latte_author.testing.encoder import EncoderContract
from latte_author.testing.fixtures import StubClip, StubEncoder
from latte_author.testing.gate import GateContract
from latte_author.testing.guard import GuardContract
from latte_author.testing.labeler import PseudoLabelerContract
from latte_author.testing.loss import LossContract
from latte_author.testing.model import ModelContract
from latte_author.testing.prototypes import PrototypeAggregatorContract
from latte_author.testing.reporter import ReporterContract
from latte_author.testing.tiny_runs import RunContract, TinyRuns
from latte_author.testing.trainable import TrainableContract

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
