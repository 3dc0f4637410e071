"""Class difficulty cards: a page per class of a prepared data set, before any training."""

from analysis.cards.description import Description, describe_dataset
from analysis.cards.pages import write_cards

__all__ = ["Description", "describe_dataset", "write_cards"]
