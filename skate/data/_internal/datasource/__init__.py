"""Datasources and datasinks, under the module names that programs written for Ray import; `skate.compat` knows where they are."""
