"""Whether the simulator tells what the demo service does on a real cluster."""
