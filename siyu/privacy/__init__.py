"""Personal data: finding it, giving it out to whom it is about, and erasing it."""
