"""From a handle to a replica: what is known of replicas, which is chosen, and where requests wait until one has room.

watch.py    news from the controller
choice.py   which replica: the shorter of two queues (pure)
request.py  one request, from `remote()` to its answer
router.py   all requests of this process to one deployment
"""
