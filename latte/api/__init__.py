"""Public names for plugins and for programs that use latte as a library.

Importing this module loads neither torch nor Pillow: names that need them are imported at their
first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from latte.data.sources.class_lookup import ClassLookup
from latte.data.sources.classes import read_class_names
from latte.data.sources.source import SourceOptions
from latte.interfaces import *  # noqa: F403
from latte.interfaces import __all__ as _interfaces
from latte.interfaces.descriptions import BUGS
from latte.interfaces.errors import error_line
from latte.interfaces.guard import check_verdict
from latte.io.files import digest, write_atomically, write_text
from latte.io.first_use import at_first_use
from latte.io.model_files import (
    check_model_file,
    check_weight_shards,
    json_numbers,
    read_model_json,
)
from latte.io.redaction import without_secrets
from latte.registry.spec import (
    API_VERSION,
    ClassifierSpec,
    CommandSpec,
    ComponentSpec,
    Kind,
    hookimpl,
)
from latte.toolkit.descriptions import (
    ClassDescription,
    ClassOptions,
    GroupDescription,
    GroupOptions,
    ImageDescription,
    ImageOptions,
)

if TYPE_CHECKING:
    from latte.backbone.hub import fetch_repository as fetch_repository
    from latte.data.images import open_image as open_image
    from latte.evaluate.metrics import accuracy_interval as accuracy_interval
    from latte.report.card import model_card as model_card
    from latte.report.page.page import run_page as run_page
    from latte.toolkit.asking import AskingOrder as AskingOrder
    from latte.toolkit.asking import asking_order as asking_order
    from latte.toolkit.blocks import row_blocks as row_blocks
    from latte.toolkit.blocks import rows_per_block as rows_per_block
    from latte.toolkit.encoder_agreement import is_useful_encoder as is_useful_encoder
    from latte.toolkit.encoder_agreement import joined_features as joined_features
    from latte.toolkit.encoder_agreement import neighbour_agreement as neighbour_agreement
    from latte.toolkit.labelers import JointLabeler as JointLabeler
    from latte.toolkit.labelers import JointLabels as JointLabels
    from latte.toolkit.module_backbone import ModuleBackbone as ModuleBackbone
    from latte.toolkit.module_encoder import ModuleEncoder as ModuleEncoder
    from latte.toolkit.neighbours import nearest_neighbours as nearest_neighbours
    from latte.toolkit.neighbours import nearest_rows as nearest_rows
    from latte.toolkit.neighbours import symmetric_graph as symmetric_graph
    from latte.toolkit.prototypes import EstimatedPrototypes as EstimatedPrototypes
    from latte.toolkit.prototypes import LabelerPrototypes as LabelerPrototypes
    from latte.toolkit.prototypes import shift_to_texts as shift_to_texts
    from latte.toolkit.self_taught import Taught as Taught
    from latte.toolkit.self_taught import self_taught as self_taught
    from latte.toolkit.threads import parallel_map as parallel_map

_AT_FIRST_USE = {
    "AskingOrder": "latte.toolkit.asking",
    "EstimatedPrototypes": "latte.toolkit.prototypes",
    "JointLabeler": "latte.toolkit.labelers",
    "JointLabels": "latte.toolkit.labelers",
    "LabelerPrototypes": "latte.toolkit.prototypes",
    "ModuleBackbone": "latte.toolkit.module_backbone",
    "ModuleEncoder": "latte.toolkit.module_encoder",
    "Taught": "latte.toolkit.self_taught",
    "accuracy_interval": "latte.evaluate.metrics",
    "asking_order": "latte.toolkit.asking",
    "fetch_repository": "latte.backbone.hub",
    "is_useful_encoder": "latte.toolkit.encoder_agreement",
    "joined_features": "latte.toolkit.encoder_agreement",
    "model_card": "latte.report.card",
    "nearest_neighbours": "latte.toolkit.neighbours",
    "nearest_rows": "latte.toolkit.neighbours",
    "neighbour_agreement": "latte.toolkit.encoder_agreement",
    "open_image": "latte.data.images",
    "parallel_map": "latte.toolkit.threads",
    "row_blocks": "latte.toolkit.blocks",
    "rows_per_block": "latte.toolkit.blocks",
    "run_page": "latte.report.page.page",
    "self_taught": "latte.toolkit.self_taught",
    "shift_to_texts": "latte.toolkit.prototypes",
    "symmetric_graph": "latte.toolkit.neighbours",
}

__all__ = [
    *_interfaces,
    "API_VERSION",
    "BUGS",
    "ClassDescription",
    "ClassLookup",
    "ClassOptions",
    "ClassifierSpec",
    "CommandSpec",
    "ComponentSpec",
    "GroupDescription",
    "GroupOptions",
    "ImageDescription",
    "ImageOptions",
    "Kind",
    "SourceOptions",
    "check_model_file",
    "check_verdict",
    "check_weight_shards",
    "digest",
    "error_line",
    "hookimpl",
    "json_numbers",
    "read_class_names",
    "read_model_json",
    "without_secrets",
    "write_atomically",
    "write_text",
    *_AT_FIRST_USE,
]

if not TYPE_CHECKING:
    __getattr__ = at_first_use(__name__, _AT_FIRST_USE)


def __dir__() -> list[str]:
    return [*__all__]
