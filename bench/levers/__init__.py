"""Scenes on a real cluster, under perfslo and beside it under the stock HorizontalPodAutoscaler."""
