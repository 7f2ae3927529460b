"""Training and what follows it: the Lightning command line, evaluation, export."""
