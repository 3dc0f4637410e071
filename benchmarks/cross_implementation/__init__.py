"""The same tensors through our losses and through those of other packages and of the papers' authors."""
