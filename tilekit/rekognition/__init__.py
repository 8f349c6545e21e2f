"""The facts of Amazon Rekognition Custom Labels as pure code; no network."""
