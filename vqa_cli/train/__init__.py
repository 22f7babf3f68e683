"""Datasets, features, training and evaluation."""
