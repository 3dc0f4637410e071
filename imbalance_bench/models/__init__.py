"""Encoders, decoders and the hook for a class bias."""
