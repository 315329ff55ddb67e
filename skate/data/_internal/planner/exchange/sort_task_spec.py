"""By which columns rows are put in order, under the module name that programs written for Ray import."""

from skate.data.ordering import SortKey

__all__ = ["SortKey"]
