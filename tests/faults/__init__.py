"""One case of each kind of fault: whatever happens, a study goes on and no number is wrong."""
