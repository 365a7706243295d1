"""Settings: defaults < inspector.yaml < environment < flags."""
