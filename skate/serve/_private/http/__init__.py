"""HTTP: the server is uvicorn's protocol code, in every process that answers requests.

    convert.py    from what user code returns to a response
    routes.py     which application a path belongs to (pure)
    server.py     connections, served by uvicorn's protocols
    handover.py   open connections, passed from process to process
    ingress.py    the user's function, object or ASGI app as an ASGI app
    forward.py    a request that another process must answer
    front.py      what every request goes through first: route, request id, limits, errors
    proxy.py      the actor that listens on the port, and passes each connection to a replica

A connection is accepted by the proxy, which looks at the request line and passes the connection itself to a replica of that
application. From then on the replica serves it: no request on it pays a hop. What the replica can't answer, such as another
application's path or a request too many, it forwards by a call of a handle.
"""
