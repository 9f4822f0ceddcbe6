"""The resources a user writes, and what is generated from them."""
