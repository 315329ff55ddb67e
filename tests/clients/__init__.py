"""Published libraries that were written for Ray, each in an environment of its own, unedited, on Skate."""
