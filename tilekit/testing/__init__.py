"""What users need to test their own pipelines: synthetic scans, scenes and labels whose right answers are known.

For `demo`, `bench`, the tests and users' tests; no other room imports it. The same seed gives the same bytes. It never
reads a user's files and needs no network.
"""
