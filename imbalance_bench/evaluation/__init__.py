"""From logits to integer counts."""
