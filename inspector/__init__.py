"""Streaming visual inspection: which defect, and where, from text prompts."""

__version__ = "0.1.0"
