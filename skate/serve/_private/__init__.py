"""What Skate Serve is made of: the controller, replicas, routing and HTTP. Nothing here is public."""
