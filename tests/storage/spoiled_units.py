"""Units of run folders that are whole as files and hold other arrays than they should."""

import numpy as np

_CHANGES = (
    lambda arrays, name: arrays.pop(name),
    lambda arrays, name: arrays.update({name: arrays[name][..., :-1]}),
    lambda arrays, name: arrays.update({name: arrays[name].astype(str)}),
    lambda arrays, name: arrays.update({name: np.full_like(arrays[name], np.nan)}),
)


def spoil(path, name, number):
    """Write a unit again with an array missing, or of another shape, type or content."""
    with np.load(path) as file:
        arrays = dict(file)
    _CHANGES[number % (4 if arrays[name].dtype.kind == "f" else 3)](arrays, name)
    np.savez(path, **arrays)
