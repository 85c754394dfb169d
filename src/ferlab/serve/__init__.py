"""The HTTP service: `ferlab serve`. It needs the extra `serve`, and never Keras."""
