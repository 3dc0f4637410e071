"""What a study of a given size can show, before it is trained."""
