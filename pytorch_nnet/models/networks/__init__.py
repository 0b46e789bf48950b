"""Every network, found by being here: a module with NETWORK, a `models.kind.Kind`."""

import importlib
import pkgutil

from ..kind import Kind

KINDS: dict[str, Kind] = {}
for _module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
    _kind = importlib.import_module(f"{__name__}.{_module}").NETWORK
    KINDS[_kind.name] = _kind
