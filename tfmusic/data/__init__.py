"""TFRecords of encoded pieces, and tf.data pipelines that read them."""
