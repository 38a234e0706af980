"""Virtual time: an event loop for gevent whose clock jumps from event to event."""
