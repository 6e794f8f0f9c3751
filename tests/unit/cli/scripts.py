"""The scripts of deploy/, which are run and not imported, as modules."""

from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[3]


def a_script(name: str) -> ModuleType:
    """Each time a new one."""
    spec = spec_from_file_location(name, ROOT / "deploy" / f"{name}.py")
    assert isinstance(spec, ModuleSpec)
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
