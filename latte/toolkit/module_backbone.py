"""Base class of backbones that hold one torch module with both towers and a logit scale."""

from __future__ import annotations

import copy
import math
import re
from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from latte.interfaces import Backbone, LatteError, PixelFormat, TrainableGroup
from latte.toolkit.fingerprints import model_fingerprint

_LARGEST_LOGIT_SCALE = math.log(100)


class ModuleBackbone(Backbone):
    """Base class of backbones that wrap one torch module. All parameters are frozen at first.

    Subclasses implement encoding and saving. The module has a parameter `logit_scale`, which is the
    logarithm of the logit scale. A sigmoid model also has a parameter `logit_bias`. Dropout is
    active only if a gradient is recorded and parameters are trainable. BatchNorm statistics are
    constant, because small unlabelled batches would change them too much.

    Example:
        from latte.api import ModuleBackbone

        class Mine(ModuleBackbone):
            def encode_images(self, pixels):
                self.choose_mode()
                return normalize(self.model.image(pixels.to(self.device)), dim=-1)
    """

    def __init__(self, model: Any, pixel_format: PixelFormat, embedding_width: int) -> None:
        """Wrap `model`, with fp32 weights. Raises `LatteError` if its logit scale is not finite."""
        self.model = model
        self.pixel_format = pixel_format
        self.embedding_width = embedding_width
        if not self.logit_scale.isfinite():
            raise LatteError(
                "the logit scale of this model is not a finite number",
                hint="its weights are damaged: get the model again",
            )
        self._constants = {
            name for name, weight in model.named_parameters() if not weight.requires_grad
        }
        self._largest_logit_scale = _LARGEST_LOGIT_SCALE
        if self.logit_bias is not None:
            loaded_scale = float(model.logit_scale.detach())
            self._largest_logit_scale = max(_LARGEST_LOGIT_SCALE, loaded_scale)
        self._freeze()

    @abstractmethod
    def architecture(self) -> Any:
        """Return a JSON description that, with weights and pixel format, determines all outputs."""

    @abstractmethod
    def parameters_of(self, group: TrainableGroup) -> Mapping[str, nn.Parameter]:
        """Return the parameters of `group` by name, in the model's order; empty if it is `none`.

        Raises `LatteError` if the model has no parameters in `group`.
        """

    @abstractmethod
    def encode_distinct_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit features (M, D) in fp32 of M > 0 distinct texts."""

    def encode_by_length(
        self, lengths: Tensor, per_pass: int, encode: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Encode M texts in batches of similar length; return their features (M, D).

        `lengths` (M,) is the length of each text. `encode` takes the indices (P,) of at most
        `per_pass` texts, the shortest first, and returns their features (P, D).
        """
        order = lengths.argsort(stable=True)
        features = torch.cat([encode(part) for part in torch.split(order, per_pass)])
        original_order = order.argsort().to(self.device, non_blocking=True)
        return features.index_select(0, original_order)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit features (M, D) in fp32 of M texts; each distinct text is encoded once."""
        if not texts:
            return torch.zeros(0, self.embedding_width, device=self.device)
        rows = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        features = self.encode_distinct_texts(list(rows))
        if len(rows) == len(texts):
            return features
        feature_rows = torch.tensor([rows[text] for text in texts])
        return features.index_select(0, feature_rows.to(self.device, non_blocking=True))

    @property
    def device(self) -> torch.device:
        """Device of the weights; inputs are moved to this device."""
        return self.model.logit_scale.device  # type: ignore[no-any-return]

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the architecture, the pixel format and the weights before training."""
        return model_fingerprint(self.architecture(), self.pixel_format, self.state())

    @property
    def logit_scale(self) -> Tensor:
        """Logit scale (scalar); carries a gradient if the parameter is trainable."""
        return self.model.logit_scale.exp().reshape(())  # type: ignore[no-any-return]

    @property
    def logit_bias(self) -> Tensor | None:
        """The scalar that a sigmoid model adds to its logits; None for other models."""
        bias = getattr(self.model, "logit_bias", None)
        return None if bias is None else bias.reshape(())

    def clamp_logit_scale(self) -> None:
        """Clamp a trainable logit scale to [1, 100].

        If a sigmoid model was loaded with a larger scale, this scale is the upper limit.
        """
        if self.model.logit_scale.requires_grad:
            with torch.no_grad():
                self.model.logit_scale.clamp_(0.0, self._largest_logit_scale)

    def train_only(self, group: TrainableGroup) -> Mapping[str, nn.Parameter]:
        """Make `group` trainable, freeze the rest, and return the trainable parameters by name.

        Raises `LatteError` if the model has no parameters in `group`.
        """
        return self.train_parameters(self.parameters_of(group))

    def train_parameters(self, names: Collection[str]) -> Mapping[str, nn.Parameter]:
        """Make the parameters `names` trainable, freeze all others, and return the trainable ones.

        Parameters that were frozen in the module when it was wrapped stay frozen.
        """
        trainable_weights = {
            name: weight
            for name, weight in self.model.named_parameters()
            if name in names and name not in self._constants
        }
        if trainable_weights:
            _ = self.fingerprint  # computed before training changes the weights
        self._freeze()
        for weight in trainable_weights.values():
            weight.requires_grad_(True)
        self._trains = bool(trainable_weights)
        return trainable_weights

    def blocks(self) -> list[list[str]]:
        """Return the module paths of the blocks of each tower, in order.

        A tower may have several lists of modules of the same class. Its blocks are the list with
        the most parameters. The stages `layer1`, `layer2`, ... of a residual network count as such
        a list. The text decoder of CoCa is not a tower.
        """
        towers = []
        for tower, child in self.model.named_children():
            lists = [
                {f"{path}.{name}": block for name, block in _blocks(module).items()}
                for path, module in child.named_modules(prefix=tower)
            ]
            largest = max(lists, key=lambda modules: sum(map(_size, modules.values())))
            if largest and tower != "text_decoder":
                towers.append([*largest])
        return towers

    def fork(self) -> Self:
        """Return an independent, frozen copy with the same weights and fingerprint."""
        _ = self.fingerprint
        fork = copy.copy(self)
        fork.model = copy.deepcopy(self.model)
        fork._freeze()
        return fork

    def state(self) -> dict[str, Tensor]:
        """Return weights and buffers by name. They are not copies, so training changes them."""
        return {name: weight.detach() for name, weight in self.model.state_dict().items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned; the fingerprint does not change.

        Raises `LatteError` if `state` belongs to another architecture.
        """
        _ = self.fingerprint
        try:
            self.model.load_state_dict(state)
        except RuntimeError as error:
            raise LatteError(
                "these weights are not of this backbone",
                hint=str(error).strip().splitlines()[-1].strip(),
            ) from error

    def choose_mode(self) -> None:
        """Switch dropout on if parameters are trainable and gradients are recorded, else off.

        Subclasses call this method before they encode.
        """
        training = self._trains and torch.is_grad_enabled()
        if self.model.training == training:
            return
        self.model.train(training)
        for module in self.model.modules():
            if isinstance(module, _BatchNorm):
                module.eval()

    def _freeze(self) -> None:
        self._trains = False
        self.model.requires_grad_(False)
        self.model.eval()


def _blocks(module: nn.Module) -> dict[str, nn.Module]:
    children = dict(module.named_children())
    if isinstance(module, nn.ModuleList | nn.Sequential):
        return children if len({type(child) for child in children.values()}) == 1 else {}
    return {name: child for name, child in children.items() if re.fullmatch(r"layer\d+", name)}


def _size(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())
