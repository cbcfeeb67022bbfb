"""Open a model that classifies images: of a run, of the hub, or a classifier of a plugin."""

from __future__ import annotations

from os import PathLike

from latte.interfaces import Progress
from latte.interfaces.measurements import UsedModel
from latte.io.device import find_device
from latte.io.machine import machine_errors
from latte.models.classifier_folder import (
    classifier_key,
    is_classifier_folder,
    open_classifier_folder,
    refuse_use,
)
from latte.predict.hub import local_folder
from latte.predict.image_predictor import ClassifierPredictor, ImagePredictor
from latte.predict.predictor import Predictor, open_predictor


def open_model(
    folder: str | PathLike[str],
    device: str = "auto",
    progress: Progress | None = None,
    *,
    use: UsedModel | None = None,
) -> ImagePredictor:
    """Open the model in a folder: a run's, or a classifier that a plugin saved.

    Args:
        folder: a run folder, a folder with a file `classifier.json`, or a model of the Hugging
            Face hub, `hf:OWNER/NAME` or `hf:OWNER/NAME@REVISION`.
        device: auto, cpu, cuda, cuda:N or mps.
        progress: display of the loading.
        use: the model of a run that is opened even if the run's guard chose another one.

    Raises:
        LatteError: if there is no model or no such device, or the hub does not give the model.

    Example:
        from latte.api.runs import open_model

        for prediction in open_model("runs/photos-1a2b3c4d").predict_iter("photos"):
            print(prediction.image, prediction.label)
    """
    with machine_errors():
        path = local_folder(folder, progress)
        if not is_classifier_folder(path):
            return open_predictor(Predictor, path, device, progress, use=use)
        refuse_use(path, use)
        classifier = open_classifier_folder(path, find_device(device))
        return ClassifierPredictor(classifier, classifier_key(path))
