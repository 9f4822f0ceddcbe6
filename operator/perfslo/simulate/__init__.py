"""Request-level worlds in which the operator's own core, and its rivals, are tried out before anybody believes them."""
