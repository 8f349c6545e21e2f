"""The facts of Amazon Rekognition Custom Labels as pure code: limits, shrink, manifest rules and codes, ARNs, prices.

For `labels`, `datasets`, `aws` and `local`, so that each rule is written once. It takes and gives plain values. It has
no network, no files, no clock, and never decides what to do about what it finds.
"""
