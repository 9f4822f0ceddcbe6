"""The demonstration: a small web service, the load that drives it, and the story that `make demo` tells."""
