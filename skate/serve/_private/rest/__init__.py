"""The REST API, with Ray's paths: config files are deployed, looked at and withdrawn over HTTP.

    app.py     the paths, as an ASGI app
    server.py  the actor that listens; loopback unless asked
    token.py   who may ask: whoever has the token

It listens only if it is asked to (`serve start --rest-port`, `skate.serve.rest.start`), and always wants the token.
"""
