"""Images that measure a gain, drawn mostly where two models disagree."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from itertools import count

from latte.results.answers import Answer
from latte.results.population import Population, ReviewImage


def measurements(population: Population, answers: Mapping[str, Answer]) -> Iterator[ReviewImage]:
    """Yield unanswered images; every fourth is one on which the models agree.

    Two of three such images have a confidence below the median. Images of a series that has an
    answer, or of which an earlier image is yielded, are left out.
    """
    asked_series = {image.series for image in population.images if image.key in answers}
    strata = [deque(images) for images in (population.disagreements, *population.agreements)]
    for number in count(len(answers)):
        for stratum in strata:
            while stratum and stratum[0].series in asked_series:
                stratum.popleft()
        differs, unsure, sure = strata
        agreed = (sure or unsure) if number // 4 % 3 == 2 else (unsure or sure)
        stratum = (agreed or differs) if number % 4 == 3 else (differs or agreed)
        if not stratum:
            return
        asked_series.add(stratum[0].series)
        yield stratum.popleft()
