"""What a learned bias follows: each file computes one kind of evidence from class points, and says what it shows."""
