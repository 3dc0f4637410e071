"""Advice: a shortlist of methods from the rarity and difficulty of classes, with the evidence for each."""
