"""gRPC: the users' services, answered by calls of handles.

    server.py   in the proxy: each method of a service is a request to the application that its metadata names
    answer.py   in a replica: the method of that name, its context, and what goes back

A client that streams is read by the proxy, and its messages are asked for one by one by the replica: it is never sent more than it
wants.
"""
