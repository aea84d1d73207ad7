"""Made-up tasks whose answers depend on what came long before: adding, copy, parity, recall."""
