"""A local Rekognition Custom Labels server."""
