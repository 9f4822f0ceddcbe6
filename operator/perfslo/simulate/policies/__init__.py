"""What a simulation lets decide: perfslo itself, and the rivals by their published rules."""
