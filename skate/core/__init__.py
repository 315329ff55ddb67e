"""Types that every engine shares: references, functions, actors, options, errors and context."""
