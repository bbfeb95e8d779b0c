"""TensorFlow Serving's REST API over exports: `make_app` of `app` is what to mount."""
