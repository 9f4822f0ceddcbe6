"""Deciding, as pure functions of spec, memory and observation: no clock, network, global or log in here."""
