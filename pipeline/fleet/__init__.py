"""Cameras over many hosts: a control Redis says which cameras are wanted, and which host has leased which."""
