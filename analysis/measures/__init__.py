"""Class difficulty from training images and truth alone. The primary measure of each construct is fixed in advance."""
