"""Jobs that turn collections of music into TFRecords."""
