"""How a process that lives long collects garbage."""

import gc

# Objects that a young generation may gather, and the ratios between it and the two behind it.
_THRESHOLDS = (20_000, 20, 50)


def settle() -> None:
    """When all is loaded that stays: that is never looked through again, and the rest more seldom.
    A request or a run makes some thousand objects, and hardly any that refer to each other in a
    circle, which alone would need to be looked for."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
