"""Recurrent layers as the models of all tasks have them: options, descriptions, modules."""
