"""A labeler for images whose best class is clearly ahead of the second."""

from latte.api import ComponentSpec, LabelStream, NoOptions, PseudoLabeler, hookimpl


@hookimpl
def latte_components():
    """Declare the labeler: its kind, name, import path and a one-line summary."""
    return [ComponentSpec("labeler", "clear", "latte_clear:ClearLabeler", "labels clear images")]


class ClearLabeler(PseudoLabeler[NoOptions]):
    """Give weight 1 to images whose best class leads by 0.02 in cosine, else weight 0."""

    def assign(self, batch, image_features, aggregator):
        """Return one label stream for the features (B, D) of a batch."""
        best = aggregator.similarities(image_features).topk(2, dim=1)
        clear = best.values[:, 0] - best.values[:, 1] >= 0.02
        return [LabelStream("clear", best.indices[:, 0], clear.float())]
