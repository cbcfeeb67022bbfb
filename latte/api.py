"""The public names: everything that a plugin or a user of latte as a library imports.

Importing this module does not import torch.
"""

from latte.interfaces import *  # noqa: F403
from latte.interfaces import __all__ as _interfaces
from latte.registry.spec import API_VERSION, ComponentSpec, Kind, hookimpl

__all__ = [*_interfaces, "API_VERSION", "ComponentSpec", "Kind", "hookimpl"]
