"""From a fitted scikit-learn pipeline to a packed model: the arrays that ``domain/packed/reader.py`` answers from."""

from include.adapters.packing.columns import NotPackable
from include.adapters.packing.files import packed_arrays, written

__all__ = ["NotPackable", "packed_arrays", "written"]
