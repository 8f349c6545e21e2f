"""What users need to test their own pipelines: synthetic scans and scenes."""
