"""The hands: one module for each kind of object a lever changes."""
