"""Names of `ray.train._internal` that published libraries import all the same; docs/compatibility.md lists them."""
