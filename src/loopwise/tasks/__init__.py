"""What people do with recurrent networks, one folder each; tasks do not know each other.

`loopwise.tasks.registry` knows them all, and `layers` holds what their models share.
"""
