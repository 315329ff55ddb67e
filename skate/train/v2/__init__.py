"""The present generation of Train, under the module paths that programs import it from."""
