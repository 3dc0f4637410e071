"""Class difficulty from training images and truth alone. The primary measure of each construct is fixed in advance."""

from imbalance_bench.preregistration import CONSTRUCTS as CONSTRUCTS
from imbalance_bench.preregistration import PRIMARY_MEASURES as PRIMARY
