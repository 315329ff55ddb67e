"""What execution gives to datasinks, under the module names that programs written for Ray import."""
