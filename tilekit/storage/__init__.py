"""The one way bytes come and go: local files, atomic writes, S3, staging."""
