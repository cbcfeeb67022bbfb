"""Small text tower: open_clip's text transformer, distilled from sentence features."""

from __future__ import annotations

import logging
import math
import time

import torch
import torch.nn.functional as F
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transformer import TextTransformer
from torch import Tensor, nn

from . import teacher

log = logging.getLogger(__name__)

CONTEXT = 32
WIDTH = 256
HEADS = 4
LAYERS = 4
EMBED = 384


def new_tower() -> TextTransformer:
    """Return an untrained tower with the configuration of `export.config`."""
    return TextTransformer(
        context_length=CONTEXT, width=WIDTH, heads=HEADS, layers=LAYERS, output_dim=EMBED
    )


def start_from_words(tower: TextTransformer, seed: int = 0) -> None:
    """Initialise the tower so that it returns the mean feature of a text's words.

    Token embeddings are the teacher's features of each token's string, reduced by PCA. The first
    attention layer roughly averages them, and the output projection undoes the PCA. Training only
    refines these averages, and need not learn 49,000 words from scratch.
    """
    torch.manual_seed(seed)
    tokenizer = SimpleTokenizer(context_length=CONTEXT)
    words = [tokenizer.decode([i]).strip() or "." for i in range(tokenizer.vocab_size)]
    vectors = teacher.encode(words)
    vectors = vectors - vectors.mean(0)
    basis = torch.linalg.eigh(vectors.T @ vectors).eigenvectors[:, -WIDTH:]
    reduced = vectors @ basis
    with torch.no_grad():
        tower.token_embedding.weight.copy_(reduced / reduced.std() * 0.05)
        tower.token_embedding.weight[tokenizer.all_special_ids] = 0.0
        first = tower.transformer.resblocks[0].attn
        first.in_proj_weight[: 2 * WIDTH] *= 0.3
        first.in_proj_weight[2 * WIDTH :] = torch.eye(WIDTH)
        first.out_proj.weight.copy_(torch.eye(WIDTH) * 0.3)
        tower.text_projection.copy_(basis.T / math.sqrt(WIDTH))


def tokenize(texts: list[str]) -> tuple[Tensor, Tensor]:
    """Return token ids (N, CONTEXT) and lengths (N,), both including start and end tokens."""
    ids = SimpleTokenizer(context_length=CONTEXT)(texts)
    return ids.to(torch.int32), ids.argmax(-1) + 1


def forward_short(tower: nn.Module, mask: Tensor, ids: Tensor, length: int) -> Tensor:
    """Return the tower's outputs for ids cut at `length`.

    Cutting only removes padding, which cannot affect the end token of a causal tower.
    """
    tower.attn_mask = mask[:length, :length]
    out: Tensor = tower(ids[:, :length].long())
    tower.attn_mask = mask
    return out


def length_batches(lengths: Tensor, size: int) -> list[Tensor]:
    """Return shuffled batches of indices of texts of nearly equal length."""
    order = torch.randperm(len(lengths))
    out: list[Tensor] = []
    for chunk in order.split(size * 40):
        out += list(chunk[lengths[chunk].argsort(stable=True)].split(size))
    return [out[int(i)] for i in torch.randperm(len(out))]


def loss_of(student: Tensor, target: Tensor, sharpness: float = 20.0) -> Tensor:
    """Return the loss (a scalar) of features against unit targets, both (B, EMBED).

    It is twice the cosine distance to the target, plus the KL divergence between the target's and
    the student's similarities to all targets of the batch.
    """
    student = F.normalize(student, dim=-1)
    direction = 1 - (student * target).sum(-1).mean()
    wanted = (target @ target.T * sharpness).softmax(-1)
    ranked = (student @ target.T * sharpness).log_softmax(-1)
    neighbours = F.kl_div(ranked, wanted, reduction="batchmean")
    return 2 * direction + neighbours


def learning_rate(progress: float, peak: float) -> float:
    """Return the learning rate: warm-up in the first twentieth of training, then cosine decay."""
    warm = min(1.0, (progress + 1e-3) / 0.05)
    return peak * warm * (0.5 + 0.5 * math.cos(math.pi * min(1.0, progress)))


def distil(
    tower: TextTransformer,
    texts: list[str],
    targets: Tensor,
    *,
    steps: int,
    seconds: float = math.inf,
    batch: int = 512,
    rate: float = 1e-3,
    seed: int = 1,
) -> None:
    """Train `tower` in place to predict centred, unit-length teacher features.

    The schedule ends after `steps` or after `seconds`, whichever comes first, so that the learning
    rate also decays to zero on a slow machine.
    """
    torch.manual_seed(seed)
    ids, lengths = tokenize(texts)
    mask = tower.attn_mask
    decayed = [p for p in tower.parameters() if p.ndim == 2]
    plain = [p for p in tower.parameters() if p.ndim != 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}],
        betas=(0.9, 0.98),
        fused=True,
    )
    step, began, mean_loss = 0, time.time(), 0.0
    queue: list[Tensor] = []
    while (progress := max(step / steps, (time.time() - began) / seconds)) < 1:
        queue = queue or length_batches(lengths, batch)
        index = queue.pop()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(progress, rate)
        with torch.autocast("cpu", torch.bfloat16):
            out = forward_short(tower, mask, ids[index], int(lengths[index].max()))
        loss = loss_of(out.float(), targets[index])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(tower.parameters(), 1.0)
        optimizer.step()
        mean_loss += (loss.item() - mean_loss) * max(0.02, 1 / (step + 1))
        step += 1
        if step % 25 == 0:
            log.info("text %d/%d loss %.4f %.0f s", step, steps, mean_loss, time.time() - began)
    tower.eval()


@torch.no_grad()
def encode(tower: TextTransformer, texts: list[str], batch: int = 256) -> Tensor:
    """Return the tower's outputs (N, EMBED) in float32, not normalised."""
    ids, lengths = tokenize(texts)
    mask = tower.attn_mask
    out = torch.empty(len(texts), tower.output_dim)
    for index in lengths.argsort().split(batch):
        out[index] = forward_short(tower, mask, ids[index], int(lengths[index].max()))
    return out
