"""Components that choose the parameters to train: named groups, last blocks, LoRA and prompts."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from latte.api import Backbone, LatteError, NoOptions, Options, OptionsT, Trainable, TrainableGroup

if TYPE_CHECKING:
    from torch import nn

    from latte.api import ModuleBackbone

_WHERE = "trainable"


class _TrainGroup(Trainable[NoOptions]):
    """Base class: train one of the parameter groups that `Backbone.train_only` accepts."""

    group: ClassVar[TrainableGroup]

    def select(self, backbone: Backbone) -> Mapping[str, nn.Parameter]:
        """Freeze all parameters outside the group, and return the group's parameters by name."""
        return backbone.train_only(self.group)


class All(_TrainGroup):
    """Every parameter of both towers, and the logit scale."""

    group: ClassVar[TrainableGroup] = "all"


class VisualLayerNorms(_TrainGroup):
    """Layer norms of the image tower."""

    group: ClassVar[TrainableGroup] = "visual_layer_norms"


class TextLayerNorms(_TrainGroup):
    """Layer norms of the text tower."""

    group: ClassVar[TrainableGroup] = "text_layer_norms"


class Projections(_TrainGroup):
    """Projections of both towers into the joint space."""

    group: ClassVar[TrainableGroup] = "projections"


class Nothing(_TrainGroup):
    """No parameter; only prototypes change."""

    group: ClassVar[TrainableGroup] = "none"


class LastBlocksOptions(Options):
    """Options of `last_blocks`: the number of trained blocks."""

    blocks: int = Field(default=2, ge=1, description="trained blocks at the end of each tower")


class LastBlocks(Trainable[LastBlocksOptions]):
    """The last blocks of both towers, and the projections."""

    def select(self, backbone: Backbone) -> Mapping[str, nn.Parameter]:
        """Make the last blocks and the projections trainable, and freeze the rest.

        Raises `LatteError` if a tower has fewer blocks than requested.
        """
        model, count = _with_modules(backbone), self.options.blocks
        towers = model.blocks()
        fewest = min(map(len, towers), default=0)
        if count > fewest:
            raise LatteError(
                f"a tower of this backbone has {fewest} blocks, fewer than {count}",
                where=f"{_WHERE}.blocks",
                hint=f"blocks: {fewest}" if fewest else "trainable: projections",
            )
        prefixes = tuple(f"{name}." for tower in towers for name in tower[-count:])
        block_parameters = [
            name for name in model.parameters_of("all") if name.startswith(prefixes)
        ]
        return model.train_parameters({*block_parameters, *model.parameters_of("projections")})


class _Peft(Trainable[OptionsT]):
    """Base class for parameters that peft adds before training, and merges into the model after."""

    _tuner: Any = None

    def check(self) -> None:
        """Raise `LatteError` if peft is not installed."""
        if importlib.util.find_spec("peft") is None:
            raise LatteError(
                "this needs the package peft", where=_WHERE, hint='pip install "latte-clip[peft]"'
            )

    def select(self, backbone: Backbone) -> Mapping[str, nn.Parameter]:
        """Add parameters, and make only these trainable."""
        import torch

        self.check()
        model = _with_modules(backbone)
        original_names = {name for name, _ in model.model.named_parameters()}
        with torch.random.fork_rng():
            torch.manual_seed(self.context.seed)
            self._tuner = self.tuner(model, importlib.import_module("peft"))
        trainable_names = {
            name for name, parameter in model.model.named_parameters() if parameter.requires_grad
        }
        return model.train_parameters(trainable_names - original_names)

    def tuner(self, backbone: ModuleBackbone, peft: Any) -> Any:
        """Add parameters to the model; return the peft object that can merge them later."""
        raise NotImplementedError

    def merge(self, backbone: Backbone) -> None:
        """Merge the added parameters into the weights of the model."""
        self._tuner.merge_and_unload()
        _with_modules(backbone).train_parameters(())


class LoraOptions(Options):
    """Options of `lora`: the rank of the low-rank updates."""

    rank: int = Field(default=8, ge=1, description="rank of the update of each linear layer")


class Lora(_Peft[LoraOptions]):
    """Low-rank updates of the linear layers in all blocks of both towers (Hu et al. 2022).

    A convolution with a 1 x 1 kernel counts as a linear layer. The layers inside
    `torch.nn.MultiheadAttention` get no update. There, peft would add the update to the frozen
    weights and subtract it again in every forward pass, and rounding would change the weights.
    """

    def tuner(self, backbone: ModuleBackbone, peft: Any) -> Any:
        """Add two matrices of rank `rank` to each linear layer."""
        prefixes = tuple(f"{name}." for tower in backbone.blocks() for name in tower)
        layers = [
            name
            for name, module in backbone.model.named_modules()
            if _is_linear(module) and name.startswith(prefixes)
        ]
        if not layers:
            raise LatteError(
                "the blocks of this backbone have no linear layers",
                where=_WHERE,
                hint="trainable: projections",
            )
        rank = self.options.rank
        config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=layers)
        return peft.LoraModel(backbone.model, {"default": config}, "default")


class PromptsOptions(Options):
    """Options of `prompts`: the words whose token embeddings are trained."""

    words: str = Field(
        default="a photo of a",
        min_length=1,
        description="the token embeddings of these words are trained",
    )


class Prompts(_Peft[PromptsOptions]):
    """Token embeddings of chosen words, in every text that contains these words.

    If the words are those of the class templates, this is prompt tuning as in CoOp (Zhou et al.
    2022): a learned context that all classes share, initialised with "a photo of a".
    """

    def tuner(self, backbone: ModuleBackbone, peft: Any) -> Any:
        """Replace the embeddings of the tokens by trainable copies."""
        from torch import nn

        embeddings = {
            name: module
            for name, module in backbone.model.named_modules()
            if type(module) is nn.Embedding
        }
        if not embeddings:
            raise LatteError("this backbone has no embedding of tokens", where=_WHERE)
        name = max(embeddings, key=lambda path: embeddings[path].num_embeddings)
        tokens = _tokens(backbone, embeddings[name], self.options.words)
        config = peft.TrainableTokensConfig(token_indices=tokens, target_modules=[name])
        return peft.TrainableTokensModel(backbone.model, {"default": config}, "default")


def _is_linear(module: nn.Module) -> bool:
    from torch import nn

    if isinstance(module, nn.Conv2d):
        return module.kernel_size == (1, 1) and module.groups == 1
    return type(module) is nn.Linear


def _tokens(backbone: ModuleBackbone, embedding: nn.Embedding, words: str) -> list[int]:
    """Return the token ids of `words`, without start, end and padding tokens."""
    import torch

    token_sets: list[set[int]] = []
    handle = embedding.register_forward_pre_hook(
        lambda _, inputs: token_sets.append({*inputs[0].flatten().tolist()})
    )
    with torch.no_grad():
        for text in (words, ""):
            backbone.encode_texts([text])
    handle.remove()
    word_tokens, special_tokens = token_sets
    if not word_tokens - special_tokens:
        raise LatteError(
            f"{words!r} has no token of its own",
            where=f"{_WHERE}.words",
            hint="words: a photo of a",
        )
    return sorted(word_tokens - special_tokens)


def _with_modules(backbone: Backbone) -> ModuleBackbone:
    from latte.api import ModuleBackbone

    if not isinstance(backbone, ModuleBackbone):
        raise LatteError(
            f"a {type(backbone).__name__} has no torch module whose parts could be trained",
            where=_WHERE,
            hint="trainable: all",
        )
    return backbone
