"""What people do with recurrent networks, one folder each; tasks do not know each other."""
