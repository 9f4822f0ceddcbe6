"""A small web service whose speed can be chosen: bounded workers, a CPU part and a waiting part for each request."""
