"""Step-labelled traces of other projects, read and written without loss or with the loss named."""
