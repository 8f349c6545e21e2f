"""Where bytes live: a `Place` is a folder or an `s3://` prefix, with atomic writes, identity, locks and staging.

For every room that reads or writes files. It maps errors of the system and of S3 to ours. It never leaves half a file
under its final name, never overwrites what it was told to keep, and knows nothing of what the bytes mean.
"""
