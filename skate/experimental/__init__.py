"""Names of `ray.experimental`: some are the older paths of what is in `skate.util`."""

__all__: list[str] = []
