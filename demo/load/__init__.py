"""Open-loop load: vegeta replays a rate file, and each second is judged as it passes."""
