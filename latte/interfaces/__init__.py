"""Abstract classes of all components, and the data types that they exchange.

This package imports nothing else of latte.
"""

from latte.interfaces.backbone import Backbone, TextTrunk, TrainableGroup, Trunk
from latte.interfaces.backbone_loader import BackboneLoader
from latte.interfaces.classifier import Classifier
from latte.interfaces.component import (
    Component,
    Context,
    IsPath,
    NoOptions,
    Options,
    OptionsT,
    PathText,
)
from latte.interfaces.dataset import Dataset, ImageAugmentation, ImageReference, LabelledImage
from latte.interfaces.descriptions import (
    CutTexts,
    Describer,
    DescriptionType,
    FailedRequests,
    Scope,
)
from latte.interfaces.encoder import Encoder, PixelFormat
from latte.interfaces.encoder_loader import EncoderLoader
from latte.interfaces.errors import LatteError, RecipeErrors, did_you_mean
from latte.interfaces.gate import Gate, GatedText, GateSubject, HeldBack
from latte.interfaces.guard import Candidate, Evidence, Guard, Verdict
from latte.interfaces.image_classifier import ImageClassifier
from latte.interfaces.labels import PseudoLabeler, Refresh
from latte.interfaces.measurements import (
    Calibration,
    ClassAccuracy,
    Evaluation,
    Interval,
    RunModel,
)
from latte.interfaces.model_loader import ModelLoader
from latte.interfaces.progress import (
    Figures,
    Progress,
    ProgressTask,
    RunStart,
    StageEnd,
    long_task,
)
from latte.interfaces.prototypes import ClassFeatureRefresh, Loss, PrototypeAggregator, Supervision
from latte.interfaces.questions import (
    Choice,
    ChoiceRequest,
    DescribedImage,
    DescribeRequest,
    QuestionCounts,
    Questions,
    Refusal,
)
from latte.interfaces.record import RunRecord
from latte.interfaces.results import (
    ClassifiedImage,
    Confusion,
    Described,
    GalleryEntry,
    LabelFlow,
    LearnerPrototypes,
    Reporter,
    RunResults,
)
from latte.interfaces.training import (
    Batch,
    EpochInfo,
    FeatureBank,
    LabelStream,
    ModelAnswers,
    Posterior,
    Trainable,
    TrainingStart,
    full_stream,
)

__all__ = [
    "Backbone",
    "BackboneLoader",
    "Batch",
    "Calibration",
    "Candidate",
    "Choice",
    "ChoiceRequest",
    "ClassAccuracy",
    "ClassFeatureRefresh",
    "ClassifiedImage",
    "Classifier",
    "Component",
    "Confusion",
    "Context",
    "CutTexts",
    "Dataset",
    "DescribeRequest",
    "Described",
    "DescribedImage",
    "Describer",
    "DescriptionType",
    "Encoder",
    "EncoderLoader",
    "EpochInfo",
    "Evaluation",
    "Evidence",
    "FailedRequests",
    "FeatureBank",
    "Figures",
    "GalleryEntry",
    "Gate",
    "GateSubject",
    "GatedText",
    "Guard",
    "HeldBack",
    "ImageAugmentation",
    "ImageClassifier",
    "ImageReference",
    "Interval",
    "IsPath",
    "LabelFlow",
    "LabelStream",
    "LabelledImage",
    "LatteError",
    "LearnerPrototypes",
    "Loss",
    "ModelAnswers",
    "ModelLoader",
    "NoOptions",
    "Options",
    "OptionsT",
    "PathText",
    "PixelFormat",
    "Posterior",
    "Progress",
    "ProgressTask",
    "PrototypeAggregator",
    "PseudoLabeler",
    "QuestionCounts",
    "Questions",
    "RecipeErrors",
    "Refresh",
    "Refusal",
    "Reporter",
    "RunModel",
    "RunRecord",
    "RunResults",
    "RunStart",
    "Scope",
    "StageEnd",
    "Supervision",
    "TextTrunk",
    "Trainable",
    "TrainableGroup",
    "TrainingStart",
    "Trunk",
    "Verdict",
    "did_you_mean",
    "full_stream",
    "long_task",
]
