"""How often the operator finds what is the matter."""
