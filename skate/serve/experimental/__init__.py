"""Routers for particular needs, named in `RequestRouterConfig(request_router_class=…)`."""
