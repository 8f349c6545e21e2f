"""The Detector protocol and the detectors that need no cloud."""
