"""Trust is measured: how often every test and interval is wrong on simulated studies whose truth is known."""
