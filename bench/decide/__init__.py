"""What deciding with perfslo brings: simulated against HPA, KEDA, Knative, llm-d and a clairvoyant."""
