"""The Kubernetes API: what is read (reflectors) and what is written (guarded, fenced)."""
