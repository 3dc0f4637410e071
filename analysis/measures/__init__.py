"""Class difficulty from training images and truth alone. The primary measure of each construct is fixed in advance."""

from imbalance_bench.preregistration import CONSTRUCTS, PRIMARY_MEASURES

__all__ = ["CONSTRUCTS", "PRIMARY"]

PRIMARY = PRIMARY_MEASURES
